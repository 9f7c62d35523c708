"""Errors and warnings of skflow, and the line that a warning is attributed to."""

import contextlib
import inspect
import os
import warnings
from pathlib import Path

import joblib
import sklearn
from sklearn.exceptions import ConvergenceWarning

# A warning is attributed to the first caller outside these folders: code the user can change.
FILES_WITHIN = (__file__, sklearn.__file__, joblib.__file__)
WITHIN = (*(f"{Path(file).parent}{os.sep}" for file in FILES_WITHIN), contextlib.__file__)


class CaptureWarning(UserWarning):
    """A training step could not be captured as a CUDA graph; training continues, more slowly."""


class DegenerateDensityWarning(UserWarning):
    """Some columns are exact functions of others, so their density has no finite limit."""


class DivergenceWarning(ConvergenceWarning):
    """Training diverged and continued from the best weights at a lower learning rate."""


class DoubtfulColumnsWarning(UserWarning):
    """Some columns of text are doubtful categories: many different strings, dates or numbers."""


class FewEffectiveDrawsWarning(UserWarning):
    """Importance sampling of some rows has few effective draws: their answers are rough."""


class LostDigitsWarning(UserWarning):
    """A column of integers or dates spans too many grid steps to be restored exactly."""


class ModelFileError(ValueError):
    """A file is damaged, from elsewhere, of a later version, or the checkpoint of another fit."""


class StrangeLabelsWarning(UserWarning):
    """No cell of a column is a fitted label, probably because of another type or spelling."""


def printable(text: str, *, lines: bool = False) -> str:
    r"""Escape control characters of a terminal: ``\x1b[31m`` is returned as these 8 characters.

    Parameters
    ----------
    text : str
        Text to escape.
    lines : bool, default=False
        Whether to keep line ends.

    Returns
    -------
    escaped : str
    """
    kept = "\n" if lines else ""
    return "".join(c if c.isprintable() or c in kept else repr(c)[1:-1] for c in text)


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Attribute a warning to the calling line outside skflow, scikit-learn and joblib.

    In a worker process there is no such line; the warning points to the start of the process.

    Parameters
    ----------
    message : str
        Text of the warning.
    category : type of Warning, default=UserWarning
        Class of the warning.
    """
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.startswith(WITHIN):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
