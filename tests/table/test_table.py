"""Codecs: exact both ways, with their log-volume."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.differentiate import derivative

from skflow.table.codec import TableCodec
from skflow.table.columns import Bent, Scaled, fit_column, round_to_digits
from skflow.table.schema import infer_schema

WIDE = np.concatenate((-np.geomspace(1e12, 1e-12, 200), [0.0], np.geomspace(1e-12, 1e12, 200)))


def codec_of(X: NDArray) -> TableCodec:
    dtypes = [X.dtype] * X.shape[1]
    matrix = X.astype(np.float64)
    return TableCodec(matrix, infer_schema(matrix, list("abcdef")[: X.shape[1]], dtypes), dtypes)


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (np.array([1.5, 2.5, 900.0]), "continuous", Scaled),
        (np.array([0.0, 1.0, 3.0]), "integer", Scaled),
        (WIDE, "continuous", Bent),
        (np.full(4, 7.0), "constant", Bent),
    ],
)
def test_encoding_fits_the_values(values: NDArray, kind: str, expected: type) -> None:
    assert type(fit_column(values, kind)) is expected


CODECS = {
    "scaled": Scaled(np.array([3.0, 700.0])),
    "bent": Bent(0.0, 1e-3),
    "bent around a constant": Bent(5.0, 5.0),
}


@pytest.mark.parametrize("name", CODECS)
def test_decode_undoes_encode(name: str) -> None:
    codec = CODECS[name]
    values = np.concatenate((WIDE, [1e300, -1e300]))
    encoded, _ = codec.encode(values)
    assert (np.diff(encoded[:401]) >= 0).all()
    size = np.maximum(np.abs(values), codec.scale)
    assert (np.abs(codec.decode(encoded) / size - values / size) < 1e-12).all()


@pytest.mark.parametrize("name", CODECS)
def test_log_volume_is_the_derivative(name: str) -> None:
    codec = CODECS[name]
    values = np.array([-3e4, -20.0, -0.5, 0.02, 1.0, 7.5, 1e5])

    def encode(v: NDArray) -> NDArray:
        return codec.encode(v.ravel())[0].reshape(v.shape)

    slope = derivative(encode, values, initial_step=0.1 * np.abs(values))
    np.testing.assert_allclose(codec.encode(values)[1], np.log(slope.df), atol=1e-5)


@pytest.mark.parametrize("name", CODECS)
def test_the_largest_numbers_stay_finite(name: str) -> None:
    values = np.array([1.7e308, -1.7e308, 5e-324, 0.0])
    encoded, log_volume = CODECS[name].encode(values)
    assert np.isfinite(encoded).all()
    assert np.isfinite(log_volume).all()
    assert np.isfinite(CODECS[name].decode(encoded)).all()
    assert np.isfinite(CODECS[name].decode(np.array([1e308, -1e308]))).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.uint64, bool])
def test_tables_come_back_in_their_dtype(dtype: type) -> None:
    X = (np.random.default_rng(0).integers(0, 2, size=(40, 3)) * 3).astype(dtype)
    codec = codec_of(X)
    encoded, _ = codec.encode(X.astype(np.float64))
    for j, column in enumerate(codec.decode(encoded + 1e-13)):
        assert column.dtype == dtype
        np.testing.assert_array_equal(column, X[:, j])


def test_stored_values_stay_within_their_dtype() -> None:
    for dtype in (np.int8, np.uint8, np.int64, np.uint64, np.float16):
        X = np.arange(6).reshape(3, 2).astype(dtype)
        for far in (1e30, -1e30):
            column = codec_of(X).decode(np.full((2, 2), far))[0]
            limits = np.iinfo(dtype) if X.dtype.kind in "iu" else np.finfo(dtype)
            bound = float(limits.max if far > 0 else limits.min)
            np.testing.assert_allclose(column.astype(float), bound, rtol=1e-9)


@pytest.mark.parametrize("unit", [1e-300, 1e-30, 1e-6, 1.0, 1e5, 1e30, 1e300])
@pytest.mark.parametrize("digits", [1, 5, 13])
def test_rounding_finds_the_decimal(unit: float, digits: int) -> None:
    """Python reads the decimal; noise below its 13th digit is taken away."""
    rng = np.random.default_rng(1)
    decimals = [f"{x:.{digits - 1}e}" for x in rng.uniform(1, 9.9, 50)]
    values = np.array([float(f"{d[:-4]}e{np.log10(unit):.0f}") for d in decimals])
    noisy = values * (1 + 1e-14 * rng.uniform(-1, 1, 50))
    np.testing.assert_array_equal(round_to_digits(noisy, 9 * unit), values)


def test_rounding_leaves_large_values_13_digits() -> None:
    values = np.array([1.23456789e20, -9.87e150, 4e-3])
    np.testing.assert_array_equal(round_to_digits(values, 1.0), values)


def test_kinds() -> None:
    X = np.column_stack((np.full(5, 2.0), np.arange(5.0), np.linspace(0, 1, 5), [0, 1, 0, 1, 1]))
    dtypes = [np.dtype(t) for t in (float, int, np.float32, bool)]
    schema = infer_schema(X, list("abcd"), dtypes)
    assert [c.kind for c in schema.columns] == ["constant", "integer", "continuous", "integer"]
    assert [c.dtype for c in schema.columns] == ["float64", "int64", "float32", "bool"]


def test_integers_alone_are_blurred() -> None:
    X = np.column_stack((np.arange(6), np.full(6, 4)))
    noise = np.random.default_rng(2).random((6, 2))
    blurred = codec_of(X).blur(X.astype(float), noise)
    np.testing.assert_allclose(blurred[:, 0], X[:, 0] + noise[:, 0] - 0.5, rtol=1e-15)
    np.testing.assert_array_equal(blurred[:, 1], X[:, 1])


def test_log_volume_of_a_table_adds_its_columns() -> None:
    X = np.column_stack((np.linspace(1, 9, 20), WIDE[::21][:20]))
    codec = codec_of(X)
    _, together = codec.encode(X)
    apart = [column.encode(X[:, j])[1] for j, column in enumerate(codec.columns)]
    np.testing.assert_allclose(together, np.sum(apart, axis=0))
