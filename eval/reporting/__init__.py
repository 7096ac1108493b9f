"""What `eval/report.py` is made of: rows, what they show, sections, the page and its pictures."""
