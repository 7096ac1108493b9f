"""What an emotion word means, once: basic sets, the open vocabulary, its forms and tables. Imports no torch."""
