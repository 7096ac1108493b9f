"""Recipes (YAML); `affectgpt.config.load_recipe` finds them by name."""
