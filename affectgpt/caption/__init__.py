"""New captions: cues of each stream -> a description -> labels -> two filters. The job is `job.py`."""
