"""One spline-coupling flow, as three libraries build it, and its matrix products alone."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from nflows.distributions.normal import StandardNormal
from nflows.flows import Flow as NflowsFlow
from nflows.nn.nets import ResidualNet
from nflows.transforms import (
    CompositeTransform,
    PiecewiseRationalQuadraticCouplingTransform,
    RandomPermutation,
)
from torch import Tensor, nn
from zuko.distributions import DiagNormal
from zuko.flows import Flow as ZukoFlow
from zuko.flows import UnconditionalDistribution
from zuko.flows.coupling import GeneralCouplingTransform
from zuko.transforms import MonotonicRQSTransform

from skflow.flow.bijection import Chain
from skflow.flow.context import Context
from skflow.flow.recipe import FlowRecipe
from skflow.training.optimizer import EMA, AdamW

RATE = 1e-4
WEIGHT_DECAY = 1e-4
MAX_NORM = 5.0
WRITTEN = 0.05  # scale of weights that start at zero, as after some training


@dataclass(frozen=True)
class Sizes:
    """What the flows have in common.

    A network of four matrix products, to the width, two within it, to the parameters of
    the splines: zuko's and nflows' read half of the columns and bend the other half,
    skflow's, in groups, read and bend all.
    """

    n_columns: int = 20
    n_layers: int = 6
    hidden_units: int = 128
    n_bins: int = 8
    bound: float = 5.0


class CouplingFlow(nn.Module):
    """A flow to N(0, I), and how a user of its library takes a gradient step."""

    def arrange(self, rows: Tensor) -> Tensor:
        """Return rows, ``(n_rows, n_columns)``, in the layout that the library works in."""
        return rows

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density of each row."""
        raise NotImplementedError

    def inverse(self, z: Tensor) -> Tensor:
        """Send standard normal rows back."""
        raise NotImplementedError

    def descent(self) -> Callable[[], None]:
        """Return what clips gradients, updates the weights by AdamW and clears the gradients."""
        parameters = list(self.parameters())
        optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=WEIGHT_DECAY, fused=True)

        def descend() -> None:
            nn.utils.clip_grad_norm_(parameters, MAX_NORM)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        return descend


class Skflow(CouplingFlow):
    """Coupling layers of skflow; its step keeps an average of the weights."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        recipe = FlowRecipe(
            n_layers=sizes.n_layers,
            hidden_units=sizes.hidden_units,
            n_bins=sizes.n_bins,
            dropout=0.0,
            bound=sizes.bound,
            value_labels=((-1, 0, 1),) * sizes.n_columns,
        )
        generator = torch.Generator().manual_seed(0)
        self.couplings = Chain(recipe.build_couplings(generator))
        for parameter in self.parameters():
            if parameter.ndim == 2 and not parameter.any():
                nn.init.normal_(parameter, std=WRITTEN, generator=generator)

    def arrange(self, rows: Tensor) -> Tensor:
        """Return the rows as columns."""
        return rows.T.contiguous()

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density of each row."""
        # As in training: inputs of conditioners are not rounded.
        z, log_det = self.couplings.forward_and_log_det(x, Context(quantize=not self.training))
        return log_det - 0.5 * (z.square().sum(dim=0) + len(x) * math.log(2 * math.pi))

    def inverse(self, z: Tensor) -> Tensor:
        """Send standard normal rows back."""
        return self.couplings.inverse(z)

    def descent(self) -> Callable[[], None]:
        """Return the step of skflow's training."""
        optimizer = AdamW(self, WEIGHT_DECAY, MAX_NORM)
        average = EMA([optimizer.flat], horizon=600)

        def descend() -> None:
            optimizer.step(RATE)
            average.update(average.next_weight())

        return descend


class MatrixProducts(Skflow):
    """The limit: skflow's conditioners, the splines left out."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Return no density, but a number per row that depends on every raw parameter."""
        if torch.is_grad_enabled():
            x = x.detach().requires_grad_()  # what is read has its backward, too
        total = x.new_zeros(x.shape[1])
        for layer in self.couplings.bijections:
            total = total - layer.conditioner(x, quantize=not self.training).mean(dim=(0, 1))
        return total


class Zuko(CouplingFlow):
    """zuko's general coupling transformation with the univariate transformation of its NSF."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        n_columns, n_bins = sizes.n_columns, sizes.n_bins
        base = UnconditionalDistribution(
            DiagNormal, torch.zeros(n_columns), torch.ones(n_columns), buffer=True
        )
        self.flow = ZukoFlow(self._transforms(sizes, [(n_bins,), (n_bins,), (n_bins - 1,)]), base)

    def _transforms(self, sizes: Sizes, shapes: list[tuple[int]]) -> list[nn.Module]:
        transforms = []
        for layer in range(sizes.n_layers):
            if layer % 2 == 0:
                is_read = torch.randperm(sizes.n_columns) < sizes.n_columns // 2
            transforms.append(
                GeneralCouplingTransform(
                    sizes.n_columns,
                    mask=is_read if layer % 2 == 0 else ~is_read,
                    univariate=partial(MonotonicRQSTransform, bound=sizes.bound),
                    shapes=shapes,
                    hidden_features=[sizes.hidden_units] * 3,
                )
            )
        return transforms

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density of each row."""
        return self.flow().log_prob(x)

    def inverse(self, z: Tensor) -> Tensor:
        """Send standard normal rows back."""
        return self.flow().transform.inv(z)


class Nflows(CouplingFlow):
    """nflows' rational-quadratic coupling transformation, with its residual network."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        is_bent = torch.arange(sizes.n_columns) >= sizes.n_columns // 2
        transforms = []
        for _ in range(sizes.n_layers):
            transforms += [
                RandomPermutation(sizes.n_columns),
                PiecewiseRationalQuadraticCouplingTransform(
                    is_bent.int(),
                    partial(ResidualNet, hidden_features=sizes.hidden_units, num_blocks=1),
                    num_bins=sizes.n_bins,
                    tails="linear",
                    tail_bound=sizes.bound,
                ),
            ]
        self.transform = CompositeTransform(transforms)
        self.flow = NflowsFlow(self.transform, StandardNormal([sizes.n_columns]))

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density of each row."""
        return self.flow.log_prob(x)

    def inverse(self, z: Tensor) -> Tensor:
        """Send standard normal rows back."""
        return self.transform.inverse(z)[0]


LIMIT = "matrix products only"
FLOWS: dict[str, type[CouplingFlow]] = {
    LIMIT: MatrixProducts,
    "skflow": Skflow,
    "zuko": Zuko,
    "nflows": Nflows,
}


def build(
    method: str, sizes: Sizes, dtype: torch.dtype, device: torch.device | str = "cpu"
) -> CouplingFlow:
    """Return the flow of that name, the same at each call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FLOWS[method](sizes).to(device, dtype)
