"""The shapes in which answers come, one file each; `dialects.py` says who speaks which."""
