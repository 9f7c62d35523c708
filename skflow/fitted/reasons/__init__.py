"""Reasons why rows are outliers."""
