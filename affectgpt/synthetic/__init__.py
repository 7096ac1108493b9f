"""The starter corpus: drawn faces, a synthetic voice and written words."""
