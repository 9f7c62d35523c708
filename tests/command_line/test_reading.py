"""What stands in a file is what is scored, whatever a batch of it looks like."""

import csv
import datetime
import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skflow import FlowDensity, load
from skflow.command_line.csv_files import MISSING, CsvTable
from skflow.command_line.main import main
from skflow.command_line.matching import ModelColumns, as_fitted, as_inferred
from skflow.command_line.streaming import refuse_unclear_names
from skflow.table.schema import ColumnSchema
from tests.command_line.conftest import EXACT, ONE_EPOCH, make_trips
from tests.settings import one_of_each, slow_but

CLOSED_FORM = {"n_layers": 0, "n_components": 1, "random_state": 0}


def table_of(text: str | bytes) -> CsvTable:
    content = text if isinstance(text, bytes) else text.encode()
    return CsvTable(io.BytesIO(content), "table.csv", ",")


def read(text: str | bytes, categorical: tuple[str, ...] = ()) -> pd.DataFrame:
    table = table_of(text)
    return as_inferred(table.read(table.names, {}), categorical)


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


@pytest.mark.parametrize(
    ("cells", "kept"),
    [
        (["1", "20"], [1, 20]),
        (["01", "20"], ["01", "20"]),
        (["1.0", "20.0"], ["1.0", "20.0"]),  # versions, perhaps
        (["1.0", "", "20.0"], [1, pd.NA, 20]),  # as pandas writes whole numbers beside holes
        (["1.0", "", "20.5"], ["1.0", pd.NA, "20.5"]),
    ],
)
def test_categorical_columns_keep_what_they_spell(cells: list[str], kept: list) -> None:
    text = "x,y\n" + "".join(f"{cell},\n" for cell in cells)
    assert read(text, ("x",))["x"].tolist() == kept


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_numbers_come_with_all_digits(numbers: list[float]) -> None:
    frame = pd.DataFrame({"x": [0.5, *numbers]})
    assert read(frame.to_csv(index=False))["x"].tolist() == [0.5, *numbers]


CELLS = st.text(st.sampled_from('a",\n\r; é1'), max_size=5).filter(lambda cell: cell.strip(" \r\n"))


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


ONE_CELL = st.sampled_from(["", '""', "3", '"4"', "x", '"x\n\ny"'])


@given(st.lists(ONE_CELL, min_size=1, max_size=12), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_every_line_of_one_column_is_a_row(cells: list[str], end: str, is_ended: bool) -> None:
    """An empty line is an empty cell, the last one too; without its end it is no line."""
    if cells[-1] == "":
        is_ended = True
    text = "a" + end + end.join(cells) + end * is_ended
    for n_rows in (1, 3, 100):
        batches = list(table_of(text).batches(n_rows, ["a"], {"a": ()}))
        assert [batch.start for batch in batches] == list(range(0, len(cells), n_rows))
        back = pd.concat([batch.frame for batch in batches])["a"]
        expected = [next(csv.reader(io.StringIO(cell, newline="")), [""])[0] for cell in cells]
        assert back.fillna("").tolist() == expected
    # As pandas has it, and so do other readers of CSV that do not pass over blank lines.
    theirs = pd.read_csv(io.StringIO(text), skip_blank_lines=False, dtype=str)["a"]
    assert theirs.fillna("").tolist() == expected


class CountedName(str):
    """A name that counts how often it is compared."""

    n_compared = 0
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        CountedName.n_compared += 1
        return str.__eq__(self, other)

    def __hash__(self) -> int:
        return str.__hash__(self)


def test_names_are_compared_a_few_times_each() -> None:
    n = 2_000
    names = [CountedName(f"c{i}") for i in range(n)]
    CountedName.n_compared = 0
    refuse_unclear_names(names, "table.csv")
    schema = SimpleNamespace(columns=[SimpleNamespace(name=CountedName(name)) for name in names])
    model = FlowDensity()
    vars(model).update(schema_=schema, feature_names_in_=names)
    table = SimpleNamespace(path="table.csv", names=[*names, "more"], index=())
    assert ModelColumns.match(model, cast(Any, table)).ignored == ("more",)
    assert CountedName.n_compared < 20 * n


def test_labels_are_those_of_the_model() -> None:
    """A model of Python's may have numbers for labels; a file has only what they spell."""
    column = pd.Series(["1", "2", None, "x"], dtype="string")
    fitted = ColumnSchema("c", "category", "categorical", levels=(1, "x"), family="category")
    assert as_fitted(column, fitted).tolist() == [1, "2", pd.NA, "x"]
    numbers = pd.Series([1, 7], dtype="Int64")
    fitted = ColumnSchema("c", "str", "categorical", levels=("1",), family="category")
    assert as_fitted(numbers, fitted).tolist() == ["1", 7]


DAY = datetime.date(2026, 1, 2)
SPELLED: dict[str, tuple[list, list[str], list]] = {
    "instants at midnight": ([pd.Timestamp(DAY)], ["2026-01-02", "2026-01-02T00:00"], ["x"]),
    "instants": ([pd.Timestamp("2026-01-02 03:04")], ["2026-01-02 03:04"], ["2026-01-02"]),
    "of a zone": ([pd.Timestamp(DAY, tz="UTC")], ["2026-01-02T01:00+01:00"], ["2026-01-02"]),
    "dates": ([DAY], ["2026-01-02", "2026-01-02 00:00:00"], ["2026-02-31"]),
    "durations": ([pd.Timedelta(hours=27)], ["1 days 03:00:00", "1 day, 3:00:00"], ["27"]),
    "Python's durations": ([datetime.timedelta(hours=27)], ["1 days 03:00:00"], ["1 day"]),
    "NumPy's durations": ([np.timedelta64(3600, "s")], ["0 days 01:00:00"], ["3600"]),
    "whole numbers": ([7, -3], ["7", "7.0", "+7", "7e0"], ["7.5", "seven"]),
    "floats": ([0.1, 1e22], ["0.1", "0.10", "1e-1"], ["0.11"]),
    "truth values": ([True, False], ["True", "TRUE", "true"], ["1", "yes"]),
    "texts like others": (["7", 7, True], ["7"], ["07x"]),
}


@pytest.mark.parametrize("name", SPELLED)
def test_labels_are_known_however_they_are_spelled(name: str) -> None:
    levels, spellings, others = SPELLED[name]
    fitted = ColumnSchema("c", "O", "categorical", levels=tuple(levels), family="category")
    column = pd.Series([*spellings, *others, None], dtype="string")
    cells = as_fitted(column, fitted).tolist()
    assert [(type(cell), cell) for cell in cells[: len(spellings)]] == [
        (type(levels[0]), levels[0])
    ] * len(spellings)
    assert cells[len(spellings) :] == [*others, pd.NA]


LEVELS = [
    pd.to_datetime(["2026-01-02", "2026-01-03"]),
    pd.to_timedelta([3, 27], unit="h"),
    [7, 8],
    [7.0, 8.5],
    [True, False],
    pd.interval_range(0, 2),
    [datetime.date(2026, 1, 2), datetime.date(2026, 1, 3)],
    [datetime.timedelta(hours=3), datetime.timedelta(hours=27)],
]


@pytest.mark.parametrize(("levels", "dtype"), one_of_each(LEVELS, ["category", "object"]))
def test_labels_of_every_type_score_as_in_python(levels: Any, dtype: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    cells = pd.Series(list(levels), dtype="object").iloc[rng.integers(0, 2, 80)]
    frame = pd.DataFrame({"c": cells.to_numpy(), "x": rng.normal(size=80)}).astype({"c": dtype})
    flow = FlowDensity(**CLOSED_FORM, column_kinds={"c": "categorical"}).fit(frame)
    flow.save(tmp_path / "model")
    frame.to_csv(tmp_path / "table.csv", index=False)
    scores = scores_of(tmp_path / "model", tmp_path / "table.csv", tmp_path)
    np.testing.assert_array_equal(scores, flow.score_samples(frame))


@pytest.mark.parametrize("batch_rows", slow_but(["1"], ["1", "50"]))
def test_labels_none_of_which_is_known_are_told(
    batch_rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pd.DataFrame({"c": ["a", "b"] * 20, "d": ["u", "v"] * 20, "x": np.arange(40) / 7})
    FlowDensity(**CLOSED_FORM).fit(frame).save(tmp_path / "model")
    other = frame.assign(c=frame["c"].str.upper(), d=["u"] + ["w"] * 39)
    other.to_csv(tmp_path / "table.csv", index=False)
    scores_of(tmp_path / "model", tmp_path / "table.csv", tmp_path, "--batch-rows", batch_rows)
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.startswith("skflow: warning: no cell of column 'c' in ")
    assert "which are 'a', 'b'; all are taken for labels never seen." in told


def test_numbers_that_are_labels_are_told_of_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pd.DataFrame({"zip": [10115, 10117] * 20, "x": np.arange(40) / 7})
    FlowDensity(**CLOSED_FORM, column_kinds={"zip": "categorical"}).fit(frame).save(
        tmp_path / "model"
    )
    for cells, n_told in (("5.0", 1), ("10115.0", 0)):
        (tmp_path / "table.csv").write_text(f"zip,x\n{cells},1\n6,2\n")
        scores_of(tmp_path / "model", tmp_path / "table.csv", tmp_path)
        told = capsys.readouterr().err
        assert told.count("no cell of column 'zip'") == n_told


@pytest.mark.parametrize(
    ("family", "good", "wrong", "expected"),
    [
        ("date", "2026-01-31", "18.1.2026", "a date as"),
        ("duration", "3 days", "72 h", "a duration as"),
        ("number", "1.5", "1,5", "a number as"),
        ("boolean", "true", "yes", "True or False"),
    ],
)
def test_the_cell_at_fault_is_named(family: str, good: str, wrong: str, expected: str) -> None:
    cells = [good] * 30
    cells[17] = wrong
    fitted = ColumnSchema("c", "", "continuous", family=family)
    with pytest.raises(ValueError, match=f"column 'c' holds {wrong!r}, expected {expected}"):
        as_fitted(pd.Series(cells, dtype="string"), fitted)


@pytest.mark.parametrize("batch_rows", slow_but(["1", "9"], ["1", "2", "9"]))
def test_truth_values_among_numbers_are_numbers(batch_rows: str, tmp_path: Path) -> None:
    """A batch of nothing else is read as such, and a batch must not change what a cell is."""
    X = pd.DataFrame({"i": np.arange(60) % 23, "b": np.arange(60) % 3 == 0, "x": np.arange(60) / 7})
    FlowDensity(**CLOSED_FORM).fit(X).save(tmp_path / "model")
    options = ["--batch-rows", batch_rows]
    found = []
    for cells in (["5,1", "6,0", "1,1", "0,0"], ["5,TRUE", "6,0", "True,1.0", "False,false"]):
        text = "i,b,x\n" + "".join(f"{cell},0.5\n" for cell in cells)
        (tmp_path / "table.csv").write_text(text)
        found.append(scores_of(tmp_path / "model", tmp_path / "table.csv", tmp_path, *options))
    np.testing.assert_allclose(*found, rtol=1e-9)


def test_numbers_beyond_the_columns_type_keep_their_digits() -> None:
    """pandas has no type for -1 and 2**63 + 1, and leaves them as text."""
    fitted = ColumnSchema("c", "object", "integer", family="number")
    found = as_fitted(read(f"c,d\n-1,0\n{2**63 + 1},0\n")["c"], fitted)
    assert found.tolist() == [-1, 2**63 + 1]


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
    frame = frame[:30]
    frame.to_csv(tmp_path / "table.csv", index=False)
    frame.to_csv(tmp_path / "table.tsv", index=False, sep="\t")
    frame.to_parquet(tmp_path / "table.parquet", index=False)
    for name in ("table.csv", "table.tsv", "table.parquet"):
        scores = scores_of(tmp_path / "model", tmp_path / name, tmp_path)
        np.testing.assert_array_equal(scores, flow.score_samples(frame))
        in_batches = scores_of(tmp_path / "model", tmp_path / name, tmp_path, "--batch-rows", "3")
        np.testing.assert_allclose(in_batches, scores, rtol=1e-9)


@pytest.mark.parametrize("batch_rows", slow_but(["1"], ["1", "2"]))
def test_batches_without_a_value_in_a_column(batch_rows: str, tmp_path: Path) -> None:
    """Nothing but holes has no type at all, and each row may be a batch."""
    frame = make_trips(40, 0).drop(columns="km").astype({"cash": "boolean"})
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
    assert main(["fit", str(drawn), "-o", str(again), *ONE_EPOCH]) == 0
    kinds = [[c.kind for c in load(path).schema_.columns] for path in (files / "flow", again)]
    assert kinds[0] == kinds[1]


def test_labels_with_leading_zeros(tmp_path: Path) -> None:
    frame = make_trips(100, 0).assign(zip=lambda trips: trips["zone"].map({"1": "01", "2": "1"}))
    frame = frame[["zip", "fare"]].fillna({"zip": "2"})
    frame.to_csv(tmp_path / "table.csv", index=False)
    options = ["--categorical", "zip", "-o", str(tmp_path / "model"), *ONE_EPOCH]
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


def test_the_rest_of_standard_input(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another program read of the file is not read again."""
    (tmp_path / "table.csv").write_bytes(b"a title\n" + (files / "new.csv").read_bytes())
    with (tmp_path / "table.csv").open() as table:
        table.buffer.read(len("a title\n"))
        monkeypatch.setattr(sys, "stdin", table)
        found = scores_of(files / "flow", Path("-"), tmp_path)
    np.testing.assert_array_equal(found, scores_of(files / "flow", files / "new.csv", tmp_path))


def test_other_columns_are_kept_as_they_are(files: Path, tmp_path: Path) -> None:
    trips = make_trips(9, 3).assign(code=[f"00{i}" for i in range(9)])
    trips.to_csv(tmp_path / "trips.csv", index=False)
    out = tmp_path / "kept.csv"
    assert main(["score", f"{files}/flow", f"{tmp_path}/trips.csv", "--keep", "-o", str(out)]) == 0
    kept = out.read_text().splitlines()
    for line, answered in zip((tmp_path / "trips.csv").read_text().splitlines(), kept, strict=True):
        assert answered.startswith(line + ",")


def test_what_is_only_kept_stays_as_it_is_spelled(tmp_path: Path) -> None:
    X = pd.DataFrame({"x": np.arange(30) / 7})
    FlowDensity(**CLOSED_FORM).fit(X).save(tmp_path / "model")
    long = "long " * 30_000
    cells = ["NA", "NULL", "1.50", "007", "", "nan", "TRUE", f'"{long},"']
    text = "x,note\n" + "".join(f"0.5,{cell}\n" for cell in cells)
    (tmp_path / "table.csv").write_text(text)
    out = tmp_path / "kept.csv"
    arguments = ["score", str(tmp_path / "model"), str(tmp_path / "table.csv"), "--keep"]
    assert main([*arguments, "-o", str(out)]) == 0
    kept = out.read_text().splitlines()
    assert kept[0] == "x,note,log_density"
    assert [line.rpartition(",")[0] for line in kept[1:]] == [f"0.5,{cell}" for cell in cells]


def test_long_cells_of_columns_passed_over(files: Path, tmp_path: Path) -> None:
    table = pd.read_csv(files / "new.csv", **EXACT).assign(note='"' + "x" * 200_000)
    table.to_csv(tmp_path / "long.csv", index=False)
    found = scores_of(files / "flow", tmp_path / "long.csv", tmp_path)
    np.testing.assert_array_equal(found, scores_of(files / "flow", files / "new.csv", tmp_path))
