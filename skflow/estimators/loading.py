"""Fitted estimators back from their files."""

import os
from typing import Any

import torch

from skflow.archive.fields import Fields
from skflow.archive.files import read, refuse_left
from skflow.device import resolve_device
from skflow.estimators.density import FlowDensity
from skflow.estimators.outlier import FlowOutlierDetector
from skflow.estimators.saving import FORMAT, VERSION, unpack_estimator
from skflow.exceptions import ModelFileError

CLASSES = {kind.__name__: kind for kind in (FlowDensity, FlowOutlierDetector)}


def load(
    path: str | os.PathLike[str], device: str | torch.device = "auto"
) -> FlowDensity | FlowOutlierDetector:
    """Load what ``save`` wrote: the same estimator, scores equal to the last digit.

    Nothing in the file is run, and none of it is believed: its SHA-256 is proved first,
    then every field, shape and number, before anything is built from it. A file that
    differs from what was saved in a single bit is refused. The digest tells accidents, not
    authors: whoever made a file decides what its model says.

    Parameters
    ----------
    path : str or path-like
    device : str or torch.device, default="auto"
        The parameter ``device`` of what is loaded, whatever it was fitted on.

    Returns
    -------
    estimator : FlowDensity or FlowOutlierDetector
        Of the class that was saved, fitted.

    Raises
    ------
    ModelFileError
        Where the file is damaged, was not written by skflow, or by a later version.
    OSError
        Where there is no such file.
    ValueError
        Where there is no such device.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, skflow
    >>> X = np.random.default_rng(0).normal(size=(60, 2))
    >>> path = os.path.join(tempfile.mkdtemp(), "model.skflow")
    >>> skflow.FlowDensity(n_layers=0, random_state=0).fit(X).save(path)
    >>> skflow.load(path).score(X) > -4
    True
    """
    resolve_device(device, 0)
    document, arrays = read(path)
    try:
        fields = Fields(document, "model")
        _refuse_other_format(fields)
        estimator = unpack_estimator(fields, arrays, CLASSES)
        refuse_left(arrays)
    except ModelFileError as error:
        raise ModelFileError(f"{path} is no sound model: {error}") from error
    except (ValueError, TypeError, ArithmeticError, LookupError, RuntimeError) as error:
        # What no check foresaw, of a file that someone made up: still no model.
        raise ModelFileError(f"{path} is no sound model: {error}") from error
    return _move(estimator, device)


def _refuse_other_format(fields: Fields) -> None:
    found = fields.any("format")
    if found != FORMAT:
        raise ModelFileError(f"It is a {found!r}, not a {FORMAT!r}.")
    number, writer = fields.any("version"), fields.text("written_by")
    if type(number) is not int or not 1 <= number <= VERSION:
        raise ModelFileError(
            f"It is of format version {number!r}, written by skflow {writer}; this skflow reads "
            f"versions 1 to {VERSION}. Install a later skflow."
        )


def _move(estimator: Any, device: str | torch.device) -> Any:
    """Set the device of a density, or of those of a detector: the fitted and the unfitted one."""
    if not isinstance(estimator, FlowOutlierDetector):
        return estimator.set_params(device=device)
    for density in (estimator.density_, estimator.density):
        if density is not None:
            density.set_params(device=device)
    return estimator
