"""README.md: its commands are those that are run, its code runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"```bash\n(.*?)\n```", README, re.DOTALL)
SET_UP = [command for command in COMMANDS if "-c constraints.txt" in command]

# What the text says of a block, appended to it.
SAID = """
if "detector" in globals():
    assert strange.index.tolist() == [row]
    assert {*detector.score_features(strange).loc[row].nsmallest(2).index} == {"s1", "s2"}
"""


blocks = pytest.mark.parametrize("block", PYTHON_BLOCKS, ids=lambda x: x.splitlines()[-1][:40])


def assert_rounded(printed: str) -> None:
    """What is 0 but for rounding is printed as 0."""
    assert re.search(r"e-1\d\b", printed) is None


@pytest.mark.usefixtures("few_fits", "few_candidates")
@blocks
def test_each_block_runs_with_few_epochs(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With names of its own: nothing of another block is defined."""
    monkeypatch.chdir(tmp_path)
    block = re.sub(r"max_iter=\d+", "max_iter=1", block)
    quick = {"KFold(3": "KFold(2", "cv=3": "cv=2", "[0, 4]": "[0, 1]", "[1, 4]": "[1]"}
    for many, few in quick.items():
        block = block.replace(many, few)
    block = block.replace("FlowDensity(random_state=0)", "FlowDensity(random_state=0, max_iter=1)")
    exec(block, {"__name__": "__main__"})
    assert_rounded(capsys.readouterr().out)


@pytest.mark.slow
@pytest.mark.timeout(900)
@blocks
def test_each_block_runs(block: str, tmp_path: Path) -> None:
    """In a fresh process."""
    command = [sys.executable, "-W", "error::UserWarning", "-c", block + SAID]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert_rounded(done.stdout)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_command_line_runs_as_written(tmp_path: Path) -> None:
    """In the environment of the tests, with the tables that the block writes first."""
    (block,) = [command for command in COMMANDS if "skflow fit" in command]
    _, *lines = block.replace("examples/", f"{ROOT / 'examples'}/").splitlines()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c", "\n".join(lines)]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    written = {"model.skflow", "scores.csv", "watch.skflow", "new.html"}
    assert written <= {file.name for file in tmp_path.iterdir()}
    outliers = done.stdout.partition("row,")[2].splitlines()
    assert outliers[1].startswith("0,"), done.stdout  # the row with swapped cells


def test_set_up_commands_are_those_that_are_run() -> None:
    run = (ROOT / ".ci" / "run").read_text()
    patterns = re.findall(r"grep -E '(.*)' README\.md", run)
    found = [re.findall(pattern, README, re.MULTILINE) for pattern in patterns]
    assert sorted(found) == sorted([command] for command in SET_UP)
    assert run.count("eval ") == len(SET_UP) == 2


def test_numbers_are_those_of_the_figures_they_link_to() -> None:
    links = re.findall(r"\[([^\]]*\d[^\]]*)\]\(docs/benchmarks/figures/(\w+)\.png\)", README)
    assert len(links) >= 6
    for words, name in links:
        text = (ROOT / "docs" / "benchmarks" / "figures" / f"{name}.rst").read_text()
        known = re.findall(r"\d+(?:\.\d+)?", text)
        assert set(re.findall(r"\d+(?:\.\d+)?", words)) <= set(known), name


def test_links_lead_to_files() -> None:
    links = re.findall(r"\]\(((?!http)[^)]+)\)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_size_of_a_download_is_said_before_it_begins() -> None:
    assert README.index("**Download size.**") < README.index("pip install")
    assert README.index("/whl/cpu") < min(README.index(command) for command in SET_UP)
