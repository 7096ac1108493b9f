"""Companion jobs' parts: what every system of a comparison is trained on, tested on and writes."""
