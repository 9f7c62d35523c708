"""Estimators in files, and out of them."""

import math
import os
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skflow.archive.cells import pack_cell, unpack_cell
from skflow.archive.detectors import (
    pack_calibration,
    pack_clusters,
    unpack_calibration,
    unpack_clusters,
)
from skflow.archive.fields import Fields
from skflow.archive.files import Arrays, Document, prefixed, refuse_left, take_prefixed, write
from skflow.archive.flows import pack_recipe, unpack_model, unpack_recipe
from skflow.archive.parameters import pack_parameter, unpack_device, unpack_parameter
from skflow.archive.tables import pack_table, unpack_table
from skflow.exceptions import ModelFileError
from skflow.fitted.detector import Detector, FittedScorers
from skflow.fitted.round_trip import InverseError
from skflow.fitted.table_density import TableDensity
from skflow.flow.recipe import model_state
from skflow.table.storage import StoredTable
from skflow.training.loop import History

FORMAT = "skflow model"
VERSION = 1
OUTPUTS = ("default", "pandas", "polars")  # of set_output
MOST = 2**53  # of a number of rows, columns or epochs


class Saveable:
    """What can be saved in a file of its own."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the fitted estimator in a file, which :func:`skflow.load` reads.

        The file holds numbers and text only; nothing in it is ever run. It is written
        whole or not at all: what was there before stays until then. It can be read by
        every later version, and on machines without the GPU that it was fitted on.
        Requests of metadata (``set_fit_request``) are not in it.

        Parameters
        ----------
        path : str or path-like
            Any name; ``.skflow`` is customary.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        OSError
            Where there is no such folder, no room or no permission.
        TypeError
            Where a category, a dtype or a parameter is of a type that no file holds.

        Examples
        --------
        >>> import os, tempfile
        >>> import numpy as np, skflow
        >>> X = np.random.default_rng(0).normal(size=(60, 2))
        >>> flow = skflow.FlowDensity(n_layers=0, random_state=0).fit(X)
        >>> path = os.path.join(tempfile.mkdtemp(), "model.skflow")
        >>> flow.save(path)
        >>> bool((skflow.load(path).score_samples(X) == flow.score_samples(X)).all())
        True
        """
        check_is_fitted(self)
        fields, arrays = pack_estimator(self)
        head = {"format": FORMAT, "version": VERSION, "written_by": version("skflow")}
        write(path, head | fields, arrays)


def pack_estimator(estimator: Any) -> tuple[Document, Arrays]:
    """Return class, parameters and what was fitted."""
    name = type(estimator).__name__
    if name not in PACKERS or not type(estimator).__module__.startswith("skflow."):
        raise TypeError(
            f"A model file holds {' or '.join(PACKERS)}, not {name}, whose code it could not hold. "
            "Save it with joblib.dump."
        )
    fitted, arrays = PACKERS[name](estimator)
    return {
        "class": name,
        "parameters": _pack_parameters(estimator),
        "n_iter": int(estimator.n_iter_),
        **fitted,
    }, arrays


def unpack_estimator(fields: Fields, arrays: Arrays, classes: Mapping[str, type]) -> Any:
    """Return what :func:`pack_estimator` was given; ``classes`` are those it may be of."""
    with fields:
        name = fields.text("class", classes)
        estimator = _unpack_parameters(classes[name], fields.fields("parameters"), classes)
        estimator.n_iter_ = fields.integer("n_iter", 0, MOST)
        UNPACKERS[name](estimator, fields, arrays, classes)
    return estimator


def _pack_parameters(estimator: Any) -> Document:
    """Return parameters by name; those of an estimator in the place of the parameter it is."""
    return {
        name: _pack_parameters(value) if hasattr(value, "get_params") else pack_parameter(value)
        for name, value in estimator.get_params(deep=False).items()
    }


def _unpack_parameters(kind: type, fields: Fields, classes: Mapping[str, type]) -> Any:
    """Return an unfitted estimator that has what :func:`_pack_parameters` returned."""
    estimator: Any = kind()
    with fields:
        for name in estimator.get_params(deep=False):
            value = fields.any(name)
            if name == "density" and value is not None:
                inside = Fields(value, f"{fields.place}.{name}")
                given = _unpack_parameters(classes["FlowDensity"], inside, classes)
            else:
                given = unpack_parameter(value)
            estimator.set_params(**{name: given})
    estimator._validate_params()
    return estimator


def _pack_density(flow: Any) -> tuple[Document, Arrays]:
    density: TableDensity = flow._density
    history = {key: np.array(values, dtype=np.float64) for key, values in flow.history_.items()}
    fitted = {
        "best_validation_score": pack_cell(float(flow.best_validation_score_)),
        "inverse_error": [pack_cell(float(number)) for number in flow.inverse_error_],
        "device": flow.device_,
        "output": getattr(flow, "_sklearn_output_config", {}).get("transform"),
        "table": pack_table(density.container, density.codec),
        "named": hasattr(flow, "feature_names_in_"),
        "recipe": pack_recipe(density.recipe),
    }
    return fitted, prefixed("model", model_state(density.model)) | prefixed("history", history)


def _unpack_density(flow: Any, fields: Fields, arrays: Arrays, classes: Any) -> None:
    flow.best_validation_score_ = unpack_cell(fields.any("best_validation_score"))
    flow.inverse_error_ = InverseError(*_two_numbers(fields, "inverse_error"))
    flow.device_ = str(unpack_device(fields.text("device")))
    output = fields.any("output")
    if output is not None:
        flow.set_output(transform=Fields({"output": output}, "model").text("output", OUTPUTS))
    container, codec = unpack_table(fields.fields("table"))
    recipe = unpack_recipe(fields.fields("recipe"), codec.layout)
    flow.history_ = _unpack_history(take_prefixed("history", arrays))
    model = unpack_model(recipe, take_prefixed("model", arrays))
    flow._density = TableDensity(container, codec, recipe, model)
    flow.schema_ = codec.schema
    flow._n_features_out = len(codec.latent_names)
    flow.n_features_in_ = len(codec.columns)
    if fields.boolean("named"):
        flow.feature_names_in_ = np.array(container.names, dtype=object)
    _refuse_unusable(flow._density, lambda row: flow._density.log_prob(row, "cpu"))


def _refuse_unusable(density: TableDensity, score: Callable[[StoredTable], Any]) -> None:
    """Raise where numbers that are each sound give the density's own middle no score."""
    middle = density.inverse(np.zeros((1, len(density.codec.latent_names))), "cpu")
    if not np.isfinite(score(density.container.read(middle))).all():
        raise ModelFileError("The model has no score in its own middle.")


def _unpack_history(arrays: Arrays) -> dict[str, list[float]]:
    names = list(History().as_dict())
    shapes = {array.shape for array in arrays.values()}
    is_float = all(array.dtype == np.float64 for array in arrays.values())
    alike = is_float and len(shapes) == 1 and len(next(iter(shapes))) == 1
    if sorted(arrays) != sorted(names) or not alike:
        raise ModelFileError(f"history must be {', '.join(names)}, equally long.")
    return {name: arrays[name].tolist() for name in names}


def _two_numbers(fields: Fields, name: str) -> list[float]:
    values = [unpack_cell(value) for value in fields.items(name)]
    if len(values) != 2 or any(type(x) is not float or math.isinf(x) for x in values):
        fields.refuse(name, values, "two numbers that are not infinite")
    return values


def _pack_detector(detector: Any) -> tuple[Document, Arrays]:
    density, arrays = pack_estimator(detector.density_)
    scorers = detector._detector.scorers
    clusters, of_clusters = pack_clusters(scorers.clusters)
    calibration = pack_calibration(
        detector._detector.combiner, detector._detector.calibration_scores
    )
    fitted = {"density": density, "offset": float(detector.offset_), "clusters": clusters}
    unfitted = np.flatnonzero(scorers.unfitted).tolist()
    if unfitted:
        fitted["unfitted"] = unfitted
    return fitted, (
        prefixed("density", arrays)
        | prefixed("clusters", of_clusters)
        | prefixed("calibration", calibration)
    )


def _unpack_detector(detector: Any, fields: Fields, arrays: Arrays, classes: Any) -> None:
    only = {"FlowDensity": classes["FlowDensity"]}
    of_density = take_prefixed("density", arrays)
    detector.density_ = unpack_estimator(fields.fields("density"), of_density, only)
    refuse_left(of_density)
    detector.offset_ = fields.number("offset")
    density = detector.density_._density
    of_clusters = take_prefixed("clusters", arrays)
    clusters = unpack_clusters(fields.fields("clusters"), of_clusters, density.codec)
    n_measures = 2 + sum(len(clusters.clusters[k].bandwidths) for k in clusters.n_clusters)
    calibration = take_prefixed("calibration", arrays)
    combiner, scores = unpack_calibration(calibration, n_measures, clusters.category_share)
    unfitted = np.zeros(density.recipe.n_entries, dtype=bool)
    if fields.has("unfitted"):
        unfitted[fields.integers("unfitted", 0, len(unfitted) - 1)] = True
    scorers = FittedScorers(density, clusters, unfitted)
    detector._detector = Detector(scorers, combiner, scores)
    detector.n_calibration_ = len(scores)

    def score_row(row: StoredTable) -> Any:
        measures = scorers.measure(row, "cpu")
        return np.append(measures, combiner.log_prob(measures))

    _refuse_unusable(density, score_row)
    detector.n_features_in_ = detector.density_.n_features_in_
    if hasattr(detector.density_, "feature_names_in_"):
        detector.feature_names_in_ = detector.density_.feature_names_in_


PACKERS: dict[str, Callable[[Any], tuple[Document, Arrays]]] = {
    "FlowDensity": _pack_density,
    "FlowOutlierDetector": _pack_detector,
}
UNPACKERS: dict[str, Callable[[Any, Fields, Arrays, Any], None]] = {
    "FlowDensity": _unpack_density,
    "FlowOutlierDetector": _unpack_detector,
}
