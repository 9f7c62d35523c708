"""Kinds and families: the documented rules are the tuple, and each column has a kind."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from skflow.table.families import FAMILIES
from skflow.table.inference import infer_schema
from skflow.table.kinds import KINDS, RULES, kinds_of
from tests.table.trips import fit_column

SPREAD = np.random.default_rng(0).standard_normal(50)
VALUES = {
    "number": SPREAD,
    "boolean": np.array([True, False]),
    "category": np.array(["a", "b", None], dtype=object),
    "date": (1e9 * SPREAD).astype("M8[s]"),
    "duration": (1e9 * SPREAD).astype("m8[s]"),
}


def test_rules_are_documented_in_their_order() -> None:
    rules = re.findall(r"^ *\d\. (.*?)[:,]", infer_schema.__doc__ or "", flags=re.MULTILINE)
    named = [name for rule in rules for name in re.findall(r"\*(\w+)\*", rule)]
    assert named == [kind.name for kind in RULES]
    assert list(KINDS) == [*named, "implied"]  # which constraints make, and no rule


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_has_a_kind_whatever_its_values(family: str) -> None:
    fitted = fit_column(VALUES[family], categorical_features=None)
    assert fitted.column.family == family
    assert fitted.column.kind in kinds_of(family)
    missing = fit_column(VALUES[family][:0], categorical_features=None)
    assert missing.column.kind == "categorical"


@pytest.mark.parametrize("values", [[True, False] * 30, [1, 2] * 30, [0.5, 2.5] * 30])
def test_two_different_values_are_no_constant(values: list[Any]) -> None:
    with pytest.raises(ValueError, match="for constant, but it holds 2 different values"):
        fit_column(values, column_kinds={"a": "constant"})


@pytest.mark.parametrize("kind", RULES, ids=lambda kind: kind.name)
def test_codecs_are_restored_from_their_state(kind: Any) -> None:
    """State is plain data but for the scaling, which a file restores by itself."""
    family = kind.families[0]
    values = {
        "constant": np.full(50, 2.5),
        "levels": np.resize([1.0, 2.0, 3.0], 80),
        "clock": np.arange(50),
        "integer": np.arange(50),
        "decimal": (SPREAD * 100).round() / 100,
    }.get(kind.name, VALUES[family])
    options = {"column_kinds": {"a": kind.name}}
    fitted, frame = fit_column(values, **options), pd.DataFrame({"a": values})
    codec, column = fitted.codec.columns[0], fitted.read(frame).columns[0]
    state = codec.state() | ({"scaling": codec.scaling} if hasattr(codec, "scaling") else {})
    restored = kind.restore(codec.stored, fitted.column, state)
    for expected, found in zip(codec.encode(column), restored.encode(column), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert restored.state() == codec.state()
