"""Folders and patterns are answered file by file, and a command that was stopped goes on."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skflow import load
from skflow.command_line import commands
from skflow.command_line.formats import JOURNAL
from skflow.command_line.main import main
from tests.command_line.conftest import EXACT

pytest.importorskip("pyarrow")


@pytest.fixture
def folder(files: Path, tmp_path: Path) -> Path:
    """A model, and a folder of two Parquet files and one below."""
    shutil.copy(files / "flow", tmp_path / "model")
    (tmp_path / "rows" / "late").mkdir(parents=True)
    rows = pd.read_parquet(files / "new.parquet")
    for k, name in enumerate(("a.parquet", "b.parquet", "late/c.parquet")):
        rows[20 * k : 20 * (k + 1)].to_parquet(tmp_path / "rows" / name)
    return tmp_path


def score(folder: Path, table: str = "rows", *more: str) -> int:
    return main(["score", f"{folder}/model", f"{folder}/{table}", "-o", f"{folder}/out", *more])


def lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.replace(f"{folder}/out/", "").splitlines()


SKIPPED = "skipped; it was written from these rows by this model"


def test_each_file_is_answered_as_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert score(folder) == 0
    names = ["a.parquet", "b.parquet", "late/c.parquet"]
    assert lines(folder, capsys) == [f"{name}: written" for name in names]
    model = load(folder / "model")
    for name in names:
        expected = model.score_samples(pd.read_parquet(folder / "rows" / name))
        np.testing.assert_array_equal(
            pd.read_parquet(folder / "out" / name)["log_density"], expected
        )
    # Whoever reads the folder as one table finds the answers alone.
    assert len(pd.read_parquet(folder / "out")) == 60


def test_what_is_there_is_skipped_unless_something_has_changed(
    folder: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(folder) == 0
    before = (folder / "out/b.parquet").stat().st_mtime_ns
    (folder / "out/a.parquet").unlink()
    shutil.copy(folder / "rows/a.parquet", folder / "rows/late/c.parquet")
    capsys.readouterr()
    assert score(folder, "rows", "--n-jobs", "1", "--batch-rows", "7") == 0
    assert lines(folder, capsys) == [
        "a.parquet: written",
        f"b.parquet: {SKIPPED}",
        "late/c.parquet: written again; the rows have changed",
    ]
    assert (folder / "out/b.parquet").stat().st_mtime_ns == before
    with (folder / "out/b.parquet").open("r+b") as file:
        file.truncate(100)
    assert score(folder, "rows/*.parquet") == 0
    assert lines(folder, capsys) == [
        f"a.parquet: {SKIPPED}",
        "b.parquet: written again; it has changed",
    ]
    assert score(folder, "rows", "--keep") == 0
    assert {line.partition(": ")[2] for line in lines(folder, capsys)} == {
        "written again; the model or an option has changed"
    }
    load(files / "flow").set_params(n_bins=3).save(folder / "model")
    assert score(folder, "rows", "--keep", "--quiet") == 0
    assert lines(folder, capsys) == []
    assert score(folder, "rows", "--keep") == 0
    assert {line.partition(": ")[2] for line in lines(folder, capsys)} == {SKIPPED}


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_stopped_command_goes_on(
    error: BaseException,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was written stays; what was not is as if it had not begun, a torn line included."""
    answer, left = commands.answer_table, 2

    def stop(*arguments: object, **options: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise error
        answer(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(commands, "answer_table", stop)
        assert score(folder) in (2, 130)
    said = capsys.readouterr()
    assert said.out == f"{folder}/out/a.parquet: written\n"
    assert "goes on where it was" in said.err or "No space left" in said.err
    with (folder / "out" / JOURNAL).open("ab") as journal:
        journal.write(b'{"output": "b.parquet", "by"')
    assert score(folder) == 0
    assert lines(folder, capsys) == [
        f"a.parquet: {SKIPPED}",
        "b.parquet: written",
        "late/c.parquet: written",
    ]
    entries = (folder / "out" / JOURNAL).read_text().splitlines()
    assert json.loads(entries[-1])["output"] == "late/c.parquet"


def test_other_files_are_answered_beside_faulty_ones(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (folder / "rows/a.parquet").read_bytes()
    (folder / "rows/a.parquet").write_bytes(whole[:-100])
    (folder / "rows/b.parquet").write_bytes(damage(whole))
    pd.DataFrame({"other": [1.0]}).to_parquet(folder / "rows/d.parquet")
    assert score(folder) == 2
    said = capsys.readouterr()
    assert f"{folder}/rows/a.parquet is no sound Parquet file" in said.err
    assert said.err.splitlines()[-1] == (
        f"skflow: error: 3 of 4 tables have no answers: '{folder}/rows/a.parquet', "
        f"'{folder}/rows/b.parquet', '{folder}/rows/d.parquet'. All others have; the same command "
        "tries these again."
    )
    written = [f"{folder}/out/{name}: not written" for name in ("a.parquet", "b.parquet")]
    assert said.out.splitlines()[:2] == written
    assert sorted(os.listdir(folder / "out")) == [JOURNAL, "late"]
    for name in "ab":
        (folder / f"rows/{name}.parquet").write_bytes(whole)
    (folder / "rows/d.parquet").unlink()
    assert score(folder) == 0
    assert lines(folder, capsys) == [
        "a.parquet: written",
        "b.parquet: written",
        f"late/c.parquet: {SKIPPED}",
    ]
    (folder / "rows/b.parquet").write_bytes(damage(whole))
    assert score(folder) == 2
    assert lines(folder, capsys)[1] == "b.parquet: left as it was"


def damage(file: bytes) -> bytes:
    """Destroy the pages of a Parquet file, but not what says where they are."""
    return file[:4] + bytes(len(file) // 3) + file[4 + len(file) // 3 :]


def test_parts_of_a_killed_command_are_removed(folder: Path) -> None:
    (folder / "out").mkdir()
    for name in (".a.parquet.0123abcd.part", ".z.parquet.0123abcd.part"):
        (folder / "out" / name).touch()
    assert score(folder) == 0
    assert sorted(path.name for path in (folder / "out").glob(".*")) == [".z.parquet.0123abcd.part"]


def test_patterns_of_csv_files_and_files_without_rows(
    folder: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pd.read_parquet(files / "new.parquet").assign(extra=1)
    rows.to_csv(folder / "1.csv", index=False)
    rows.to_csv(folder / "2.csv.gz", index=False)
    rows[:0].to_csv(folder / "3.csv", index=False)
    assert score(folder, "*.csv*") == 0
    said = capsys.readouterr()
    assert said.err.count("'extra'") == 1  # the note is not repeated
    assert said.out.splitlines()[2] == (
        f"{folder}/out/3.csv: not written; {folder}/3.csv has no rows"
    )
    one, two = (pd.read_csv(folder / "out" / name, **EXACT) for name in ("1.csv", "2.csv.gz"))
    pd.testing.assert_frame_equal(one, two)


def test_outliers_of_a_folder(
    folder: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["outliers", f"{files}/detector", f"{folder}/rows", "-o", f"{folder}/out"]
    assert main([*command, "--only"]) == 0
    found = pd.read_parquet(folder / "out")
    assert found["outlier"].all()
    assert 0 < len(found) < 30
    assert main([*command, "--top", "3"]) == 2
    assert "--top: for one table, not for the 3 of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rows"], "is 3 tables: name a folder"),
        (["rows", "-o", "model"], "is 3 tables: name a folder"),
        (["rows", "-o", "rows"], "is the folder of the tables; name another one"),
        (["rows/late", "-o", "rows"], "is the folder of the tables; name another one"),
        (["none/*.csv", "-o", "out"], "there are no files"),
        (["m*", "-o", "out"], "its ending says what a table is"),
    ],
)
def test_outputs_and_inputs_that_cannot_be(
    arguments: list[str],
    said: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "model.txt").touch()
    monkeypatch.chdir(folder)
    assert main(["score", "model", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert sorted(os.listdir(folder)) == ["model", "model.txt", "rows"]


def test_answers_in_a_folder_below_are_no_tables(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["score", f"{folder}/model", f"{folder}/rows", "-o", f"{folder}/rows/scores"]
    assert main(command) == 0
    capsys.readouterr()
    assert main(command) == 0
    assert capsys.readouterr().out.count(SKIPPED) == 3
    others = [*command[:-1], f"{folder}/rows/again"]
    assert main(others) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_answers_to_a_table_that_has_become_empty_are_removed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(folder) == 0
    rows = pd.read_parquet(folder / "rows" / "a.parquet")
    rows[:0].to_parquet(folder / "rows" / "a.parquet")
    capsys.readouterr()
    assert score(folder) == 0
    assert lines(folder, capsys)[0] == f"a.parquet: removed; {folder}/rows/a.parquet has no rows"
    assert not (folder / "out" / "a.parquet").exists()


def test_several_files_of_csv_are_not_fitted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("1.csv", "2.csv"):
        (folder / name).write_text("x\n1\n2\n")
    assert main(["fit", f"{folder}/*.csv", "-o", f"{folder}/fitted"]) == 2
    assert "1.csv is CSV: several files are fitted as Parquet" in capsys.readouterr().err
