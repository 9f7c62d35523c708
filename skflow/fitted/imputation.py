"""Imputation: unknown cells drawn, or the typical ones, given the others of their rows."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from skflow.fitted.cells import cast_like, put
from skflow.fitted.questions.questions import ACCURATE_DRAWS, PartialTable, Questions
from skflow.table.frames import Container
from skflow.table.storage import StoredColumn

Rows = NDArray[np.intp]

N_COMPARED = 64  # draws of a row of which the typical cell is taken


def impute(
    members: Sequence[Questions],
    X: Any,
    strategy: str,
    random_state: int | np.random.RandomState | None,
) -> Any:
    """Fill missing cells of a table, in its own container.

    Parameters
    ----------
    members : sequence of Questions
        Densities with equal schemas, whose draws have values. One of them draws all cells of a
        table: several tables then differ also by what the fits leave open. Typical cells are
        those of all.
    X : array or DataFrame
        All fitted columns.
    strategy : {"sample", "typical"}
    random_state : int, RandomState instance or None
        Seed of the uniform numbers of all rows, and of the choice of the density: consecutive
        integers take them by turns.
    """
    generator, questions = check_random_state(random_state), members[0]
    if strategy == "sample" and len(members) > 1:
        if isinstance(random_state, Integral):
            turn = int(random_state)
        else:
            turn = generator.randint(len(members))
        questions = members[turn % len(members)]
    density = questions.density
    own, read = Container.fit_read(X, density.container.names)
    table = density.container.read(X)
    missing = np.column_stack([~column.present for column in table.columns]) & questions.drawable
    uniform = generator.random_sample((len(missing), questions.n_uniform))
    columns = list(read.columns)
    rows = np.flatnonzero(missing.any(axis=1))
    partial = PartialTable(table, ~missing).take(rows)
    if strategy == "sample":
        cells = questions.draw(partial, uniform[rows], 1, 1)
    else:
        cells = typical_cells(members, partial, uniform[rows])
    for some, filled in cells:
        for j, column in enumerate(filled):
            new = np.flatnonzero(missing[rows[some], j])
            if len(new):
                columns[j] = put(
                    columns[j], rows[some][new], cast_like(columns[j], column.take(new))
                )
    return own.build(columns, X)


def typical_cells(
    members: Sequence[Questions], partial: PartialTable, uniform: NDArray[np.float64]
) -> Iterator[tuple[Rows, list[StoredColumn]]]:
    """Yield some rows, and the median or the mode of each column's draws."""
    n_each = -(-N_COMPARED // len(members))
    of_members = (
        questions.draw(partial, uniform, ACCURATE_DRAWS // 2, n_each) for questions in members
    )
    for of_rows in zip(*of_members, strict=True):
        rows, typical = of_rows[0][0], []
        columns = zip(*(drawn for _, drawn in of_rows), strict=True)
        for parts, codec in zip(columns, members[0].codec.columns, strict=True):
            column = side_by_side(parts, len(rows))
            draws = np.arange(len(column.missing)).reshape(len(rows), -1)
            if codec.is_ordered:
                order = np.argsort(column.values[draws], axis=1, kind="stable")
                place = order[:, order.shape[1] // 2]
            else:
                labels = codec.encode(column).labels[draws]
                place = (labels[:, :, None] == labels[:, None, :]).sum(axis=2).argmax(axis=1)
            typical.append(column.take(draws[np.arange(len(rows)), place]))
        yield rows, typical


def side_by_side(parts: Sequence[StoredColumn], n_rows: int) -> StoredColumn:
    """Join the draws of all members row by row."""
    values, missing = (
        np.concatenate([array.reshape(n_rows, -1) for array in arrays], axis=1).ravel()
        for arrays in ([part.values for part in parts], [part.missing for part in parts])
    )
    return replace(parts[0], values=values, missing=missing)
