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
def tracked() -> set[str]:
    """Files of the last commit and those that are staged."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    command = ["git", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(listed.stdout.split("\0")) - {""}


def test_the_wheel_is_the_package(tmp_path: Path, tracked: set[str]) -> None:
    (path,) = wheel.WheelBuilder(str(ROOT)).build(directory=str(tmp_path))
    names = {name for name in ZipFile(path).namelist() if ".dist-info/" not in name}
    assert names == {name for name in tracked if name.startswith("skflow/")}
    assert {"skflow/py.typed", "skflow/report/page/page.html"} <= names


def test_the_sdist_is_the_checkout(tmp_path: Path, tracked: set[str]) -> None:
    (path,) = sdist.SdistBuilder(str(ROOT)).build(directory=str(tmp_path))
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names - {"PKG-INFO"} == tracked - {".readthedocs.yaml"}
