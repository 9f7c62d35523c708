"""The commands of the user guide are what a user can type."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from skflow.command_line.main import main
from tests.command_line.conftest import make_trips

PAGE = Path(__file__).parents[2] / "docs" / "user_guide" / "command_line.rst"
DOCUMENTED = ["--max-iter", "1", "--max-time", "100", "--quiet"]


def commands() -> list[str]:
    """The lines that begin with a prompt, in their order."""
    return re.findall(r"^   \$ (.+)$", PAGE.read_text(), flags=re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_trips(100, 0).to_csv(tmp_path / "train.csv", index=False)
    make_trips(40, 1).assign(fare=9_000.0).to_csv(tmp_path / "new.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_of_the_guide_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {line.split()[1] for line in commands() if line.startswith("skflow")} == {
        *("fit", "inspect", "score", "sample", "outliers", "report"),
    }
    for line in commands():
        if "|" in line:
            run_behind_a_pipe(line, monkeypatch)
            continue
        program, *arguments = shlex.split(line)
        assert program == "skflow"
        quick = DOCUMENTED if arguments[0] == "fit" else []
        assert main([*arguments, *quick]) == 0, line
    assert len(pd.read_csv(folder / "scores.csv")) == 40
    assert len(pd.read_csv(folder / "rows.csv")) == 1_000
    assert "Trips of Monday" in (folder / "report.html").read_text(encoding="utf-8")
    written = capsys.readouterr()
    assert "reason_1" in written.out
    assert "error" not in written.err


def run_behind_a_pipe(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run ``... | skflow ... > file``, the part before the pipe by the shell."""
    before, command = line.split("|")
    program, *arguments, to, written = shlex.split(command)
    assert (program, to) == ("skflow", ">")
    with (
        monkeypatch.context() as patched,
        subprocess.Popen(before, shell=True, stdout=subprocess.PIPE, text=True) as rows,
        open(written, "w") as out,
    ):
        patched.setattr(sys, "stdin", rows.stdout)
        patched.setattr(sys, "stdout", out)
        assert main(arguments) == 0
