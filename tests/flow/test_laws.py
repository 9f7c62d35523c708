"""Laws of bijections, for each by name, in every case."""

import itertools
from typing import Any

import pytest
import torch

from tests.laws import (
    BIJECTIONS,
    CASES,
    N_COLUMNS,
    identity_coupling,
    law_absent_entries_do_not_matter,
    law_batches,
    law_context_matters,
    law_devices,
    law_float32,
    law_forward_undoes_inverse,
    law_inverse,
    law_log_det,
    normal_rows,
    seeded,
    with_context,
)

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def has_context(name: str) -> bool:
    return "marginals" not in name


# Marginals take no context: two cases are all they have.
TRIALS = [
    pytest.param(name, case, id=f"{name} ({case})")
    for name in BIJECTIONS
    for case in CASES.values()
    if has_context(name) or not (case.labels or case.given)
]
N_QUICK = 3  # cases of each bijection by default, others of the next one; all by pytest -m slow


def few_of_each(trials: list[Any]) -> list[Any]:
    """Return the trials, of which all but a few of each bijection run with the slow tests."""
    quick, of_each = [], itertools.groupby(trials, key=lambda trial: trial.values[0])
    for k, (_, own) in enumerate(of_each):
        cases = list(own)
        quick += [cases[(N_QUICK * k + i) % len(cases)] for i in range(N_QUICK)]
    return [
        trial
        if trial in quick
        else pytest.param(*trial.values, id=trial.id, marks=pytest.mark.slow)
        for trial in trials
    ]


everywhere = pytest.mark.parametrize(("name", "case"), few_of_each(TRIALS))
with_missing = pytest.mark.parametrize(
    ("name", "case"), few_of_each([trial for trial in TRIALS if trial.values[1].missing])
)


@everywhere
@pytest.mark.parametrize("n_rows", [1, 256])
def test_inverse_undoes_forward(name: str, case, n_rows: int) -> None:
    law_inverse(BIJECTIONS[name](case), with_context(case, normal_rows(n_rows)))


@everywhere
@pytest.mark.parametrize("n_rows", [1, 1024])
def test_forward_undoes_inverse(name: str, case, n_rows: int) -> None:
    z = torch.randn(N_COLUMNS, n_rows, generator=seeded(8), dtype=torch.float64)
    law_forward_undoes_inverse(BIJECTIONS[name](case), with_context(case, z))


@everywhere
def test_log_determinant_is_that_of_autodiff(name: str, case) -> None:
    law_log_det(BIJECTIONS[name](case), with_context(case, normal_rows(60)))


@everywhere
def test_rows_do_not_depend_on_their_batch(name: str, case) -> None:
    law_batches(BIJECTIONS[name](case), with_context(case, normal_rows(1024)))


@with_missing
def test_rows_do_not_depend_on_missing_of_others(name: str, case) -> None:
    law_absent_entries_do_not_matter(BIJECTIONS[name](case), with_context(case, normal_rows(300)))


@pytest.mark.parametrize("case", ["labels", "given", "labels, given"])
@pytest.mark.parametrize(
    "name", ["random coupling", "mixture, one component", "mixture, broad", "chain of all"]
)
def test_the_context_matters(name: str, case: str) -> None:
    x = normal_rows(300).clamp(-3, 3)
    law_context_matters(BIJECTIONS[name](CASES[case]), x, CASES[case])


@every_case
@pytest.mark.parametrize("name", [n for n in BIJECTIONS if has_context(n) and "all" not in n])
def test_float32_agrees_with_float64(name: str, case) -> None:
    tolerance = 1e-2 if name == "mixture, narrow" else 1e-3
    rows = with_context(case, normal_rows(1000).clamp(-6, 6))
    law_float32(BIJECTIONS[name](case), rows, tolerance)


@pytest.mark.cuda
@everywhere
def test_cuda_agrees_with_cpu(name: str, case) -> None:
    law_devices(BIJECTIONS[name](case), with_context(case, normal_rows(1000)))


@every_case
@pytest.mark.parametrize("n_columns", [1, 2, 3, 4, 7])
def test_couplings_start_at_the_identity(n_columns: int, case) -> None:
    x, context = with_context(case, normal_rows(200, n_columns=n_columns))
    z, log_det = identity_coupling(case, n_columns).forward_and_log_det(x, context)
    torch.testing.assert_close(z, x, rtol=0, atol=1e-14, equal_nan=True)
    torch.testing.assert_close(log_det, torch.zeros(200, dtype=torch.float64), rtol=0, atol=1e-13)


@everywhere
def test_gradients_of_the_log_density_are_finite(name: str, case) -> None:
    bijection = BIJECTIONS[name](case)
    z, log_det = bijection.forward_and_log_det(*with_context(case, normal_rows(200)))
    if not list(bijection.parameters()):
        return
    (log_det - z.nan_to_num(0.0).square().sum(dim=0) / 2).sum().backward()
    gradients = [p.grad for p in bijection.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@every_case
@pytest.mark.parametrize("name", ["mixture, broad", "mixture, without embedding"])
def test_gradients_of_the_joint_sum_are_finite(name: str, case) -> None:
    """Training maximizes the joint sum, another formula than that of the map."""
    layer, rows = BIJECTIONS[name](case), with_context(case, normal_rows(200))
    layer.log_prob(rows.x, rows.context._replace(quantize=False)).sum().backward()
    gradients = [p.grad for p in layer.parameters() if p.grad is not None]
    assert len(gradients) >= 5
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
