r"""Questions where operands of constraints are unknown, and their targets known.

The constraint is kept, and an operand follows from the other cells of the row, or it is broken, and
the target is a number of its own. The density of the known cells :math:`x_B` is the sum of both,

.. math:: p(x_B) = p(x_B, \text{broken}) + \sum_s p(x_B, x_{o}^{(s)}, \text{kept}) \, \Delta_s,

over the solutions :math:`x_o^{(s)}` of the constraint for that operand, in units
:math:`\Delta_s` of it per unit of the target. Where several operands
are unknown, all but one are drawn given the other cells without the target, and weighted by
importance sampling.
"""

import copy
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from skflow.conditioning.answering import answer_at_once
from skflow.fitted.cells import in_fitted_dtypes, put_draws
from skflow.fitted.questions.operands import PROPOSED, OperandProposal, thin
from skflow.fitted.questions.questions import PartialTable, Questions
from skflow.table.constraints.numeric import NumericConstraint
from skflow.table.storage import StoredColumn

FloatArray = NDArray[np.float64]
Rows = NDArray[np.intp]
Mask = NDArray[np.bool_]
LogDensity = Callable[[PartialTable], tuple[FloatArray, FloatArray]]

DRAWS, FEW_DRAWS = 128, 8  # of them that are kept, for a density
LEAST_DRAWS, PER_CHOSEN = 32, 4  # the same to choose from, for each that is chosen
FEW_SOLUTIONS = 4  # of a row, whose densities are accurate ones
DRAWS_OF_OTHERS = 8  # of the other unknown cells, for each of them, for a density
ROUGH_DRAWS = 32  # for densities that decide between completions alone
ROWS_AT_ONCE = 128


class Completions(NamedTuple):
    """Rows whose unknown operand was solved for.

    Attributes
    ----------
    source : ndarray of intp, shape (n_completions,)
        The row that each comes from.
    partial : PartialTable
        Its cells; other cells than operands may still be unknown.
    log_mass : ndarray of shape (n_completions,)
        Its part of the log-density of the known cells of its row.
    error : ndarray of shape (n_completions,)
        Standard error of the part, as a share of it; 1 where other operands were drawn.
    """

    source: Rows
    partial: PartialTable
    log_mass: FloatArray
    error: FloatArray


class ConstrainedQuestions(Questions):
    """Draws and densities of unknown cells, given the known cells of each row."""

    n_operand_draws = DRAWS

    def with_few_operands(self) -> Self:
        """Return the same with few draws of unknown operands, as draws within draws need."""
        questions = copy.copy(self)
        questions.n_operand_draws = FEW_DRAWS
        return questions

    def made_rough(self) -> Self:
        """Return the same with few draws of all kinds, for draws that are to be compared."""
        questions = self.with_few_operands()
        questions.n_accurate = ROUGH_DRAWS
        return questions

    def made_for_draws(self, n_chosen: int) -> Self:
        """Return the same with as many draws as a choice of some takes, where none has begun."""
        if self.n_operand_draws < DRAWS:
            return self
        questions = copy.copy(self)
        questions.n_operand_draws = max(LEAST_DRAWS, PER_CHOSEN * n_chosen)
        questions.answer, questions.n_accurate = answer_at_once, DRAWS // 2
        return questions

    def with_draws_at_once(self) -> Self:
        """Return the same with densities that few draws estimate without bias, however roughly."""
        questions = self.with_few_operands()
        questions.answer, questions.n_accurate = answer_at_once, DRAWS_OF_OTHERS
        questions.n_least = DRAWS_OF_OTHERS
        return questions

    def log_density(self, partial: PartialTable) -> tuple[FloatArray, FloatArray]:
        """Log-density of the known cells of each row, and its standard error, in nats."""
        return self._sum(partial, super().log_density)

    def log_density_without(self, partial: PartialTable, j: int) -> FloatArray:
        """Log-density of all columns but one, that one summed out by quadrature, ``(n_rows,)``."""
        without = super().log_density_without

        def by_quadrature(rows: PartialTable) -> tuple[FloatArray, FloatArray]:
            return without(rows, j), np.zeros(len(rows.known))

        known = partial.known & (np.arange(len(partial.table.columns)) != j)
        return self._sum(replace(partial, known=known), by_quadrature)[0]

    def _sum(self, partial: PartialTable, log_density: LogDensity) -> tuple[FloatArray, FloatArray]:
        """Sum a density over constraints that are kept and broken, those that are decided apart."""
        total, error = np.empty((2, len(partial.known)))
        for rows, i in self._by_constraint(partial):
            own = partial.take(rows)
            if i is None:
                total[rows], error[rows] = self._sum_codes(own, log_density)
                continue
            broken, of_broken = self._sum(own.decide(i, is_kept=False), log_density)
            kept, of_kept = np.full(len(rows), -np.inf), np.zeros(len(rows))
            found = self._complete(own.decide(i, is_kept=True), i, None)
            np.logaddexp.at(kept, found.source, found.log_mass)
            part = np.exp(found.log_mass - kept[found.source])
            np.add.at(of_kept, found.source, (part * found.error) ** 2)
            total[rows] = np.logaddexp(kept, broken)
            shares = np.exp(np.stack((kept, broken)) - total[rows])
            error[rows] = np.hypot(*(shares * (np.sqrt(of_kept), of_broken)))
        return total, error

    def _sum_codes(
        self, partial: PartialTable, log_density: LogDensity
    ) -> tuple[FloatArray, FloatArray]:
        """Add the densities of rows where a label of a target says the same as "implied"."""
        total, error = log_density(partial)
        for i in self.codec.ambiguous:
            target, operands = self.codec.implied.positions[i]
            if i not in partial.decided:
                is_known = partial.known[:, [target, *operands]].all(axis=1)
                kept = self.codec.implied.are_kept(i, partial.table.columns)
                rows = np.flatnonzero(is_known & kept)
                if rows.size:
                    other = log_density(partial.take(rows).decide(i, is_kept=False))[0]
                    total[rows] = np.logaddexp(total[rows], other)
        return total, error

    def draw(
        self, partial: PartialTable, uniform: FloatArray, n_draws: int, n_chosen: int
    ) -> Iterator[tuple[Rows, list[StoredColumn]]]:
        """Draw the unknown cells of rows; yield rows and columns."""
        for rows, i in self._by_constraint(partial):
            own = partial.take(rows)
            if i is not None:
                yield rows, self._draw_open(own, uniform[rows], i, n_draws, n_chosen)
                continue
            for some, columns in super().draw(own, uniform[rows], n_draws, n_chosen):
                yield rows[some], columns

    def _by_constraint(self, partial: PartialTable) -> Iterator[tuple[Rows, int | None]]:
        """Yield rows by their first open constraint: the target is known, and an operand is not."""
        first, columns = np.full(len(partial.known), -1), partial.table.columns
        for i, (target, operands) in reversed(list(enumerate(self.codec.implied.positions))):
            if i not in partial.decided:
                is_open = partial.known[:, target] & columns[target].present
                is_open &= ~partial.known[:, operands].all(axis=1)
                for j in operands:
                    is_open &= columns[j].present | ~partial.known[:, j]
                first[is_open] = i
        for i in np.unique(first).tolist():
            yield np.flatnonzero(first == i), None if i < 0 else i

    def _complete(self, partial: PartialTable, i: int, uniform: FloatArray | None) -> Completions:
        """Complete rows by what constraint i says of the unknown operand of most values.

        Numbers drawn for it would hardly ever leave a solution for one of few values. Operands that
        other constraints imply, from unknown ones, are computed with it.
        """
        positions = self.codec.implied.positions
        operands = positions[i][1]
        partial = replace(partial, table=in_fitted_dtypes(self.codec.columns, partial.table))
        constraints, may_be = self.codec.implied.constraints, []
        if isinstance(constraints[i], NumericConstraint):  # the others do not compose
            numeric = (k for k, c in enumerate(constraints) if isinstance(c, NumericConstraint))
            may_be = [k for k in numeric if k not in partial.broken]
        unknown, found = ~partial.known, []
        for pattern in np.unique(unknown, axis=0):
            rows = np.flatnonzero((unknown == pattern).all(axis=1))
            inner = [k for k in may_be if is_inner(pattern, operands, *positions[k])]
            computed = {positions[k][0] for k in inner}
            every = [*operands, *(j for k in inner for j in positions[k][1])]
            base = {k for k in every if pattern[k] and k not in computed}
            *others, j = sorted(base, key=self.codec.n_values_of)
            for own in np.array_split(rows, -(-len(rows) // ROWS_AT_ONCE)):
                uniforms = None if uniform is None else uniform[own]
                completions = self._solve_for(j, others, partial.take(own), i, inner, uniforms)
                found.append(completions._replace(source=own[completions.source]))
        return join(found)

    def _solve_for(
        self,
        j: int,
        others: list[int],
        partial: PartialTable,
        i: int,
        inner: list[int],
        uniform: FloatArray | None,
    ) -> Completions:
        r"""Complete rows by solving constraint i for operand j, the ``others`` drawn.

        Where there are others, each row has n draws :math:`o` of them, from a proposal q that does
        not know the target. Of many completions m are chosen, with probabilities r: those that
        are likely by the proposal for all operands. The part of each in the density of the known
        cells is

        .. math:: \frac{p(x_B, o, x_j, \text{kept}) \, \Delta}{n \, q(o \mid x_B) \, m \, r} .

        An unbiased estimate of p is enough for that, by few draws of what is still unknown.
        """
        target, n_draws = self.codec.implied.positions[i][0], PROPOSED if others else 1
        if uniform is None:
            shape = (len(partial.known), self.n_uniform)
            uniform = np.random.RandomState(0).random_sample(shape)
        proposal = OperandProposal(self, partial, target, others) if others else None
        drawn = partial if proposal is None else proposal.draw(uniform, n_draws)
        solved = self._solve(drawn, i, inner, j)
        row, log_mass = solved.source // n_draws, solved.log_mass - np.log(n_draws)
        if proposal is None:
            is_whole = bool(solved.partial.known.all())
            if is_whole or np.bincount(row, minlength=1).max() <= FEW_SOLUTIONS:
                log_density, error = self.log_density(solved.partial)
                return Completions(row, solved.partial, log_density + log_mass, error)
        else:
            log_mass -= proposal.log_density(row, solved.partial)
        every = OperandProposal(self, partial, target, [*others, j])
        log_weight = log_mass + every.log_density(row, solved.partial)
        chosen, log_share = thin(row, log_weight, uniform[:, -1], self.n_operand_draws)
        few = solved.partial.take(chosen)
        log_density = self.with_draws_at_once().log_density(few)[0]
        log_mass = log_density + log_mass[chosen] - log_share
        return Completions(row[chosen], few, log_mass, np.ones(len(chosen)))

    def _solve(self, partial: PartialTable, i: int, inner: list[int], j: int) -> Completions:
        """Solve constraint i for column j; masses are units of it per unit of the target."""
        implied, target = self.codec.implied, self.codec.implied.positions[i][0]
        solutions = self.codec.solve(i, inner, j, partial.table)
        solved = partial.take(solutions.source)
        known, cells = solved.known.copy(), list(solved.table.columns)
        known[:, j], cells[j] = True, solutions.cells
        for k in inner:
            computed = implied.positions[k][0]
            known[:, computed] = True
            cells[computed] = self.codec.columns[computed].stored.filled(implied.imply(k, cells)[0])
        table = replace(solved.table, columns=tuple(cells))
        solved = replace(solved, table=table, known=known)
        step = self.codec.schema.columns[target].step
        of_target = 0.0 if step is None else np.log(float(step))
        of_target = np.where(self._are_events(target, cells[target]), 0.0, of_target)
        of_operand = np.where(self._are_events(j, cells[j]), 0.0, solutions.log_width)
        log_unit = of_operand - of_target
        return Completions(solutions.source, solved, log_unit, np.zeros(len(log_unit)))

    def _are_events(self, j: int, column: StoredColumn) -> Mask:
        """Whether the cells of a column have a probability, rather than a density."""
        encoded = self.codec.columns[j].encode(column)
        return np.isnan(encoded.values) & np.isnan(encoded.novel)

    def _draw_open(
        self, partial: PartialTable, uniform: FloatArray, i: int, n_draws: int, n_chosen: int
    ) -> list[StoredColumn]:
        """Draw the unknown cells of rows where constraint i is open, ``n_chosen`` of each row."""
        partial = replace(partial, table=in_fitted_dtypes(self.codec.columns, partial.table))
        n_rows = len(partial.known)
        kept, broken = (partial.decide(i, is_kept=is_kept) for is_kept in (True, False))
        rough = self.made_for_draws(n_chosen)
        of_broken = Completions(np.arange(n_rows), broken, *rough.log_density(broken))
        every = join([of_broken, rough._complete(kept, i, uniform)])
        chosen = choose(every, uniform, n_chosen)
        rows, is_broken = every.partial.take(chosen), chosen < n_rows
        # Each draw of a row has numbers of its own: equal ones would make all draws the same.
        shift = np.random.RandomState(0).random_sample((n_chosen, self.n_uniform))
        u = ((uniform[:, None] + shift) % 1).reshape(-1, self.n_uniform)
        cells = list(rows.table.columns)
        for is_own, decided in ((is_broken, broken), (~is_broken, kept)):
            at = np.flatnonzero(is_own & ~rows.known.all(axis=1))
            own = replace(decided, table=rows.table.take(at), known=rows.known[at])
            for some, drawn in self.draw(own, u[at], -(-n_draws // n_chosen), 1):
                put_draws(cells, at[some], 1, rows.known, drawn)
        return cells


def is_inner(unknown: Mask, operands: list[int], target: int, of_target: list[int]) -> bool:
    """Whether a constraint implies one of ``operands``, from others that are unknown themselves."""
    return bool(target in operands and unknown[target] and unknown[of_target].any())


def choose(completions: Completions, uniform: FloatArray, n_chosen: int) -> Rows:
    """Choose completions of each row by their mass, ``n_chosen`` for each row, evenly spread."""
    chosen = np.empty((len(uniform), n_chosen), dtype=np.intp)
    order = np.argsort(completions.source, kind="stable")
    ends = np.searchsorted(completions.source[order], np.arange(len(uniform) + 1))
    for row, (start, end) in enumerate(itertools.pairwise(ends.tolist())):
        share = softmax(completions.log_mass[order[start:end]]).cumsum()
        places = (np.arange(n_chosen) + uniform[row, 0]) / n_chosen
        chosen[row] = order[start + np.searchsorted(share, places).clip(max=len(share) - 1)]
    return chosen.ravel()


def join(parts: Sequence[Completions]) -> Completions:
    """Join completions, one part after the other."""
    tables = [part.partial.table for part in parts]
    columns = tuple(
        replace(
            cells[0],
            values=np.concatenate([each.values for each in cells]),
            missing=np.concatenate([each.missing for each in cells]),
        )
        for cells in zip(*(table.columns for table in tables), strict=True)
    )
    n_rows = sum(table.n_rows for table in tables)
    table = replace(tables[0], columns=columns, n_rows=n_rows)
    known = np.concatenate([part.partial.known for part in parts])
    source = np.concatenate([part.source for part in parts])
    log_mass = np.concatenate([part.log_mass for part in parts])
    error = np.concatenate([part.error for part in parts])
    partial = replace(parts[0].partial, table=table, known=known)
    return Completions(source, partial, log_mass, error)
