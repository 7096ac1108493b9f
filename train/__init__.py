"""Jobs that change weights; each reads from top to bottom as the story of that job."""
