"""Conditional densities of any columns given any others, by importance sampling."""
