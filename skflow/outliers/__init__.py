"""Outlier measures: clusters, tail probabilities and conditional densities of rows."""
