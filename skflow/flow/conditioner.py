"""Conditioners: masked networks from columns and features to spline parameters."""

from collections.abc import Iterator, Sequence
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
        # Units that each group depends on: as many of the first by degree.
        self.n_units = torch.bincount(degrees, minlength=n_groups).cumsum(0).tolist()
        inputs = torch.cat((groups + 1, groups.new_zeros(n_features)))
        outputs = groups.repeat(n_parameters)
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

    def by_group(
        self,
        x: Tensor,
        groups: Sequence[slice],
        features: Tensor | None = None,
        *,
        quantize: bool = True,
    ) -> Iterator[Tensor]:
        """Yield raw parameters of one group after the other, ``(n_parameters, n_own, n_rows)``.

        The columns of a group are read when the next one is taken: by then they must be in
        ``x``. Each hidden unit is computed once, with the first group that depends on it:
        the work of all groups together is less than that of :meth:`forward`.

        Parameters
        ----------
        x : Tensor of shape (n_columns, n_rows)
        groups : sequence of slice
            Columns of each group.
        features : Tensor of shape (n_features, n_rows), optional
        quantize : bool
            Whether inputs are rounded.
        """
        order, n_rows = self.by_degree, x.shape[1]
        of_inputs = self.input_layer.masked_weight()[order]
        bias = self.input_layer.bias[order, None]
        blocks = [
            [_Incremental(layer, order, order, n_rows) for layer in (block.first, block.second)]
            for block in cast(list[ResidualBlock], list(self.blocks))
        ]
        output = _Incremental(self.output_layer, slice(None), order, n_rows)
        parameters = torch.arange(len(output.bias), device=x.device).view(self.n_parameters, -1)
        inputs = x.new_zeros(of_inputs.shape[1], n_rows)
        if features is not None:
            inputs[len(x) :] = features
        start = 0
        for columns, end in zip(groups, self.n_units, strict=True):
            new = slice(start, end)
            h = torch.addmm(bias[new], of_inputs[new], inputs)
            for first, second in blocks:
                first.read(new, h)
                second.read(new, first(new, end))
                h = h + second(new, end)
            output.read(new, h)
            yield output(parameters[:, columns].flatten(), end).view(self.n_parameters, -1, n_rows)
            inputs[columns] = self._clamp(x[columns], quantize=quantize)
            start = end

    def _clamp(self, x: Tensor, *, quantize: bool) -> Tensor:
        return quantize_inputs(x, self.bound) if quantize else x.clamp(-self.bound, self.bound)


class _Incremental:
    """A linear layer of rectified units, of which the first are there before the others.

    Parameters
    ----------
    layer : Linear
    outputs, units : slice or Tensor of int64
        Order of the layer's outputs and of the units that it reads.
    n_rows : int
    """

    def __init__(self, layer: Linear, outputs: slice | Tensor, units: Tensor, n_rows: int) -> None:
        self.weight = layer.masked_weight()[outputs][:, units]
        self.bias = layer.bias[outputs, None]
        self.units = self.weight.new_empty(len(units), n_rows)

    def read(self, new: slice, h: Tensor) -> None:
        """Take units that are new, before they are rectified."""
        self.units[new] = torch.relu(h)

    def __call__(self, outputs: slice | Tensor, end: int) -> Tensor:
        """Return some of the outputs, which depend on the first ``end`` units."""
        return torch.addmm(self.bias[outputs], self.weight[outputs, :end], self.units[:end])
