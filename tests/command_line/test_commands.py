"""Each command does what the classes do."""

import io
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skflow import FlowDensity, FlowOutlierDetector, load
from skflow.command_line.main import main
from skflow.command_line.streaming import merge_ranked
from tests.command_line.conftest import EXACT, ONE_EPOCH, make_trips
from tests.settings import one_of_each, slow_but


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> pd.DataFrame:
    """Run a command that must go well; return what it writes to standard output."""
    assert main([str(argument) for argument in arguments]) == 0
    written = capsys.readouterr()
    assert "error" not in written.err
    assert "warning" not in written.err
    return pd.read_csv(io.StringIO(written.out), **EXACT)


def new_trips() -> pd.DataFrame:
    new = make_trips(60, 1)
    new.loc[7, "fare"] = 9_000.0
    return new


def test_fit_takes_columns_as_the_class_does(files: Path) -> None:
    flow = load(files / "flow")
    same = FlowDensity(max_iter=1, max_time=100, random_state=0).fit(make_trips(100, 0))
    assert isinstance(flow, FlowDensity)
    assert flow.schema_ == same.schema_
    assert flow.score(new_trips()) == same.score(new_trips())
    assert [column.kind for column in flow.schema_.columns] == [
        "categorical", "decimal", "date", "categorical", "levels", "continuous",
    ]  # fmt: skip


def test_fit_of_parquet_is_that_of_csv(files: Path, tmp_path: Path) -> None:
    assert (
        main(["fit", str(files / "train.parquet"), "-o", str(tmp_path / "model"), *ONE_EPOCH]) == 0
    )
    scores = [
        load(path).score_samples(new_trips()) for path in (tmp_path / "model", files / "flow")
    ]
    np.testing.assert_array_equal(*scores)


def test_fit_tells_what_it_took_columns_for(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    chosen = ["--drop", "km", "day", "--categorical", "riders"]
    arguments = ["fit", str(files / "train.csv"), "-o", str(model), *chosen, *ONE_EPOCH[:-1]]
    assert main(arguments) == 0
    assert repr(load(model).schema_) in capsys.readouterr().err
    kinds = {column.name: column.kind for column in load(model).schema_.columns}
    assert kinds["riders"] == kinds["zone"] == "categorical"
    assert kinds.keys() == {"zone", "fare", "cash", "riders"}


@pytest.mark.parametrize("more", slow_but([[]], [[], ["--outliers"]]))
def test_fit_weighs_rows_by_a_column(files: Path, tmp_path: Path, more: list[str]) -> None:
    trips, model = make_trips(100, 0)[["fare", "cash"]], tmp_path / "model"
    weight = np.random.default_rng(0).integers(0, 4, 100)
    trips.assign(many=weight).to_csv(tmp_path / "trips.csv", index=False)
    arguments = ["fit", str(tmp_path / "trips.csv"), "-o", str(model), "--weight", "many"]
    assert main([*arguments, *more, *ONE_EPOCH]) == 0
    fitted, density = load(model), FlowDensity(max_iter=1, max_time=100)
    same = FlowOutlierDetector(density) if more else density
    same.set_params(random_state=0).fit(trips, sample_weight=weight)
    assert list(fitted.feature_names_in_) == ["fare", "cash"]
    np.testing.assert_array_equal(fitted.score_samples(trips), same.score_samples(trips))


def test_faulty_weights_are_one_line(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options, message in (
        (["--weight", "mass"], "--weight: "),
        (["--weight", "km", "--drop", "km"], "--drop and --weight both name"),
        (["--weight", "zone"], "column 'zone' of "),
        (["--weight", "km"], "Negative values in data passed to `sample_weight`"),
        (["--weight", "fare"], "sample_weight contains NaN"),
    ):
        arguments = ["fit", str(files / "train.csv"), "-o", str(tmp_path / "model"), *options]
        assert main([*arguments, *ONE_EPOCH]) == 2
        assert message in capsys.readouterr().err


def test_fit_goes_on_from_its_checkpoint(files: Path, tmp_path: Path) -> None:
    arguments = ["fit", str(files / "train.csv"), "--checkpoint", str(tmp_path / "fit"), *ONE_EPOCH]
    for name in ("first", "second"):
        assert main([*arguments, "-o", str(tmp_path / name)]) == 0
    assert load(tmp_path / "first").history_ == load(tmp_path / "second").history_  # seconds, too


@pytest.mark.parametrize(
    ("more", "table"),
    one_of_each(
        [[], ["--batch-rows", 7], ["--batch-rows", 25, "--n-jobs", 2]], ["new.csv", "new.parquet"]
    ),
)
def test_score(files: Path, table: str, more: list, capsys: pytest.CaptureFixture[str]) -> None:
    scores = run(capsys, "score", files / "flow", files / table, *more)
    expected = load(files / "flow").score_samples(new_trips())
    if not more:
        np.testing.assert_array_equal(scores["log_density"], expected)
    np.testing.assert_allclose(scores["log_density"], expected, rtol=1e-9)
    assert scores.shape == (60, 1)


def test_jobs_change_nothing(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the workers of the test above: a case of the faults ends these."""
    command = ["score", files / "flow", files / "new.csv", "--batch-rows", 7]
    one, two = (run(capsys, *command, "--n-jobs", n_jobs) for n_jobs in (1, 2))
    pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_score_of_a_detector_is_that_of_its_density(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = run(capsys, "score", files / "detector", files / "new.csv")
    expected = load(files / "detector").density_.score_samples(new_trips())
    np.testing.assert_array_equal(scores["log_density"], expected)


def test_texts_that_look_like_numbers_stay_texts(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = new_trips().query("zone != '3x'")
    plain.to_csv(tmp_path / "plain.csv", index=False)
    scores = run(capsys, "score", files / "flow", tmp_path / "plain.csv")
    np.testing.assert_array_equal(scores["log_density"], load(files / "flow").score_samples(plain))


def test_columns_are_found_by_name(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = new_trips().iloc[:, ::-1].assign(note="x")
    other.to_csv(tmp_path / "other.csv", index=False)
    other.to_parquet(tmp_path / "other.parquet")
    expected = load(files / "flow").score_samples(new_trips())
    for name in ("other.csv", "other.parquet"):
        scores = run(capsys, "score", files / "flow", tmp_path / name)
        np.testing.assert_array_equal(scores["log_density"], expected)
        kept = run(capsys, "score", files / "flow", tmp_path / name, "--keep")
        assert list(kept.columns) == [*other.columns, "log_density"]


def test_outliers(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judged = run(capsys, "outliers", files / "detector", files / "new.csv", "--alpha", 0.05)
    detector = load(files / "detector")
    assert isinstance(detector, FlowOutlierDetector)
    p_values = detector.p_values(new_trips())
    scores = detector.score_samples(new_trips())
    np.testing.assert_array_equal(detector.p_values_of_scores(scores), p_values)
    assert judged["p_value"].tolist() == [float(f"{p:.4g}") for p in p_values]
    np.testing.assert_array_equal(judged["outlier"], p_values <= 0.05)
    np.testing.assert_array_equal(judged["row"], np.arange(60))
    assert judged.loc[7, "reason_1"] == "fare"
    reasons = detector.score_features(new_trips().iloc[[7]]).iloc[0].nsmallest(3)
    names = [judged.loc[7, f"reason_{k}"] for k in (1, 2, 3)]
    assert names == list(reasons.index)
    told = [judged.loc[7, f"log_prob_{k}"] for k in (1, 2, 3)]
    np.testing.assert_allclose(told, reasons, rtol=1e-6)
    assert judged.loc[~judged["outlier"], ["reason_1", "log_prob_1"]].isna().all(axis=None)


@pytest.mark.parametrize(("batch_rows", "n_jobs"), one_of_each([100, 7], [1, 2]))
def test_outliers_are_those_of_predict_and_come_strangest_first(
    batch_rows: int, n_jobs: int, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many = ["--batch-rows", batch_rows, "--n-jobs", n_jobs]
    detector, new = load(files / "detector"), new_trips()
    judged = run(capsys, "outliers", files / "detector", files / "new.csv", "--only", *many)
    expected = np.flatnonzero(detector.predict(new) == -1)
    assert len(expected)
    assert sorted(judged["row"]) == expected.tolist()
    assert np.diff(detector.score_samples(new)[judged["row"]]).min(initial=0) >= 0
    assert judged["reason_1"].notna().all()


@pytest.mark.parametrize(
    ("more", "batch_rows"),
    slow_but(
        [(["--keep"], 7), (["--alpha", 0.05, "--only"], 100)],
        itertools.product([[], ["--keep"], ["--only"], ["--alpha", 0.05, "--only"]], [7, 100]),
    ),
)
def test_the_strangest_rows(
    batch_rows: int, more: list, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detector, new = load(files / "detector"), new_trips()
    top = ["--top", 4, "--batch-rows", batch_rows]
    judged = run(capsys, "outliers", files / "detector", files / "new.csv", *top, *more)
    order = np.argsort(detector.score_samples(new), kind="stable")
    if "--only" in more:
        allowed = detector.p_values(new) <= 0.05 if "--alpha" in more else detector.predict(new) < 0
        order = [row for row in order if allowed[row]]
    assert judged["row"].tolist() == list(order[:4])
    assert judged["reason_1"].notna().all()
    if "--keep" in more:
        assert judged["km"].tolist() == new["km"].iloc[order[:4]].tolist()


def test_only_the_strangest_rows_are_held() -> None:
    ranked = None
    for start in range(0, 1_000, 10):
        rows = np.arange(start, start + 10)
        ranked = merge_ranked(ranked, pd.DataFrame({"row": rows}, index=(rows * 7) % 500), 3)
        assert len(ranked) == 3
    assert ranked["row"].tolist() == [0, 500, 143]


@pytest.mark.parametrize(
    ("suffix", "written", "said", "packed"),
    [
        (".csv", ";", ";", ""),
        (".csv", "\t", "\\t", ".gz"),
        pytest.param(".tsv", "\t", "", "", marks=pytest.mark.slow),
        pytest.param(".csv", ";", ";", ".gz", marks=pytest.mark.slow),
        pytest.param(".csv", "\t", "\\t", "", marks=pytest.mark.slow),
        pytest.param(".tsv", "\t", "", ".gz", marks=pytest.mark.slow),
    ],
)
def test_delimiters_and_compression(
    suffix: str,
    written: str,
    said: str,
    packed: str,
    files: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table, model, out = (tmp_path / name for name in (f"a{suffix}{packed}", "m", f"b.csv{packed}"))
    make_trips(100, 0).to_csv(table, index=False, sep=written)
    sep = ["--sep", said] if said else []
    assert main(["fit", str(table), "-o", str(model), *sep, *ONE_EPOCH]) == 0
    assert load(model).schema_ == load(files / "flow").schema_
    new_trips().to_csv(table, index=False, sep=written)
    assert main(["score", str(model), str(table), "-o", str(out), *sep, "--batch-rows", "9"]) == 0
    scores = pd.read_csv(out, **EXACT)["log_density"]
    np.testing.assert_allclose(scores, load(model).score_samples(new_trips()), rtol=1e-9)
    kept = run(capsys, "outliers", files / "detector", table, *sep, "--keep")
    assert kept["km"].tolist() == new_trips()["km"].tolist()


@pytest.mark.parametrize("suffix", slow_but(["parquet"], ["csv", "parquet"]))
def test_outliers_only_in_batches(files: Path, tmp_path: Path, suffix: str) -> None:
    written = tmp_path / f"judged.{suffix}"
    options = ["--only", "--reasons", "1", "--keep", "--batch-rows", "13", "-o", str(written)]
    table = files / f"new.{suffix}"
    assert main(["outliers", str(files / "detector"), str(table), *options]) == 0
    judged = pd.read_csv(written) if suffix == "csv" else pd.read_parquet(written)
    assert 7 in list(judged["row"])
    assert judged["outlier"].all()
    assert len(judged) < 10
    assert list(judged.columns[-5:]) == ["row", "p_value", "outlier", "reason_1", "log_prob_1"]


def test_sample(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = load(files / "flow").sample(5, random_state=3)
    drawn = run(capsys, "sample", files / "flow", "-n", 5, "--random-state", 3)
    assert list(drawn.columns) == list(expected.columns)
    np.testing.assert_array_equal(drawn["km"], expected["km"])
    out = ["-o", str(tmp_path / "rows.parquet")]
    assert main(["sample", str(files / "flow"), "-n", "5", "--random-state", "3", *out]) == 0
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "rows.parquet"), expected)


def test_inspect(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(files / "detector")]) == 0
    told = capsys.readouterr().out
    assert told.startswith("FlowOutlierDetector, written by skflow ")
    assert "parameters: density__max_iter=1, density__max_time=100.0, random_state=0\n" in told
    assert repr(load(files / "detector").density_.schema_) in told
    assert "p-values: down to 0.0099, counted among 100 rows\n" in told


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("categorical_features", np.array([True, False]), "array([True, False]"),
        ("column_kinds", None, "column_kinds=schema of 2 columns,"),
        ("bounds", {"riders": (0.0, None)}, "bounds={'riders': (0.0, None)}"),
    ],
)
def test_inspect_tells_of_parameters_in_one_line(
    name: str, value: object, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    X = make_trips(60, 0)[["cash", "riders"]]
    plain = {"n_layers": 0, "n_components": 1, "random_state": 0}
    given = FlowDensity(**plain).fit(X).schema_ if value is None else value
    FlowDensity(**plain, **{name: given}).fit(X).save(tmp_path / "model")
    assert main(["inspect", str(tmp_path / "model")]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert line.startswith("parameters: ")
    assert told in line


@pytest.mark.parametrize("kind", ["array", "polars"])
def test_models_of_other_containers(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = make_trips(60, 0)[["km", "riders"]].to_numpy()
    names = ["x0", "x1"]
    frame = pd.DataFrame(numbers, columns=names)
    pl = pytest.importorskip("polars")
    X = numbers if kind == "array" else pl.DataFrame(numbers, schema=names)
    flow = FlowDensity(n_layers=0, n_components=1, random_state=0).fit(X)
    flow.save(tmp_path / "model")
    frame.to_csv(tmp_path / "table.csv", index=False)
    scores = run(capsys, "score", tmp_path / "model", tmp_path / "table.csv")
    np.testing.assert_array_equal(scores["log_density"], flow.score_samples(X))
    assert list(run(capsys, "sample", tmp_path / "model").columns) == names


@pytest.mark.parametrize("kind", slow_but(["csv"], ["csv", "parquet"]))
def test_report_is_that_of_the_class(files: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "report.html"
    arguments = ["report", files / "detector", files / f"new.{kind}", "-o", path, "--title", "New"]
    assert main([*map(str, arguments), "--quiet"]) == 0
    written = path.read_text(encoding="utf-8")
    assert "<title>New</title>" in written
    assert written == load(files / "detector").report(new_trips(), title="New").html
    shown = json.loads(re.findall(r'id="data">(.*?)</script>', written)[0])["rows"]
    flagged = load(files / "detector").predict(new_trips()) == -1
    assert sorted(shown["position"]) == np.flatnonzero(flagged).tolist()


def test_report_refuses_densities_and_files_that_it_reads(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new, output = str(files / "new.csv"), str(files / "none.html")
    assert main(["report", str(files / "flow"), new, "-o", output]) == 2
    assert "fit it with --outliers" in capsys.readouterr().err
    assert main(["report", str(files / "detector"), new, "-o", new]) == 2
    assert "would be replaced" in capsys.readouterr().err
    assert not (files / "none.html").exists()
