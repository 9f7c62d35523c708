"""How unlikely a row's cells are, each in its column alone."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from skflow import FlowDensity, FlowOutlierDetector
from skflow.outliers.ensemble import MARGINAL_WEIGHT
from skflow.outliers.marginal_tails import label_log_tails
from skflow.table.codec import TableCodec
from skflow.table.column_codec import LabelSet
from tests.tables import unfitted

COUNTS = st.lists(st.integers(0, 50), min_size=1, max_size=6)
COLUMNS = st.lists(st.tuples(COUNTS, st.floats(1e-9, 0.5), st.booleans()), max_size=4)


@given(COLUMNS)
def test_labels_no_likelier_and_levels_no_nearer_the_middle_are_summed(
    columns: list[tuple[list[int], float, bool]],
) -> None:
    expected: list[float] = []
    codecs, counted = [], []
    for counts, unseen, is_ordered in columns:
        total = sum(counts) + 0.5 * len(counts)
        shares = [*((1 - unseen) * (count + 0.5) / total for count in counts), unseen]
        tails = [sum(other for other in shares if other <= own * (1 + 1e-12)) for own in shares]
        if is_ordered:
            for k in range(len(counts)):
                tails[k] = min(1.0, 2 * sum(shares[: k + 1]), 2 * sum(shares[k : len(counts)]))
        expected += np.log(tails).clip(max=0.0).tolist()
        labels = LabelSet(len(counts), 0, ())
        codecs.append(SimpleNamespace(labels=labels, unseen=unseen, is_ordered=is_ordered))
        counted += [*counts, 0]
    codec = cast(TableCodec, SimpleNamespace(columns=codecs, labelled=range(len(codecs))))
    found = label_log_tails(codec, np.array(counted, dtype=np.float64))
    np.testing.assert_allclose(found, expected, atol=1e-9)


def marginal_scores(detector: FlowOutlierDetector, frame: pd.DataFrame) -> np.ndarray:
    return detector._detector.scorers.measure(detector._read(frame), "cpu")[:, -1]


def related(n_rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(n_rows)
    group = np.where(x + 0.3 * rng.standard_normal(n_rows) > 1, "high", "low")
    return pd.DataFrame({"x": x, "y": x + 0.1 * rng.standard_normal(n_rows), "group": group})


def test_each_column_counts_alone() -> None:
    """Two-sided tails of Gaussians and shares of labels; nothing depends on other columns."""
    frame = related(2_000)
    density = FlowDensity(n_layers=0, n_components=2)
    detector = FlowOutlierDetector(density, random_state=0).fit(frame)
    rows = pd.DataFrame(
        {
            "x": [0.0, 2.0, 2.0, 2.0],
            "y": [0.0, 0.0, 2.0, -2.0],
            "group": ["low", "low", "low", "high"],
        }
    )
    share = (frame["group"] == "high").mean()
    of_values = norm.logsf(rows[["x", "y"]].abs()) + np.log(2)
    expected = of_values.sum(axis=1) + np.where(rows["group"] == "high", np.log(share), 0.0)
    np.testing.assert_allclose(marginal_scores(detector, rows), expected, atol=0.35)
    shuffled = frame.assign(y=frame["y"].sample(frac=1, random_state=0).to_numpy())
    total = marginal_scores(detector, frame).sum()
    np.testing.assert_allclose(marginal_scores(detector, shuffled).sum(), total, rtol=1e-9)


def test_they_count_where_columns_are_independent() -> None:
    """Along a curve extremes are as normal as other rows, and the clusters know it."""
    rng = np.random.default_rng(1)
    around = rng.uniform(0, 2 * np.pi, 2_000)
    waves = np.column_stack([np.cos(k * around) for k in range(1, 7)])
    weights = [
        unfitted(FlowOutlierDetector, n_layers=0, n_components=1)
        .fit(rows + 0.05 * rng.standard_normal(rows.shape))
        ._detector.combiner.weights[-1]
        for rows in (rng.standard_normal((2_000, 6)), waves)
    ]
    assert weights[0] > 0.5 * MARGINAL_WEIGHT
    assert weights[1] < 0.15 * MARGINAL_WEIGHT
