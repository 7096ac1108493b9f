"""Features of frozen encoders: what keys them, how they are stored, read and computed."""
