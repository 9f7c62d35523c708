"""Rounding levels: round numbers among finer ones, each level a grid of its own."""
