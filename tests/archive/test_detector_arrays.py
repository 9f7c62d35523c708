"""Clusters that no fit gives are refused: they would score rows without a word, and wrongly."""

import struct
from pathlib import Path

import numpy as np
import pytest

from skflow import FlowOutlierDetector, load
from skflow.archive.detectors import unpack_calibration
from skflow.exceptions import ModelFileError
from tests.archive.parts import Parts, put_together, take_apart
from tests.mixed import small_mix
from tests.settings import ONE_TINY_LAYER
from tests.tables import unfitted

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> Parts:
    path = tmp_path_factory.mktemp("detector") / "saved.skflow"
    unfitted(FlowOutlierDetector, **ONE_TINY_LAYER).fit(small_mix(150)).save(path)
    return take_apart(path.read_bytes())


def with_all(parts: Parts, ending: str, value: float) -> bytes:
    """Return the file with every number of the first such array replaced."""
    name = next(name for name in parts.tensors if name.endswith(ending))
    place = parts.array_slice(name)
    n = (place.stop - place.start) // 8
    data = parts.data[: place.start] + n * struct.pack("<d", value) + parts.data[place.stop :]
    return put_together(Parts(parts.document, parts.tensors, data))


@pytest.mark.parametrize(
    ("ending", "value"),
    [
        (".bandwidths", 0.0),
        (".bandwidths", 1e-200),
        (".bandwidths", 1.5),
        (".shares", 0.0),
        (".shares", 5e-324),
        (".shares", 1.5),
        (".weights", 0.0),
        (".variances", -1.0),
        (".bases", 2.0),
        (".centres", float("inf")),
        ("label_log_tails", 0.5),
        (".term_weights", 0.0),
        (".term_weights", 1.5),
        (".term_powers", 0.0),
    ],
)
def test_what_no_fit_gives_is_refused(parts, tmp_path: Path, ending: str, value: float) -> None:
    path = tmp_path / "crafted.skflow"
    path.write_bytes(with_all(parts, ending, value))
    with pytest.raises(ModelFileError):
        load(path)


@pytest.mark.parametrize("fault", ["zero", "of scores alone", "too few"])
def test_weights_of_calibration_rows_are_checked(fault: str) -> None:
    weights = {"score_weights": np.ones(4), "measure_weights": np.ones((2, 4))}
    arrays = {"scores": np.arange(4.0), "measures": np.array([np.arange(4.0)] * 2)} | weights
    assert unpack_calibration(dict(arrays), 0, 0.0)[1].mean_weight == 1.0
    if fault == "zero":
        arrays["measure_weights"][1, 2] = 0.0
    elif fault == "too few":
        arrays["score_weights"] = np.ones(3)
    else:
        del arrays["measure_weights"]
    with pytest.raises(ModelFileError, match="eights"):
        unpack_calibration(arrays, 0, 0.0)


def test_a_single_number_instead_of_several_is_refused(parts, tmp_path: Path) -> None:
    name = next(name for name in parts.tensors if name.endswith(".bandwidths"))
    place = parts.array_slice(name)
    tensors = parts.tensors | {name: parts.tensors[name] | {"shape": [1, 2]}}
    assert place.stop - place.start == 16
    path = tmp_path / "crafted.skflow"
    path.write_bytes(put_together(Parts(parts.document, tensors, parts.data)))
    with pytest.raises(ModelFileError, match="bandwidths"):
        load(path)
