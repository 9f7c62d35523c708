"""Distributions of one value beside the model that they are taken from."""

import numpy as np
import pytest
import torch
from torch import nn

from skflow.flow.conditioner import Conditioner
from skflow.flow.model import Latents, Model, Rows
from skflow.flow.predicted_values import PredictedValues
from skflow.flow.univariate_mixture import UnivariateMixture
from tests.flow.test_model import given, randomized

N_ROWS = 40


def labels_of(model: Model, n_rows: int) -> torch.Tensor:
    """Labels that say "a value"."""
    return model.value_labels.new_full((len(model.labels.sizes), n_rows), 1)


def predicted(name: str, n_rows: int = N_ROWS) -> tuple[Model, PredictedValues, Rows]:
    model = randomized(name, True)
    condition = given(True, n_rows)
    assert condition is not None
    return model, PredictedValues.of(model, labels_of(model, n_rows), condition), condition


def rows_of(model: Model, x: torch.Tensor) -> Rows:
    labels = labels_of(model, x.shape[1])
    return Rows(labels, torch.full(labels.shape, torch.nan, dtype=torch.float64), x)


every_layout = pytest.mark.parametrize("name", ["one number", "a label and a number"])


@every_layout
@torch.inference_mode()
def test_latents_and_log_densities_are_those_of_the_model(name: str) -> None:
    model, values, condition = predicted(name)
    x = torch.randn(1, N_ROWS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = rows_of(model, x)
    of_labels = model.label_log_probs(rows.labels, condition).sum(dim=0)
    expected = model.log_prob(rows, condition) - of_labels
    torch.testing.assert_close(values.log_prob(x)[0], expected, rtol=0, atol=1e-11)
    latents = model.latents(rows, condition).values
    torch.testing.assert_close(values.latents(x), latents, rtol=0, atol=1e-11)


@every_layout
@torch.inference_mode()
def test_inverse_is_that_of_the_model(name: str) -> None:
    model, values, condition = predicted(name)
    z = torch.randn(3, N_ROWS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = values.inverse(z)
    torch.testing.assert_close(values.latents(x), z, rtol=0, atol=1e-11)
    of_labels = model.latents(rows_of(model, x[:1]), condition).labels
    for k in range(3):
        back = model.inverse(Latents(of_labels, z[k : k + 1]), condition).values
        torch.testing.assert_close(x[k : k + 1], back, rtol=1e-11, atol=1e-11)


@torch.inference_mode()
def test_densities_integrate_to_one() -> None:
    _, values, _ = predicted("one number")
    ends = values.inverse(torch.tensor([[-3.0], [3.0]]).double().expand(-1, N_ROWS))
    share = torch.linspace(0, 1, 20_001, dtype=torch.float64)[:, None]
    x = ends[0] + share * (ends[1] - ends[0])
    mass = torch.trapezoid(values.log_prob(x).exp(), x, dim=0)
    inside = torch.special.ndtr(torch.tensor(3.0).double()) * 2 - 1
    torch.testing.assert_close(mass, inside.expand(N_ROWS), rtol=0, atol=1e-3)


@torch.inference_mode()
def test_nodes_have_the_mean() -> None:
    _, values, _ = predicted("one number")
    z = torch.linspace(-7, 7, 4001, dtype=torch.float64)[:, None]
    weights = torch.softmax(-z.square() / 2, dim=0)
    x = values.inverse_within_reach(z.expand(-1, N_ROWS))
    mean = (weights * x).sum(dim=0)
    deviation = ((weights * x.square()).sum(dim=0) - mean.square()).sqrt()
    nodes = values.nodes(129)
    torch.testing.assert_close(nodes.weights.sum(dim=0), torch.ones(N_ROWS).double())
    error = ((nodes.weights * nodes.values).sum(dim=0) - mean) / deviation
    assert error.abs().max() < 0.03
    few = values.nodes()
    error = ((few.weights * few.values).sum(dim=0) - mean) / deviation
    assert error.abs().median() < 0.03  # random maps are rougher than fitted ones


@torch.inference_mode()
def test_the_network_runs_once_for_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    forward = Conditioner.forward

    def counted(self: nn.Module, x: torch.Tensor, *others, **options) -> torch.Tensor:
        rows.append(x.shape[1])
        return forward(self, x, *others, **options)

    monkeypatch.setattr(Conditioner, "forward", counted)
    model, values, _ = predicted("one number")
    values.nodes()
    values.inverse(torch.zeros(9, N_ROWS).double())
    values.log_prob(torch.zeros(9, N_ROWS).double())
    assert rows == [N_ROWS] * len(model.flow.couplings)


@torch.inference_mode()
def test_parts_of_the_rows_have_the_same_distributions() -> None:
    _, values, _ = predicted("one number")
    z = torch.zeros(2, N_ROWS).double()
    chosen = torch.tensor(np.array([7, 3, 11]))
    part = values.take(chosen)
    torch.testing.assert_close(part.inverse(z[:, :3]), values.inverse(z)[:, chosen])
    joined = PredictedValues.join([values.take(slice(5)), values.take(slice(5, None))])
    torch.testing.assert_close(joined.inverse(z), values.inverse(z))


@torch.inference_mode()
def test_merged_components_keep_mean_and_variance() -> None:
    generator = torch.Generator().manual_seed(0)
    shape = (40, N_ROWS)
    offset = 3 * torch.randn(shape, generator=generator, dtype=torch.float64)
    weights = torch.rand(shape, generator=generator, dtype=torch.float64)
    precision = 1 + torch.rand(40, 1, generator=generator, dtype=torch.float64)
    shift, floor = torch.zeros(N_ROWS).double(), torch.tensor(0.01).double()
    mixture = UnivariateMixture(weights, weights.sum(dim=0), offset, precision, shift, floor)
    for n_bins in (1, 6, 40):
        shares, means, scales = mixture.merge(n_bins)
        assert shares.shape == (n_bins, N_ROWS)
        own = weights / weights.sum(dim=0)
        for power in (0, 1, 2):
            moments = [
                (w * (m**power + (power == 2) * s**2)).sum(dim=0)
                for w, m, s in ((own, mixture.means, 1 / precision), (shares, means, scales))
            ]
            torch.testing.assert_close(*moments)
