"""Tests of the shares of the learning rate where a density is sharp."""

import pytest
import torch

from skflow.flow.conditional_flow import ConditionalFlow
from skflow.training.optimizer import AdamW
from skflow.training.rate_factors import rate_factors
from tests.flow.test_model import LAYOUTS, every_layout, model_of

NARROW = -6.0  # log of a scale


def flow_of(name: str) -> ConditionalFlow:
    """Build a flow with a condition, whose first column is narrow under the first component."""
    flow = model_of(name, has_condition=True)[0].flow
    with torch.no_grad():
        flow.mixture.log_scale.zero_()
        flow.mixture.log_scale[:1, flow.mixture.n_given : flow.mixture.n_given + 1] = NARROW
    return flow


@every_layout
def test_sharp_densities_slow_their_columns_only(name: str) -> None:
    flow, n_columns = flow_of(name), len(LAYOUTS[name][1])
    factors = rate_factors(flow)
    assert bool(factors) == bool(n_columns)
    if not n_columns:
        return
    parameters = dict(flow.named_parameters())
    first, (n_components, _) = flow.mixture.n_given, flow.mixture.log_scale.shape
    for key, share in factors.items():
        share = share.expand_as(parameters[key])
        if "output_layer" in key:
            columns = share.flatten()[: n_columns * (share.numel() // share.shape[0])]
            assert columns.min() < 0.01
        elif key in ("mixture.intercept", "mixture.coefficients"):
            own = share[0, first]
            torch.testing.assert_close(own, torch.full_like(own, 10 * torch.tensor(NARROW).exp()))
            others = share.clone()
            others[0, first] = 1.0
            assert (others == 1).all()
        elif key.endswith(".table"):  # means of all components: their geometric mean
            assert (share[:, :n_components] == 1).all()
            expected = (10 * torch.tensor(NARROW).double().exp()) ** (1 / n_components)
            torch.testing.assert_close(share[0, n_components + first], expected)
        else:
            assert (share[:n_components] == 1).all()
            assert share[n_components, 0] < 0.01
    assert {key for key in factors if "effects" in key} == {
        key for key in parameters if "effects" in key
    }


def test_wide_densities_take_full_steps() -> None:
    flow = flow_of("both")
    with torch.no_grad():
        flow.mixture.log_scale.zero_()
    assert rate_factors(flow) == {}
    assert rate_factors(model_of("both", has_condition=True)[0].labels) == {}


def test_first_steps_move_narrow_components_by_a_share_of_their_scale() -> None:
    flow = flow_of("numbers").float()
    optimizer = AdamW(flow, weight_decay=0.0, max_norm=1e9, rate_factors=rate_factors(flow))
    before = flow.mixture.intercept.detach().clone()
    flow.mixture.intercept.sum().backward()
    optimizer.step(4e-3)
    moved = (before - flow.mixture.intercept).detach()
    first = flow.mixture.n_given
    assert float(moved[0, first]) == pytest.approx(1e-3 * 10 * 2.479e-3, rel=0.02)
    assert float(moved[1, first]) == pytest.approx(1e-3, rel=1e-3)
