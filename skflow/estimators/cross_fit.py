"""Cross-fits: fits that each hold out a part of the rows."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed
from tqdm.auto import tqdm

from skflow.clock import Clock
from skflow.estimators.density import FlowDensity
from skflow.estimators.training_rows import take_names
from skflow.fitted.detector import FittedScorers
from skflow.fitted.fit import FitChoices
from skflow.fitted.table_rows import EncodableTable, TableRows
from skflow.table.storage import StoredTable
from skflow.torch_state import usual_torch

Result = TypeVar("Result")
Use = Callable[[FlowDensity, TableRows], Result]


def cross_fit(
    density: FlowDensity,
    known: EncodableTable,
    fitted: Sequence[TableRows],
    uses: Sequence[Use[Result]],
    n_jobs: int | None,
    choices: FitChoices,
    seed: int,
) -> list[Result]:
    """Fit clones of a density, each to its own rows, after the fit of the density itself.

    They take its choices, the components of the initialization and the numbers of epochs, which
    saves them the search, held-out rows and half of the epochs.

    Parameters
    ----------
    density : FlowDensity
        Fitted. Its clones are fitted from the initialization on, each with a checkpoint of its own
        where there are any.
    known : EncodableTable
        All rows, whose columns are known.
    fitted : sequence of TableRows
        Rows of each fit.
    uses : sequence of callable
        What is made of each fit, of the fitted clone and its rows, in the process of the fit.
    n_jobs : int or None
        Fits at the same time, in processes of joblib. These share one progress bar.
    choices : FitChoices
        What the fit of the density itself chose.
    seed : int
        Seed of that fit; those of its clones follow it.

    Returns
    -------
    results : list
        What ``uses`` return.
    """
    side_by_side = min(effective_n_jobs(n_jobs), len(fitted)) > 1
    last, tasks = 1 + len(fitted), []
    for k, (rows, use) in enumerate(zip(fitted, uses, strict=True)):
        own = sibling(density, k, seed)
        if side_by_side:
            own.set_params(verbose=0)
        title = f"fit {k + 2} of {last}, calibrating"
        tasks.append((own, known, rows, use, choices, title))
    if not side_by_side:
        return [_fit_and_use(*task) for task in tasks]
    results = tqdm(
        Parallel(n_jobs=n_jobs, return_as="generator")(
            delayed(_fit_and_use)(*task) for task in tasks
        ),
        total=len(tasks),
        desc=f"fits 2 to {last} of {last}, calibrating",
        unit="fit",
        disable=not density.verbose,
        file=sys.stderr,
    )
    return list(results)


def sibling(density: FlowDensity, number: int, seed: int) -> FlowDensity:
    """Return an unfitted clone for the same columns, with a seed and a checkpoint of its own."""
    own: FlowDensity = clone(density)
    own.set_params(warm_start=False, random_state=seed + 1 + number)
    take_names(own, density)
    if density.checkpoint_path is not None:
        own.set_params(checkpoint_path=f"{os.fspath(density.checkpoint_path)}.{number}")
    return own


@usual_torch()
def _fit_and_use(
    density: FlowDensity,
    known: EncodableTable,
    rows: TableRows,
    use: Use[Result],
    choices: FitChoices,
    title: str,
) -> Result:
    """Fit to rows and use the fit: in a process of its own, perhaps."""
    density._fit(known, rows, None, Clock(density.max_time), title, choices)
    return use(density, rows)


def measure_held_out(
    density: FlowDensity, rows: TableRows, *, seed: int, held_out: StoredTable
) -> NDArray[np.float64]:
    """Measures, by a fit to some rows, of rows that it holds out."""
    scorers = FittedScorers.fit(density._density, rows, seed)
    return scorers.measure(held_out, density.device)
