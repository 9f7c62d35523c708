"""Clusters and calibration of a detector as arrays, and back."""

from typing import Any

import numpy as np

from skflow.archive.document import ClustersFields
from skflow.archive.files import refuse_left
from skflow.archive.flows import refuse_not_finite
from skflow.exceptions import ModelFileError
from skflow.flat_state import Arrays
from skflow.outliers.clusters import SmoothedClusters
from skflow.outliers.coordinates import Coordinates, LevelAxes, NumberAxes
from skflow.outliers.ensemble import ClusterEnsemble, TailCombiner
from skflow.outliers.tails import Tail
from skflow.table.codec import TableCodec

PARTS = ("bandwidths", "weights", "centres", "variances", "bases", "shares")
SLACK = 1e-6
MIN_BANDWIDTH = 1e-3  # a share of all rows may be as small as its square


def pack_clusters(ensemble: ClusterEnsemble) -> tuple[dict[str, Any], Arrays]:
    """Return which columns have what axes, and the clusters."""
    coordinates = ensemble.coordinates
    arrays = {"means": coordinates.means, "scales": coordinates.scales}
    for k, clusters in ensemble.clusters.items():
        arrays |= {f"{k}.{part}": getattr(clusters, part) for part in PARTS}
    levels = [None if axes.levels is None else axes.levels.tolist() for axes in coordinates.axes]
    return {"n_clusters": ensemble.n_clusters, "levels": levels}, arrays


def unpack_clusters(fields: ClustersFields, arrays: Arrays, codec: TableCodec) -> ClusterEnsemble:
    """Return the ensemble of :func:`pack_clusters`, for the columns of ``codec``."""
    refuse_not_finite(arrays)
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
    means, scales = _pop(arrays, "means", (n_numbers,)), _pop(arrays, "scales", (n_axes,))
    if not (scales > 0).all():
        raise ModelFileError("scales must be above 0.")
    clusters = {
        k: _unpack_smoothed(arrays, k, n_numbers, n_axes - n_numbers)
        for k in dict.fromkeys(fields.n_clusters)
    }
    refuse_left(arrays)
    return ClusterEnsemble(Coordinates(axes, means, scales), fields.n_clusters, clusters)


def _unpack_smoothed(arrays: Arrays, k: int, n_numbers: int, n_indicators: int) -> SmoothedClusters:
    n = _size(arrays, f"{k}.weights")
    clusters = SmoothedClusters(
        _pop(arrays, f"{k}.bandwidths", (_size(arrays, f"{k}.bandwidths"),)),
        _pop(arrays, f"{k}.weights", (n,)),
        _pop(arrays, f"{k}.centres", (n, n_numbers)),
        _pop(arrays, f"{k}.variances", (n, n_numbers)),
        _pop(arrays, f"{k}.bases", (n, n_numbers, n_numbers)),
        _pop(arrays, f"{k}.shares", (1 + n, n_indicators)),
    )
    bandwidths, shares = clusters.bandwidths, clusters.shares
    if not (
        n and len(bandwidths) and (bandwidths >= MIN_BANDWIDTH).all() and (bandwidths <= 1).all()
    ):
        raise ModelFileError(
            f"Clusters {k} have bandwidths {bandwidths}, not from {MIN_BANDWIDTH} to 1."
        )
    if not ((clusters.weights > 0).all() and (clusters.variances >= 0).all()):
        raise ModelFileError(f"Clusters {k} lack weight or width.")
    if not ((shares[0] >= MIN_BANDWIDTH**2).all() and (shares >= 0).all() and (shares <= 1).all()):
        raise ModelFileError(f"Levels in clusters {k} have shares that no table gives.")
    if np.abs(clusters.bases).max(initial=0.0) > 1 + SLACK:
        raise ModelFileError(f"The eigenvectors of clusters {k} are too long.")
    return clusters


def pack_calibration(combiner: TailCombiner, calibration: Tail) -> Arrays:
    """Return the measures of calibration rows, each sorted, their scores, and weights of both."""
    tails = combiner.tails
    arrays = {"measures": np.stack([tail.scores for tail in tails]), "scores": calibration.scores}
    if calibration.weight is None:
        return arrays
    arrays["measure_weights"] = np.array([tail.weight for tail in tails])
    return arrays | {"score_weights": calibration.weight}


def unpack_calibration(
    arrays: Arrays, n_measures: int, category_share: float
) -> tuple[TailCombiner, Tail]:
    """Return combiner and scores of :func:`pack_calibration`, for ``n_measures`` measures."""
    refuse_not_finite(arrays)
    n_rows = _size(arrays, "scores")
    scores = _pop(arrays, "scores", (n_rows,))
    measures = _pop(arrays, "measures", (n_measures, n_rows))
    weight, weights = None, [None] * n_measures
    if {"measure_weights", "score_weights"} & arrays.keys():
        weight = _pop(arrays, "score_weights", (n_rows,))
        weights = list(_pop(arrays, "measure_weights", (n_measures, n_rows)))
        if not all((each > 0).all() for each in (weight, *weights)):
            raise ModelFileError("Weights of calibration rows must be above 0.")
    refuse_left(arrays)
    if n_rows < 2 or any((np.diff(array) < 0).any() for array in (measures, scores)):
        raise ModelFileError("Calibration rows must be two at least, in order.")
    tails = [Tail(*pair) for pair in zip(measures, weights, strict=True)]
    return TailCombiner(tails, category_share), Tail(scores, weight)


def _size(arrays: Arrays, name: str) -> int:
    """Return how many numbers an array holds, 0 where there is none."""
    return arrays.get(name, np.empty(0)).size


def _pop(arrays: Arrays, name: str, shape: tuple[int, ...]) -> Any:
    array = arrays.pop(name, None)
    if array is None or array.shape != shape or array.dtype != np.float64:
        what = "missing" if array is None else f"{array.dtype} of shape {array.shape}"
        raise ModelFileError(f"{name} must be float64 of shape {shape}; it is {what}.")
    return array
