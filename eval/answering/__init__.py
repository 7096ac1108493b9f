"""What `eval/generate.py` is made of: who answers, what is asked, and how answers are kept."""
