"""Fields of a document, read one by one and to the letter."""

import math
import reprlib
from collections.abc import Collection, Sequence
from typing import Any, NoReturn, Self, TypeVar

from skflow.exceptions import ModelFileError

Option = TypeVar("Option", bound=str)


class Fields:
    """One object of a document; each of its fields must be asked for.

    As a context manager it refuses, at the end, what nobody asked for.

    Parameters
    ----------
    value : object
        As JSON was parsed.
    place : str
        Where in the document, for messages.

    Raises
    ------
    ModelFileError
        Where ``value``, or later a field, is missing or not what was asked for.
    """

    def __init__(self, value: Any, place: str) -> None:
        self.place = place
        if type(value) is not dict:
            raise ModelFileError(f"{place} must be an object; it is {shorten(value)}.")
        self._left = dict(value)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error_type: Any, *error: object) -> None:
        if error_type is None and self._left:
            raise ModelFileError(f"{self.place} has unknown fields {shorten(sorted(self._left))}.")

    def has(self, name: str) -> bool:
        """Whether there is a field that may be left out."""
        return name in self._left

    def any(self, name: str) -> Any:
        """Return a field of any type, which the caller has to check."""
        if name not in self._left:
            raise ModelFileError(f"{self.place} lacks {name!r}.")
        return self._left.pop(name)

    def _of_type(self, name: str, kind: type, spelled: str) -> Any:
        value = self.any(name)
        if type(value) is not kind:
            self.refuse(name, value, spelled)
        return value

    def refuse(self, name: str, value: Any, expected: str) -> NoReturn:
        """Raise: a field is not what it must be."""
        raise ModelFileError(f"{self.place}.{name} must be {expected}; it is {shorten(value)}.")

    def text(self, name: str, options: Collection[str] = ()) -> str:
        """Return a text, one of ``options`` where there are any."""
        value: str = self._of_type(name, str, "a text")
        if options and value not in options:
            self.refuse(name, value, f"one of {', '.join(options)}")
        return value

    def kind(self, name: str, options: Sequence[Option]) -> Option:
        """Return one of some texts, which type checkers know."""
        value = self.text(name, options)
        return options[options.index(value)]

    def boolean(self, name: str) -> bool:
        """Return true or false."""
        return bool(self._of_type(name, bool, "true or false"))

    def integer(self, name: str, low: int, high: int) -> int:
        """Return a whole number within bounds."""
        value: int = self._of_type(name, int, "a whole number")
        if not low <= value <= high:
            self.refuse(name, value, f"in [{low}, {high}]")
        return value

    def number(self, name: str, low: float = -math.inf, high: float = math.inf) -> float:
        """Return a finite float within bounds."""
        value: float = self._of_type(name, float, "a number")
        if not (math.isfinite(value) and low <= value <= high):
            self.refuse(name, value, f"finite, in [{low}, {high}]")
        return value

    def items(self, name: str) -> list[Any]:
        """Return a list, whose items the caller has to check."""
        value: list[Any] = self._of_type(name, list, "a list")
        return value

    def texts(self, name: str, options: Collection[str] = ()) -> list[str]:
        """Return a list of texts, of ``options`` where there are any."""
        values = self.items(name)
        for value in values:
            if type(value) is not str or (options and value not in options):
                self.refuse(name, value, f"texts, of {', '.join(options)}" if options else "texts")
        return values

    def integers(self, name: str, low: int, high: int) -> list[int]:
        """Return a list of whole numbers within bounds."""
        values = self.items(name)
        for value in values:
            if type(value) is not int or not low <= value <= high:
                self.refuse(name, value, f"whole numbers in [{low}, {high}]")
        return values

    def fields(self, name: str) -> "Fields":
        """Return an object."""
        return Fields(self.any(name), f"{self.place}.{name}")

    def objects(self, name: str) -> list["Fields"]:
        """Return a list of objects."""
        return [
            Fields(value, f"{self.place}.{name}[{i}]") for i, value in enumerate(self.items(name))
        ]


def shorten(value: Any) -> str:
    """Spell a value in few letters, and at no cost, whatever it is."""
    text = reprlib.repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
