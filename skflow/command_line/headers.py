"""Names of columns that are no names."""

from collections import Counter
from collections.abc import Sequence

from skflow.command_line.messages import CommandError

DELIMITERS = (",", ";", "\t", "|")


def refuse_unclear_names(names: Sequence[str], path: str) -> None:
    """Raise where columns cannot be told apart by their names, or there are none."""
    if not names:
        raise CommandError(f"{path} has no columns.")
    twice = sorted(name for name, n in Counter(names).items() if n > 1)
    if twice:
        raise CommandError(f"{path} names columns twice: {twice}. Give each its own name.")


def refuse_odd_names(names: Sequence[str], path: str) -> None:
    """Raise where a table to fit has no header, or a column of row numbers without a name.

    Headers of numbers that ascend, as of years or places, are taken for what they are.
    """
    if "" in names:
        raise CommandError(
            f"{path}: column {names.index('') + 1} has no name. Row numbers, perhaps? They tell "
            "nothing about a row; write the file without them (pandas: to_csv(index=False))."
        )
    numbers = [_number(name) for name in names]
    found = [number for number in numbers if number is not None]
    ascending = all(number % 1 == 0 for number in found) and found == sorted(set(found))
    if len(found) == len(names) and not ascending:
        raise CommandError(
            f"{path}: its first line holds numbers only ({', '.join(names[:4])}, ...), where the "
            "columns' names are expected. Put a header above the rows."
        )


def refuse_other_delimiter(names: Sequence[str], path: str, delimiter: str) -> None:
    """Raise where the one name of a CSV file looks like several."""
    other = [mark for mark in DELIMITERS if mark in names[0] and mark != delimiter]
    if len(names) == 1 and other:
        raise CommandError(
            f"{path} has one column, {names[0]!r}. Are its cells separated by {other[0]!r}? Add "
            f"--sep {other[0]!r}. If it is one column, give it another name."
        )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
