"""From a model's answer to labels: lists, rules for descriptions, an LLM, and the cache of its answers."""
