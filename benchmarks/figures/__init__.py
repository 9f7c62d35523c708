"""Figures and sentences that pages begin with, from the tables in ``docs/benchmarks/measured``.

One module per subject. A function draws one figure and returns it with its :class:`Claim`.
"""
