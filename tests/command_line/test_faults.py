"""What is wrong is told in one line, with status 2, and leaves nothing half-written."""

import errno
import fcntl
import os
import re
import signal
import struct
import sys
import termios
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

from skflow import FlowDensity
from skflow.command_line import report
from skflow.command_line.main import main
from tests.command_line.conftest import ONE_EPOCH, make_trips
from tests.command_line.faults import FAULTS, GOOD_ROW, HEADER
from tests.command_line.processes import fork, start


@pytest.mark.parametrize("name", FAULTS)
def test_faults_take_one_line(
    name: str, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = FAULTS[name]
    arguments = case.write(files, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    if arguments[0] in ("score", "outliers"):
        arguments += ["-o", str(tmp_path / "written.csv")]
    assert main(arguments) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.startswith("skflow: error: ")
    assert written.err.count("\n") == 1
    assert re.search(case.error, written.err)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


USAGE = {
    "": "required: COMMAND. See skflow --help",
    "fit": "required: TABLE, -o/--output. See skflow fit --help",
    "score model": "required: TABLE. See skflow score --help",
    "guess": "invalid choice: 'guess'",
    "score model new.csv --batch-rows 0": "--batch-rows: expected a whole number from 1 on",
    "score model new.csv --n-jobs 0": "--n-jobs: expected a whole number but 0",
    "sample model -n many": "-n/--n-rows: expected a whole number from 1 on, got 'many'",
    "sample model --random-state -1": "--random-state: expected a whole number from 0",
    "outliers model new.csv --alpha 2": "--alpha: expected a number above 0, up to 1, got '2'",
    "fit new.csv -o model --sep ;;": "--sep: expected one character, neither a quote nor",
    "outliers model new.csv --top 0": "--top: expected a whole number from 1 on",
    "fit new.csv -o model --max-time nan": "--max-time: expected a number above 0, got 'nan'",
}


@pytest.mark.parametrize("arguments", USAGE)
def test_usage_is_told_in_one_line(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments.split())
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("skflow: error: ")
    assert told.count("\n") == 1
    assert USAGE[arguments] in told


@pytest.mark.parametrize("command", [[], ["fit"], ["score"], ["outliers"], ["sample"], ["inspect"]])
def test_help_teaches(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert f"  skflow {command[0] if command else 'fit'} " in told  # an example
    assert max(map(len, told.splitlines())) <= 100


def test_names_that_only_begin_as_answers_are_free(files: Path, tmp_path: Path) -> None:
    taken = {"reason_code": 1, "log_prob_4": 2, "row": 3}
    make_trips(9, 0).assign(**taken).to_csv(tmp_path / "trips.csv", index=False)
    score = ["score", f"{files}/flow", f"{tmp_path}/trips.csv", "--keep"]
    assert main([*score, "-o", f"{tmp_path}/out.csv"]) == 0
    judge = ["outliers", f"{files}/detector", f"{tmp_path}/trips.csv", "--keep"]
    assert main([*judge, "-o", f"{tmp_path}/out.csv"]) == 2
    make_trips(9, 0).assign(reason_code=1, log_prob_4=2).to_csv(tmp_path / "trips.csv", index=False)
    assert main([*judge, "-o", f"{tmp_path}/out.csv"]) == 0


def test_a_full_disk_leaves_the_former_model(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    model.write_bytes((files / "flow").read_bytes())

    def fill(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fill)
    assert main(["fit", str(files / "train.csv"), "-o", str(model), *ONE_EPOCH]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert model.read_bytes() == (files / "flow").read_bytes()
    assert list(tmp_path.iterdir()) == [model]


def test_a_full_disk_names_the_checkpoint(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fill)
    kept = f"{tmp_path}/kept"
    fit = ["fit", f"{files}/train.csv", "-o", f"{tmp_path}/model", "--checkpoint", kept, *ONE_EPOCH]
    assert main(fit) == 2
    assert capsys.readouterr().err == f"skflow: error: {kept}: No space left on device\n"


def test_devices_stay_devices(files: Path, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.symlink_to(os.devnull)
    assert main(["score", str(files / "flow"), str(files / "new.csv"), "-o", str(nothing)]) == 0
    assert not Path(os.devnull).is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["nothing"]


def test_interrupts_leave_nothing(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_csv", interrupt)
    out = str(tmp_path / "scores.csv")
    assert main(["score", str(files / "flow"), str(files / "new.csv"), "-o", out]) == 130
    assert not list(tmp_path.iterdir())


def test_warnings_take_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twins = make_trips(60, 0)[["km"]].assign(miles=lambda trips: trips["km"] / 2)
    twins.to_csv(tmp_path / "twins.csv", index=False)
    assert main(["fit", f"{tmp_path}/twins.csv", "-o", f"{tmp_path}/model", *ONE_EPOCH]) == 0
    told = capsys.readouterr().err
    assert told.startswith("skflow: warning: ")
    assert told.count("\n") == 1


def test_parquet_needs_arrow(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "skflow.command_line.parquet", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(["score", f"{files}/flow", f"{files}/new.parquet"]) == 2
    assert 'pip install "pyarrow>=17"' in capsys.readouterr().err


def test_a_closed_pipe_ends_quietly(files: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    process = start("score", files / "flow", files / "new.csv", stdout=write)
    os.close(write)
    assert process.communicate()[1] == b""
    assert process.returncode == 141


@pytest.mark.skipif(os.name != "posix", reason="no signals of POSIX")
def test_being_told_to_end_leaves_nothing(files: Path, tmp_path: Path) -> None:
    read, write = os.pipe()
    process = fork("score", files / "flow", "-", "-o", tmp_path / "scores.csv", stdin=read)
    deadline = time.monotonic() + 120
    while not list(tmp_path.iterdir()):  # until it is at work, and waits for rows
        os.write(write, HEADER + GOOD_ROW)
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.terminate()
    process.join()
    os.close(read)
    os.close(write)
    assert process.exitcode == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="no pipes of POSIX")
def test_a_pipe_is_written_to_and_stays(files: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_text()))
    reader.start()
    assert main(["sample", f"{files}/flow", "-n", "3", "-o", str(pipe)]) == 0
    reader.join()
    assert found[0].count("\n") == 4
    assert list(tmp_path.iterdir()) == [pipe]
    assert pipe.is_fifo()


def test_notes_tell_of_columns_passed_over(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_trips(9, 0).assign(tip=1).to_csv(tmp_path / "tips.csv", index=False)
    arguments = ["score", f"{files}/flow", f"{tmp_path}/tips.csv"]
    assert main(arguments) == 0
    told = "skflow: note: columns that the model does not know are ignored: 'tip'.\n"
    assert capsys.readouterr().err == told
    assert main([*arguments, "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_p_values_out_of_reach_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = f"{tmp_path}/few.csv"
    make_trips(30, 0).to_csv(table, index=False)
    assert main(["fit", table, "--outliers", "-o", f"{tmp_path}/few", *ONE_EPOCH]) == 0
    assert main(["outliers", f"{tmp_path}/few", table]) == 0
    told = capsys.readouterr().err
    assert told.startswith("skflow: warning: no p-value of this model is below 0.0323, because 30")
    assert told.count("\n") == 1


def test_contamination_says_which_rows_are_outliers(tmp_path: Path) -> None:
    table, out = f"{tmp_path}/trips.csv", tmp_path / "judged.csv"
    make_trips(60, 0).to_csv(table, index=False)
    fit = ["fit", table, "--outliers", "--contamination", "0.2", "-o", f"{tmp_path}/m", *ONE_EPOCH]
    assert main(fit) == 0
    assert main(["outliers", f"{tmp_path}/m", table, "-o", str(out)]) == 0
    assert pd.read_csv(out)["outlier"].sum() == 12


def test_errors_of_our_own_are_not_hidden(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise ValueError("a mistake in the code")

    monkeypatch.setattr(report, "describe", fail)
    with pytest.raises(ValueError, match="mistake"):
        main(["inspect", f"{files}/flow"])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")
def test_a_full_disk_behind_standard_output(files: Path, tmp_path: Path) -> None:
    told = tmp_path / "told"
    with open("/dev/full", "wb") as full, told.open("wb") as errors:
        streams = {"stdout": full.fileno(), "stderr": errors.fileno()}
        process = fork("score", files / "flow", files / "new.csv", **streams)
        process.join()
    assert process.exitcode == 2
    assert told.read_text() == "skflow: error: standard output: No space left on device\n"


@pytest.mark.skipif(os.name != "posix", reason="no terminals of POSIX")
def test_a_terminal_sees_a_bar(files: Path, tmp_path: Path) -> None:
    terminal, its_end = os.openpty()
    fcntl.ioctl(its_end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = ["score", files / "flow", "-", "-o", tmp_path / "scores.csv"]
    with open(files / "new.csv") as table:
        process = fork(*command, stdin=table.fileno(), stdout=its_end, stderr=its_end)
        process.join()
    assert process.exitcode == 0
    os.set_blocking(terminal, False)
    assert b"100%" in os.read(terminal, 10_000)
    os.close(its_end)
    os.close(terminal)
    assert len(pd.read_csv(tmp_path / "scores.csv")) == 60


def test_interrupts_tell_what_is_left(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_csv", interrupt)
    assert main(["score", f"{files}/flow", f"{files}/new.csv"]) == 130
    assert capsys.readouterr().err == "skflow: error: interrupted.\n"  # some rows may be out
    kept = tmp_path / "kept"
    fit = ["fit", f"{files}/train.csv", "-o", f"{tmp_path}/model", "--checkpoint", f"{kept}"]
    monkeypatch.setattr(FlowDensity, "save", interrupt)
    assert main([*fit, *ONE_EPOCH]) == 130
    told = f"skflow: error: interrupted; the same command goes on from {kept}.\n"
    assert capsys.readouterr().err == told


@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="streams have no names here")
def test_streams_by_their_names_are_added_to(files: Path, tmp_path: Path) -> None:
    """What stands before in the file behind standard output stays."""
    out, told = tmp_path / "out.csv", tmp_path / "told"
    with out.open("ab") as file, told.open("wb") as errors:
        file.write(b"a title\n")
        file.flush()
        streams = {"stdout": file.fileno(), "stderr": errors.fileno()}
        fork("sample", files / "flow", "-o", "/dev/stdout", **streams).join()
        file.write(b"an end\n")
    assert told.read_bytes() == b""
    lines = out.read_text().splitlines()
    assert [lines[0], lines[-1], len(lines)] == ["a title", "an end", 4]


@pytest.mark.skipif(os.name != "posix", reason="no numbered streams of POSIX")
@pytest.mark.parametrize(("name", "table"), [("input", "-"), ("output", "new.csv")])
def test_a_closed_stream_is_told(files: Path, tmp_path: Path, name: str, table: str) -> None:
    """As of ``skflow ... >&-``: Python has None there."""
    told, path = tmp_path / "told", table if table == "-" else files / table
    with told.open("wb") as errors:
        streams = {f"std{name.removesuffix('put')}": None, "stderr": errors.fileno()}
        process = fork("score", files / "flow", path, **streams)
        process.join()
    assert told.read_text() == f"skflow: error: standard {name}: Bad file descriptor\n"
    assert process.exitcode == 2
