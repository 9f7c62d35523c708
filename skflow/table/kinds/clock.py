"""Times of day that numbers spell as hours and minutes: 517 is 05:17."""

import math
from dataclasses import replace

import numpy as np

from skflow.table.clock_times.arithmetic import (
    HOUR,
    HUNDRED,
    LAST,
    MIDNIGHT,
    are_times,
    hours_and_minutes,
    minutes_since_midnight,
)
from skflow.table.clock_times.codec import ClockCodec
from skflow.table.distinct import Distinct
from skflow.table.families import DURATION
from skflow.table.kinds.kind import NumberKind
from skflow.table.specification import ColumnSpecification, Specification
from skflow.table.summary import ColumnSummary
from skflow.table.units import PER_SECOND, Number

SECONDS = 60  # of a minute
QUARTER = 15  # of an hour, in minutes
LEAST_HOURS = 6  # that are followed by one, and have no number from 60 to 99
CHANCE = 12 * math.log(10)  # nats: such gaps are a matter of chance with probability 10^-12


class Clock(NumberKind):
    """Times of day, on a grid of minutes, from 0 to 2359 or 2400."""

    name = "clock"
    codec = ClockCodec
    counts_integers = False

    def applies(self, summary: ColumnSummary) -> bool:
        """Whether all numbers are times, and this is no chance.

        Each number of an hour that is followed by another one could be any point of the column's
        grid within its hundred; the last 40 are no times. Minutes reach the last quarter of an
        hour, or the last point of a coarser grid: those of months and days, or of floors and
        rooms, end earlier.
        """
        distinct = summary.distinct
        if not hold_times(distinct):
            return False
        numbers = distinct.values.astype(np.int64)
        minutes = numbers % HUNDRED
        if minutes.max() + max(QUARTER, np.gcd.reduce(minutes)) < HOUR:
            return False
        hours = np.unique(numbers // HUNDRED)
        followed = hours[np.isin(hours + 1, hours)]
        step = int(np.gcd.reduce(numbers))
        possible = np.arange(0, MIDNIGHT, step) % HUNDRED
        n_decided = np.count_nonzero(np.isin(numbers // HUNDRED, followed))
        surprise = -n_decided * math.log(np.mean(possible < HOUR))
        return len(followed) >= LEAST_HOURS and bool(surprise >= CHANCE)

    def specify(
        self, draft: Specification, summary: ColumnSummary, *, is_chosen: bool
    ) -> Specification:
        """Return the schema, with rounding levels in minutes, and frequent times as atoms."""
        distinct = summary.distinct
        if not hold_times(distinct):
            raise ValueError(
                f"column_kinds takes column {draft.name!r} for 'clock', but some values are no "
                "times such as 517 or 1830, from 0 to 2400. Leave it out of column_kinds."
            )
        minutes = minutes_since_midnight(distinct.values.astype(np.float64)).astype(np.int64)
        tick = SECONDS * PER_SECOND
        durations = replace(distinct, values=minutes, family=DURATION, tick=tick)
        as_durations = replace(summary, counted=durations)
        schema = super().specify(draft, as_durations, is_chosen=is_chosen)
        seconds = np.array(schema.atoms, dtype=np.float64)
        atoms = hours_and_minutes(seconds / SECONDS).astype(np.int64).tolist()
        rounding = tuple(int(step) // SECONDS for step in schema.rounding)
        high = MIDNIGHT if distinct.values[-1] == MIDNIGHT else LAST
        return replace(schema, atoms=tuple(atoms), rounding=rounding, step=1, low=0, high=high)

    def every(self, schema: ColumnSpecification) -> tuple[Number, ...]:
        """Return all times."""
        numbers = np.arange(MIDNIGHT + 1)
        return tuple(numbers[are_times(numbers)].tolist())

    def _step(self, name: str, distinct: Distinct) -> Number | None:
        return SECONDS

    def _describe_present(self, schema: ColumnSpecification) -> list[str]:
        in_seconds = replace(
            schema, family="duration", rounding=tuple(SECONDS * step for step in schema.rounding)
        )
        words = super()._describe_present(replace(schema, rounding=()))[1:]
        often = super()._describe_present(in_seconds)[1:2] if schema.rounding else []
        return ["times of day", *often, *words]


def hold_times(distinct: Distinct) -> bool:
    """Whether all of some numbers are times, and few enough for those of parts to be all kept."""
    values = distinct.values
    return bool(values.dtype.kind in "iuf" and distinct.would_be_kept and are_times(values).all())
