"""Tables in Parquet files, written for tests; needs pyarrow."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pa = pytest.importorskip("pyarrow")
ds = pytest.importorskip("pyarrow.dataset")
pq = pytest.importorskip("pyarrow.parquet")


def write(folder: Path, frame: pd.DataFrame, cuts: list[int], group_rows: int = 500) -> Any:
    """Write parts of a frame to files, and return them as a dataset."""
    ends = [*sorted(cuts), len(frame)]
    for k, (start, stop) in enumerate(zip([0, *ends], ends, strict=False)):
        table = pa.Table.from_pandas(frame[start:stop], preserve_index=False)
        pq.write_table(table, folder / f"{k:03}.parquet", row_group_size=group_rows)
    return ds.dataset(folder, format="parquet")
