"""Charts as inline SVG, in the colours of the page; each says in words what it shows."""

from collections.abc import Sequence
from html import escape
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from skflow.report.text import spell_share

FloatArray = NDArray[np.float64]
Places = NDArray[np.intp]

WIDTH, HEIGHT = 480, 280
LEFT, RIGHT, TOP, BOTTOM = 62, 10, 40, 52
N_BINS = 44
SCORE_TICKS = (0, -1, -2, -5, -10, -20, -50, -100, -1_000, -10_000, -100_000, -1_000_000)
LETTER, GAP = 9, 4  # width of a letter, and least distance of names of ticks
N_P_BINS = 20
LEAST_SPAN = 1e-3  # nats of a training curve
SMALL = 170, 44  # width and height of the chart of a column
N_SMALL_BINS = 28
AXIS_END = 1000


def score_chart(
    scores: FloatArray, calibration: FloatArray, weight: FloatArray | None, threshold: float
) -> str:
    """Histogram of scores beside those of the calibration rows, with the threshold.

    The distance from 0 is on a logarithmic axis, log(1 - score), as far outliers are; so are the
    shares of rows, as outliers are few.
    """
    here, there = _depth(scores), _depth(calibration)
    line = float(_depth(np.array([threshold]))[0])
    deepest = max(float(here.max()), float(there.max()), line, 1.0)
    edges = np.linspace(0.0, deepest, N_BINS + 1)
    shares = [
        np.histogram(here, edges)[0] / len(here),
        np.histogram(there, edges, weights=weight)[0]
        / (len(there) if weight is None else weight.sum()),
    ]
    least = 0.5 / max(len(scores), len(calibration))
    log_least, log_most = np.log10(least), np.log10(max(share.max() for share in shares))

    def x(depth: float) -> float:  # deep scores on the left
        return WIDTH - RIGHT - (WIDTH - LEFT - RIGHT) * depth / deepest

    def y(share: float) -> float:
        height = (np.log10(max(share, least)) - log_least) / (log_most - log_least)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * float(height)

    bars = "".join(
        f'<rect class="here" x="{x(b):.1f}" y="{y(share):.1f}" width="{x(a) - x(b):.1f}" '
        f'height="{HEIGHT - BOTTOM - y(share):.1f}"/>'
        for (a, b), share in zip(pairwise(edges), shares[0], strict=True)
        if share
    )
    path = f"M{x(0):.1f},{y(0):.1f}" + "".join(
        f"V{y(share):.1f}H{x(b):.1f}" for b, share in zip(edges[1:], shares[1], strict=True)
    )
    ticks: list[tuple[float, str]] = []
    for tick in SCORE_TICKS:
        name = _minus(f"{tick:,}")
        place, room = x(float(np.log1p(-tick))), LETTER * len(name) / 2
        if place >= LEFT and (not ticks or place + room <= ticks[-1][0] - GAP - room):
            ticks.append((place, name))
    end = "end" if x(line) > WIDTH / 2 else "start"
    shift = -5 if end == "end" else 5
    parts = [
        *(_y_tick(y(share), spell_share(share)) for share in log_ticks(log_least, log_most)),
        *(_x_tick(*tick) for tick in ticks),
        bars,
        f'<path class="there" d="{path}V{y(0):.1f}"/>',
        f'<line class="limit" x1="{x(line):.1f}" x2="{x(line):.1f}" y1="{TOP - 6}" '
        f'y2="{HEIGHT - BOTTOM}"/>',
        f'<text class="limit-name" x="{x(line) + shift:.1f}" y="{TOP - 8}" '
        f'text-anchor="{end}">threshold {_minus(f"{threshold:.3g}")}</text>',
        _x_name("score, lower is stranger (logarithmic away from 0)"),
        _y_name("share of rows"),
    ]
    return _svg(parts, "Distribution of scores: these rows as bars, calibration rows as a line")


def p_value_chart(p_values: FloatArray) -> str:
    """Histogram of p-values beside what uniform ones would give."""
    counts = np.histogram(p_values, np.linspace(0, 1, N_P_BINS + 1))[0] / len(p_values)
    most = max(float(counts.max()), 2 / N_P_BINS)

    def x(p: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * p

    def y(share: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share / most

    expected = 1 / N_P_BINS
    parts = [
        *(_y_tick(y(share), spell_share(share)) for share in round_ticks(most)),
        *(_x_tick(x(p), f"{p:g}") for p in (0, 0.2, 0.4, 0.6, 0.8, 1)),
        *(
            f'<rect class="here" x="{x(k / N_P_BINS) + 0.5:.1f}" y="{y(share):.1f}" '
            f'width="{x(expected) - x(0) - 1:.1f}" height="{HEIGHT - BOTTOM - y(share):.1f}"/>'
            for k, share in enumerate(counts.tolist())
        ),
        f'<line class="there" x1="{x(0):.1f}" x2="{x(1):.1f}" y1="{y(expected):.1f}" '
        f'y2="{y(expected):.1f}"/>',
        _x_name("p-value"),
        _y_name("share of rows"),
    ]
    return _svg(parts, "Distribution of p-values: these rows as bars, no change as a level line")


def curve_chart(train: Sequence[float], held_out: Sequence[float]) -> str:
    """Scores of epochs: training rows, and held-out rows where there are any.

    The first epochs may be far below: the axis begins at the lowest score of the later ones.
    """
    curves = [np.asarray(train, dtype=np.float64), np.asarray(held_out, dtype=np.float64)]
    later = np.concatenate([curve[len(curve) // 10 :] for curve in curves])
    later = later[np.isfinite(later)]
    low, high = float(later.min()), float(later.max())
    if high - low < LEAST_SPAN:
        low, high = low - LEAST_SPAN, high + LEAST_SPAN
    n_epochs = len(train)

    def x(epoch: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (epoch - 1) / max(n_epochs - 1, 1)

    def y(score: float) -> float:
        share = (max(score, low) - low) / (high - low)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    lines = []
    for kind, curve in zip(("here", "there"), curves, strict=True):
        points = [
            f"{x(epoch):.1f},{y(score):.1f}"
            for epoch, score in enumerate(curve.tolist(), 1)
            if np.isfinite(score)
        ]
        if points:
            lines.append(f'<path class="{kind}" d="M{"L".join(points)}"/>')
    marks = np.linspace(low, high, 4).tolist()
    epochs = sorted({1, round((n_epochs + 1) / 2), n_epochs})
    parts = [
        *(_y_tick(y(mark), _minus(f"{mark:.4g}")) for mark in marks),
        *(_x_tick(x(epoch), f"{epoch:,}") for epoch in epochs),
        *lines,
        _x_name("epoch"),
        _y_name("nats per row"),
    ]
    return _svg(parts, "Scores of training rows and of held-out rows, epoch by epoch")


def column_chart(here: Places | None, there: Places) -> str:
    """Small histogram of a column: rows as bars, drawn rows as a line."""
    edges = np.linspace(0, AXIS_END, N_SMALL_BINS + 1)
    shares = [
        None if places is None else np.histogram(places, edges)[0] / max(len(places), 1)
        for places in (here, there)
    ]
    most = max(float(share.max()) for share in shares if share is not None)
    width, height = SMALL
    step = width / N_SMALL_BINS
    parts = []
    if shares[0] is not None:
        parts += [
            f'<rect class="here" x="{k * step:.1f}" y="{height * (1 - share / most):.1f}" '
            f'width="{step - 0.5:.1f}" height="{height * share / most:.1f}"/>'
            for k, share in enumerate(shares[0].tolist())
            if share
        ]
    if shares[1] is not None:
        path = "".join(
            f"V{height * (1 - share / most):.1f}H{(k + 1) * step:.1f}"
            for k, share in enumerate(shares[1].tolist())
        )
        parts.append(f'<path class="there" d="M0,{height}{path}V{height}"/>')
    return (
        f'<svg class="small chart" viewBox="0 -2 {width} {height + 3}" aria-hidden="true">'
        f"{''.join(parts)}</svg>"
    )


def _depth(scores: FloatArray) -> FloatArray:
    return np.log1p(np.maximum(-scores, 0.0))


def _minus(number: str) -> str:
    """Return a number with a minus of its own, which is as long as a plus."""
    return number.replace("-", "\u2212")


def round_ticks(most: float) -> list[float]:
    """Return up to five round numbers from 0 to ``most``."""
    size = 10.0 ** np.floor(np.log10(most))
    step = next(size * k for k in (0.2, 0.5, 1, 2) if most / (size * k) <= 5)
    return [float(step * k) for k in range(int(most / step * (1 + 1e-9)) + 1)]


def log_ticks(log_least: float, log_most: float) -> list[float]:
    """Return powers of ten between two; where they are few, their doubles and fivefolds too."""
    first, last = int(np.floor(log_least)), int(np.floor(log_most))
    steps = (1,) if last - first > 1 else (1, 2, 5)
    ticks = [step * 10.0**k for k in range(first, last + 1) for step in steps]
    return [tick for tick in ticks if log_least <= np.log10(tick) <= log_most]


def _x_tick(x: float, text: str) -> str:
    place = HEIGHT - BOTTOM
    return (
        f'<line class="tick" x1="{x:.1f}" x2="{x:.1f}" y1="{place}" y2="{place + 5}"/>'
        f'<text x="{x:.1f}" y="{place + 19}" text-anchor="middle">{escape(text)}</text>'
    )


def _y_tick(y: float, text: str) -> str:
    return (
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>'
    )


def _x_name(text: str) -> str:
    middle = (LEFT + WIDTH - RIGHT) / 2
    return f'<text class="name" x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{text}</text>'


def _y_name(text: str) -> str:
    return f'<text class="name" x="4" y="14">{text}</text>'


def _svg(parts: Sequence[str], title: str) -> str:
    return (
        f'<svg class="chart" role="img" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )
