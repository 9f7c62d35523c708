"""Imputation: unknown cells drawn, or the typical ones, given the others of their rows."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skflow.fitted.cells import cast_like, put
from skflow.fitted.questions import ACCURATE_DRAWS, PartialTable, Questions
from skflow.table.frames import Container
from skflow.table.storage import StoredColumn

Rows = NDArray[np.intp]

N_COMPARED = 64  # draws of a row of which the typical cell is taken


def impute(questions: Questions, X: Any, strategy: str, generator: np.random.RandomState) -> Any:
    """Fill missing cells of a table, in its own container.

    Parameters
    ----------
    questions : Questions
        Whose draws have values.
    X : array or DataFrame
        All fitted columns.
    strategy : {"sample", "typical"}
    generator : RandomState
        Draws the uniform numbers of all rows.
    """
    density = questions.density
    own = Container.fit(X, density.container.names)
    table = density.container.read(X)
    missing = np.column_stack([~column.present for column in table.columns]) & questions.drawable
    uniform = generator.random_sample((len(missing), questions.n_uniform))
    columns = list(own.read(X).columns)
    rows = np.flatnonzero(missing.any(axis=1))
    partial = PartialTable(table, ~missing).take(rows)
    if strategy == "sample":
        cells = questions.draw(partial, uniform[rows], 1, 1)
    else:
        cells = typical_cells(questions, partial, uniform[rows])
    for some, filled in cells:
        for j, column in enumerate(filled):
            new = np.flatnonzero(missing[rows[some], j])
            if len(new):
                columns[j] = put(
                    columns[j], rows[some][new], cast_like(columns[j], column.take(new))
                )
    return own.build(columns, X)


def typical_cells(
    questions: Questions, partial: PartialTable, uniform: NDArray[np.float64]
) -> Iterator[tuple[Rows, list[StoredColumn]]]:
    """Yield some rows, and the median or the mode of each column's draws."""
    for rows, drawn in questions.draw(partial, uniform, ACCURATE_DRAWS // 2, N_COMPARED):
        typical = []
        for column, codec in zip(drawn, questions.codec.columns, strict=True):
            draws = np.arange(len(column.missing)).reshape(len(rows), -1)
            if codec.is_ordered:
                order = np.argsort(column.values[draws], axis=1, kind="stable")
                place = order[:, order.shape[1] // 2]
            else:
                labels = codec.encode(column).labels[draws]
                place = (labels[:, :, None] == labels[:, None, :]).sum(axis=2).argmax(axis=1)
            typical.append(column.take(draws[np.arange(len(rows)), place]))
        yield rows, typical
