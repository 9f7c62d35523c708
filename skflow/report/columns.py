"""Columns of the rows that a report shows: their cells, and the axis that these lie on."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from skflow.fitted.reasons.words import MISSING, OTHERS, SHORT
from skflow.report.text import clean, spell_cells
from skflow.table.column_codec import ColumnCodec
from skflow.table.storage import StoredColumn

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

END = 1000  # of an axis, which begins at 0
BAND = 120  # from 0, for missing numbers
TICKS = (0.05, 0.5, 0.95)  # shares of the usual numbers below a tick
GAP = 170  # least distance of ticks
MOST_LEVELS = 6  # on an axis; less frequent ones share one place
MOST_SPREAD = 12  # places, about which rows are spread
SPREAD = 0.6  # of the distance of two places


@dataclass(frozen=True)
class ShownColumn:
    """A column: the different cells of some rows in order, and their places on an axis.

    Attributes
    ----------
    texts : list of str
        The different cells in the order of their values or labels, missing ones last.
    cells : ndarray of shape (n_rows,)
        Index of each row's cell among ``texts``.
    places : ndarray of shape (n_texts,)
        From 0 to 1000.
    ticks : list of tuples (int, str)
    usual : ndarray of shape (n_usual,)
        Places of the usual rows.
    """

    texts: list[str]
    cells: IntArray
    places: IntArray
    ticks: list[tuple[int, str]]
    usual: IntArray

    @property
    def spread(self) -> int:
        """Width about each place for rows that share it; 0 where places are many."""
        different = np.unique(self.usual)
        gap = int(np.diff(different).min(initial=END))
        return round(SPREAD * gap) if len(different) <= MOST_SPREAD else 0

    @classmethod
    def of(cls, codec: ColumnCodec, column: StoredColumn, usual: StoredColumn) -> Self:
        """Put cells in order, and choose the axis of them and of usual cells."""
        if codec.is_ordered:
            return cls.of_numbers(codec, column, usual)
        shown, others = keys_of_labels(codec, column), keys_of_labels(codec, usual)
        text_of = dict(zip(shown, spell_cells(column), strict=True))
        text_of |= zip(others, spell_cells(usual), strict=True)
        different, frequent = sorted({*shown}), Counter(others) + Counter(text_of.keys())
        common = sorted(key for key, _ in frequent.most_common(MOST_LEVELS))
        ticks = [text_of[key] for key in common]
        if len(common) < len(text_of):
            ticks.append(OTHERS)
        places = [round((k + 0.5) * END / len(ticks)) for k in range(len(ticks))]
        place = dict(zip(common, places, strict=False))
        index = {key: k for k, key in enumerate(different)}
        return cls(
            [text_of[key] for key in different],
            np.array([index[key] for key in shown], dtype=np.intp),
            np.array([place.get(key, places[-1]) for key in different], dtype=np.intp),
            list(zip(places, ticks, strict=True)),
            np.array([place.get(key, places[-1]) for key in others], dtype=np.intp),
        )

    @classmethod
    def of_numbers(cls, codec: ColumnCodec, column: StoredColumn, usual: StoredColumn) -> Self:
        """Put numbers in order, missing ones last, on an axis of numbers."""
        numbers, others = codec.numbers(column), codec.numbers(usual)
        different, first, cells = np.unique(numbers, return_index=True, return_inverse=True)
        axis = NumberAxis.of(others, different)
        ranked = np.sort(others[~np.isnan(others)])
        ticks = [(0, MISSING)] if axis.start else []
        for share in TICKS if len(ranked) else ():
            number = ranked[min(int(share * len(ranked)), len(ranked) - 1)]
            place = int(axis.place(np.array([number]))[0])
            if all(abs(place - other) >= GAP for other, _ in ticks):
                at = usual.take(np.flatnonzero(others == number)[:1])
                ticks.append((place, spell_cells(at, SHORT)[0]))
        return cls(
            spell_cells(column.take(first)),
            cells.ravel(),
            axis.place(different),
            ticks,
            axis.place(others),
        )

    def as_data(self, name: str, log_probs: FloatArray, usual: list[str]) -> dict[str, Any]:
        """Return what the page needs: cells as indices of texts, log-probabilities, usual cells."""
        ranges = list(dict.fromkeys(usual))
        place = {text: k for k, text in enumerate(ranges)}
        return {
            "name": clean(name),
            "texts": self.texts,
            "places": self.places.tolist(),
            "cells": self.cells.tolist(),
            "blame": [round(log_prob, 3) for log_prob in log_probs.tolist()],
            "ranges": ranges,
            "usual": [place[text] for text in usual],
            "ticks": self.ticks,
            "drawn": self.usual.tolist(),
            "spread": self.spread,
        }


@dataclass(frozen=True)
class NumberAxis:
    """An axis that is linear about usual numbers and logarithmic far from them.

    Attributes
    ----------
    centre, width : float
        Median of the usual numbers, and the half-width of their central 90 %.
    low, high : float
        Ends, in half-widths, after the asinh.
    start : int
        Place of the low end; below it lie missing numbers.
    """

    centre: float
    width: float
    low: float
    high: float
    start: int

    @classmethod
    def of(cls, usual: FloatArray, shown: FloatArray) -> Self:
        """Choose the axis by usual numbers, so that all numbers lie on it."""
        together = np.concatenate((usual, shown))
        present = together[~np.isnan(together)]
        start = BAND if len(present) < len(together) else 0
        if not len(present):
            return cls(0.0, 1.0, 0.0, 0.0, start)
        known = usual[~np.isnan(usual)]
        low, centre, high = np.quantile(known if len(known) else present, [0.05, 0.5, 0.95])
        width = (high - low) / 2
        if not width > 0:
            away = np.abs(present - centre)
            width = away[away > 0].min(initial=1.0)
        ends = np.arcsinh((np.array([present.min(), present.max()]) - centre) / width)
        return cls(float(centre), float(width), float(ends[0]), float(ends[1]), start)

    def place(self, numbers: FloatArray) -> IntArray:
        """Places of numbers; 0 of missing ones."""
        there = np.arcsinh((numbers - self.centre) / self.width)
        length = self.high - self.low
        shares = (there - self.low) / length if length > 0 else np.full(len(numbers), 0.5)
        places = self.start + shares * (END - self.start)
        return np.rint(np.where(np.isnan(numbers), 0, places)).astype(np.intp)


def keys_of_labels(codec: ColumnCodec, column: StoredColumn) -> list[tuple[bool, int, str]]:
    """Return keys of labels: the order of the schema, texts of labels never seen."""
    labels = codec.encode(column).labels.tolist()
    never = codec.labels.n_labels
    cells = zip(labels, column.present, column.values.tolist(), strict=True)
    return [
        (not is_present, label, repr(value) if label == never and is_present else "")
        for label, is_present, value in cells
    ]
