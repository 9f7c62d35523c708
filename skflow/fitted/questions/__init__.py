"""Questions to a joint density: some cells of rows, given others."""
