"""The interface of a kind: its rule, its schema, its codec and its words."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from skflow.table.column_codec import ColumnCodec
from skflow.table.distinct import Distinct
from skflow.table.families import FAMILIES
from skflow.table.number_codecs import LevelCodec, ValueCodec
from skflow.table.rounding.finding import find_places, find_rounding
from skflow.table.rules import (
    are_mostly_levels,
    find_atoms,
    find_irregular,
    find_step,
    find_support,
)
from skflow.table.specification import ColumnSpecification, Specification
from skflow.table.storage import StoredColumn
from skflow.table.summary import ColumnSummary
from skflow.table.units import Number

SHOWN = 6  # levels of a column in words
LONGEST = 60  # letters of a level
FEWEST_OTHERS = 50  # cells of a target that no constraint implies, for a density of their own


class Kind(ABC):
    """One way to model a column. Instances have no state.

    Attributes
    ----------
    name : str
        As users and schemas spell it.
    families : tuple of str
        Families that a column of this kind may hold.
    has_values : bool
        Whether rows may have a value, besides a label.
    counts_integers : bool
        Whether stored integers are counted from an origin, rather than read as floats.
    """

    name: ClassVar[str]
    families: ClassVar[tuple[str, ...]]
    has_values: ClassVar[bool] = False
    counts_integers: ClassVar[bool] = True

    @abstractmethod
    def applies(self, summary: ColumnSummary) -> bool:
        """Whether the rule of this kind holds of a column; those of earlier kinds do not."""

    @abstractmethod
    def specify(
        self, draft: Specification, summary: ColumnSummary, *, is_chosen: bool
    ) -> Specification:
        """Return the schema of a column of this kind.

        Parameters
        ----------
        draft : ColumnSpecification
            Name, dtype, family and missing markers.
        summary : ColumnSummary
            Values of the training rows.
        is_chosen : bool
            Whether an option names the kind, which the values may contradict.

        Raises
        ------
        ValueError
            Where they do.
        """

    @abstractmethod
    def fit(
        self,
        column: StoredColumn,
        schema: ColumnSpecification,
        weight: NDArray[np.float64] | None = None,
    ) -> ColumnCodec:
        """Return the codec of a column, fitted to training rows and their weights."""

    @abstractmethod
    def restore(
        self, stored: StoredColumn, schema: ColumnSpecification, state: Mapping[str, Any]
    ) -> ColumnCodec:
        """Return the codec of a column from its :meth:`ColumnCodec.state`."""

    def is_counted(self, stored: StoredColumn, schema: ColumnSpecification) -> bool:
        """Whether the numbers of a column are counted from an origin."""
        whole = self.counts_integers and (schema.step is None or schema.step >= 1)
        return stored.family.is_temporal or (stored.values.dtype.kind in "iu" and whole)

    def known(self, schema: ColumnSpecification) -> tuple[Any, ...]:
        """Return the values of a column that have a label of their own."""
        return schema.levels

    def every(self, schema: ColumnSpecification) -> tuple[Number, ...]:
        """Return all numbers that a column may hold where these are few and known; else none."""
        return ()

    def count_labels(self, schema: ColumnSpecification) -> int:
        """Return the number of known labels, of values and missing markers."""
        n_levels = 1 + len(schema.rounding) if self.has_values else 0
        return len(self.known(schema)) + n_levels + schema.is_implied + len(schema.missing)

    def count_left_out(self, summary: ColumnSummary, schema: ColumnSpecification) -> int:
        """Return how many different numbers of some rows are none of the schema's levels."""
        return 0

    def loses_digits(self, column: StoredColumn, schema: ColumnSpecification) -> bool:
        """Whether values of a column span too many steps of their grid to come back."""
        return False

    def value_schema(self, schema: Specification) -> Specification:
        """Return the schema without the grid and the support of what has no value."""
        if self.has_values:
            return schema
        return replace(schema, step=None, rounding=(), low=None, high=None)

    def of_target(self, schema: Specification, others: ColumnSummary) -> Specification | None:
        """Return the schema of a column of which a constraint implies all cells but ``others``.

        None where it is that of these.
        """
        return replace(schema, is_implied=True, n_not_implied=others.n_present)

    def describe(self, schema: ColumnSpecification) -> str:
        """Return the possible cells of a column in words."""
        parts = self._describe_present(schema)
        if schema.n_left_out:
            occur = "that occurs once" if schema.n_left_out == 1 else "that occur once"
            parts.append(f"{schema.n_left_out} left out {occur}")
        if schema.missing:
            holds_more = self.has_values or self.known(schema)
            parts.append(f"{'or ' if holds_more else ''}missing ({', '.join(schema.missing)})")
        return "; ".join(part for part in parts if part)

    def _describe_present(self, schema: ColumnSpecification) -> list[str]:
        return [_abbreviate(schema, schema.levels)]


class LevelKind(Kind):
    """Few numbers, each a label. Numbers that occur once are left out.

    Attributes
    ----------
    codec : type of LevelCodec
        Class of the codec of a column.
    """

    codec: ClassVar[type[LevelCodec]] = LevelCodec
    families: ClassVar[tuple[str, ...]] = ("number", "boolean", "date", "duration")

    def specify(
        self, draft: Specification, summary: ColumnSummary, *, is_chosen: bool
    ) -> Specification:
        """Return the schema, with the numbers that repeat as levels."""
        summary.refuse_many()
        distinct = summary.distinct
        if is_chosen:
            self._refuse_contradiction(draft.name, distinct)
        low, high = find_support(distinct)
        return replace(
            draft,
            kind=self.name,
            levels=distinct.repeated(),
            step=find_step(distinct),
            low=low,
            high=high,
            n_left_out=distinct.n_single,
        )

    @abstractmethod
    def _refuse_contradiction(self, name: str, distinct: Distinct) -> None:
        """Raise where the values of a column contradict the kind that an option names."""

    def fit(
        self,
        column: StoredColumn,
        schema: ColumnSpecification,
        weight: NDArray[np.float64] | None = None,
    ) -> ColumnCodec:
        """Return a fitted codec."""
        return self.codec.fit(column, schema, weight, is_counted=self.is_counted(column, schema))

    def restore(
        self, stored: StoredColumn, schema: ColumnSpecification, state: Mapping[str, Any]
    ) -> ColumnCodec:
        """Return the codec of a state."""
        return self.codec.restore(stored, schema, state)

    def count_left_out(self, summary: ColumnSummary, schema: ColumnSpecification) -> int:
        """Return how many different numbers of some rows are none of the schema's levels."""
        return len(set(summary.distinct.numbers(slice(None))) - set(schema.levels))


class ValueKind(Kind):
    """Numbers, dates or durations as values, with a grid, a support and atoms.

    Attributes
    ----------
    codec : type of ValueCodec
        Class of the codec of a column.
    may_be_codes : bool
        Whether numbers may be codes, of which thousands are atoms.
    """

    has_values = True
    codec: ClassVar[type[ValueCodec]] = ValueCodec
    may_be_codes: ClassVar[bool] = False

    def specify(
        self, draft: Specification, summary: ColumnSummary, *, is_chosen: bool
    ) -> Specification:
        """Return the schema, with the grid, rounding, support and atoms that values suggest."""
        distinct = summary.distinct
        step = self._step(draft.name, distinct)
        low, high = find_support(distinct)
        rounding = find_rounding(distinct, step)
        atoms = () if is_chosen else self._frequent(distinct, step, rounding)
        if atoms or draft.is_given:  # what has no density needs no rounding levels
            rounding = ()
        return replace(
            draft,
            kind=self.name,
            step=step,
            rounding=rounding,
            low=low,
            high=high,
            atoms=atoms or self._atoms(distinct, step, rounding, is_chosen=is_chosen),
        )

    def _step(self, name: str, distinct: Distinct) -> Number | None:
        return find_step(distinct)

    def _frequent(
        self, distinct: Distinct, step: Number | None, rounding: tuple[Number, ...]
    ) -> tuple[Number, ...]:
        """Return all frequent numbers, where each of them is an atom."""
        return find_irregular(distinct, step, rounding, may_be_codes=self.may_be_codes)

    def _atoms(
        self,
        distinct: Distinct,
        step: Number | None,
        rounding: tuple[Number, ...],
        *,
        is_chosen: bool,
    ) -> tuple[Number, ...]:
        """Return numbers that are frequent among those of their own rounding level."""
        places = find_places(distinct, step, rounding) if step is not None and rounding else None
        return find_atoms(distinct, None if places is None else places.level)

    def fit(
        self,
        column: StoredColumn,
        schema: ColumnSpecification,
        weight: NDArray[np.float64] | None = None,
    ) -> ColumnCodec:
        """Return a fitted :class:`ValueCodec`."""
        return self.codec.fit(column, schema, weight, is_counted=self.is_counted(column, schema))

    def restore(
        self, stored: StoredColumn, schema: ColumnSpecification, state: Mapping[str, Any]
    ) -> ColumnCodec:
        """Return the :class:`ValueCodec` of a state."""
        return self.codec.restore(stored, schema, state)

    def of_target(self, schema: Specification, others: ColumnSummary) -> Specification | None:
        """Return the schema of a target: of kind "implied" where other cells are few."""
        if others.n_present >= FEWEST_OTHERS:
            return None
        n_others, none = others.n_present, replace(schema, atoms=(), rounding=())
        return replace(none, kind="implied", is_implied=True, n_not_implied=n_others)

    def known(self, schema: ColumnSpecification) -> tuple[Any, ...]:
        """Return the atoms."""
        return schema.atoms

    def _describe_present(self, schema: ColumnSpecification) -> list[str]:
        family = FAMILIES[schema.family]
        parts = [] if schema.step is None else [f"step {family.spell_step(schema.step)}"]
        if schema.rounding:
            spelled = list(map(family.spell_step, schema.rounding))
            parts.append("often multiples of " + ", ".join(spelled))
        low, high = schema.low, schema.high
        if low is not None and high is not None:
            parts.append(f"{family.spell(low)} to {family.spell(high)}")
        elif low is not None:
            parts.append(f">= {family.spell(low)}")
        elif high is not None:
            parts.append(f"<= {family.spell(high)}")
        if schema.atoms:
            parts.append("often " + _abbreviate(schema, schema.atoms))
        return parts


class NumberKind(ValueKind):
    """Numbers as values."""

    families = ("number",)

    def _frequent(
        self, distinct: Distinct, step: Number | None, rounding: tuple[Number, ...]
    ) -> tuple[Number, ...]:
        if not rounding and are_mostly_levels(distinct, gridded=step is not None):
            return distinct.repeated()
        return super()._frequent(distinct, step, rounding)

    def _refuse_grid(self, name: str) -> NoReturn:
        raise ValueError(
            f"column_kinds takes column {name!r} for {self.name!r}, but its values lie "
            'on no such grid of at most 2^40 steps. Name it "continuous", or round it.'
        )


class TemporalKind(ValueKind):
    """Dates or durations as values, on a grid of the clock."""

    def applies(self, summary: ColumnSummary) -> bool:
        """Whether the column holds such values: always, where this rule is reached."""
        return True

    def loses_digits(self, column: StoredColumn, schema: ColumnSpecification) -> bool:
        """Whether the values are on no grid of the clock."""
        return schema.step is None


def _abbreviate(schema: ColumnSpecification, values: tuple[Any, ...]) -> str:
    """Return levels or atoms in words, the first and the last where they are many.

    Long texts lose their middle: similar ones often differ at their ends.
    """
    texts = [
        text if len(text) <= LONGEST else f"{text[: LONGEST - 15]}...{text[-12:]}"
        for text in map(FAMILIES[schema.family].spell, values)
    ]
    if len(texts) <= SHOWN:
        return ", ".join(texts)
    return f"{', '.join(texts[: SHOWN - 2])}, ..., {texts[-1]} ({len(texts)} in all)"
