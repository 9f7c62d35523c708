"""Clusters and calibration scores of a detector as arrays, and back."""

from typing import Any

import numpy as np

from skflow.archive.document import ViewsFields
from skflow.archive.files import Arrays, refuse_left
from skflow.archive.flows import refuse_not_finite
from skflow.exceptions import ModelFileError
from skflow.outliers.clusters import SmoothedClusters
from skflow.outliers.coordinates import Coordinates, LevelAxes, NumberAxes
from skflow.outliers.ensemble import TailCombiner, Views
from skflow.table.codec import TableCodec
from skflow.table.columns import CategoryColumn

PARTS = ("blurs", "weights", "centres", "variances", "bases", "shares")
SLACK = 1e-6
MIN_BLUR = 1e-3  # a share of all rows may be as small as its square


def pack_views(views: Views) -> tuple[dict[str, Any], Arrays]:
    """Return which columns have what axes, and the clusters."""
    coordinates = views.coordinates
    arrays = {"means": coordinates.means, "scales": coordinates.scales}
    for k, clusters in views.clusters.items():
        arrays |= {f"{k}.{part}": getattr(clusters, part) for part in PARTS}
    levels = [
        axes.levels.tolist() if isinstance(axes, LevelAxes) else None for axes in coordinates.axes
    ]
    return {"n_clusters": views.n_clusters, "levels": levels}, arrays


def unpack_views(fields: ViewsFields, arrays: Arrays, codec: TableCodec) -> Views:
    """Return the views of :func:`pack_views`, for the columns of ``codec``."""
    refuse_not_finite(arrays)
    if len(fields.levels) != len(codec.columns):
        raise ModelFileError(f"There must be levels for each of {len(codec.columns)} columns.")
    axes: list[NumberAxes | LevelAxes] = []
    for column, levels in zip(codec.columns, fields.levels, strict=True):
        if isinstance(column, CategoryColumn) or column.categorical:
            n_levels = max(1, column.labels.n_labels)
            if levels is None or any(level >= n_levels for level in levels):
                raise ModelFileError(f"{levels} must be labels of the column.")
            axes.append(LevelAxes(column, np.array(levels, dtype=np.int64)))
        elif levels is None:
            axes.append(NumberAxes(column))
        else:
            raise ModelFileError("A column of numbers has no levels that are axes.")
    n_numbers = sum(isinstance(each, NumberAxes) for each in axes)
    n_axes = n_numbers + sum(each.n_indicators for each in axes)
    means, scales = _pop(arrays, "means", (n_numbers,)), _pop(arrays, "scales", (n_axes,))
    if not (scales > 0).all():
        raise ModelFileError("scales must be above 0.")
    clusters = {
        k: _unpack_clusters(arrays, k, n_numbers, n_axes - n_numbers)
        for k in dict.fromkeys(fields.n_clusters)
    }
    refuse_left(arrays)
    return Views(Coordinates(axes, means, scales), fields.n_clusters, clusters)


def _unpack_clusters(arrays: Arrays, k: int, n_numbers: int, n_indicators: int) -> SmoothedClusters:
    n = _size(arrays, f"{k}.weights")
    clusters = SmoothedClusters(
        _pop(arrays, f"{k}.blurs", (_size(arrays, f"{k}.blurs"),)),
        _pop(arrays, f"{k}.weights", (n,)),
        _pop(arrays, f"{k}.centres", (n, n_numbers)),
        _pop(arrays, f"{k}.variances", (n, n_numbers)),
        _pop(arrays, f"{k}.bases", (n, n_numbers, n_numbers)),
        _pop(arrays, f"{k}.shares", (1 + n, n_indicators)),
    )
    blurs, shares = clusters.blurs, clusters.shares
    if not (n and len(blurs) and (blurs >= MIN_BLUR).all() and (blurs <= 1).all()):
        raise ModelFileError(f"Clusters {k} are blurred by {blurs}, not by {MIN_BLUR} to 1.")
    if not ((clusters.weights > 0).all() and (clusters.variances >= 0).all()):
        raise ModelFileError(f"Clusters {k} lack weight or width.")
    if not ((shares[0] >= MIN_BLUR**2).all() and (shares >= 0).all() and (shares <= 1).all()):
        raise ModelFileError(f"Levels in clusters {k} have shares that no table gives.")
    if np.abs(clusters.bases).max(initial=0.0) > 1 + SLACK:
        raise ModelFileError(f"The eigenvectors of clusters {k} are too long.")
    return clusters


def pack_judge(judge: TailCombiner, normal: Any) -> Arrays:
    """Return the measures of calibration rows, each sorted, and their scores."""
    measures = np.stack([tail.scores for tail in judge.tails])
    return {"measures": measures, "normal": normal}


def unpack_judge(arrays: Arrays, n_views: int, category_share: float) -> tuple[TailCombiner, Any]:
    """Return the combiner and the scores of :func:`pack_judge`, for ``n_views`` views."""
    refuse_not_finite(arrays)
    n_normal = _size(arrays, "normal")
    normal = _pop(arrays, "normal", (n_normal,))
    measures = _pop(arrays, "measures", (n_views, n_normal))
    refuse_left(arrays)
    if n_normal < 2 or any((np.diff(array) < 0).any() for array in (measures, normal)):
        raise ModelFileError("Normal rows must be two at least, in order.")
    return TailCombiner(measures.T, category_share), normal


def _size(arrays: Arrays, name: str) -> int:
    """Return how many numbers an array holds, 0 where there is none."""
    return arrays.get(name, np.empty(0)).size


def _pop(arrays: Arrays, name: str, shape: tuple[int, ...]) -> Any:
    array = arrays.pop(name, None)
    if array is None or array.shape != shape or array.dtype != np.float64:
        what = "missing" if array is None else f"{array.dtype} of shape {array.shape}"
        raise ModelFileError(f"{name} must be float64 of shape {shape}; it is {what}.")
    return array
