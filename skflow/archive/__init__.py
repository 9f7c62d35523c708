"""The model file: what was fitted, in one file that is safe to read."""
