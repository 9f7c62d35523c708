"""What a table came in and how it is encoded, as JSON and back."""

from collections.abc import Sequence
from typing import Any, get_args

from skflow.archive.columns import (
    pack_codec,
    pack_schema,
    pack_stored,
    unpack_codec,
    unpack_schema,
    unpack_stored,
)
from skflow.archive.dtypes import empty_table, pack_dtype, pack_names, unpack_dtype, unpack_names
from skflow.archive.fields import Fields, shorten
from skflow.exceptions import ModelFileError
from skflow.table.codec import TableCodec
from skflow.table.column_codec import ColumnCodec
from skflow.table.frames import Container
from skflow.table.schema import ColumnSchema, Schema
from skflow.table.storage import MARKERS, ContainerKind, StoredColumn

CONTAINERS: tuple[ContainerKind, ...] = get_args(ContainerKind)


def pack_table(container: Container, codec: TableCodec) -> dict[str, Any]:
    """Return container and codec.

    Raises
    ------
    TypeError
        Where a dtype or a category is such as a file cannot hold.
    """
    columns = zip(
        container.dtypes,
        container.fitted,
        container.markers,
        codec.schema.columns,
        codec.columns,
        strict=True,
    )
    packed = [_pack_column(*column) for column in columns]
    dtypes = [dtype for dtype, _ in packed]
    return {
        "container": container.kind,
        "names": pack_names(container.template),
        "dtypes": dtypes[:1] if container.kind == "array" else dtypes,
        "columns": [column for _, column in packed],
    }


def _pack_column(
    dtype: Any,
    stored: StoredColumn,
    markers: Sequence[str],
    schema: ColumnSchema,
    codec: ColumnCodec,
) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        return pack_dtype(dtype), {
            "stored": pack_stored(stored),
            "markers": list(markers),
            "schema": pack_schema(schema),
            "codec": pack_codec(codec),
        }
    except TypeError as error:
        raise TypeError(f"Column {stored.name!r}: {error}") from error


def unpack_table(fields: Fields) -> tuple[Container, TableCodec]:
    """Return what :func:`pack_table` was given."""
    fitted, markers, schemas, columns = [], [], [], []
    with fields:
        kind = fields.kind("container", CONTAINERS)
        names = unpack_names(fields.any("names"))
        dtypes = [unpack_dtype(dtype) for dtype in fields.objects("dtypes")]
        for column in fields.objects("columns"):
            with column:
                stored = unpack_stored(column.fields("stored"))
                schema = unpack_schema(column.fields("schema"))
                fitted.append(stored)
                markers.append(tuple(column.texts("markers", MARKERS)))
                schemas.append(schema)
                columns.append(unpack_codec(column.fields("codec"), stored, schema))
        if kind == "array":
            dtypes *= len(columns)
        if not columns or len(dtypes) != len(columns):
            fields.refuse("dtypes", len(dtypes), f"one for each of {len(columns)} columns")
    labels = [column.name for column in fitted]
    if len(set(labels)) < len(labels):
        raise ModelFileError("Two columns must not have the same name.")
    template = empty_table(kind, dtypes, names, labels)
    container = Container(kind, template, dtypes, tuple(fitted), tuple(markers))
    _refuse_other_storage(container)
    return container, TableCodec(Schema(tuple(schemas)), columns)


def _refuse_other_storage(container: Container) -> None:
    """Raise where columns are stored in a way that their dtypes are not.

    Objects may be anything: of these a table without rows says nothing.
    """
    rows = container.template
    if container.kind == "array":
        rows = rows.reshape(0, len(container.fitted))
    empty = Container.fit(rows, container.names)
    for stored, read in zip(container.fitted, empty.fitted, strict=True):
        if read.dtype == "object":
            continue
        said, meant = pack_stored(stored), pack_stored(read)
        if said != meant:
            raise ModelFileError(
                f"{stored.name!r} must be {shorten(meant)}, as its dtype is; it is {shorten(said)}."
            )
