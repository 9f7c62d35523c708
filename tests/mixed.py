"""Mixed tables that several tests use."""

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray

COLOURS = ["red", "green", "blue", ""]
SIZES = pd.CategoricalDtype(["none", "small", "medium", "large", "huge"], ordered=True)


def punch(values: pd.Series, rng: np.random.Generator, share: float, marker: object) -> pd.Series:
    """Put ``marker`` into some cells."""
    return values.mask(rng.random(len(values)) < share, marker)


def every_kind(n_rows: int, seed: int = 0) -> pd.DataFrame:
    """One column, or two, of each kind and of each missing marker, all of them related."""
    rng = np.random.default_rng(seed)
    group = rng.integers(3, size=n_rows)
    factor = rng.standard_normal(n_rows) + group
    noise = np.random.default_rng([seed, 1]).standard_normal(n_rows)
    mixed = np.array(["ä", 1, True, 2.5, (1, 2), None], dtype=object)
    start = pd.Timestamp("2020-02-29", tz="Europe/Paris")
    series = {
        "float32": factor.astype(np.float32),
        "float16": (10 * factor + rng.random(n_rows)).astype(np.float16),
        "decimal": (50 + 10 * factor + rng.standard_normal(n_rows)).round(2),
        "digits": (factor + rng.standard_normal(n_rows) / 4).round(12),  # 13 in all
        "integer": (200 * factor + 1000 * rng.random(n_rows)).astype(np.int64),
        "small": rng.integers(-128, 128, size=n_rows).astype(np.int8),
        "nullable": pd.array((30 * factor + noise).round(), dtype="Float64").astype("Int64"),
        "levels": group + rng.integers(2, size=n_rows),
        "flag": factor > 1,
        "maybe": pd.array(factor > 0, dtype="boolean"),
        "colour": np.array(COLOURS)[(group + rng.integers(2, size=n_rows)) % 4],
        "object": mixed[(group + rng.integers(4, size=n_rows)) % 6],
        "size": pd.Categorical.from_codes(1 + group, dtype=SIZES),
        "when": start + pd.to_timedelta(rng.integers(0, 10**7, size=n_rows), unit="s"),
        "day": np.datetime64("1999-12-31") + (200 * rng.random(n_rows)).astype("m8[D]"),
        "while": pd.to_timedelta((1e4 * np.exp(factor)).astype(int), unit="ms"),
        "atom": np.where(group == 0, 0.0, np.exp(factor).round(3)),
        "cap": np.minimum(np.exp(factor).round(1), 9.9),
        "hole": rng.standard_normal(n_rows).astype(np.float32),
        "constant": np.full(n_rows, 3.25),
        "same": np.full(n_rows, "always"),
    }
    df = pd.DataFrame({name: pd.Series(values) for name, values in series.items()})
    df["object"] = df["object"].astype(object)
    df["nullable"] = punch(df["nullable"], rng, 0.2, pd.NA)
    df["maybe"] = punch(df["maybe"], rng, 0.1, pd.NA)
    df["colour"] = punch(df["colour"], rng, 0.1, np.nan)
    df["size"] = punch(df["size"], rng, 0.1, np.nan)
    df["day"] = punch(df["day"], rng, 0.3, pd.NaT)
    df["while"] = punch(df["while"], rng, 0.05, pd.NaT)
    df["hole"] = punch(df["hole"], rng, 0.4, np.nan)
    df["levels"] = df["levels"].astype(np.int16)
    # An array of Python objects tells None from NaN: both are in one column.
    markers = df["object"].to_numpy(copy=True)
    markers[rng.random(n_rows) < 0.05] = float("nan")
    df["object"] = pd.Series(markers, dtype=object)
    return df


def every_polars_kind(n_rows: int, seed: int = 0) -> pl.DataFrame:
    """The same table in polars, whose nulls are not NaN, with dtypes of its own."""
    df = every_kind(n_rows, seed).drop(columns=["object", "float16"])
    frame = pl.from_pandas(df)
    rng = np.random.default_rng(seed)
    return frame.with_columns(
        pl.col("colour").cast(pl.Categorical),
        pl.col("day").cast(pl.Date),
        pl.Series("price", (rng.integers(100, 9999, n_rows) / 100).tolist()).cast(
            pl.Decimal(10, 2)
        ),
        pl.Series(
            "enum", ["a", "b"] * (n_rows // 2) + ["a"] * (n_rows % 2), pl.Enum(["a", "b", "c"])
        ),
        pl.Series("nan", np.where(rng.random(n_rows) < 0.3, np.nan, rng.random(n_rows).round(3))),
    )


def small_mix(n_rows: int, seed: int = 0) -> pd.DataFrame:
    """A flag, a category and a number with holes that depend on them: quick to fit."""
    rng = np.random.default_rng(seed)
    colour = rng.choice(["red", "green", "blue"], size=n_rows, p=[0.5, 0.3, 0.2])
    flag = rng.random(n_rows) < np.where(colour == "red", 0.8, 0.3)
    length = rng.standard_normal(n_rows) + 3 * flag
    weight = 2 * length + rng.standard_normal(n_rows)
    weight[rng.random(n_rows) < np.where(flag, 0.4, 0.1)] = np.nan
    return pd.DataFrame({"colour": colour, "flag": flag, "length": length, "weight": weight})


def object_array(n_rows: int, seed: int = 0) -> NDArray[np.object_]:
    """Numbers, text and holes in one array of objects."""
    df = every_kind(n_rows, seed)
    columns = [df["integer"], df["colour"], df["object"], df["levels"]]
    return np.column_stack([column.astype(object).to_numpy() for column in columns])
