"""There and back through container, schema and codec, with a flow's error in between."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from pandas.testing import assert_frame_equal
from polars.testing import assert_frame_equal as assert_polars_equal

from skflow.rows import EncodedRows
from skflow.table.codec import TableCodec
from skflow.table.frames import Container
from skflow.table.inference import infer_schema
from skflow.table.schema import ColumnSchema, Schema
from skflow.table.storage import StoredTable

NOISE = 1e-13  # relative: the flow's error
LESS_NOISE = 4e-14  # under which 13 digits survive that no grid explains


@dataclass(frozen=True)
class Fitted:
    """What a fit keeps of a table."""

    container: Container
    schema: Schema
    codec: TableCodec

    @property
    def column(self) -> ColumnSchema:
        """The only column."""
        return self.schema.columns[0]

    def read(self, table: Any) -> StoredTable:
        return self.container.read(table)

    def encode(self, table: Any) -> EncodedRows:
        return self.codec.encode(self.read(table))

    def transform(self, table: Any, noise: float = NOISE) -> EncodedRows:
        """Encode what can be given back, and add the flow's error."""
        self.codec.refuse_irreversible(self.read(table))
        encoded = self.encode(table)
        assert np.isfinite(encoded.log_volume).all()
        error = 1 + noise * np.random.default_rng(0).choice([-1, 1], size=encoded.values.shape)
        return replace(encoded, values=encoded.values * error)

    def decode(self, encoded: EncodedRows, like: Any = None, *, on_grid: bool = False) -> Any:
        columns = self.codec.decode(encoded.labels, encoded.novel, encoded.values, on_grid=on_grid)
        return self.container.build(columns, like)

    def there_and_back(self, table: Any, noise: float = NOISE) -> Any:
        return self.decode(self.transform(table, noise), like=table)


def fit(table: Any, **options: Any) -> Fitted:
    names = getattr(table, "columns", [f"x{j}" for j in range(np.shape(table)[1])])
    container = Container.fit(table, list(names))
    stored = container.read(table)
    schema = infer_schema(stored, **options)
    return Fitted(container, schema, TableCodec.fit(stored, schema))


def fit_column(values: Any, **options: Any) -> Fitted:
    return fit(pd.DataFrame({"a": values}), **options)


def assert_comes_back(
    table: Any, *, after: Any = None, noise: float = NOISE, **options: Any
) -> Fitted:
    """Every cell equal, with dtype, missing marker and index; fitted on ``after``."""
    fitted = fit(table if after is None else after, **options)
    assert_same(fitted.there_and_back(table, noise), table)
    return fitted


def assert_same(back: Any, table: Any) -> None:
    if isinstance(table, pd.DataFrame):
        assert_frame_equal(back, table, check_exact=True)
        for name in [name for name in table if table.dtypes[name].kind == "O"]:
            pairs = zip(back[name], table[name], strict=True)
            assert all(type(x) is type(y) for x, y in pairs), name
    elif isinstance(table, pl.DataFrame):
        assert_polars_equal(back, table, check_exact=True)
    else:
        assert back.dtype == table.dtype.newbyteorder("=")
        np.testing.assert_array_equal(back, table)
