"""Clips as words: what a face, a voice and speech show, measured and written down."""
