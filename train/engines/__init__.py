"""What runs an optimizer step: plain PyTorch, or DeepSpeed with ZeRO 0 to 3."""
