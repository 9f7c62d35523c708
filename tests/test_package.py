"""Wheel and sdist hold what they should, and nothing else."""

import subprocess
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parent.parent
wheel = pytest.importorskip("hatchling.builders.wheel", reason="needs hatchling")
sdist = pytest.importorskip("hatchling.builders.sdist", reason="needs hatchling")


@pytest.fixture(scope="module")
def files() -> set[str]:
    """Files of the checkout that git does not ignore."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}


def test_the_wheel_is_the_package(tmp_path: Path, files: set[str]) -> None:
    (path,) = wheel.WheelBuilder(str(ROOT)).build(directory=str(tmp_path))
    names = {name for name in ZipFile(path).namelist() if ".dist-info/" not in name}
    assert names == {name for name in files if name.startswith("skflow/")}
    assert {"skflow/py.typed", "skflow/report/page/page.html"} <= names


def test_the_sdist_is_the_checkout(tmp_path: Path, files: set[str]) -> None:
    (path,) = sdist.SdistBuilder(str(ROOT)).build(directory=str(tmp_path))
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    folders = {name.partition("/")[0] for name in names if "/" in name}
    assert folders == {".ci", "benchmarks", "docs", "examples", "skflow", "tests"}
    assert {name for name in names if "/" in name} == {
        name for name in files if name.partition("/")[0] in folders and "/" in name
    }
    top = {"README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "pyproject.toml", "PKG-INFO"}
    assert top | {"CONTRIBUTING.md", "constraints.txt", ".readthedocs.yaml"} <= names
