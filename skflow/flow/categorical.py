r"""Exact probabilities of labels, one column after the other.

.. math::

    P(l) = \prod_j P(l_j \mid l_{<j}), \qquad
    P(l_j = k \mid l_{<j}) = (1 - r_j) \, \big[(1 - e_j) \, \mathrm{softmax}_k(a_j)
        + e_j f_{jk}\big],

where the logits :math:`a_j` are those of a tree of columns
(:mod:`skflow.initialization.label_tree`), plus, given a condition, a linear function of it
(:class:`skflow.flow.effects.ConditionLogits`), plus the output of a network, at first 0, whose
hidden state is the sum of embeddings of the labels before (Uria et al., "Neural
Autoregressive Distribution Estimation", 2016, arXiv:1605.02226, section 2); given a
condition, the sum starts from features of it. :math:`f_j` are the smoothed frequencies of
the training rows and :math:`r_j` is the probability of a novel label. The floors
:math:`e_j` keep every label's probability above 1e-9, so that scores are finite and the
inverse can distinguish the midpoints of the intervals.

Hundreds of columns are few groups of neighbours, each with one hidden state: that of the labels
before the group. Within a group, columns depend on each other by the tree alone.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from skflow.flow.batch import Batch
from skflow.flow.conditioner import ResidualBlock
from skflow.flow.context import (
    ContextEncoder,
    Vocabulary,
    group_starts,
    random_embedding,
    sum_in_groups,
)
from skflow.flow.effects import ConditionLogits
from skflow.flow.heavy_tails import ndtr, student_density, student_quantile, student_tails
from skflow.flow.label_start import JOINT, LabelStart, joint_labels

MIN_FLOOR = 1e-4
IMPOSSIBLE = -1e4  # a logit whose exponential is 0
EMBEDDING_SCALE = 0.2
GAP = 1e-6  # share of the novel label without numbers, next to the known labels
# Shares of the gap, from the known labels: begin, latent and end of what is no number.
BEGIN, MIDDLE, END = 1 / 2, 3 / 4, 7 / 8


class AutoregressiveCategorical(nn.Module):
    """Joint probability of a row's labels; see the module's text for the formula.

    Parameters
    ----------
    n_labels : sequence of int
        Known labels of each labelled column; the next index is the novel label.
    unseen : sequence of float
        Probability of the novel label in each column.
    start : LabelStart
    width : int
        Width of the network.
    dropout : float
        Rate inside its residual block.
    generator : torch.Generator or None
        Source of its starting weights.
    given_encoder : ContextEncoder, optional
        Encoder of conditions, with ``width`` features; None for labels without conditions.
    given_logits : ConditionLogits, optional
        Logits that are linear in conditions.
    """

    unseen: Tensor
    sizes: Tensor
    parents: Tensor

    def __init__(
        self,
        n_labels: Sequence[int],
        unseen: Sequence[float],
        start: LabelStart,
        *,
        width: int,
        dropout: float,
        generator: torch.Generator | None,
        given_encoder: ContextEncoder | None = None,
        given_logits: ConditionLogits | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("sizes", torch.tensor([*n_labels], dtype=torch.int64))
        self.register_buffer("unseen", torch.tensor([*unseen], dtype=torch.float64))
        self.register_buffer("parents", torch.tensor(start.parents, dtype=torch.int64))
        self.vocabulary = Vocabulary(n_labels)
        self.weight = random_embedding(self.vocabulary.n_entries, width, generator, EMBEDDING_SCALE)
        self.first = group_starts(len(n_labels), start.n_groups)  # columns
        self.bias = nn.Parameter(torch.zeros(start.n_groups, width, dtype=torch.float32))
        self.block = ResidualBlock(width, dropout, generator)
        padded = [1 << (size - 1).bit_length() if size else 1 for size in n_labels]
        self.groups = nn.ModuleList(
            _Heads([j for j, p in enumerate(padded) if p == size], size, start, width)
            for size in sorted(set(padded))
        )
        self.given_encoder = given_encoder
        self.given_logits = given_logits
        self.double()

    @property
    def has_more_to_learn(self) -> bool:
        """Whether gradients can improve on the tree: labels depend on labels or conditions."""
        n_varying = int((self.sizes > 1).sum())
        return n_varying > (1 if self.given_encoder is None else 0)

    @property
    def entries_per_row(self) -> int:
        """Number of entries, per row, of the largest intermediate array."""
        heads = [h.frequencies.numel() for h in self._all_heads()]
        return max([self.bias.numel(), *heads])

    def log_prob(self, batch: Batch, *, quantize: bool = True) -> Tensor:
        """Log-probability of each row's labels, ``(n_rows,)``, in nats.

        ``quantize`` has no effect: labels are whole numbers.
        """
        return self.column_log_probs(batch.labels, batch.given).sum(dim=0)

    def column_log_probs(self, labels: Tensor, given: Batch | None = None) -> Tensor:
        """Log-probability of each label given those before it, ``(n_labelled, n_rows)``."""
        log_probs = self.bias.new_zeros(labels.shape)
        if not len(labels):
            return log_probs
        if given is not None and given.corners:
            corners = [(c.weight, self.column_log_probs(labels, c)) for c in given.corners]
            at_corners = [own + share.log() for share, own in corners if share is not None]
            return torch.stack(at_corners).logsumexp(dim=0)
        ((features, of_given, _),) = self._starts(given)
        # What the heads of each group take, (n_groups, width, n); one pass of the block for all.
        prefix = self._embeddings_before(labels) + self.bias[:, None]
        if features is not None:
            prefix = prefix + features
        n_groups, n_rows, width = prefix.shape
        flat = prefix.permute(2, 0, 1).reshape(width, n_groups * n_rows)
        hidden = torch.relu(self.block(flat)).view(width, n_groups, n_rows).permute(1, 0, 2)
        for heads in self._all_heads():
            own = labels[heads.columns]
            unseen = self.unseen[heads.columns, None].to(log_probs.dtype)
            # The first column depends on the condition only: without one all rows are equal.
            is_first = heads.members == [0] and given is None
            rows = slice(1) if is_first else slice(None)
            log_prob = heads(hidden[:, :, rows], labels[:, rows], of_given)
            log_prob = log_prob.expand(-1, -1, labels.shape[1])
            picked = log_prob.gather(1, own[:, None].clamp_max(log_prob.shape[1] - 1)).squeeze(1)
            known = own < self.sizes[heads.columns, None]
            own_log_prob = torch.where(known, picked + torch.log1p(-unseen), unseen.log())
            log_probs = log_probs.index_copy(0, heads.columns, own_log_prob)
        return log_probs

    def first_log_probs(self, n_rows: int, given: Batch | None = None) -> Tensor:
        """Log-probability of each known label of the first column, ``(n_labels, n_rows)``."""
        labels = self.sizes.new_zeros(len(self.sizes), n_rows)
        before = self.bias.new_zeros(n_rows, self.bias.shape[1])
        _, share = self._intervals(0, before, labels, self._starts(given))
        return share.log() + torch.log1p(-self.unseen[0])

    def novel_log_prob(self, novel: Tensor) -> Tensor:
        """Log-density of novel numbers, NaN where there is none, summed over columns."""
        return student_density(novel).log().nan_to_num(0.0).sum(dim=0)

    def latents(self, labels: Tensor, novel: Tensor, given: Batch | None = None) -> Tensor:
        """Normal quantile of the midpoint of each label's interval of probability.

        The novel label takes the two ends of the line, half of its probability each. A
        novel number has its own place there, so that it has an inverse; all other novel
        labels share one place, next to the known labels.
        """
        z = torch.zeros_like(novel)
        before, starts = self._embeddings_before(labels), self._starts(given)
        for j, unseen in enumerate(self.unseen):
            below, share = self._intervals(j, before[self._group(j)], labels, starts)
            index = labels[j].clamp_max(len(share) - 1)[None]
            middle = (below + share / 2).gather(0, index).squeeze(0)
            known = torch.special.ndtri(unseen / 2 + (1 - unseen) * middle)
            lower, upper = student_tails(novel[j].nan_to_num(0.0))
            tail = (1 - GAP) * torch.minimum(lower, upper)
            tail = torch.where(novel[j].isnan(), (1 - MIDDLE * GAP) / 2, tail)
            outside = torch.special.ndtri(unseen * tail)
            outside = torch.where(novel[j] > 0, -outside, outside)
            z[j] = torch.where(labels[j] < self.sizes[j], known, outside)
        return z

    def inverse(self, z: Tensor, given: Batch | None = None) -> tuple[Tensor, Tensor]:
        """Invert :meth:`latents`: labels, and novel numbers, NaN for all else."""
        labels = torch.zeros(z.shape, dtype=torch.int64, device=z.device)
        novel = torch.full_like(z, torch.nan)
        total = before = self.bias.new_zeros(z.shape[1], self.bias.shape[1])
        starts = self._starts(given)
        for j, unseen in enumerate(self.unseen):
            if j in self.first:
                before = total
            below, share = self._intervals(j, before, labels, starts)
            position = (ndtr(z[j]) - unseen / 2) / (1 - unseen)
            known = ((below + share)[:-1] < position).sum(dim=0)
            tail = ndtr(-z[j].abs()) / unseen
            is_known = tail > (1 - BEGIN * GAP) / 2
            is_number = tail < (1 - END * GAP) / 2
            clipped = (tail / (1 - GAP)).clamp(torch.finfo(z.dtype).tiny, 0.5)
            size = student_quantile(1 - clipped, clipped)
            labels[j] = torch.where(is_known, known, self.sizes[j])
            novel[j] = torch.where(is_number, torch.sign(z[j]) * size, torch.nan)
            total = total + functional.embedding(
                labels[j] + self.vocabulary.offsets[j], self.weight
            )
        return labels, novel

    def known_latents(self, z: Tensor) -> Tensor:
        """Move latents into the interval of the known labels, keeping their order."""
        unseen = self.unseen[:, None]
        return torch.special.ndtri(unseen / 2 + (1 - unseen) * ndtr(z))

    def _all_heads(self) -> list["_Heads"]:
        return cast(list[_Heads], list(self.groups))

    def _embeddings_before(self, labels: Tensor) -> Tensor:
        """Sum of the embeddings of all labels before each group, ``(n_groups, n, width)``."""
        codes = self.vocabulary(labels)
        if len(self.first) == len(labels):
            embedded = functional.embedding(codes, self.weight)
        else:
            embedded = sum_in_groups(codes, self.weight, self.first, self.vocabulary.offsets)
        return embedded.cumsum(dim=0) - embedded

    def _group(self, column: int) -> int:
        return bisect_right(self.first, column) - 1

    def _starts(self, given: Batch | None) -> list["_Start"]:
        """Return what conditions add: one start, or one at each corner of those between levels."""
        if given is None or self.given_encoder is None:
            return [_Start()]
        starts = []
        for corner in given.corners or (given,):
            logits = None
            if self.given_logits is not None:  # and a row of 0 for those that pad heads
                logits = functional.pad(self.given_logits(corner), (0, 0, 0, 1))
            starts.append(_Start(self.given_encoder.encode(corner).T, logits, corner.weight))
        return starts

    def _intervals(
        self, j: int, before: Tensor, labels: Tensor, starts: list["_Start"]
    ) -> tuple[Tensor, Tensor]:
        """Probability below each label of column j, and of the label, ``(n_labels, n_rows)``."""
        heads, place = next((h, h.members.index(j)) for h in self._all_heads() if j in h.members)
        total = before.new_zeros(())
        for features, logits, weight in starts:
            prefix = before if features is None else before + features
            hidden = torch.relu(self.block((prefix + self.bias[self._group(j)]).T))
            share = heads.one(place, hidden, labels, logits)[: max(1, int(self.sizes[j]))].exp()
            total = total + (share if weight is None else weight * share)
        return total.cumsum(dim=0) - total, total


class _Start(NamedTuple):
    """What a condition adds to the logits of labels.

    Attributes
    ----------
    features : Tensor of shape (n_rows, width), optional
        Start of the sum of embeddings.
    logits : Tensor of shape (n_logits + 1, n_rows), optional
        Linear logits of all labels.
    weight : Tensor of shape (n_rows,), optional
        Share in the probabilities; None is 1.
    """

    features: Tensor | None = None
    logits: Tensor | None = None
    weight: Tensor | None = None


class _Heads(nn.Module):
    """Softmax heads of columns with the same padded number of labels, in one product."""

    columns: Tensor
    parents: Tensor
    table: Tensor
    first_row: Tensor
    frequencies: Tensor
    places: Tensor

    def __init__(self, columns: list[int], size: int, start: LabelStart, width: int) -> None:
        super().__init__()
        self.members = columns
        tables = [start.log_tables[j] for j in columns]
        n_rows = torch.tensor([len(table) for table in tables])
        self.register_buffer("columns", torch.tensor(columns))
        self.register_buffer("parents", torch.tensor([start.parents[j] for j in columns]))
        #: Joint parents of columns, by their place here.
        self.joint_parents = {
            place: start.joint_parents[j]
            for place, j in enumerate(columns)
            if start.parents[j] == JOINT
        }
        self.is_apart = start.n_groups == len(start.parents)
        ends = [*group_starts(len(start.parents), start.n_groups)[1:], len(start.parents)]
        #: Columns of each group.
        self.counts = np.diff([bisect_left(columns, end) for end in ends], prepend=0).tolist()
        self.register_buffer("table", _stack(tables, size))
        self.register_buffer("first_row", n_rows.cumsum(0) - n_rows)
        frequencies = [start.log_frequencies[j][None] for j in columns]
        self.register_buffer("frequencies", _stack(frequencies, size, exp=True)[:, :, None])
        sizes = [len(frequencies) for frequencies in start.log_frequencies]
        firsts = [sum(sizes[:j]) for j in columns]
        places = torch.full((len(columns), size), sum(sizes))
        for row, j, first in zip(places, columns, firsts, strict=True):
            row[: sizes[j]] = first + torch.arange(sizes[j])
        self.register_buffer("places", places, persistent=False)
        dtype = torch.float32
        self.weight = nn.Parameter(torch.zeros(len(columns), size, width, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(len(columns), size, 1, dtype=dtype))
        floor = torch.full((len(columns), 1, 1), 2 * (start.floor - MIN_FLOOR), dtype=dtype)
        self.floor_logit = nn.Parameter(torch.logit(floor))

    def forward(self, hidden: Tensor, labels: Tensor, of_given: Tensor | None) -> Tensor:
        """Log-probabilities ``(n_columns, size, n_rows)`` of known labels.

        ``hidden``, ``(n_groups, width, n_rows)``, is the hidden state of all groups.
        """
        rows = self.first_row[:, None] + self._parent_labels(labels)
        start = functional.embedding(rows, self.table).transpose(1, 2)
        if of_given is not None:
            start = start + of_given[self.places]
        if self.is_apart:
            of_hidden = torch.bmm(self.weight, hidden[self.columns])
        else:
            own = self.weight.split(self.counts)
            products = [w.flatten(0, 1) @ h for w, h in zip(own, hidden, strict=True)]
            of_hidden = torch.cat(products).view(*self.weight.shape[:2], -1)
        return _floored_log_softmax(start + self.bias + of_hidden, self._floor(), self.frequencies)

    def one(self, g: int, hidden: Tensor, labels: Tensor, of_given: Tensor | None) -> Tensor:
        """Log-probabilities of column g alone, ``(size, n_rows)``, from ``(width, n_rows)``."""
        rows = self.first_row[g] + self._parent_labels(labels)[g]
        start = functional.embedding(rows, self.table).T
        if of_given is not None:
            start = start + of_given[self.places[g]]
        logits = start + self.bias[g] + self.weight[g] @ hidden
        floored = _floored_log_softmax(
            logits[None], self._floor()[g, None], self.frequencies[g, None]
        )
        return floored[0]

    def _parent_labels(self, labels: Tensor) -> Tensor:
        own = labels[self.parents.clamp_min(0)]
        own = torch.where(self.parents[:, None] < 0, 0, own)
        for place, joint_parent in self.joint_parents.items():
            own[place] = joint_labels(labels, joint_parent)
        return own

    def _floor(self) -> Tensor:
        return MIN_FLOOR + (0.5 - MIN_FLOOR) * torch.sigmoid(self.floor_logit)


def _floored_log_softmax(logits: Tensor, floor: Tensor, frequencies: Tensor) -> Tensor:
    probability = (1 - floor) * torch.softmax(logits, dim=1) + floor * frequencies
    return probability.clamp_min(torch.finfo(logits.dtype).tiny).log()


def _stack(log_tables: Sequence[Tensor], size: int, *, exp: bool = False) -> Tensor:
    """Stack tables, with impossible labels up to ``size``: their logits are large and negative."""
    if log_tables[0].is_meta:  # torch imports its compiler to compute with these
        return log_tables[0].new_empty(sum(map(len, log_tables)), size)
    pad = [functional.pad(own, (0, size - own.shape[1]), value=IMPOSSIBLE) for own in log_tables]
    return torch.cat(pad).exp() if exp else torch.cat(pad)
