"""A trained model as a folder that others can load, check and cite: `affectgpt release`, `verify`, `push`."""
