"""Gradients of a conditioner, which are written out, are those that autograd finds."""

import pytest
import torch
from torch import Tensor, nn

from skflow.flow.conditioner import Conditioner, Dropout

BOUND = 3.0


def conditioner(dropout: float, n_blocks: int) -> Conditioner:
    """Return a conditioner of five columns in three groups, with an effect."""
    generator = torch.Generator().manual_seed(0)
    network = Conditioner(
        torch.tensor([0, 0, 1, 1, 2]),
        3,
        4,
        n_features=2,
        hidden_units=12,
        n_blocks=n_blocks,
        dropout=dropout,
        bound=BOUND,
        generator=generator,
    ).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5, generator=generator)
    return network.train()


def plain_forward(network: Conditioner, x: Tensor, features: Tensor) -> Tensor:
    """Return the raw parameters, layer by layer, each a module with autograd's gradients."""
    h = network.input_layer(torch.cat((x.clamp(-BOUND, BOUND), features)))
    for block in network.blocks:
        h = block(h)
    raw: Tensor = network.output_layer(torch.relu(h))
    return raw.view(4, 5, -1)


@pytest.mark.parametrize("n_blocks", [0, 1, 2])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_gradients_are_those_of_autograd(dropout: float, n_blocks: int) -> None:
    network, found = conditioner(dropout, n_blocks), []
    start = torch.Generator().manual_seed(1)
    values = torch.randn(7, 9, dtype=torch.float64, generator=start)
    weight = torch.randn(4, 5, 9, dtype=torch.float64, generator=start)
    for call in (
        lambda x, features: network(x, features, quantize=False),
        lambda x, features: plain_forward(network, x, features),
    ):
        for module in network.modules():
            if isinstance(module, Dropout):
                module.generator = torch.Generator().manual_seed(2)
        inputs = [part.clone().requires_grad_() for part in values.split([5, 2])]
        raw = call(*inputs)
        leaves = [*inputs, *network.parameters()]
        found.append([raw.detach(), *torch.autograd.grad((raw * weight).sum(), leaves)])
    for ours, theirs in zip(*found, strict=True):
        assert theirs.any()
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
