"""Errors and warnings of skflow's own."""

from sklearn.exceptions import ConvergenceWarning


class CaptureWarning(UserWarning):
    """A training step could not be captured as a CUDA graph; training goes on, slower."""


class DegenerateDensityWarning(UserWarning):
    """Some columns are exact functions of others: their density has no finite limit."""


class DivergenceWarning(ConvergenceWarning):
    """Training diverged and went on from the best weights at a lower rate."""


class LostDigitsWarning(UserWarning):
    """A column of integers or dates spans too many steps for each to come back."""


class ModelFileError(ValueError):
    """A file is damaged, not of skflow or of this version, or the checkpoint of another fit."""
