"""Checks of categories: vocabularies of names or free text, cells outside a vocabulary."""

import re
from collections.abc import Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, timedelta
from typing import Any

from skflow.exceptions import DoubtfulColumnsWarning, warn_caller
from skflow.table.objects import brief
from skflow.table.storage import StoredColumn
from skflow.table.summary import TableSummary

# A column of this many strings, of which this share is distinct, names rows: an error.
IDENTIFIER_ROWS = 20
IDENTIFIER_SHARE = 0.8
# Numbers of different strings, and their share of the rows that have one, beyond which a
# warning is due. Among the columns of real tables, names of cars (305 in 398 rows) exceed
# them, names of people (550 in 1,870 rows) and of aeroplanes (3,490 in 32,735) do not.
DOUBTFUL = ((100, 0.5), (1000, 0.2))
FEWEST_CELLS = 20  # that are all new labels by no chance, although their types are the fitted ones
SHOWN = 3  # labels in a message
MOST_DATES = MOST_NUMBERS = 64  # different ones in text that are labels without a warning
DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?")
NUMBER = re.compile(r"[-+]?\d+([.,]\d+)? ?%?")
NO_INTEGER = re.compile(r"[.,%]")

PYTHON_TYPES = {"dates": date, "durations": timedelta}


def check_vocabularies(table: TableSummary, accepted: AbstractSet[int]) -> None:
    """Refuse identifiers, and warn once of all other columns of doubtful categories.

    Parameters
    ----------
    table : TableSummary
        Training rows.
    accepted : set of int
        Columns that an option names as categorical.

    Raises
    ------
    ValueError
        Where nearly each row has a string of its own, listing all such columns.

    Warns
    -----
    DoubtfulColumnsWarning
        Where more than 100 strings differ in more than half of the rows, more than 1,000 in
        more than a fifth. Where more than 64 different cells are all dates, as text or objects, or
        all numbers as text, some of them with a decimal point, a comma or a per cent sign.
    """
    identifiers, many, dates, numbers = {}, {}, {}, {}
    for j, summary in enumerate(table.columns):
        if not summary.has_vocabulary or j in accepted:
            continue
        n_present, distinct = summary.n_present, summary.vocabulary.keys()
        spelled = f"{summary.column.name!r} ({len(distinct)} different in {n_present} rows"
        if n_present >= IDENTIFIER_ROWS and len(distinct) > IDENTIFIER_SHARE * n_present:
            identifiers[j] = f"{spelled}{_advise(list(summary.vocabulary.values()))})"
        if len(distinct) > MOST_DATES and all(map(_is_date, summary.vocabulary.values())):
            dates[j] = f"{spelled})"
        elif len(distinct) > MOST_NUMBERS and _are_decimals(distinct):
            numbers[j] = f"{spelled})"
        elif any(
            len(distinct) > least and len(distinct) > share * n_present for least, share in DOUBTFUL
        ):
            many[j] = f"{spelled})"
    if identifiers:
        raise ValueError(
            "These columns look like identifiers or free text, which have no density to learn: "
            f"{', '.join(identifiers.values())}.\n{_remedy(table, list(identifiers), 'insist')}"
        )
    _warn(table, many, dates, numbers)


def _warn(
    table: TableSummary,
    many: Mapping[int, str],
    dates: Mapping[int, str],
    numbers: Mapping[int, str],
) -> None:
    parts = []
    if many:
        parts.append(
            "These columns hold so many different strings that fit and score take long, and "
            f"samples repeat names of the training rows: {', '.join(many.values())}.\n"
            f"{_remedy(table, list(many), 'keep them')}"
        )
    if dates:
        lines = "\n".join(_conversion(table, j) for j in dates)
        kinds = {table.columns[j].column.name: "categorical" for j in dates}
        parts.append(
            "These columns hold dates as text or objects, each a category without order: "
            f"{', '.join(dates.values())}.\nMake them dates: {lines}\n"
            f"or keep them: column_kinds={kinds}"
        )
    if numbers:
        kinds = {table.columns[j].column.name: "categorical" for j in numbers}
        parts.append(
            "These columns hold numbers as text, each a category without order: "
            f"{', '.join(numbers.values())}.\nMake them numbers, as with "
            'pd.read_csv(..., decimal=",") or X["column"].str.rstrip("%").str.replace(",", ".")'
            ".astype(float);\n"
            f"or keep them: column_kinds={kinds}"
        )
    if parts:
        warn_caller("\n".join(parts), DoubtfulColumnsWarning)


def _remedy(table: TableSummary, columns: Sequence[int], otherwise: str) -> str:
    """Return the line that drops columns, and the parameter that keeps them."""
    names = [table.columns[j].column.name for j in columns]
    drop = {
        "array": f"X = np.delete(X, {list(columns)}, axis=1)",
        "pandas": f"X = X.drop(columns={names})",
        "polars": f"X = X.drop({names})",
    }[table.container]
    kinds = dict.fromkeys(names, "categorical")
    return f"Drop them: {drop}\nor {otherwise}: column_kinds={kinds}"


def _conversion(table: TableSummary, j: int) -> str:
    """Return the line that makes dates of a column of text."""
    name = table.columns[j].column.name
    return {
        "array": f"X = pd.DataFrame(X); X[{j}] = pd.to_datetime(X[{j}])",
        "pandas": f"X[{name!r}] = pd.to_datetime(X[{name!r}])",
        "polars": f"X = X.with_columns(pl.col({name!r}).str.to_datetime())",
    }[table.container]


def _is_date(value: Any) -> bool:
    """Whether a category is a date: in ISO 8601, as text, or of Python."""
    return isinstance(value, date) or (isinstance(value, str) and DATE.fullmatch(value) is not None)


def _are_decimals(keys: AbstractSet[Hashable]) -> bool:
    """Whether categories are numbers as text, some with a decimal point or comma, or a per cent."""
    texts = [key for key in keys if isinstance(key, str) and NUMBER.fullmatch(key)]
    return len(texts) == len(keys) and any(map(NO_INTEGER.search, texts))


def _advise(values: Sequence[Any]) -> str:
    """Return the conversion of objects that are no labels; empty of others."""
    for family, types in PYTHON_TYPES.items():
        if all(isinstance(value, types) for value in values):
            return f", all {family}: convert them to a dtype of {family}"
    if all(map(_is_date, values)):
        return ", all dates as text: convert them to a dtype of dates"
    try:
        [float(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        return ""
    return ", all numbers: convert them to floats"


def strange_labels(column: StoredColumn, levels: Sequence[Any]) -> str | None:
    """Explain how the cells of a later column differ from the fitted labels.

    Parameters
    ----------
    column : StoredColumn
        No cell is one of ``levels``.
    levels : sequence
        The fitted labels.

    Returns
    -------
    reason : str or None
        None where this may be chance: few cells, of the same types as the labels.
    """
    present = column.take(column.present)
    came, fitted = _types(present.values.tolist()), _types(levels)
    n_cells = len(present.missing)
    alike = not set(came).isdisjoint(fitted) or {*came, *fitted} <= {"int", "float"}
    if not n_cells or not fitted or (alike and n_cells < FEWEST_CELLS):
        return None
    shown = _first(list(dict.fromkeys(present.spell())))
    known = _first(list(map(brief.repr, levels)))
    remedy = "check how they are spelled" if alike else f"convert them to {' or '.join(fitted)}"
    return (
        f"column {column.name!r} holds {shown} ({', '.join(came)}), none of which is a label that "
        f"was fitted: {known} ({', '.join(fitted)}); {remedy}"
    )


def _types(values: Sequence[Any]) -> list[str]:
    return sorted({type(value).__name__ for value in values})


def _first(texts: Sequence[str]) -> str:
    return ", ".join(texts[:SHOWN]) + (", ..." if len(texts) > SHOWN else "")
