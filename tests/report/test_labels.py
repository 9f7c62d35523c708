"""Labels of a page: told apart by what they are, in the order of the schema."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from skflow import FlowDensity, FlowOutlierDetector
from tests.report.conftest import Parsed
from tests.settings import ONE_GAUSSIAN

N_ROWS = 300
A = np.random.default_rng(0).normal(size=N_ROWS)


def with_labels(labels: Any) -> pd.DataFrame:
    return pd.DataFrame({"a": A, "label": labels})


def report_on(fitted: pd.DataFrame, rows: pd.DataFrame) -> tuple[FlowOutlierDetector, Any]:
    """A detector, and the data of its page about rows."""
    detector = FlowOutlierDetector(FlowDensity(**ONE_GAUSSIAN), random_state=0).fit(fitted)
    return detector, Parsed(detector.report(rows).html).data


def column_of(fitted: pd.DataFrame, rows: pd.DataFrame) -> Any:
    """The column of labels, as the page has it."""
    return report_on(fitted, rows)[1]["columns"][1]


def test_a_label_called_missing_is_not_a_missing_cell() -> None:
    labels = np.where(A > 0, "missing", "usual").astype(object)
    labels[A < -0.8] = None
    fitted = with_labels(labels)
    rows = fitted.copy()
    rows.loc[np.flatnonzero(A > 1)[:4], "label"] = None
    rows.loc[np.flatnonzero(A > 1)[:4], "a"] += 20
    column = column_of(fitted, rows)
    assert "missing" in column["texts"]
    assert {text for _, text in column["ticks"]} == {"'missing'", "usual", "missing"}
    assert column["texts"][-1] == "missing"


def test_a_repair_of_a_missing_cell_to_a_label_called_missing_is_shown() -> None:
    labels = np.array(["missing"] * N_ROWS, dtype=object)
    labels[::2] = "usual"
    fitted = with_labels(labels)
    rows = fitted[:20].copy()
    rows.loc[4, "label"] = None
    detector, page = report_on(fitted, rows)
    row = page["rows"]["position"].index(4)
    repaired = detector.repair(rows).loc[4, "label"]
    assert page["rows"]["repair"][row]["1"] == {"missing": "'missing'"}.get(repaired, repaired)


def test_a_label_called_others_has_a_place_of_its_own() -> None:
    labels = np.array(["others"] * 60 + [f"k{k}" for k in range(10) for _ in range(24)])
    fitted = with_labels(labels)
    rows = fitted.copy()
    rows.loc[::30, "a"] = 70
    column = column_of(fitted, rows)
    places, texts = zip(*column["ticks"], strict=True)
    assert len({*places}) == len(places) == 7
    assert "'others'" in texts
    assert texts[-1] == "others"


def test_ordered_categories_keep_their_order() -> None:
    labels = pd.Categorical(np.where(A > 0, "low", "high"), ["low", "mid", "high"], ordered=True)
    fitted = with_labels(labels)
    rows = fitted.copy()
    rows.loc[:8, "a"] = 70
    rows.loc[4, "label"] = "mid"
    column = column_of(fitted, rows)
    assert column["texts"] == ["low", "mid", "high"]
    assert [text for _, text in column["ticks"]] == ["low", "mid", "high"]
    assert column["places"] == sorted(column["places"])


def test_long_labels_that_differ_in_the_middle_are_two() -> None:
    long = ["A" * 50 + middle + "A" * 50 for middle in "01"]
    fitted = with_labels(np.where(A > 0, *long))
    rows = fitted.copy()
    rows.loc[:30, "a"] = 70
    column = column_of(fitted, rows)
    assert len(column["texts"]) == 2
    assert len({*column["places"]}) == 2


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_instants_are_named_so(zone: str) -> None:
    fitted = pd.DataFrame(
        {"a": A, "t": pd.date_range("2024-06-01", periods=300, freq="h", tz=zone)}
    )
    rows = fitted.copy()
    rows.loc[3, "t"] = pd.Timestamp("2030-06-01 03:00", tz=zone)
    detector, page = report_on(fitted, rows)
    expected = rows.loc[3, "t"].tz_convert("UTC").strftime("%Y-%m-%d %H:%M:%S UTC")
    assert expected in page["columns"][1]["texts"]
    assert detector.explain(rows.loc[[3]])["value"].eq(expected).any()
