"""Errors and warnings of skflow's own, and where warnings point."""

import contextlib
import inspect
import os
import warnings
from pathlib import Path

import joblib
import sklearn
from sklearn.exceptions import ConvergenceWarning

# Code of these folders is not what a user can change.
FILES_WITHIN = (__file__, sklearn.__file__, joblib.__file__)
WITHIN = (*(f"{Path(file).parent}{os.sep}" for file in FILES_WITHIN), contextlib.__file__)


class CaptureWarning(UserWarning):
    """A training step could not be captured as a CUDA graph; training goes on, slower."""


class DegenerateDensityWarning(UserWarning):
    """Some columns are exact functions of others: their density has no finite limit."""


class DivergenceWarning(ConvergenceWarning):
    """Training diverged and went on from the best weights at a lower rate."""


class DoubtfulColumnsWarning(UserWarning):
    """Some columns hold so many strings, or dates as text, that they are hardly categories."""


class LostDigitsWarning(UserWarning):
    """A column of integers or dates spans too many steps for each to come back."""


class ModelFileError(ValueError):
    """A file is damaged, not of skflow or of this version, or the checkpoint of another fit."""


class StrangeLabelsWarning(UserWarning):
    """No cell of a column is a label that was fitted: another type, or another spelling."""


def printable(text: str, *, lines: bool = False) -> str:
    r"""Escape what a terminal would obey rather than show: ``\x1b[31m`` is shown as it is here.

    Parameters
    ----------
    text : str
    lines : bool, default=False
        Whether line ends stay.
    """
    kept = "\n" if lines else ""
    return "".join(c if c.isprintable() or c in kept else repr(c)[1:-1] for c in text)


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line outside skflow, scikit-learn and joblib that led here.

    In a process of its own there is none, and the warning points at where the process began.
    """
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.startswith(WITHIN):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
