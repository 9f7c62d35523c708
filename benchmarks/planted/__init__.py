"""Rows with planted outliers, and what a detector finds of them."""
