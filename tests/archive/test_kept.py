"""Files of every format version that was released can be read, and say what they said."""

import json
from pathlib import Path

import numpy as np
import pytest

from skflow import load
from skflow.estimators.persistence import VERSION
from tests.archive.keep import FOLDER, kept_schema, rows_of

KEPT = sorted(FOLDER.glob("*.skflow"))


def test_every_version_is_kept() -> None:
    names = {path.stem for path in KEPT}
    kinds = ("density", "mixed", "detector")
    assert {f"version_{i}_{kind}" for i in range(1, VERSION + 1) for kind in kinds} <= names


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_kept_files_say_what_they_said(path: Path) -> None:
    told = json.loads(path.with_suffix(".json").read_text())
    loaded, X = load(path), rows_of(path.stem.split("_")[-1])
    np.testing.assert_allclose(loaded.score_samples(X), told["scores"], rtol=1e-9, atol=1e-9)
    if "p_values" in told:
        np.testing.assert_allclose(loaded.p_values(X), told["p_values"], rtol=1e-9)
    assert repr(kept_schema(loaded)) == told["schema"]
