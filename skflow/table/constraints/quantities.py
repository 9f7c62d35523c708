"""Columns of numbers, as the search for constraints sees them."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from skflow.table.constraints.numbers import EPSILON, MOST_STEPS, FloatArray, numbers_in
from skflow.table.families.date import Date
from skflow.table.kinds import kind_of
from skflow.table.kinds.categorical import Categorical
from skflow.table.kinds.clock import Clock
from skflow.table.scaling import steps_in
from skflow.table.schema import ColumnSchema
from skflow.table.storage import StoredColumn
from skflow.table.units import PER_SECOND

MOSTLY = 0.97  # share of rows on a grid that others, perhaps broken ones, are not on
LARGEST = 1e60  # numbers, whose products must not overflow
COARSEST = 9  # powers of ten


@dataclass(frozen=True, eq=False)
class Quantity:
    """One column of numbers.

    Attributes
    ----------
    name : str
    position : int
        Of the column in the table.
    numbers : ndarray of float64, shape (n_rows,)
        In the unit of the column; NaN where missing.
    step : float, optional
        Its grid; None where it has none.
    coarse : float, optional
        The coarsest grid that nearly all of its numbers are on.
    spread : float
        Distance between a low and a high number.
    is_date : bool
        Whether only differences are quantities, without an origin.
    is_float : bool
        Whether it is stored in floats.
    is_clock : bool
        Whether the numbers are times of day such as 517.
    """

    name: str
    position: int
    numbers: FloatArray
    step: float | None
    coarse: float | None
    spread: float
    is_date: bool
    is_float: bool
    is_clock: bool

    @property
    def n_steps(self) -> float:
        """How many steps it spans; as many as floats may tell apart where it has no grid."""
        return MOST_STEPS if self.coarse is None else self.spread / self.coarse


def read_quantities(
    columns: Sequence[StoredColumn], schemas: Sequence[ColumnSchema]
) -> tuple[Quantity, ...]:
    """Return the columns of different numbers that a float64 holds exactly."""
    quantities = []
    for position, (column, schema) in enumerate(zip(columns, schemas, strict=True)):
        is_label = isinstance(kind_of(schema), Categorical)
        if column.values.dtype.kind not in "iuf" or is_label or schema.is_given:
            continue
        numbers = np.where(column.present, numbers_in(column, Fraction(1)), np.nan)
        there = numbers[column.present]
        sizes = np.abs(there)
        if not there.size or sizes.max() > LARGEST or np.ptp(there) < 1 / LARGEST:
            continue
        own = None if schema.step is None else float(schema.step)
        coarse = find_coarse(there, own, column.family.clock)
        if coarse is not None and sizes.max() / (own or coarse) > MOST_STEPS:
            continue
        low, high = np.quantile(there, [0.02, 0.98])
        spread = float(high - low if high > low else there.max() - there.min())
        quantities.append(
            Quantity(
                *(schema.name, position, numbers, own, coarse, spread),
                is_date=isinstance(column.family, Date),
                is_float=column.values.dtype.kind == "f",
                is_clock=isinstance(kind_of(schema), Clock),
            )
        )
    return tuple(quantities)


def find_coarse(numbers: FloatArray, own: float | None, clock: Sequence[int]) -> float | None:
    """Return the coarsest step of which nearly all numbers are multiples, zeros left out."""
    numbers = numbers[numbers != 0]
    steps = [unit / PER_SECOND for unit in clock]
    if not steps:
        largest, least = np.abs(numbers).max(), 16 * EPSILON * np.median(np.abs(numbers))
        steps = [float(f"1e{power}") for power in range(COARSEST, -1 - COARSEST, -1)]
        steps = [step for step in steps if least <= step <= largest]
    if own is not None:
        steps = [*(step for step in steps if step > own), own]
    sketch = numbers[:: len(numbers) // 200 + 1]
    for step in steps:
        for part in (sketch, numbers):
            counts = steps_in(part, step)
            error = 2 * EPSILON * np.abs(part) + 1e-7 * step
            if np.mean(np.abs(part - counts * step) <= error) < MOSTLY:
                break
        else:
            return step
    return None
