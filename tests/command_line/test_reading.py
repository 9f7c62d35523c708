"""What stands in a file is what is scored, whatever a batch of it looks like."""

import csv
import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skflow import FlowDensity, load
from skflow.command_line.cells import as_fitted, as_inferred
from skflow.command_line.csv_files import EXACT, MISSING, CsvTable
from skflow.command_line.main import main
from skflow.table.schema import ColumnSchema
from tests.command_line.conftest import QUICK, make_trips

CLOSED_FORM = {"n_layers": 0, "n_components": 1, "random_state": 0}


def table_of(text: str | bytes) -> CsvTable:
    content = text if isinstance(text, bytes) else text.encode()
    return CsvTable(io.BytesIO(content), "table.csv", ",")


def read(text: str | bytes, categorical: tuple[str, ...] = ()) -> pd.DataFrame:
    table = table_of(text)
    return table.read(table.names, dict.fromkeys(categorical, ()))


def scores_of(model: Path, table: Path, folder: Path, *more: str) -> np.ndarray:
    out = folder / "scores.csv"
    assert main(["score", str(model), str(table), "-o", str(out), "-q", *more]) == 0
    return pd.read_csv(out, **EXACT)["log_density"].to_numpy()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1,2", "i"),
        ("1,", "i"),
        ("9007199254740993,", "i"),
        ("1.5,", "f"),
        ("True,False", "b"),
        ("true,", "b"),
        ("2026-01-31,", "M"),
        ("2026-01-31T13:45,2026-02-01 00:00:00.5", "M"),
        ("2026-01-31T13:45Z,2026-01-31T13:45+02:00", "M"),
        ("2026-01-31T13:45Z,2026-01-31", "O"),
        ("2026-02-31,", "O"),
        ("now,2026-01-31", "O"),
        ("2026-01,2026-02", "O"),
        ("3 days,-1 days +23:00:00", "m"),
        ("3 days,soon", "O"),
        ("a,1", "O"),
    ],
)
def test_columns_are_inferred(text: str, kind: str) -> None:
    cells = text.split(",")
    column = read("x,y\n" + "".join(f"{cell},\n" for cell in cells))["x"]
    assert column.dtype.kind == kind
    assert column.isna().tolist() == [cell == "" for cell in cells]


def test_whole_numbers_keep_their_digits_beside_holes() -> None:
    column = read("x,y\n9007199254740993,1\n,2\n")["x"]
    assert column[0] == 9007199254740993


@pytest.mark.parametrize(("cells", "kept"), [(["1", "20"], [1, 20]), (["01", "20"], ["01", "20"])])
def test_categorical_columns_keep_what_they_spell(cells: list[str], kept: list) -> None:
    assert read("x\n" + "\n".join(cells), ("x",))["x"].tolist() == kept


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_numbers_come_with_all_digits(numbers: list[float]) -> None:
    frame = pd.DataFrame({"x": [0.5, *numbers]})
    assert read(frame.to_csv(index=False))["x"].tolist() == [0.5, *numbers]


CELLS = st.text(st.sampled_from('a",\n\r; é1'), max_size=5).filter(lambda cell: cell.strip(" \r\n"))


@settings(deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=12), st.integers(1, 5))
def test_texts_come_as_they_are_in_every_batch(rows: list, batch_rows: int) -> None:
    """Delimiters, quotes and ends of lines in cells are no structure."""
    frame = pd.DataFrame([("x", "y"), *rows], columns=["a", "b"])
    table = table_of(frame.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC))
    batches = list(table.batches(batch_rows, ["a", "b"], {"a": (), "b": ()}))
    assert [batch.start for batch in batches] == list(range(0, len(frame), batch_rows))
    back = pd.concat([batch.frame for batch in batches])
    assert back.astype(object).to_numpy().tolist() == frame.to_numpy().tolist()


@pytest.mark.parametrize("text", [b"\xef\xbb\xbfx,y\n1,2\n", b"x,y\r\n1,2\r\n", b"x,y\n\n1,2\n\n"])
def test_marks_and_blank_lines_are_passed_over(text: bytes) -> None:
    assert read(text).to_dict("list") == {"x": [1], "y": [2]}


def test_labels_are_those_of_the_model() -> None:
    """A model of Python's may have numbers for labels; a file has only what they spell."""
    column = pd.Series(["1", "2", None, "x"], dtype="string")
    fitted = ColumnSchema("c", "category", "categorical", levels=(1, "x"), family="category")
    assert as_fitted(column, fitted).tolist() == [1, "2", pd.NA, "x"]
    numbers = pd.Series([1, 7], dtype="Int64")
    fitted = ColumnSchema("c", "str", "categorical", levels=("1",), family="category")
    assert as_fitted(numbers, fitted).tolist() == ["1", 7]


def test_the_cell_at_fault_is_named() -> None:
    cells = [f"2026-01-{day:02}" for day in range(1, 31)]
    cells[17] = "18.1.2026"
    fitted = ColumnSchema("day", "datetime64[us]", "date", family="date")
    with pytest.raises(ValueError, match=r"column 'day' holds '18\.1\.2026', expected a date"):
        as_fitted(pd.Series(cells, dtype="string"), fitted)


def test_dates_of_another_spelling_are_the_same() -> None:
    frame = pd.DataFrame({"x": ["2026-01-31T10:00+02:00"]}, dtype="string")
    assert as_inferred(frame, ())["x"][0] == pd.Timestamp("2026-01-31T08:00Z")


def test_every_dtype_scores_as_in_python(tmp_path: Path) -> None:
    """CSV, TSV and Parquet, in batches, of a model that Python fitted."""
    frame = make_trips(200, 0)
    frame["label"] = pd.Categorical(frame["riders"] * 10)
    frame["stay"] = pd.to_timedelta(frame["riders"] * 90, unit="min")
    frame["at"] = frame["day"].dt.tz_localize("Europe/Berlin") + frame["stay"]
    frame["holes"] = frame["riders"].astype("Int64").where(frame["riders"] > 1)
    flow = FlowDensity(**CLOSED_FORM).fit(frame)
    flow.save(tmp_path / "model")
    frame.to_csv(tmp_path / "table.csv", index=False)
    frame.to_csv(tmp_path / "table.tsv", index=False, sep="\t")
    frame.to_parquet(tmp_path / "table.parquet", index=False)
    for name in ("table.csv", "table.tsv", "table.parquet"):
        scores = scores_of(tmp_path / "model", tmp_path / name, tmp_path)
        np.testing.assert_array_equal(scores, flow.score_samples(frame))
        in_batches = scores_of(tmp_path / "model", tmp_path / name, tmp_path, "--batch-rows", "3")
        np.testing.assert_allclose(in_batches, scores, rtol=1e-9)


@pytest.mark.parametrize("batch_rows", ["1", "2"])
def test_batches_without_a_value_in_a_column(batch_rows: str, tmp_path: Path) -> None:
    """Nothing but holes has no type at all, and each row may be a batch."""
    frame = make_trips(60, 0).drop(columns="km").astype({"cash": "boolean"})
    frame["stay"] = frame["day"] - pd.Timestamp("2024-01-01")
    frame["at"] = frame["day"].dt.tz_localize("UTC")
    for j, name in enumerate(frame):
        frame.loc[[j, 10, 11, 30 + j], name] = None
    flow = FlowDensity(**CLOSED_FORM).fit(frame)
    flow.save(tmp_path / "model")
    frame.to_csv(tmp_path / "table.csv", index=False)
    options = ["--batch-rows", batch_rows]
    scores = scores_of(tmp_path / "model", tmp_path / "table.csv", tmp_path, *options)
    np.testing.assert_allclose(scores, flow.score_samples(frame), rtol=1e-9)


def test_labels_that_look_like_missing_values(tmp_path: Path) -> None:
    """Namibia is a country: "NA" is a label where the model has it, a hole elsewhere."""
    frame = pd.DataFrame({"country": ["NA", "DE", "null", "DE"] * 20, "km": np.arange(80) % 9.0})
    frame.loc[3, "km"] = np.nan
    flow = FlowDensity(**CLOSED_FORM).fit(frame)
    flow.save(tmp_path / "model")
    frame.to_csv(tmp_path / "table.csv", index=False, na_rep="NA")
    scores = scores_of(tmp_path / "model", tmp_path / "table.csv", tmp_path)
    np.testing.assert_array_equal(scores, flow.score_samples(frame))


def test_missing_values_are_those_of_pandas() -> None:
    cells = [*sorted(MISSING), "-", "na"]
    text = "x,y\n" + "".join(f'"{cell}",1\n' for cell in cells)
    found = read(text)["x"].isna().tolist()
    assert found == pd.read_csv(io.StringIO(text))["x"].isna().tolist()
    assert found == [cell in MISSING for cell in cells]


def test_what_was_sampled_can_be_fitted_again(files: Path, tmp_path: Path) -> None:
    again, drawn = tmp_path / "again", tmp_path / "drawn.csv"
    arguments = ["-n", "150", "--random-state", "0", "--batch-rows", "40", "-o", str(drawn)]
    assert main(["sample", str(files / "flow"), *arguments]) == 0
    assert main(["fit", str(drawn), "-o", str(again), *QUICK]) == 0
    kinds = [[c.kind for c in load(path).schema_.columns] for path in (files / "flow", again)]
    assert kinds[0] == kinds[1]


def test_labels_with_leading_zeros(tmp_path: Path) -> None:
    frame = make_trips(100, 0).assign(zip=lambda trips: trips["zone"].map({"1": "01", "2": "1"}))
    frame = frame[["zip", "fare"]].fillna({"zip": "2"})
    frame.to_csv(tmp_path / "table.csv", index=False)
    options = ["--categorical", "zip", "-o", str(tmp_path / "model"), *QUICK]
    assert main(["fit", str(tmp_path / "table.csv"), *options]) == 0
    assert load(tmp_path / "model").schema_.columns[0].levels == ("01", "1", "2")
    scores = scores_of(tmp_path / "model", tmp_path / "table.csv", tmp_path)
    np.testing.assert_array_equal(scores, load(tmp_path / "model").score_samples(frame))


def test_standard_input(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = scores_of(files / "flow", files / "new.csv", tmp_path)
    with (files / "new.csv").open() as table:
        monkeypatch.setattr(sys, "stdin", table)
        np.testing.assert_array_equal(scores_of(files / "flow", Path("-"), tmp_path), expected)
        assert not table.closed


def test_jobs_change_nothing(files: Path, tmp_path: Path) -> None:
    one, two = (
        scores_of(files / "flow", files / "new.csv", tmp_path, "--batch-rows", "7", *more)
        for more in ([], ["--n-jobs", "2"])
    )
    np.testing.assert_array_equal(one, two)


def test_other_columns_are_kept_as_they_are(files: Path, tmp_path: Path) -> None:
    trips = make_trips(9, 3).assign(code=[f"00{i}" for i in range(9)])
    trips.to_csv(tmp_path / "trips.csv", index=False)
    out = tmp_path / "kept.csv"
    assert main(["score", f"{files}/flow", f"{tmp_path}/trips.csv", "--keep", "-o", str(out)]) == 0
    kept = out.read_text().splitlines()
    for line, answered in zip((tmp_path / "trips.csv").read_text().splitlines(), kept, strict=True):
        assert answered.startswith(line + ",")
