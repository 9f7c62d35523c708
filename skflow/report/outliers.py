"""OutlierReport: what a detector says about the rows of a table."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from skflow.fitted.detector import Detector
from skflow.fitted.reasons.words import cell_words
from skflow.report.columns import ShownColumn
from skflow.report.drift import Uniformity, compare_columns
from skflow.report.page import Page
from skflow.report.reasons import Reasons
from skflow.report.rows import OutlierRows, Request
from skflow.report.sections import OutlierSections, Summary
from skflow.report.text import FAIR, clean, spell_cells, spell_label
from skflow.table.storage import StoredTable

TITLE = "Outlier report"
N_DRAWN = 2_000  # rows that stand for the training rows, which no model holds
MOST_DRAWN = 300  # of them in a picture of two columns
MOST_PLACES = 200_000  # of drawn cells
MOST_BYTES = 10_000_000


class OutlierReport(Page):
    """Report on the outliers of a table: one HTML file that needs no server and no network.

    It has the number of flagged rows beside the false alarms to expect, the distribution of
    scores beside that of the calibration rows, the flagged rows with the reasons, usual ranges
    and repairs of their cells, and what has changed against training. It is made by
    :meth:`FlowOutlierDetector.report`, shown by notebooks, and follows the reader's light or
    dark mode. All parameters are stored as attributes.

    Parameters
    ----------
    html : str
        The whole page.
    title : str, default=""
        Its title.

    See Also
    --------
    FlowOutlierDetector.report : Makes the report.

    Examples
    --------
    >>> import os, tempfile
    >>> from sklearn.datasets import load_iris
    >>> from skflow import FlowDensity, FlowOutlierDetector
    >>> X = load_iris(as_frame=True).data
    >>> density = FlowDensity(n_layers=0, n_components=1)
    >>> detector = FlowOutlierDetector(density, random_state=0).fit(X)
    >>> strange = X.iloc[:20].assign(**{"petal length (cm)": 6.0})
    >>> report = detector.report(strange, title="Twenty flowers")
    >>> path = os.path.join(tempfile.mkdtemp(), "flowers.html")
    >>> report.save(path)
    >>> os.path.getsize(path) < 1_000_000
    True
    """


def report_outliers(
    detector: Detector, table: StoredTable, device: str | torch.device, request: Request
) -> OutlierReport:
    """Score rows, find the reasons of flagged ones, and put the report together."""
    rows = OutlierRows.rank(detector, table, device, request.threshold)
    reasons = Reasons.find(detector, table.take(rows.shown), device, request.verbose)
    density = detector.density
    drawn = density.container.read(density.sample(N_DRAWN, np.random.RandomState(0), device))
    changes = compare_columns(density.codec, table, drawn)
    uniformity = Uniformity.measure(rows.p_values, detector.calibration)
    data = data_of(detector, rows, reasons, drawn, request.index)
    n_shown = len(rows.shown)
    while True:
        summary = Summary.of(detector, rows, request, n_shown)
        body = OutlierSections(summary, changes, uniformity, reasons.log_probs[:n_shown]).markup()
        report = OutlierReport.build(
            request.title or TITLE, body, script="rows.js", data=_first(data, n_shown)
        )
        if len(report.html.encode()) <= MOST_BYTES or n_shown == 1:
            return report
        n_shown = max(1, n_shown // 2)


def data_of(
    detector: Detector,
    rows: OutlierRows,
    reasons: Reasons,
    drawn: StoredTable,
    index: Sequence[Any] | None,
) -> dict[str, Any]:
    """Return what the page's script needs of the rows that are shown."""
    codec, shown = detector.density.codec, rows.shown
    table = rows.table.take(shown)
    n_columns = len(codec.columns)
    few = drawn.take(slice(0, max(1, min(MOST_DRAWN, MOST_PLACES // n_columns))))
    columns = []
    for j, (each, column, usual) in enumerate(
        zip(codec.columns, table.columns, few.columns, strict=True)
    ):
        of_cells = ShownColumn.of(each, column, usual)
        columns.append(of_cells.as_data(column.name, reasons.log_probs[:, j], reasons.usual[j]))
    positions = shown.tolist()
    return {
        "rows": {
            "position": positions,
            "name": [clean(spell_label(i if index is None else index[i])) for i in positions],
            "score": [_rounded(score) for score in rows.scores[shown].tolist()],
            "p": [_rounded(p) for p in rows.p_values[shown].tolist()],
            "q": [_rounded(q) for q in rows.q_values[shown].tolist()],
            "repair": repaired_cells(table, reasons),
            "whole": np.flatnonzero(reasons.is_whole).tolist(),
        },
        "columns": columns,
    }


def repaired_cells(table: StoredTable, reasons: Reasons) -> list[dict[str, str]]:
    """Return the cells that a repair changes, by the position of their column, row by row."""
    first = table.take(slice(0, reasons.repaired.n_rows))
    changes: list[dict[str, str]] = [{} for _ in range(first.n_rows)]
    pairs = zip(first.columns, reasons.repaired.columns, strict=True)
    for j, (column, repaired) in enumerate(pairs):
        words = zip(cell_words(column), cell_words(repaired), strict=True)
        texts = spell_cells(repaired, FAIR)
        for row, (was, would_be) in enumerate(words):
            if was != would_be:
                changes[row][str(j)] = texts[row]
    return changes


def _first(data: dict[str, Any], n_rows: int) -> dict[str, Any]:
    """Return the data of the first rows."""
    of_rows = {"cells", "blame", "usual"}
    return {
        "rows": {name: values[:n_rows] for name, values in data["rows"].items()},
        "columns": [
            {name: part[:n_rows] if name in of_rows else part for name, part in column.items()}
            for column in data["columns"]
        ],
    }


def _rounded(number: float) -> float:
    """Round to 6 significant digits."""
    return number if number == 0 else round(number, 5 - math.floor(math.log10(abs(number))))
