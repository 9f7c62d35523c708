"""Reading takes at most twice the file's size, beyond what any reading takes."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skflow import FlowDensity
from tests.archive.bases import NUMBERS, TEXTS
from tests.archive.parts import DIGEST, Parts, dumps, put_together, seal, take_apart
from tests.settings import ROOT, TWO_GAUSSIANS, script

if not Path("/proc/self/status").exists():
    pytest.skip("needs Linux, to tell the peak of a process", allow_module_level=True)
CONSTANT = 2**27


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "model"
    FlowDensity(**TWO_GAUSSIANS).fit(NUMBERS).save(path)
    return path


def rise(small: Path, path: Path) -> tuple[int, str]:
    """Return by how many bytes reading a file raises the peak, and the error."""
    command = script("peak_of_loading", small, path)
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    n_bytes, error = json.loads(done.stdout)
    return n_bytes, error


@pytest.mark.slow
def test_an_honest_large_file(small: Path, tmp_path: Path) -> None:
    wide = {"n_layers": 6, "hidden_units": 1500, "max_iter": 1, "n_components": 1}
    path = tmp_path / "large"
    FlowDensity(**TWO_GAUSSIANS | wide, early_stopping=False).fit(NUMBERS[:40]).save(path)
    size = path.stat().st_size
    assert size > 10**8
    n_bytes, error = rise(small, path)
    assert error == ""
    assert size < n_bytes < 2 * size + CONSTANT  # no less: it is measured at all


@pytest.mark.slow
def test_an_honest_large_file_of_labels(small: Path, tmp_path: Path) -> None:
    label = np.arange(4000) % 990
    columns = [np.char.mod(f"{j}-%d", label) for j in range(15)]
    path = tmp_path / "large"
    FlowDensity(**TWO_GAUSSIANS).fit(np.array(columns).T).save(path)
    size = path.stat().st_size
    assert size > 10**8
    n_bytes, error = rise(small, path)
    assert error == ""
    assert size < n_bytes < 2 * size + CONSTANT


@pytest.mark.slow
def test_arrays_without_values(tmp_path: Path) -> None:
    """Arrays that hold nothing, 30 million times: a table of labels has no knots at all."""
    path, hostile = tmp_path / "labels", tmp_path / "hostile"
    FlowDensity(**TWO_GAUSSIANS).fit(TEXTS).save(path)
    parts = take_apart(path.read_bytes())
    for name in ("x_knots", "y_knots", "derivatives"):
        parts.tensors[f"model.marginals.{name}"]["shape"][0] = 30_000_000
    hostile.write_bytes(put_together(parts))
    n_bytes, error = rise(path, hostile)
    assert "x_knots" in error
    assert n_bytes < 2 * hostile.stat().st_size + CONSTANT


@pytest.mark.parametrize(
    "n_true",
    [
        pytest.param(0, id="foreign", marks=pytest.mark.slow),
        pytest.param(DIGEST.stop, id="beginning", marks=pytest.mark.slow),
        pytest.param(10_000, id="damaged"),
    ],
)
@pytest.mark.slow
def test_a_large_file_of_others(n_true: int, small: Path, tmp_path: Path) -> None:
    """Memory is taken for what was written by skflow only, however large a file is."""
    path = tmp_path / "foreign"
    path.write_bytes(small.read_bytes()[:n_true])
    os.truncate(path, 2**29)  # sparse: it takes no room on the disk
    n_bytes, error = rise(small, path)
    assert "is damaged" in error if n_true else "was not written by skflow" in error
    assert n_bytes < CONSTANT


def of_many_values(parts: Parts) -> bytes:
    parts.document["feature_names_in"] = "many"
    many = "[" + ",".join(["[]"] * 3_000_000) + "]"
    document = dumps(parts.document).replace(dumps("many"), many)
    return seal(document, dumps(parts.tensors), parts.data)


def of_wide_letters(parts: Parts) -> bytes:
    """One letter that takes four bytes has all others take four."""
    parts.document["written_by"] = "\U0001f600" + "x" * 10_000_000
    return put_together(parts)


def of_many_tensors(parts: Parts) -> bytes:
    nothing = {"dtype": "F64", "shape": [0], "data_offsets": [0, 0]}
    parts.tensors |= {str(i): nothing for i in range(300_000)}
    return put_together(parts)


def of_a_huge_recipe(parts: Parts) -> bytes:
    sizes = {"n_layers": 3, "hidden_units": 10**6, "n_blocks": 10**6, "n_bins": 10**6}
    parts.document["recipe"] |= sizes
    return put_together(parts)


def of_a_huge_tensor(parts: Parts) -> bytes:
    spec: dict[str, Any] = next(iter(parts.tensors.values()))
    spec["shape"], spec["data_offsets"] = [10**11], [0, 8 * 10**11]
    return put_together(parts)


def of_wide_texts(parts: Parts) -> bytes:
    parts.document["table"]["dtypes"] = [{"library": "numpy", "name": "<U999999"}]
    return put_together(parts)


def of_many_numbers_of_a_category(parts: Parts) -> bytes:
    levels = np.arange(2_000_000).tolist()
    parts.document["table"]["columns"][0]["schema"]["levels"] = levels
    return put_together(parts)


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        of_many_values,
        *(
            pytest.param(make, marks=pytest.mark.slow)
            for make in (
                of_wide_letters,
                of_many_tensors,
                of_a_huge_recipe,
                of_a_huge_tensor,
                of_wide_texts,
                of_many_numbers_of_a_category,
            )
        ),
    ],
)
def test_hostile_sizes(make: Any, small: Path, tmp_path: Path) -> None:
    path = tmp_path / "hostile"
    path.write_bytes(make(take_apart(small.read_bytes())))
    n_bytes, error = rise(small, path)
    assert error
    assert n_bytes < 2 * path.stat().st_size + CONSTANT
