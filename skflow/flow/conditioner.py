"""Conditioners: masked networks from columns and features to spline parameters."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

QUANTIZATION_STEP = 2.0**-20


def quantize_inputs(y: Tensor, bound: float) -> Tensor:
    """Clamp to ``[-bound, bound]`` and round to multiples of 2^-20.

    The inverse reproduces a column only to about 1e-13 where its map is flat, and
    conditioners may amplify such an error 10,000 times. Rounded, the inputs of both
    directions are identical. The clamp keeps far values from saturating the network.

    A map whose parameters depend on rounded columns is as triangular as before: its
    log-determinant is the sum over columns, and stays exact. Rounding has no gradient.
    """
    return torch.round(y.clamp(-bound, bound) / QUANTIZATION_STEP) * QUANTIZATION_STEP


class Linear(nn.Module):
    """Affine map of columns: ``(n_in, n_rows)`` to ``(n_out, n_rows)``.

    Weights are drawn from ``generator``, never from torch's global one; without one they
    take no memory until a state is loaded. Where the mask, ``(n_out, n_in)``, is 0, an
    output does not depend on an input.
    """

    mask: Tensor | None

    def __init__(
        self, n_in: int, n_out: int, generator: torch.Generator | None, mask: Tensor | None = None
    ) -> None:
        super().__init__()
        mask = None if mask is None else mask.to(torch.float32)
        if generator is None:
            weight = torch.empty(n_out, n_in, device="meta", dtype=torch.float32)
        else:
            all_inputs = torch.tensor(n_in, dtype=torch.float32)
            n_inputs = all_inputs if mask is None else mask.sum(dim=1, keepdim=True)
            weight = 2 * torch.rand(n_out, n_in, generator=generator, dtype=torch.float32) - 1
            weight = weight / n_inputs.clamp_min(1).sqrt()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(n_out, dtype=torch.float32))
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``weight @ x + bias``."""
        return torch.addmm(self.bias[:, None], self.masked_weight(), x)

    @torch.no_grad()
    def fold_mask(self) -> None:
        """Put the mask into the weight, once for all where nothing is trained any more."""
        self.weight.copy_(self.masked_weight())
        self.mask = None

    def masked_weight(self) -> Tensor:
        """Return the weight, 0 where the mask is 0."""
        return self.weight if self.mask is None else self.weight * self.mask


class Dropout(nn.Module):
    """Inverted dropout whose mask comes from the training's own generator."""

    generator: torch.Generator | None = None

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Zero entries at the given rate while training, scale up the others."""
        if not self.training or self.rate == 0:
            return x
        # Several times as fast on a CPU as bernoulli_.
        uniform = torch.empty_like(x).uniform_(generator=self.generator)
        return x * uniform.ge_(self.rate).div_(1 - self.rate)


class ResidualBlock(nn.Module):
    """``h + W2 dropout(relu(W1 relu(h)))`` (He et al., 2016, pre-activation)."""

    def __init__(
        self,
        width: int,
        dropout: float,
        generator: torch.Generator | None,
        mask: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.first = Linear(width, width, generator, mask)
        self.second = Linear(width, width, generator, mask)
        self.dropout = Dropout(dropout)

    def forward(self, h: Tensor) -> Tensor:
        """Add the block's correction to ``h``."""
        hidden = self.dropout(self.first(torch.relu(h)).relu_())
        return h + self.second(hidden)


class _ResidualNetwork(torch.autograd.Function):
    """A linear layer, residual blocks, a linear layer of rectified units; gradients written out.

    In a small network, what stands between the matrix products costs as much as they do.
    """

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        dropouts: Sequence[Dropout],
        masks: Sequence[Tensor | None],
        *parameters: Tensor,
    ) -> Tensor:
        pairs = zip(parameters[::2], masks, strict=True)
        weights = [weight if mask is None else weight * mask for weight, mask in pairs]
        biases = [bias[:, None] for bias in parameters[1::2]]
        read = [inputs]  # by each layer
        h = torch.addmm(biases[0], weights[0], inputs)
        for k, dropout in enumerate(dropouts):
            first, second = 2 * k + 1, 2 * k + 2
            read.append(torch.relu(h))
            hidden = torch.addmm(biases[first], weights[first], read[-1]).relu_()
            read.append(dropout(hidden))
            h = torch.addmm(biases[second], weights[second], read[-1]).add_(h)
        read.append(torch.relu(h))
        ctx.save_for_backward(*weights, *read)
        ctx.masks = masks
        ctx.scales = [1 / (1 - d.rate) if d.training else 1.0 for d in dropouts]
        return torch.addmm(biases[-1], weights[-1], read[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        n_layers = len(ctx.masks)
        weights, read = ctx.saved_tensors[:n_layers], ctx.saved_tensors[n_layers:]
        of_parameters: list[Tensor] = []

        def back_through(layer: int, of_output: Tensor) -> Tensor:
            of_weight, mask = of_output @ read[layer].T, ctx.masks[layer]
            if mask is not None:
                of_weight *= mask
            of_parameters[:0] = (of_weight, of_output.sum(dim=1))
            return weights[layer].T @ of_output

        def rectified(of_units: Tensor, layer: int) -> Tensor:
            return torch.ops.aten.threshold_backward(of_units, read[layer], 0)

        of_h = rectified(back_through(n_layers - 1, gradient), n_layers - 1)
        for k in reversed(range(len(ctx.scales))):
            first, second = 2 * k + 1, 2 * k + 2
            of_hidden = rectified(back_through(second, of_h), second)
            if ctx.scales[k] != 1:
                of_hidden *= ctx.scales[k]
            of_h = of_h + rectified(back_through(first, of_hidden), first)
        return back_through(0, of_h), None, None, *of_parameters


class Conditioner(nn.Module):
    r"""Masked residual network from columns to the spline parameters of later columns.

    Parameters of group g depend on columns of groups < g only. Each hidden unit has a
    degree m: it depends on groups < m, and units of degree >= m and parameters of groups
    >= m depend on it (Germain et al., "MADE", 2015, arXiv:1502.03509, section 3).
    Features of the context have degree 0: all parameters depend on them.

    The output layer starts at zero: the coupling layer is then the identity.

    Parameters
    ----------
    groups : Tensor of int64, shape (n_columns,)
        The group of each column, from 0.
    n_groups : int
    n_parameters : int
        Spline parameters of each column.
    n_features : int
        Features of the context.
    hidden_units, n_blocks : int
        Width, and number of residual blocks.
    dropout : float
        Rate inside the residual blocks.
    bound : float
        Columns are clamped to ``[-bound, bound]``.
    generator : torch.Generator or None
        Source of the starting weights.
    """

    by_degree: Tensor
    input_order: Tensor
    output_order: Tensor

    def __init__(
        self,
        groups: Tensor,
        n_groups: int,
        n_parameters: int,
        *,
        n_features: int,
        hidden_units: int,
        n_blocks: int,
        dropout: float,
        bound: float,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        self.n_parameters = n_parameters
        self.bound = bound
        # As many hidden units of each degree; none of degree 0 where it has no inputs.
        lowest = 0 if n_features or n_groups == 1 else 1
        degrees = lowest + torch.arange(hidden_units) % (n_groups - lowest)
        self.register_buffer("by_degree", degrees.argsort(stable=True), persistent=False)
        self.group_sizes = torch.bincount(groups, minlength=n_groups).tolist()
        # Units that each group depends on: as many of the first by degree.
        self.n_units = torch.bincount(degrees, minlength=n_groups).cumsum(0).tolist()
        inputs = torch.cat((groups + 1, groups.new_zeros(n_features)))
        outputs = groups.repeat(n_parameters)
        self.register_buffer("input_order", inputs.argsort(stable=True), persistent=False)
        self.register_buffer("output_order", outputs.argsort(stable=True), persistent=False)
        self.input_layer = Linear(
            len(inputs), hidden_units, generator, degrees[:, None] >= inputs[None, :]
        )
        mask = degrees[:, None] >= degrees[None, :]
        self.blocks = nn.ModuleList(
            ResidualBlock(hidden_units, dropout, generator, mask) for _ in range(n_blocks)
        )
        self.output_layer = Linear(
            hidden_units, len(outputs), generator, outputs[:, None] >= degrees[None, :]
        )
        nn.init.zeros_(self.output_layer.weight)

    def forward(
        self, x: Tensor, features: Tensor | None = None, *, quantize: bool = True
    ) -> Tensor:
        """Return the raw parameters of all columns, ``(n_parameters, n_columns, n_rows)``.

        Inputs are rounded where ``quantize`` is set; see :func:`quantize_inputs`.
        """
        inputs = self._clamp(x, quantize=quantize)
        inputs = inputs if features is None else torch.cat((inputs, features))
        layers, dropouts = [self.input_layer], []
        for block in cast(list[ResidualBlock], list(self.blocks)):
            layers += (block.first, block.second)
            dropouts.append(block.dropout)
        layers.append(self.output_layer)
        parameters = [p for layer in layers for p in (layer.weight, layer.bias)]
        masks = [layer.mask for layer in layers]
        raw: Tensor = _ResidualNetwork.apply(inputs, dropouts, masks, *parameters)
        return raw.view(self.n_parameters, -1, x.shape[1])

    def _clamp(self, x: Tensor, *, quantize: bool) -> Tensor:
        return quantize_inputs(x, self.bound) if quantize else x.clamp(-self.bound, self.bound)


class IncrementalNetwork:
    """A conditioner's network, each of whose units is computed once, group after group.

    Inputs, units and outputs are in the order of the groups, so that each group reads leading
    rows and writes the next ones. Weights have the bias as their first column, and what they
    read has a first row of ones: a layer is one matrix product, its result in its place.

    Parameters
    ----------
    conditioner : Conditioner
        Its weights must not change while this is in use.
    """

    def __init__(self, conditioner: Conditioner) -> None:
        self._conditioner, order = conditioner, conditioner.by_degree
        sizes = [end - start for start, end in pairwise([0, *conditioner.n_units])]
        blocks = cast(list[ResidualBlock], list(conditioner.blocks))
        layers = [(conditioner.input_layer, conditioner.input_order)]
        layers += [(layer, order) for block in blocks for layer in (block.first, block.second)]
        weights = [_with_bias(layer, order, inputs).split(sizes) for layer, inputs in layers]
        n_outputs = [conditioner.n_parameters * size for size in conditioner.group_sizes]
        of_outputs = _with_bias(conditioner.output_layer, conditioner.output_order, order)
        self._of_groups = list(zip(*weights, of_outputs.split(n_outputs), strict=True))
        self._unit_sizes = [1, *sizes]

    def by_group(
        self, x: Tensor, groups: Sequence[slice], features: Tensor | None = None
    ) -> Iterator[Tensor]:
        """Yield raw parameters of one group after the other, ``(n_parameters, n_own, n_rows)``.

        The columns of a group are read, rounded, when the next one is taken: by then they must
        be in ``x``. Missing values, NaN, are read as 0. The work of all groups together is less
        than that of :meth:`Conditioner.forward`.

        Parameters
        ----------
        x : Tensor of shape (n_columns, n_rows)
        groups : sequence of slice
            Columns of each group.
        features : Tensor of shape (n_features, n_rows), optional
        """
        n_rows, n_inputs = x.shape[1], 1 if features is None else 1 + len(features)
        inputs = x.new_empty(n_inputs + len(x), n_rows)
        inputs[0] = 1.0
        if features is not None:
            inputs[1:n_inputs] = features
        n_layers = len(self._of_groups[0]) - 1
        read = [x.new_empty(sum(self._unit_sizes), n_rows) for _ in range(n_layers)]
        for units in read:
            units[0] = 1.0
        places = zip(*(units.split(self._unit_sizes)[1:] for units in read), strict=True)
        network, end = self._conditioner, 1  # behind the row of ones
        for columns, own, (*weights, of_outputs) in zip(
            groups, places, self._of_groups, strict=True
        ):
            if len(own[0]):
                end += len(own[0])
                before = [inputs[:n_inputs], *(units[:end] for units in read[:-1])]
                _compute_units(weights, before, own)
            raw = torch.mm(of_outputs[:, :end], read[-1][:end])
            yield raw.view(network.n_parameters, -1, n_rows)
            values = quantize_inputs(x[columns], network.bound).nan_to_num_(0.0)
            inputs[n_inputs : n_inputs + len(values)] = values
            n_inputs += len(values)


def _compute_units(
    weights: Sequence[Tensor], read: Sequence[Tensor], own: Sequence[Tensor]
) -> None:
    """Compute the units of a degree in each layer, rectified, from what each layer reads.

    The layers are the first one, then two of each residual block.
    """
    first, *of_blocks = (
        weight[:, : len(inputs)] for weight, inputs in zip(weights, read, strict=True)
    )
    h = torch.mm(first, read[0], out=own[-1])
    for k in range(0, len(of_blocks), 2):
        torch.clamp_min(h, 0.0, out=own[k])
        torch.mm(of_blocks[k], read[k + 1], out=own[k + 1]).relu_()
        h.addmm_(of_blocks[k + 1], read[k + 2])
    h.relu_()


@torch.no_grad()
def _with_bias(layer: Linear, outputs: Tensor, inputs: Tensor) -> Tensor:
    """Return weights for inputs after a row of ones, all in the given orders."""
    weight = layer.masked_weight().index_select(0, outputs).index_select(1, inputs)
    return torch.cat((layer.bias.index_select(0, outputs)[:, None], weight), dim=1)
