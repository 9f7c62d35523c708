"""What has changed against training: p-values against uniform, and column by column.

A model holds no training rows, so rows that its density draws stand for them. A small distance
may then be the density's own error; a large one is a change.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2_contingency, false_discovery_control, ks_2samp, kstwobign

from skflow.fitted.reasons.words import MISSING, ROUGH
from skflow.outliers.tails import Tail
from skflow.report.text import clean, spell_cells, spell_list, spell_share
from skflow.table.codec import TableCodec
from skflow.table.column_codec import ColumnCodec
from skflow.table.storage import StoredColumn, StoredTable

FloatArray = NDArray[np.float64]

FEWEST = 10  # rows of a label, of both groups, that has a share of its own
SUSPECT = 0.01  # p-value from which on rows differ; adjusted, a column has changed,
LARGE = 0.1  # where its distance is as large


@dataclass(frozen=True)
class Uniformity:
    """Distance of p-values from uniform ones.

    Attributes
    ----------
    distance : float
        Largest difference of their distribution function from that of a uniform variable.
    p_value : float
        Probability of as large a distance without a change, by Kolmogorov and Smirnov: as the
        p-values are counted among calibration rows, these are the second sample.
    """

    distance: float
    p_value: float

    @classmethod
    def measure(cls, p_values: FloatArray, calibration: Tail) -> "Uniformity":
        """Measure p-values that were counted among calibration rows."""
        ranked, n = np.sort(p_values), len(p_values)
        # At a value that occurs, not just below: conformal p-values are discrete, and at each of
        # them a uniform one has the same distribution function.
        reached = np.searchsorted(ranked, ranked, side="right") / n
        before = np.searchsorted(ranked, ranked, side="left") / n
        step = calibration.mean_weight / (calibration.cumulative[-1] + calibration.mean_weight)
        distance = max(float((reached - ranked).max()), float((ranked - step - before).max()), 0.0)
        m = calibration.effective_number
        p_value = float(kstwobign.sf(distance * np.sqrt(n * m / (n + m))))
        return cls(distance, p_value)


@dataclass(frozen=True)
class ColumnChange:
    """Change of one column.

    Attributes
    ----------
    key : str
        Name of the column.
    name : str
        The name as it is shown.
    distance : float
        From 0 to 1: the largest difference of distribution functions of ordered columns, with
        missing cells below all numbers; half of the sum of differences of shares of others.
    p_value : float
        Adjusted for the number of columns by Benjamini and Hochberg.
    before, now : str
        Usual cells of drawn rows, and of the rows.
    """

    key: str
    name: str
    distance: float
    p_value: float
    before: str
    now: str

    @property
    def is_large(self) -> bool:
        """Whether the column has changed, by more than a density's own error."""
        return self.p_value <= SUSPECT and self.distance >= LARGE


def compare_columns(
    codec: TableCodec, table: StoredTable, drawn: StoredTable
) -> list[ColumnChange]:
    """Compare columns of rows with those of drawn rows; the largest changes first."""
    measured = []
    for each, column, other in zip(codec.columns, table.columns, drawn.columns, strict=True):
        compare = compare_numbers if each.is_ordered else compare_labels
        measured.append(compare(each, column, other))
    adjusted = false_discovery_control([p_value for _, p_value in measured])
    changes = [
        ColumnChange(
            column.name,
            clean(column.name),
            distance,
            float(p),
            describe(each, other),
            describe(each, column),
        )
        for each, column, other, (distance, _), p in zip(
            codec.columns, table.columns, drawn.columns, measured, adjusted, strict=True
        )
    ]
    return sorted(changes, key=lambda change: (-change.is_large, -change.distance))


def describe(codec: ColumnCodec, column: StoredColumn) -> str:
    """Return the usual cells in words: central 90 % and median, or the most frequent ones."""
    n_rows = len(column.missing)
    if not codec.is_ordered:
        common = Counter(spell_cells(column, ROUGH)).most_common(3)
        texts, counts = zip(*common, strict=True)
        return spell_list(texts, [spell_share(each / n_rows) for each in counts])
    numbers = codec.numbers(column)
    order = np.argsort(numbers, kind="stable")[: np.count_nonzero(column.present)]
    missing = 1 - len(order) / n_rows
    of_missing = [f"{MISSING} {spell_share(missing)}"] if missing else []
    if not len(order):
        return of_missing[0]
    at = [order[int(share * (len(order) - 1))] for share in (0.05, 0.5, 0.95)]
    low, middle, high = spell_cells(column.take(np.array(at)), ROUGH)
    text = low if low == high else f"{low} to {high}, median {middle}"
    return "; ".join([text, *of_missing])


def compare_numbers(
    codec: ColumnCodec, column: StoredColumn, drawn: StoredColumn
) -> tuple[float, float]:
    """Distance of two samples by Kolmogorov and Smirnov, and its p-value."""
    pair = (codec.numbers(each) for each in (column, drawn))
    one, other = (np.where(np.isnan(numbers), -np.inf, numbers) for numbers in pair)
    result = ks_2samp(one, other, method="asymp")
    return float(result.statistic), float(result.pvalue)


def compare_labels(
    codec: ColumnCodec, column: StoredColumn, drawn: StoredColumn
) -> tuple[float, float]:
    """Distance of the shares of labels, rare ones together, and the p-value of Pearson's test."""
    counts = [Counter(spell_cells(each)) for each in (column, drawn)]
    together = counts[0] + counts[1]
    common = [label for label, count in together.items() if count >= FEWEST]
    table = np.array([[count[label] for label in common] for count in counts], dtype=np.float64)
    rest = np.array([[count.total()] for count in counts]) - table.sum(axis=1, keepdims=True)
    if rest.any():
        table = np.hstack((table, rest))
    shares = table / table.sum(axis=1, keepdims=True)
    distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
    if table.shape[1] < 2:
        return distance, 1.0
    return distance, float(chi2_contingency(table, correction=False).pvalue)
