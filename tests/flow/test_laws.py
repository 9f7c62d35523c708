"""Every bijection of the flow, by name, held to the laws."""

import pytest
import torch

from tests.laws import (
    BIJECTIONS,
    N_COLUMNS,
    identity_coupling,
    law_batches,
    law_devices,
    law_float32,
    law_forward_undoes_inverse,
    law_inverse,
    law_log_det,
    normal_rows,
    seeded,
)

every_bijection = pytest.mark.parametrize("name", BIJECTIONS)


@every_bijection
@pytest.mark.parametrize("n_rows", [1, 256])
def test_inverse_undoes_forward(name: str, n_rows: int) -> None:
    law_inverse(BIJECTIONS[name](), normal_rows(n_rows))


@every_bijection
@pytest.mark.parametrize("n_rows", [1, 4096])
def test_forward_undoes_inverse(name: str, n_rows: int) -> None:
    z = torch.randn(N_COLUMNS, n_rows, generator=seeded(8), dtype=torch.float64)
    law_forward_undoes_inverse(BIJECTIONS[name](), z)


@every_bijection
def test_log_determinant_is_that_of_autodiff(name: str) -> None:
    law_log_det(BIJECTIONS[name](), normal_rows(60))


@every_bijection
def test_rows_do_not_depend_on_their_batch(name: str) -> None:
    law_batches(BIJECTIONS[name](), normal_rows(4096))


@pytest.mark.parametrize("name", [n for n in BIJECTIONS if "marginals" not in n and "all" not in n])
def test_float32_agrees_with_float64(name: str) -> None:
    tolerance = 1e-2 if name == "mixture, narrow" else 1e-3
    law_float32(BIJECTIONS[name](), normal_rows(1000).clamp(-6, 6), tolerance)


@pytest.mark.cuda
@every_bijection
def test_cuda_agrees_with_cpu(name: str) -> None:
    law_devices(BIJECTIONS[name](), normal_rows(1000))


@pytest.mark.parametrize("n_columns", [2, 3, 4, 7])
def test_couplings_start_at_the_identity(n_columns: int) -> None:
    x = normal_rows(200, n_columns=n_columns)
    z, log_det = identity_coupling(n_columns).forward_and_log_det(x)
    torch.testing.assert_close(z, x, rtol=0, atol=1e-14)
    torch.testing.assert_close(log_det, torch.zeros(200, dtype=torch.float64), rtol=0, atol=1e-13)


@every_bijection
def test_gradients_of_the_log_density_are_finite(name: str) -> None:
    bijection = BIJECTIONS[name]()
    z, log_det = bijection.forward_and_log_det(normal_rows(200))
    if not list(bijection.parameters()):
        return
    (log_det - z.square().sum(dim=0) / 2).sum().backward()
    gradients = [p.grad for p in bijection.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
