"""Constraints: columns that other columns determine exactly, in nearly all rows."""
