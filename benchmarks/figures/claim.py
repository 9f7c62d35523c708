"""A claim: a sentence with its figure, and how figures are drawn alike on all pages."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

# Okabe and Ito's colours, which colour-blind readers tell apart, each with a marker of its own.
OURS = {"color": "#0072B2", "marker": "o"}
OTHERS = (
    {"color": "#D55E00", "marker": "s"},
    {"color": "#009E73", "marker": "^"},
    {"color": "#CC79A7", "marker": "D"},
    {"color": "#E69F00", "marker": "v"},
    {"color": "#56B4E9", "marker": "P"},
    {"color": "#000000", "marker": "x"},
)
WIDTH = 5.4  # inches: at a phone's width, text is still legible
NUMBER = re.compile(r"[-+]?[\d,]*\.?\d+(?:e-?\d+)?")


@dataclass(frozen=True)
class Claim:
    """What a page begins with.

    Attributes
    ----------
    sentence : str
        What was found, losses included.
    alt : str
        What the figure shows, for those who do not see it.
    figure : matplotlib Figure
    measured : str
        When the figures were measured, and with what.
    """

    sentence: str
    alt: str
    figure: Figure
    measured: str


def number(cell: str) -> float:
    """Return the first number of a cell; nan where there is none. Percentages are shares."""
    found = NUMBER.search(cell)
    if found is None:
        return np.nan
    return float(found[0].replace(",", "")) / (100 if "%" in cell else 1)


def numbers(rows: Sequence[Mapping[str, str]], column: str) -> FloatArray:
    """Return a column as numbers."""
    return np.array([number(row[column]) for row in rows])


def spread(values: ArrayLike, form: str) -> str:
    """Return the median, lowest and highest of values in words."""
    low, middle, high = (format(f(values), form) for f in (np.min, np.median, np.max))
    return f"{middle} in the median ({low} to {high})"


def listed(names: Sequence[str]) -> str:
    """Return names as a list in a sentence."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def panels(n_panels: int, n_rows: int, legend: int = 1) -> tuple[Figure, list[Axes]]:
    """Return a figure of panels side by side that share their rows."""
    figure, axes = plt.subplots(
        ncols=n_panels,
        figsize=(WIDTH, 0.24 * n_rows + 0.7 + 0.22 * legend),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    return figure, list(axes[0])


def dot_panel(
    rows: Sequence[str],
    series: Mapping[str, FloatArray],
    label: str,
    ours: str | None = None,
    line: tuple[float, str] | None = None,
    legend: int = 1,
    height: int = 1,
) -> tuple[Figure, Axes]:
    """Draw dots of series in one panel, their names above, and where ``line`` is, if any.

    ``legend`` is how many lines the names take, ``height`` how many a row takes.
    """
    figure, (axes,) = panels(1, height * len(rows), legend)
    if line is not None:
        axes.axvline(line[0], color=OURS["color"], linewidth=2, label=line[1])
    dots(axes, rows, series, ours)
    axes.set_xlabel(label, fontsize=9)
    name_series(figure, axes)
    return figure, axes


def dots(
    axes: Axes, rows: Sequence[str], series: Mapping[str, FloatArray], ours: str | None = None
) -> None:
    """Draw one line of dots for each row, the first row on top."""
    places = np.arange(len(rows))[::-1]
    others = iter(OTHERS)
    for name, values in series.items():
        style = OURS if name == ours else next(others)
        axes.plot(values, places, linestyle="", markersize=5, alpha=0.9, label=name, **style)
    axes.set_yticks(places, rows, fontsize=8)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.grid(axis="y", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    simplify(axes)


def simplify(axes: Axes) -> None:
    """Draw small labels of ticks, and no frame above and on the right."""
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def name_series(figure: Figure, axes: Axes, columns: int = 3) -> None:
    """Put the names of a panel's series above all panels."""
    handles, names = axes.get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside upper center", ncols=columns, fontsize=8, frameon=False
    )
