"""Fitted estimators loaded from their files."""

import os
from itertools import chain
from typing import Any

import msgspec
import torch

from skflow.archive.document import (
    UNSOUND,
    ClassifierFields,
    DensityFields,
    DetectorFields,
    EstimatorFields,
    Fields,
    ImputerFields,
    RegressorFields,
)
from skflow.archive.files import Document, read, refuse_left
from skflow.archive.scalars import shorten
from skflow.device import resolve_device
from skflow.estimators.classifier import FlowClassifier
from skflow.estimators.density import FlowDensity
from skflow.estimators.imputer import FlowImputer
from skflow.estimators.outlier import FlowOutlierDetector
from skflow.estimators.persistence import FORMAT, VERSION
from skflow.estimators.regressor import FlowRegressor
from skflow.exceptions import ModelFileError
from skflow.flat_state import Arrays

Estimator = FlowDensity | FlowImputer | FlowOutlierDetector | FlowRegressor | FlowClassifier

# Classes by the fields of their documents.
CLASSES: dict[type[Fields], type[Any]] = {
    ClassifierFields: FlowClassifier,
    DensityFields: FlowDensity,
    DetectorFields: FlowOutlierDetector,
    ImputerFields: FlowImputer,
    RegressorFields: FlowRegressor,
}
HEAD = ("format", "version", "written_by")


def load(path: str | os.PathLike[str], device: str | torch.device = "auto") -> Estimator:
    """Load what ``save`` wrote: the same estimator, scores equal to the last digit.

    Nothing in the file is run, and none of it is believed: its SHA-256 is proved first,
    then every field, shape and number, before anything is built from it. A file that
    differs from what was saved in a single bit is refused. The digest finds
    accidental changes; it says nothing about the author of a file.

    Parameters
    ----------
    path : str or path-like
    device : str or torch.device, default="auto"
        The parameter ``device`` of what is loaded, whatever it was fitted on.

    Returns
    -------
    estimator : FlowDensity, FlowImputer, FlowOutlierDetector, FlowRegressor or FlowClassifier
        Fitted estimator of the class that was saved.

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
    >>> skflow.load(path)
    FlowDensity(n_layers=0, random_state=0)
    """
    resolve_device(device, 0)
    document, arrays = read(path)
    try:
        estimator = _unpack(document, arrays)
    except UNSOUND as error:
        raise ModelFileError(f"{path} is no sound model: {error}") from error
    if isinstance(estimator, FlowDensity):
        return estimator.set_params(device=device)
    others = [getattr(estimator, name, []) for name in ("cross_fits_", "initial_fits_")]
    for density in filter(None, [estimator.density_, *chain(*others), estimator.density]):
        density.set_params(device=device)
    return estimator


def _unpack(document: Document, arrays: Arrays) -> Any:
    found, number, writer = (document.pop(key, None) for key in HEAD)
    if found != FORMAT or type(writer) is not str:
        raise ModelFileError(f"It is a {shorten(found)}, not a {FORMAT!r}.")
    if type(number) is not int or not 1 <= number <= VERSION:
        raise ModelFileError(
            f"It is of format version {number!r}, written by skflow {writer}; this skflow reads "
            f"versions 1 to {VERSION}. Install a later skflow."
        )
    fields = msgspec.convert(document, EstimatorFields)
    estimator = CLASSES[type(fields)]()
    further = [] if isinstance(fields, DensityFields) else [FlowDensity]
    estimator._unpack(fields, arrays, *further)
    refuse_left(arrays)
    return estimator
