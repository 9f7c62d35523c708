"""Dtypes of pandas in the words of Spark's SQL."""

from typing import Any

import pandas as pd

# By kind and bytes. Spark has no unsigned integers: the next wider ones hold them.
WORDS = {
    **dict.fromkeys(("f2", "f4"), "float"),
    "f8": "double",
    "i1": "tinyint",
    **dict.fromkeys(("i2", "u1"), "smallint"),
    **dict.fromkeys(("i4", "u2"), "int"),
    **dict.fromkeys(("i8", "u4"), "bigint"),
    "u8": "decimal(20,0)",
    "b1": "boolean",
    "M8": "timestamp_ntz",
    "m8": "interval day to second",
}


def spell_column(name: str, dtype: Any) -> str:
    """Return a column as a part of a DDL schema: its name, quoted where needed, and its type."""
    quoted = name if name.isidentifier() else "`" + name.replace("`", "``") + "`"
    if isinstance(dtype, pd.DatetimeTZDtype):
        return f"{quoted} timestamp"
    if isinstance(dtype, pd.CategoricalDtype) or dtype.kind in "OUS":
        return f"{quoted} string"
    return f"{quoted} {WORDS[f'{dtype.kind}{dtype.itemsize}']}"
