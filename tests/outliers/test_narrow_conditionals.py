"""A column given the others, beside sums over its whole length, however narrow it is.

Widths of conditionals are shares of the column's own.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp

from skflow import FlowDensity
from skflow.outliers.conditionals import tail_log_probs
from skflow.outliers.joint_density import JointDensity
from tests.settings import TWO_GAUSSIANS, TWO_LAYERS, one_of_each, slow_but

FARTHEST = 20.0  # of the columns' ranges, in standard deviations
STEPS = {"decimal": 0.01, "integer": 1, "date": np.timedelta64(1, "D")}


def widths_and(others: Iterable[Any]) -> list[Any]:
    """Pairs with a width: all of them with the slow tests, by default one between and the
    narrowest."""
    others = list(others)
    between = [
        pytest.param(width, other, marks=pytest.mark.slow)
        for width in (1e-1, 1e-3)
        for other in others
    ]
    wide = [pytest.param(1.0, other, marks=pytest.mark.slow) for other in others]
    return one_of_each([1e-2, 1e-4], others) + between + wide


def explain(flow: FlowDensity, X: pd.DataFrame) -> np.ndarray:
    density = flow._density
    joint = JointDensity(density.model, "cpu", X.size)
    return tail_log_probs(density.codec, joint, flow._read(X))


def log_share(log_density: np.ndarray, own: float, log_widths: np.ndarray | float = 0.0) -> float:
    masses = log_density + log_widths
    no_likelier = np.where(log_density <= own + 1e-6, masses, -np.inf)
    return float(logsumexp(no_likelier) - logsumexp(masses))


def summed(flow: FlowDensity, row: pd.DataFrame, column: str, points: pd.Series) -> float:
    """Sum over all points of a grid."""
    line = pd.concat([row] * len(points), ignore_index=True)
    line[column] = points.to_numpy()
    return log_share(flow.score_samples(line), flow.score_samples(row)[0])


def integrated(flow: FlowDensity, row: pd.DataFrame, column: str, peaks, width: float) -> float:
    """Integrate over a line that is dense about all peaks and the row's own value.

    Right to 0.006 in these tests: with three times as many points it changes by no more.
    """
    own = float(row[column].iloc[0])
    fine = np.sinh(np.linspace(-20, 20, 2001)) * width * 1e-3
    far = np.sinh(np.linspace(-32, 32, 4001)) * 1e-3
    points = np.unique(np.concatenate([*(peak + fine for peak in [*peaks, own]), far, [own]]))
    line = pd.concat([row] * len(points), ignore_index=True).assign(**{column: points})
    widths = np.gradient(points)
    return log_share(flow.score_samples(line), flow.score_samples(row)[0], np.log(widths))


def related(n_rows: int, width: float, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, noise = rng.standard_normal((2, n_rows))
    return pd.DataFrame({"x": x, "y": 2 * x + 2 * width * noise})


def assert_near(told: np.ndarray, expected: list[float]) -> None:
    np.testing.assert_allclose(told, expected, atol=0.1)


@pytest.mark.parametrize(("width", "parameters"), widths_and([TWO_GAUSSIANS, TWO_LAYERS]))
def test_floats(width, parameters) -> None:
    flow = FlowDensity(**parameters).fit(related(500, width))
    right = related(1, width, seed=1)
    offsets = [0.0, 4 * width, -12 * width, 0.3, -3.0, 40.0]
    rows = pd.concat([right.assign(y=2 * right["x"] + offset) for offset in offsets])
    rows = pd.concat([right, rows], ignore_index=True)
    cells = [rows.iloc[[i]] for i in range(len(rows))]
    expected = [integrated(flow, c, "y", [2 * float(c["x"].iloc[0])], width) for c in cells]
    assert_near(explain(flow, rows)[:, 1], expected)


@pytest.mark.parametrize(("width", "kind"), widths_and(STEPS))
def test_grids(width, kind) -> None:
    """Right cells, wrong ones, and some beyond the column's range; those between points too."""
    n_steps = 250  # of a standard deviation

    def on_grid(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(y=to_points(np.rint(n_steps * frame["y"] / 2)))

    def to_points(steps) -> pd.Series:
        if kind == "decimal":
            return pd.Series(np.asarray(steps) / 100).round(2)
        whole = np.asarray(steps).astype(np.int64)
        if kind == "integer":
            return pd.Series(whole)
        return pd.Series(np.datetime64("2000-01-01") + whole * STEPS[kind])

    flow = FlowDensity(**TWO_GAUSSIANS).fit(on_grid(related(500, width)))
    right = related(1, width, seed=1)
    shifts = [0.0, 8 * width, -0.3, 3.0, -5.0]
    rows = pd.concat([on_grid(right.assign(y=right["y"] + shift)) for shift in shifts])
    rows = rows.reset_index(drop=True)
    points = to_points(np.arange(-FARTHEST * n_steps, FARTHEST * n_steps))
    expected = [summed(flow, rows.iloc[[i]], "y", points) for i in range(len(rows))]
    assert_near(explain(flow, rows)[:, 1], expected)


@pytest.mark.parametrize("width", slow_but([1e-4], [1e-1, 1e-4]))
def test_modes_far_apart(width) -> None:
    """Given a label, or whichever of two columns is wrong, peaks lie far from each other."""
    rng = np.random.default_rng(0)
    group = rng.choice(["cheap", "dear"], 600)
    price = np.where(group == "cheap", 0.0, 100.0) + width * rng.standard_normal(600)
    frame = pd.DataFrame({"group": group, "price": price})
    flow = FlowDensity(**TWO_GAUSSIANS).fit(frame)
    prices = [0.0, 3 * width, 100.0, 50.0, 90.0]
    rows = pd.DataFrame({"group": ["cheap"] * 5, "price": prices})
    cells = [rows.iloc[[i]] for i in range(len(rows))]
    expected = [integrated(flow, cell, "price", [0.0, 100.0], width) for cell in cells]
    assert_near(explain(flow, rows)[:, 1], expected)


@pytest.mark.slow
def test_two_others_that_disagree() -> None:
    width = 1e-3
    rng = np.random.default_rng(0)
    x = rng.standard_normal(500)
    copies = x[:, None] + width * rng.standard_normal((500, 2))
    frame = pd.DataFrame({"x": x, "y": copies[:, 0], "z": copies[:, 1]})
    flow = FlowDensity(**TWO_GAUSSIANS).fit(frame)
    rows = pd.DataFrame({"x": [0.2, 0.0, 0.7, 2.0], "y": 0.2, "z": [0.25, 1.0, 1.0, 0.2]})
    cells = [rows.iloc[[i]] for i in range(len(rows))]
    peaks = [rows[["y", "z"]].iloc[i].tolist() for i in range(len(rows))]
    expected = [
        integrated(flow, *pair, width) for pair in zip(cells, ["x"] * 4, peaks, strict=True)
    ]
    assert_near(explain(flow, rows)[:, 0], expected)


def test_values_beside_atoms_and_holes() -> None:
    """P of a value: labels no likelier than the mass of values no likelier, and this mass."""
    rng = np.random.default_rng(0)
    x = rng.lognormal(4, 0.8, 800).round(2)
    tax = np.where(rng.random(800) < 0.3, 0.0, (0.19 * x).round(2))
    tax[rng.random(800) < 0.1] = np.nan
    flow = FlowDensity(**TWO_GAUSSIANS).fit(pd.DataFrame({"x": x, "tax": tax}))
    rows = pd.DataFrame({"x": [60.0] * 5, "tax": [11.4, 1.14, 25.0, 0.0, np.nan]})
    line = pd.DataFrame({"x": 60.0, "tax": np.arange(1, 200_000) / 100})
    values = flow.score_samples(line) + np.log(0.01)
    atom, hole = flow.score_samples(rows)[3:]
    total = np.logaddexp.reduce([logsumexp(values), atom, hole])
    expected = []
    for i, own in enumerate(flow.score_samples(rows)):
        if i < 3:
            own = logsumexp(values[values <= own + np.log(0.01) + 1e-6])
        labels = [label for label in (atom, hole) if label <= own + 1e-9]
        expected.append(logsumexp([*labels, min(own, logsumexp(values))]) - total)
    assert_near(explain(flow, rows)[:, 1], np.minimum(expected, 0.0))
