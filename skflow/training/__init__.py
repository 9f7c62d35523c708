"""Fitting a flow to a matrix: closed form first, gradients last."""
