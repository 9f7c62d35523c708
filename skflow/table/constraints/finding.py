"""Search for constraints between the columns of a table."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from skflow.table.constraints.choosing import Candidate, accept, in_order, rank
from skflow.table.constraints.constraint import Constraint
from skflow.table.constraints.evidence import LEAST_ROWS, confirm
from skflow.table.constraints.linear_search import find_pairs, solve
from skflow.table.constraints.mapping import MappingConstraint
from skflow.table.constraints.mapping_search import find_mappings, learn_all
from skflow.table.constraints.numeric import LinearConstraint, NumericConstraint
from skflow.table.constraints.part_search import find_parts
from skflow.table.constraints.product_search import find_products
from skflow.table.constraints.quantities import Quantity, read_quantities
from skflow.table.constraints.relations import find_relations
from skflow.table.constraints.simplest import complexity
from skflow.table.constraints.sum_search import find_sums
from skflow.table.schema import ColumnSchema
from skflow.table.storage import StoredColumn, StoredTable

MOST_SEARCHED, MOST_TESTED = 2000, 8000  # rows
MOST_RELATED = 128  # columns of numbers: where there are more, one operand each
LEAST_VALUES, PER_DIGIT = 10, 5  # different numbers that are implied
COARSE = 0.01  # ratio of the steps that a target and its operands span

Columns = Mapping[str, StoredColumn]


def find_constraints(table: StoredTable, columns: Sequence[ColumnSchema]) -> tuple[Constraint, ...]:
    """Find columns that others determine exactly, in nearly all rows.

    Some rows, at most 2,000 and half of all, are searched in these ways:

    * *Exact sums* of at most 8 columns, up to 128 columns of numbers. A few rows more than there
      are columns are drawn again and again [1]_, rows of rare numbers more often: in a draw
      without broken rows the columns that depend on others do so exactly. Relations become
      shorter by adding multiples of each other. Where there are more than 30 columns, or
      cells are missing in many rows, each column is also tried with the 8 of largest partial
      correlations.
    * *One operand with rounding*, where triples of rows are mostly on a line.
    * *Products and ratios* of two columns, up to 40, by the variance of sums of logarithms.
    * *Several operands with rounding*, by regressions on the draws; columns that are not needed
      are left out.
    * *Hours and minutes* of times of day such as 517, in two columns of their own.
    * *Mappings* between columns of levels, by cross tabulation.

    Coefficients are those of the fewest digits that explain the rows. Rounding is to the grid of
    the target or to a coarser one, to the nearest, half up, down or up.

    A constraint counts if it holds on other rows, 8,000 at most and 100 at least:

    * in 95 % of those in which all its cells are present; a mapping, in those whose pair is known,
      and these are half;
    * in ten times as many as where the operands are permuted, if 30 rows depend on each of them;
    * with 10 different numbers among the implied ones, and 5 per digit of its factors, unless it
      is a sum of columns as they are;
    * if those that break it are not mostly near misses, as with approximations;
    * a mapping, if at most 5 % of rows have a value of the operand that is frequent and has one
      value of the target in less than 85 % of its rows.

    Of several for one target, exact ones come first, then those of fewer operands, positive and
    short coefficients, and targets that are wider than the operands, or later.

    Parameters
    ----------
    table : StoredTable
        Training rows. The same rows in another order give other subsets, which are drawn with a
        fixed seed; constraints near the limits above may then differ.
    columns : sequence of ColumnSchema
        Schema of each column. Conditions and constants take no part.

    Returns
    -------
    constraints : tuple of Constraint
        Each column is the target of at most one; those of operands come first. Following them
        never leads in a circle. Mappings hold the pairs of all rows, none of a single row.

    References
    ----------
    .. [1] M. A. Fischler, R. C. Bolles, "Random sample consensus: a paradigm for model fitting
       with applications to image analysis and automated cartography", Communications of the
       ACM 24 (6), 1981.

    Examples
    --------
    >>> from skflow.table.frames import Container
    >>> from skflow.table.inference import infer_schema
    >>> rng = np.random.default_rng(0)
    >>> net = rng.integers(100, 10_000, 500)
    >>> X = np.column_stack([net, rng.poisson(50, 500), net + 20])
    >>> table = Container.fit(X, ["net", "pieces", "gross"]).read(X)
    >>> for constraint in find_constraints(table, infer_schema(table).columns):
    ...     print(constraint)
    gross = net + 20
    """
    rows = np.random.default_rng(0).permutation(table.n_rows)
    n_searched = min(table.n_rows // 2, MOST_SEARCHED)
    searched = np.sort(rows[:n_searched])
    tested = np.sort(rows[n_searched : n_searched + MOST_TESTED])
    if len(tested) < LEAST_ROWS:
        return ()
    chosen: dict[str, Constraint] = {}
    quantities = read_quantities(table.columns, columns)
    sample, held_out = (
        {own.name: table.columns[own.position].take(some) for own in quantities}
        for some in (searched, tested)
    )
    for part in find_parts(quantities, sample):
        if confirm(part, held_out, LEAST_VALUES) is not None:
            accept(part, chosen)
    for constraint in rank(*find_numeric(quantities, searched, sample, held_out)):
        accept(constraint, chosen)
    for mapping in find_mappings(table.columns, columns, searched, tested, known=chosen):
        accept(mapping, chosen)
    return tuple(
        learn_all(constraint, table.columns, columns)
        if isinstance(constraint, MappingConstraint)
        else constraint
        for constraint in in_order(chosen)
    )


def find_numeric(
    quantities: Sequence[Quantity], searched: NDArray[np.intp], sample: Columns, held_out: Columns
) -> tuple[list[Candidate], dict[str, Quantity]]:
    """Return constraints between numbers that hold in rows held out, and all such columns."""
    names = {quantity.name: quantity for quantity in quantities}
    if len(quantities) < 2:
        return [], names
    are_few = len(quantities) <= MOST_RELATED
    found = []
    if are_few:
        for relation in find_relations(quantities, searched):
            for j in relation:
                found += confirmed(solve(relation, j, quantities, searched), held_out)
    found += confirmed(find_pairs(quantities, searched, sample), held_out)
    found += confirmed(find_products(quantities, searched, sample), held_out)
    if are_few:
        # Columns that say as much as others hide what else there is.
        known: dict[str, Constraint] = {}
        for constraint in rank(found, names):
            accept(constraint, known)
        finest = {
            target: max(names[name].n_steps for name in constraint.operands)
            for target, constraint in known.items()
        }
        free = [q for q in quantities if q.n_steps < COARSE * finest.get(q.name, np.inf)]
        found += confirmed(find_sums(free, searched, sample), held_out)
    return found, names


def confirmed(
    constraints: Iterator[NumericConstraint] | Sequence[NumericConstraint], columns: Columns
) -> list[Candidate]:
    """Return those that hold in some rows, with their evidence."""
    found = []
    for constraint in constraints:
        evidence = confirm(constraint, columns, least_values(constraint))
        if evidence is not None:
            found.append(Candidate.of(constraint, evidence, columns))
    return found


def least_values(constraint: NumericConstraint) -> int:
    """Return how many different numbers must be implied: more for factors of more digits.

    Some formula of many digits explains few different rows. Columns that are added as they are
    need no more than two.
    """
    digits = sum(complexity(factor) for factor in constraint.factors if abs(factor) != 1)
    is_sum = isinstance(constraint, LinearConstraint) and constraint.rounding == "exact"
    return 2 if is_sum and digits == 0 else max(LEAST_VALUES, PER_DIGIT * digits)
