"""Scripts that start a training run on one process, one machine or several."""
