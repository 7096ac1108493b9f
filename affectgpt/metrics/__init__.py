"""Scores: pure functions on plain Python and numpy."""
