"""A model kept warm behind HTTP: `affectgpt serve`, and how `affectgpt describe` finds it."""
