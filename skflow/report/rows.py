"""Rows of a table, scored and ranked: which of them a report shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from skflow.fitted.detector import Detector
from skflow.table.storage import StoredTable

FloatArray = NDArray[np.float64]
Rows = NDArray[np.intp]

STRANGEST = 10  # rows that are shown where none is flagged
MOST_ROWS = 3_000
MOST_CELLS = 60_000
FEWEST_ROWS = 10


@dataclass(frozen=True)
class OutlierRows:
    """Rows of a table with their scores, and those of them that a report shows.

    Attributes
    ----------
    table : StoredTable
    scores, p_values, q_values : ndarray of shape (n_rows,)
        Adjusted p-values, ``q_values``, are those of Benjamini and Hochberg: the least rate of
        false discoveries at which a row is one.
    is_flagged : ndarray of bool, shape (n_rows,)
    shown : ndarray of intp
        The strangest rows first.
    """

    table: StoredTable
    scores: FloatArray
    p_values: FloatArray
    q_values: FloatArray
    is_flagged: NDArray[np.bool_]
    shown: Rows

    @classmethod
    def rank(
        cls, detector: Detector, table: StoredTable, device: str | torch.device, threshold: float
    ) -> Self:
        """Score rows and choose those to show: the flagged ones, or the strangest without any."""
        scores = detector.score(table, device, warns=True)
        p_values = detector.p_values(scores)
        is_flagged = scores < threshold
        most = max(FEWEST_ROWS, min(MOST_ROWS, MOST_CELLS // len(table.columns)))
        n_shown = min(np.count_nonzero(is_flagged) or STRANGEST, most)
        shown = np.argsort(scores, kind="stable")[:n_shown]
        q_values = np.asarray(false_discovery_control(p_values))
        return cls(table, scores, p_values, q_values, is_flagged, shown)


@dataclass(frozen=True)
class Request:
    """What is asked of a report, beside the rows.

    Attributes
    ----------
    threshold : float
        Score below which a row is flagged.
    rule : str
        The rule behind the threshold, in words.
    index : sequence or None
        Names of the rows; None numbers them from 0.
    title : str or None
    verbose : int
    """

    threshold: float
    rule: str
    index: Sequence[Any] | None
    title: str | None
    verbose: int = 0
