"""Cross-fits: each part of the rows is measured by a fit to the other parts."""

import os
import sys
from collections.abc import Sequence

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed
from tqdm.auto import tqdm

from skflow.clock import Clock
from skflow.estimators.density import FlowDensity
from skflow.fitted.detector import FittedScorers
from skflow.fitted.table_rows import EncodableTable, TableRows
from skflow.table.storage import StoredTable
from skflow.torch_state import usual_torch

FloatArray = NDArray[np.float64]


def fit_scorers(
    density: FlowDensity, known: EncodableTable, rows: TableRows, seed: int, title: str
) -> FittedScorers:
    """Fit the density, in place, and the clusters to some rows of a table.

    Parameters
    ----------
    density : FlowDensity
    known : EncodableTable
        All rows, whose columns are known.
    rows : TableRows
        Rows to fit to.
    seed : int
        Seed of the clusters.
    title : str
        Name of the fit in the progress bar.
    """
    density._fit(known, rows, None, Clock(density.max_time), title)
    return FittedScorers.fit(density._density, rows.stored(slice(None)), seed)


def cross_fit(
    density: FlowDensity,
    known: EncodableTable,
    fitted: Sequence[TableRows],
    held_out: Sequence[StoredTable],
    seed: int,
    n_jobs: int | None,
) -> FloatArray:
    """Measures of the rows that each fit holds out, one fit after the other.

    Parameters
    ----------
    density : FlowDensity
        Clones of it are fitted, each from the initialization on, and each with a checkpoint of
        its own where there are any.
    known : EncodableTable
        All rows, whose columns are known.
    fitted : sequence of TableRows
        Rows of each fit.
    held_out : sequence of StoredTable
        Rows that each fit measures.
    seed : int
        Seed of the clusters.
    n_jobs : int or None
        Fits at the same time, in processes of joblib. These share one progress bar.

    Returns
    -------
    measures : ndarray of shape (n_rows, n_measures), float64
    """
    side_by_side = effective_n_jobs(n_jobs) > 1
    last, tasks = 1 + len(fitted), []
    for k, (rows, table) in enumerate(zip(fitted, held_out, strict=True)):
        own = clone(density).set_params(warm_start=False)
        if density.checkpoint_path is not None:
            own.set_params(checkpoint_path=f"{os.fspath(density.checkpoint_path)}.{k}")
        if side_by_side:
            own.set_params(verbose=0)
        title = f"fit {k + 2} of {last}, calibrating"
        tasks.append((own, known, rows, table, seed, title))
    if not side_by_side:
        return np.concatenate([_fit_and_measure(*task) for task in tasks])
    measures = tqdm(
        Parallel(n_jobs=n_jobs, return_as="generator")(
            delayed(_fit_and_measure)(*task) for task in tasks
        ),
        total=len(tasks),
        desc=f"fits 2 to {last} of {last}, calibrating",
        unit="fit",
        disable=not density.verbose,
        file=sys.stderr,
    )
    return np.concatenate(list(measures))


@usual_torch()
def _fit_and_measure(
    density: FlowDensity,
    known: EncodableTable,
    rows: TableRows,
    held_out: StoredTable,
    seed: int,
    title: str,
) -> FloatArray:
    """Measures of rows by a fit to other rows: in a process of its own, perhaps."""
    return fit_scorers(density, known, rows, seed, title).measure(held_out, density.device)
