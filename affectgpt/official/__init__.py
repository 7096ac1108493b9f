"""Official AffectGPT checkpoints: their tensors by our names and back, as ordinary model folders."""
