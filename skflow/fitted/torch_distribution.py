"""A fitted density as a distribution of torch, differentiable in its values."""

import copy
import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from skflow.flow.blocks import rows_at_once
from skflow.flow.model import Latents, Model, Rows
from skflow.table.codec import TableCodec
from skflow.table.coordinates import CoordinateSystem, IntegerGrid
from skflow.table.scaling import AsinhScaling, NearZeroAsinhScaling, PowerOfTwoScaling, Scaling

MOST_EXACT = 2**53  # whole numbers that a float64 holds
TIMES = ("date", "duration", "clock")


class FlowDistribution(Distribution):
    r"""Density of rows of numbers, in the units of the table's columns.

    ``log_prob`` is the score of the estimator without the rounding of the inputs that later
    columns read, which makes the map exactly invertible and has no gradient: the same to about
    1e-5 nats. Its gradient is exact, and can be taken once: the gradients of the splines are
    written out.

    Numbers on a grid have the density of the number blurred uniformly over its cell; draws
    are not rounded to the grid.

    Where the density has conditions, there is one distribution for each of their rows:
    ``batch_shape`` is ``(n_conditions,)``, and :meth:`expand` broadcasts it.

    Parameters
    ----------
    codec : TableCodec
        Codec whose columns, but for conditions, are numbers alone.
    model : Model
    given : Rows, optional
        Encoded conditions, where the model has some.

    Raises
    ------
    ValueError
        Naming columns with labels, missing values or atoms, dates and durations, and whole
        numbers that no float64 holds.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, codec: TableCodec, model: Model, given: Rows | None = None) -> None:
        reasons = []
        for k in codec.targets:
            column, own, index = codec.schema.columns[k], codec.columns[k], codec.indices[k]
            coordinates = getattr(own, "coordinates", None)
            if index.value is None or column.kind in TIMES:
                reasons.append(f"{column.name!r}: {column.kind}")
            elif index.label is not None:
                reasons.append(f"{column.name!r}: {column.kind} with missing values or atoms")
            elif isinstance(coordinates, IntegerGrid) and abs(coordinates.origin) >= MOST_EXACT:
                reasons.append(f"{column.name!r}: whole numbers beyond 2^53")
        if reasons:
            raise ValueError(
                "as_torch() needs columns of numbers without labels, which a tensor of floats can "
                "hold; fit the density without these columns, or with "
                "column_kinds={name: 'continuous'} where they are numbers:\n  "
                + "\n  ".join(reasons)
            )
        self._codecs = codec.value_codecs
        self._model = copy.deepcopy(model).cpu().requires_grad_(requires_grad=False)
        self._given = given
        n_conditions = [] if given is None else [given.labels.shape[1]]
        # The condition of each distribution of the batch.
        self._condition = torch.arange(math.prod(n_conditions)).reshape(n_conditions)
        event_shape = torch.Size([len(self._codecs)])
        super().__init__(torch.Size(n_conditions), event_shape)

    def expand(
        self,
        batch_shape: torch.Size | list[int] | tuple[int, ...],
        _instance: Distribution | None = None,
    ) -> "FlowDistribution":
        """Return the distributions broadcast to a larger batch."""
        expanded: FlowDistribution = self._get_checked_instance(FlowDistribution, _instance)
        for name in ("_codecs", "_model", "_given"):
            setattr(expanded, name, getattr(self, name))
        shape = torch.Size(batch_shape)
        expanded._condition = self._condition.expand(shape)
        Distribution.__init__(expanded, shape, self.event_shape, validate_args=False)
        expanded._validate_args = self._validate_args
        return expanded

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats, per unit of each column.

        Parameters
        ----------
        value : Tensor of shape (..., n_columns)
            Columns that are no conditions; the other axes are broadcast with the batch.

        Returns
        -------
        log_density : Tensor of float64, shape (...)
            Differentiable in ``value``.
        """
        if self._validate_args:
            self._validate_sample(value)
        shape, n_columns = (
            torch.broadcast_shapes(value.shape[:-1], self.batch_shape),
            len(self._codecs),
        )
        every = value.to("cpu", torch.float64).expand(*shape, n_columns)
        encoded = []
        for row, codec in zip(every.reshape(-1, n_columns).T, self._codecs, strict=True):
            start, unit = _affine(codec.coordinates)
            scaled, log_derivative = _scale((row - start) * unit, codec.scaling)
            encoded.append((scaled, log_derivative + math.log(unit)))
        columns, log_derivatives = map(torch.stack, zip(*encoded, strict=True))
        no_label = torch.empty(0, columns.shape[1])
        rows = Rows(no_label.long(), no_label.double(), columns)
        condition = self._condition.expand(shape).reshape(-1)
        batch, log_det = self._model.gaussianize(rows, self._given_of(condition))
        total = self._model.flow.smooth_log_prob(batch) + log_det + log_derivatives.sum(dim=0)
        return total.to(value.device).reshape(shape)

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draw rows, ``(*sample_shape, *batch_shape, n_columns)``, float64.

        torch's global generator is used. The density has no parameters that could require
        gradients, so draws have none.
        """
        shape = self._extended_shape(torch.Size(sample_shape))
        n_rows, n_columns = math.prod(shape[:-1]), shape[-1]
        size = rows_at_once(torch.device("cpu"), self._model.entries_per_row)
        rows = torch.empty(n_rows, n_columns, dtype=torch.float64)
        conditions = self._condition.expand(shape[:-1]).reshape(-1)
        for part, condition in zip(rows.split(size), conditions.split(size), strict=True):
            z = torch.randn(n_columns, len(part), dtype=torch.float64)
            u = torch.rand(n_columns, len(part), dtype=torch.float64)
            with torch.no_grad():
                drawn = self._model.draw(Latents(z[:0], z), u, self._given_of(condition))
            for column, codec, values in zip(part.T, self._codecs, drawn.values, strict=True):
                start, unit = _affine(codec.coordinates)
                decoded = codec.scaling.decode(values.numpy())
                column.copy_(torch.from_numpy(decoded / unit + start))
        return rows.reshape(shape)

    def _given_of(self, condition: Tensor) -> Rows | None:
        """Conditions by index; None where the density has none."""
        if self._given is None:
            return None
        return Rows(*(part[:, condition] for part in self._given))


def _affine(coordinates: CoordinateSystem) -> tuple[float, float]:
    """Return the number whose coordinate is 0, and the coordinates per unit of the column."""
    if isinstance(coordinates, IntegerGrid):
        return coordinates.origin / coordinates.unit, coordinates.unit / coordinates.width
    return 0.0, 1.0


def _scale(x: Tensor, scaling: Scaling) -> tuple[Tensor, Tensor]:
    """Return scaled numbers and the log-derivative of the scaling."""
    if isinstance(scaling, NearZeroAsinhScaling):
        near = x.abs() < scaling.edge
        inside = x.where(near, 0.0)
        spread = torch.where(near, scaling.gain * torch.asinh(inside / scaling.pivot), x)
        encoded, log_derivative = _scale(spread, scaling.base)
        pivot = torch.full_like(x, scaling.pivot)
        steeper = math.log(scaling.gain) - torch.hypot(inside, pivot).log()
        return encoded, log_derivative + steeper.where(near, 0.0)
    if isinstance(scaling, AsinhScaling):
        offset = x - scaling.centre
        hypotenuse = torch.hypot(offset, torch.full_like(x, scaling.pivot))
        return torch.asinh(offset / scaling.pivot), -hypotenuse.log()
    assert isinstance(scaling, PowerOfTwoScaling)
    half = scaling.exponent // 2  # in two steps: a float has no power of two beyond 1,023
    encoded = x * math.ldexp(1.0, -half) * math.ldexp(1.0, half - scaling.exponent)
    return encoded, torch.full_like(x, -scaling.exponent * math.log(2))
