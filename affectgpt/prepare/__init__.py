"""A corpus as it was downloaded -> a manifest of what can be used, what cannot and why, and a report."""
