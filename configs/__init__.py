"""Recipes (YAML) and DeepSpeed settings (JSON); `affectgpt.config.load_recipe` finds them by name."""
