"""Answers for rows with unknown cells: by few draws, by more, by annealing."""

from torch import Tensor

from skflow.conditioning.annealing import Annealing
from skflow.conditioning.importance import ImportanceSampler
from skflow.conditioning.partial_rows import PartialRows
from skflow.conditioning.particles import Answers

PARTICLES = 2**16  # draws at once, of all rows
MORE = 4  # times as many draws, where the effective sample size is small
MOST_DRAWS = 1024  # per row: more would help little
LEAST_SHARE = 1 / 4  # least effective sample size, as a share of the first draws
LEAST_SIZE = 30.0  # least effective sample size of more draws
FEWEST = 3.0  # least effective sample size of draws that were moved
ANNEALED = 256  # rows at once


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
    least = min(n_draws * LEAST_SHARE, LEAST_SIZE)
    first = max(1, n_chosen)
    answers = Answers.of(sampler.draw(rows, uniform, n_draws), uniform[:, -1], first, least)
    hard = (~answers.is_reliable).nonzero().squeeze(1)
    n_more = min(MORE * n_draws, MOST_DRAWS)
    for own in hard.split(max(1, PARTICLES // n_more)) if len(hard) else ():
        particles = sampler.draw(rows.take(own), uniform[own], n_more)
        answers.put(own, Answers.of(particles, uniform[own, -1], first, LEAST_SIZE))
    hard = (~answers.is_reliable).nonzero().squeeze(1)
    for own in hard.split(ANNEALED) if len(hard) else ():
        some = rows.take(own)
        if not n_chosen:
            answers.put(own, Annealing.start(sampler, some, uniform[own]).run(first))
            continue
        chosen = answers.labels[:, own], answers.y[:, own]
        moved = Annealing(sampler, some, uniform[own], chosen, time=1.0).stay()
        answers.labels[:, own], answers.y[:, own] = moved
        answers.is_reliable[own] = answers.effective_size[own] >= FEWEST
    return answers
