"""Plain PyTorch definitions: the truth every kernel is tested against, and its stand-in."""
