import numpy as np
import pandas as pd
import pytest

from skflow.outliers.coordinates import Coordinates
from skflow.table.codec import TableCodec
from skflow.table.frames import Container
from skflow.table.inference import infer_schema
from tests.mixed import every_kind, small_mix


def coordinates_of(frame: pd.DataFrame, later: pd.DataFrame | None = None):
    container = Container.fit(frame, [str(name) for name in frame.columns])
    table = container.read(frame)
    codec = TableCodec.fit(
        table,
        infer_schema(table, column_kinds=None, categorical_features="from_dtype", bounds=None),
    )
    coordinates = Coordinates.fit(codec, table)
    return coordinates(table if later is None else container.read(later))


def test_numbers_are_standardised() -> None:
    frame = pd.DataFrame(np.random.default_rng(0).gamma(9.0, 3.0, size=(500, 3)))
    expected = (frame - frame.mean()) / frame.std(ddof=0)
    np.testing.assert_allclose(coordinates_of(frame), expected, atol=1e-12)


def test_levels_keep_their_order_and_distance() -> None:
    levels = np.random.default_rng(0).integers(5, size=300)
    points = coordinates_of(pd.DataFrame({"level": levels}))[:, 0]
    centres = [points[levels == level].mean() for level in range(5)]
    assert (np.diff(centres) > 0).all()
    assert np.ptp(np.diff(centres)) < 0.5 * np.diff(centres).mean()


def test_a_category_varies_as_much_as_a_number_and_its_levels_are_apart() -> None:
    colours = pd.DataFrame({"colour": np.repeat(["red", "green", "blue"], 100)})
    points = coordinates_of(colours)
    assert points.shape == (300, 4)  # the last is of levels never seen
    assert points.var(axis=0).sum() == pytest.approx(1.0)
    red, green, blue = points[0], points[100], points[200]
    distances = [np.linalg.norm(a - b) for a, b in ((red, green), (green, blue), (blue, red))]
    np.testing.assert_allclose(distances, distances[0])


def test_indicators_are_above_0_where_a_row_has_the_level() -> None:
    frame = pd.DataFrame({"colour": np.repeat(["red", "green"], [300, 20])})
    later = pd.DataFrame({"colour": ["green", "red", "blue"]})
    has_level = coordinates_of(frame, later) > 0
    np.testing.assert_array_equal(has_level, np.eye(3, dtype=bool)[[1, 0, 2]])


def test_a_missing_number_lies_at_the_mean_and_says_so() -> None:
    frame = small_mix(400)
    points = coordinates_of(frame[["weight"]])
    missing = frame["weight"].isna().to_numpy()
    assert (points[missing, 0] == 0).all()
    np.testing.assert_array_equal(points[:, 1:] > 0, np.column_stack((~missing, missing)))
    assert points[:, 1:].var(axis=0).sum() == pytest.approx(1.0)


@pytest.mark.parametrize("factor", [1000.0, 2.0**-40])
def test_units_do_not_matter(factor) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(5, 2, size=(300, 2)).round(3))
    scaled = frame * [1.0, factor]
    np.testing.assert_allclose(coordinates_of(scaled), coordinates_of(frame), atol=1e-9)


def test_every_kind_of_column_has_finite_coordinates() -> None:
    frame = every_kind(200)
    odd = frame.iloc[:4].copy()
    odd.loc[0, "colour"] = "never seen"
    odd.loc[1, "digits"] = 1e300
    odd.loc[2, "integer"] = 2**62
    points = coordinates_of(frame, odd)
    assert np.isfinite(points).all()
    assert np.abs(points).max() <= 1e6
