"""Tables of Arrow, in memory and in files; needs pyarrow, imported on demand only."""
