"""Jobs that judge: generate, label, score and report, joined by JSONL files."""
