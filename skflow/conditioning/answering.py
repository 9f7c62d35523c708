"""Answers for rows with unknown cells: by few draws, by more, by annealing."""

import torch
from torch import Tensor

from skflow.conditioning.annealing import Annealing
from skflow.conditioning.importance import ImportanceSampler
from skflow.conditioning.partial_rows import PartialRows
from skflow.conditioning.particles import Answers

PARTICLES = 2**16  # draws at once, of all rows
MORE = 4  # times as many draws, where the effective sample size is small
MOST_DRAWS = 1024  # per row: more would help little
MOST_ON_LINE = 4096  # of one unknown value: evenly spread, they miss no peak of the density
LEAST_SHARE = 1 / 4  # least effective sample size, as a share of the first draws
LEAST_SHARE_ON_LINE = 0.4
MORE_SHARE_ON_LINE = 0.5  # in more draws than the first
MORE_ON_LINE = 2
LEAST_SIZE = 30.0  # least effective sample size of more draws
LEAST_PER_CHOSEN = 2.0  # effective draws for each that is chosen: few are chosen twice
FEWEST = 3.0  # least effective sample size of draws that were moved, or of most draws on a line
ANNEALED = 256  # rows at once
# Moves of a draw: several that were chosen together have to part.
MOVES_OF_ONE, MOVES_OF_SEVERAL = 32, 64


def answer(
    sampler: ImportanceSampler, rows: PartialRows, uniform: Tensor, n_draws: int, n_chosen: int
) -> Answers:
    """Draw the unknown cells of rows; with more effort where the effective sample size is small.

    Parameters
    ----------
    sampler : ImportanceSampler
    rows : PartialRows
    uniform : Tensor of shape (n_rows, n_uniform)
        Uniform numbers of each row: its answers depend on them and on its own cells alone.
    n_draws : int
        Draws of a row at first.
    n_chosen : int
        Draws that are returned; 0 where densities alone are wanted.
    """
    on_line = rows.is_on_line
    enough = max(LEAST_SIZE, LEAST_PER_CHOSEN * n_chosen)
    least = torch.where(on_line, LEAST_SHARE_ON_LINE, LEAST_SHARE).to(uniform) * n_draws
    least.clamp_max_(enough)
    answers = _by_draws(sampler, rows, uniform, n_draws, n_chosen, least)

    def draw_more(which: Tensor, n_more: int, size: float, tempered: float = 0.0) -> None:
        for own in _split(which & ~answers.is_reliable, PARTICLES // n_more):
            least = torch.full_like(uniform[own, 0], size)
            some = rows.take(own), uniform[own]
            answers.put(own, _by_draws(sampler, *some, n_more, n_chosen, least, tempered))

    # Uneven weights would choose few draws several times, and moves would start from these.
    tempered = LEAST_PER_CHOSEN * n_chosen if n_chosen > 1 else 0.0
    draw_more(~on_line, min(MORE * n_draws, MOST_DRAWS), enough, tempered)
    n_more, least_on_line = n_draws, min(MORE_SHARE_ON_LINE * n_draws, enough)
    while n_more < MOST_ON_LINE:
        n_more = min(MORE_ON_LINE * n_more, MOST_ON_LINE)
        draw_more(on_line, n_more, least_on_line)
    n_moves = MOVES_OF_ONE if n_chosen == 1 else MOVES_OF_SEVERAL
    for own in _split(~on_line & ~answers.is_reliable, ANNEALED):
        some = rows.take(own)
        if not n_chosen:
            answers.put(own, Annealing.start(sampler, some, uniform[own]).run(1))
            continue
        chosen = answers.labels[:, own], answers.y[:, own]
        moved = Annealing(sampler, some, uniform[own], chosen, time=1.0).stay(n_moves)
        answers.labels[:, own], answers.y[:, own] = moved
        answers.is_reliable[own] = answers.effective_size[own] >= FEWEST
    if n_chosen:
        answers.is_reliable[on_line] = answers.effective_size[on_line] >= FEWEST
    return answers


def answer_at_once(
    sampler: ImportanceSampler, rows: PartialRows, uniform: Tensor, n_draws: int, n_chosen: int
) -> Answers:
    """Draw the unknown cells of rows once, whatever the effective sample size; all are reliable."""
    return _by_draws(sampler, rows, uniform, n_draws, n_chosen, torch.zeros_like(uniform[:, 0]))


def _by_draws(
    sampler: ImportanceSampler,
    rows: PartialRows,
    uniform: Tensor,
    n_draws: int,
    n_chosen: int,
    least: Tensor,
    tempered: float = 0.0,
) -> Answers:
    """Answer by a number of draws, in single precision where draws alone are wanted.

    Draws are chosen by weights ``tempered`` to this effective size.
    """
    single = sampler.single
    if not n_chosen or single is None or not single.saves_time(n_draws, n_chosen):
        particles = sampler.draw(rows, uniform, n_draws)._replace(least=tempered)
        return Answers.of(particles, uniform[:, -1], max(1, n_chosen), least)
    particles = sampler.draw(rows, uniform, n_draws, single)._replace(least=tempered)
    answers = Answers.of(particles, uniform[:, -1], n_chosen, least)
    for own in _split(single.is_unsure(particles, uniform[:, -1], n_chosen, least), len(uniform)):
        particles = sampler.draw(rows.take(own), uniform[own], n_draws)._replace(least=tempered)
        answers.put(own, Answers.of(particles, uniform[own, -1], n_chosen, least[own]))
    return answers


def _split(rows: Tensor, size: int) -> tuple[Tensor, ...]:
    """Return the indices of rows that are marked, so many at once; none where no row is."""
    marked = rows.nonzero().squeeze(1)
    return marked.split(max(1, size)) if len(marked) else ()
