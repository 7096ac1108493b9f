"""AffectGPT: train, run, judge and release multimodal LLMs that describe human emotion."""

__version__ = "0.1.0"
