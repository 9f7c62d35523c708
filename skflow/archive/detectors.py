"""Clusters and calibration of a detector as arrays, and back."""

from typing import Any

import numpy as np

from skflow.archive.document import ClustersFields
from skflow.archive.files import refuse_left
from skflow.archive.flows import LARGEST
from skflow.exceptions import ModelFileError
from skflow.flat_state import Arrays, prefixed
from skflow.outliers.clusters import SmoothedClusters
from skflow.outliers.coordinates import Coordinates, LevelAxes, NumberAxes
from skflow.outliers.ensemble import ClusterEnsemble, TailCombiner, terms
from skflow.outliers.tails import Tail
from skflow.table.codec import TableCodec

SLACK = 1e-6  # of the length of an eigenvector
MIN_BANDWIDTH = 1e-3  # a share of all rows may be as small as its square
ABOVE_0 = 5e-324  # the smallest number that is
FORMER_WEIGHTS = np.array([0.8, 0.13, 0.07])  # of terms among numbers, in version 0.1


def pack_clusters(ensemble: ClusterEnsemble) -> tuple[dict[str, Any], Arrays]:
    """Return which columns have what axes, and the clusters."""
    coordinates = ensemble.coordinates
    arrays = {"means": coordinates.means, "scales": coordinates.scales}
    names = range(1, 1 + len(ensemble.members))
    for name, clusters in zip(names, ensemble.members, strict=True):
        arrays |= prefixed(str(name), vars(clusters))
    levels = [None if axes.levels is None else axes.levels.tolist() for axes in coordinates.axes]
    return {"n_clusters": list(names), "levels": levels}, arrays


def unpack_clusters(fields: ClustersFields, arrays: Arrays, codec: TableCodec) -> ClusterEnsemble:
    """Return the ensemble of :func:`pack_clusters`, for the columns of ``codec``."""
    if len(fields.levels) != len(codec.columns):
        raise ModelFileError(f"There must be levels for each of {len(codec.columns)} columns.")
    axes: list[NumberAxes | LevelAxes] = []
    for column, levels in zip(codec.columns, fields.levels, strict=True):
        if not column.is_ordered:
            n_levels = max(1, column.labels.n_labels)
            if levels is None or any(level >= n_levels for level in levels):
                raise ModelFileError(f"{levels} must be labels of the column.")
            axes.append(LevelAxes(column, np.array(levels, dtype=np.int64)))
        elif levels is None:
            axes.append(NumberAxes(column))
        else:
            raise ModelFileError("A column of numbers has no levels that are axes.")
    n_numbers = sum(each.n_numbers for each in axes)
    n_axes = n_numbers + sum(each.n_indicators for each in axes)
    means = _pop(arrays, "means", (n_numbers,))
    scales = _pop(arrays, "scales", (n_axes,), low=ABOVE_0)
    clusters = {
        k: _unpack_smoothed(arrays, k, n_numbers, n_axes - n_numbers)
        for k in dict.fromkeys(fields.n_clusters)
    }
    refuse_left(arrays)
    members = [clusters[k] for k in fields.n_clusters]
    return ClusterEnsemble(Coordinates(axes, means, scales), members)


def _unpack_smoothed(arrays: Arrays, k: int, n_numbers: int, n_indicators: int) -> SmoothedClusters:
    n, n_bandwidths = _size(arrays, f"{k}.weights"), _size(arrays, f"{k}.bandwidths")
    clusters = SmoothedClusters(
        _pop(arrays, f"{k}.bandwidths", (n_bandwidths,), low=MIN_BANDWIDTH, high=1.0),
        _pop(arrays, f"{k}.weights", (n,), low=ABOVE_0),
        _pop(arrays, f"{k}.centres", (n, n_numbers)),
        _pop(arrays, f"{k}.variances", (n, n_numbers), low=0.0),
        _pop(arrays, f"{k}.bases", (n, n_numbers, n_numbers), low=-1 - SLACK, high=1 + SLACK),
        _pop(arrays, f"{k}.shares", (1 + n, n_indicators), low=0.0, high=1.0),
    )
    if not n or not n_bandwidths or (clusters.shares[0] < MIN_BANDWIDTH**2).any():
        raise ModelFileError(f"Clusters {k} are none, or have shares that no table gives.")
    return clusters


def pack_calibration(combiner: TailCombiner, calibration: Tail) -> Arrays:
    """Return the measures of calibration rows, each sorted, their scores, and weights of both."""
    tails = combiner.tails
    arrays = {"measures": np.stack([tail.scores for tail in tails]), "scores": calibration.scores}
    arrays |= {"term_weights": combiner.weights, "term_powers": combiner.powers}
    if calibration.weight is None:
        return arrays
    arrays["measure_weights"] = np.array([tail.weight for tail in tails])
    return arrays | {"score_weights": calibration.weight}


def unpack_calibration(
    arrays: Arrays, n_clustered: int, category_share: float
) -> tuple[TailCombiner, Tail]:
    """Return combiner and scores of :func:`pack_calibration`.

    ``n_clustered`` measures are those of the clusters. Files of version 0.1 hold no weights of
    terms; these then follow from ``category_share``.
    """
    if "term_weights" in arrays:
        n_terms = _size(arrays, "term_weights")
        term_weights = _pop(arrays, "term_weights", (n_terms,), low=0.0, high=1.0)
        term_powers = _pop(arrays, "term_powers", (n_terms,), low=ABOVE_0, high=1.0)
        if n_terms not in (len(FORMER_WEIGHTS), 1 + len(FORMER_WEIGHTS)) or not term_weights[0]:
            raise ModelFileError("Weights of terms must be three or four, the first above 0.")
    else:
        term_weights, term_powers = terms(category_share, FORMER_WEIGHTS)
    n_measures = n_clustered + len(term_weights) - 1
    n_rows = _size(arrays, "scores")
    scores = _pop(arrays, "scores", (n_rows,))
    measures = _pop(arrays, "measures", (n_measures, n_rows))
    weight, weights = None, [None] * n_measures
    if {"measure_weights", "score_weights"} & arrays.keys():
        weight = _pop(arrays, "score_weights", (n_rows,), low=ABOVE_0)
        weights = list(_pop(arrays, "measure_weights", (n_measures, n_rows), low=ABOVE_0))
    refuse_left(arrays)
    if n_rows < 2 or any((np.diff(array) < 0).any() for array in (measures, scores)):
        raise ModelFileError("Calibration rows must be two at least, in order.")
    tails = [Tail(*pair) for pair in zip(measures, weights, strict=True)]
    return TailCombiner(tails, term_weights, term_powers), Tail(scores, weight)


def unpack_label_log_tails(arrays: Arrays, n_entries: int) -> Any:
    """Return log tail probabilities of labels; 0 in files of version 0.1, which do not use them."""
    if "label_log_tails" not in arrays:
        return np.zeros(n_entries)
    return _pop(arrays, "label_log_tails", (n_entries,), high=0.0)


def _size(arrays: Arrays, name: str) -> int:
    """Return how many numbers an array holds, 0 where there is none."""
    return arrays.get(name, np.empty(0)).size


def _pop(
    arrays: Arrays,
    name: str,
    shape: tuple[int, ...],
    low: float = -LARGEST,
    high: float = LARGEST,
) -> Any:
    """Remove an array and return it, of this shape and with all numbers in range."""
    array = arrays.pop(name, None)
    if array is None or array.shape != shape or array.dtype != np.float64:
        what = "missing" if array is None else f"{array.dtype} of shape {array.shape}"
        raise ModelFileError(f"{name} must be float64 of shape {shape}; it is {what}.")
    if not ((array >= low) & (array <= high)).all():
        raise ModelFileError(f"{name} must be from {low:g} to {high:g}.")
    return array
