"""The laws of design.md, and every bijection of the flow by name.

Tables are ``(n_columns, n_rows)``.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from skflow.flow.bijection import Bijection, Chain
from skflow.flow.coupling import Coupling
from skflow.flow.expectation_maximization import GaussianComponents
from skflow.flow.marginals import Marginals
from skflow.flow.mixture import Mixture
from skflow.flow.permutation import Permutation

N_COLUMNS = 4
BOUND = 4.0


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal_rows(n_rows: int, seed: int = 0, n_columns: int = N_COLUMNS) -> Tensor:
    """Rows whose scale varies: near 0, within the spline's interval and outside it."""
    rows = torch.randn(n_columns, n_rows, generator=seeded(seed), dtype=torch.float64)
    scale = 10 ** (torch.rand(n_rows, generator=seeded(seed + 1), dtype=torch.float64) * 2 - 1)
    return rows * scale


def permutation() -> Permutation:
    return Permutation(torch.tensor([2, 0, 3, 1]))


def identity_coupling(n_columns: int = N_COLUMNS) -> Coupling:
    return Coupling(
        n_columns,
        n_bins=8,
        bound=BOUND,
        hidden_units=16,
        n_blocks=1,
        dropout=0.0,
        generator=seeded(0),
    ).double()


def random_coupling(seed: int = 1) -> Coupling:
    coupling = identity_coupling()
    generator = seeded(seed)
    with torch.no_grad():
        for name, parameter in coupling.named_parameters():
            fan_in = parameter.shape[1] if name.endswith("weight") else 1
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter += noise / (2 * fan_in**0.5)
    return coupling


def skewed_table(n_rows: int = 500) -> Tensor:
    """Columns to fit marginals to: normal, log-normal, heavy-tailed, with repeated values."""
    rows = torch.randn(N_COLUMNS, n_rows, generator=seeded(2), dtype=torch.float64)
    rows[1] = rows[1].exp()
    rows[2] = rows[2] / rows[3].abs()
    rows[3] = (3 * rows[3]).round()
    return rows


def marginals(n_bins: int) -> Marginals:
    return Marginals.fit(skewed_table().T.numpy(), n_bins)


def mixture(scale: float, n_components: int = 5, n_columns: int = N_COLUMNS) -> Mixture:
    """Components of a given width around scattered centres, each correlated its own way."""
    generator = seeded(3)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    factor = draw(n_components, n_columns, n_columns).tril() / 2 + torch.eye(n_columns)
    covariances = scale**2 * factor @ factor.transpose(1, 2)
    weights = torch.softmax(draw(n_components), dim=0)
    components = GaussianComponents(weights, draw(n_components, n_columns), covariances)
    return Mixture(components, BOUND).eval()


def chain() -> Chain:
    return Chain(
        [
            marginals(8),
            permutation(),
            random_coupling(4),
            permutation(),
            random_coupling(5),
            mixture(0.5),
        ]
    )


BIJECTIONS: dict[str, Callable[[], Bijection]] = {
    "permutation": permutation,
    "identity coupling": identity_coupling,
    "random coupling": random_coupling,
    "marginals, one bin": lambda: marginals(1),
    "marginals, many bins": lambda: marginals(12),
    "mixture, one component": lambda: mixture(1.0, n_components=1),
    "mixture, broad": lambda: mixture(1.0),
    "mixture, narrow": lambda: mixture(0.02),
    "chain of all": chain,
}


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Largest difference, relative where numbers are larger than 1."""
    return float(((found - expected).abs() / expected.abs().clamp_min(1)).max())


def autodiff_jacobians(bijection: Bijection, x: Tensor) -> Tensor:
    """Jacobian of the forward map at each row, ``(n_rows, n_columns, n_columns)``."""

    def one_row(column: Tensor) -> Tensor:
        return bijection.forward_and_log_det(column[:, None])[0][:, 0]

    return torch.stack([torch.autograd.functional.jacobian(one_row, row) for row in x.T])


def law_inverse(bijection: Bijection, x: Tensor) -> None:
    """``inverse(forward(x)) = x``, and the two log-determinants cancel.

    A map that contracts loses digits which no inverse can bring back: the error
    of a row may be 1e-12 times the norm of its inverse Jacobian.
    """
    with torch.no_grad():
        z, log_det = bijection.forward_and_log_det(x)
        back, log_det_back = bijection.inverse_and_log_det(z)
    assert z.shape == x.shape
    assert log_det.shape == log_det_back.shape == x.shape[1:]
    stretch = torch.linalg.inv(autodiff_jacobians(bijection, x)).norm(dim=(1, 2)).clamp_min(1)
    error = ((back - x).abs() / x.abs().clamp_min(1)).amax(dim=0)
    assert float((error / stretch).max()) < 1e-12
    assert float(((log_det + log_det_back).abs() / stretch).max()) < 1e-10


def law_forward_undoes_inverse(bijection: Bijection, z: Tensor) -> None:
    """``forward(inverse(z)) = z`` for normal ``z``: where the density of the flow is."""
    with torch.no_grad():
        x, log_det_back = bijection.inverse_and_log_det(z)
        again, log_det = bijection.forward_and_log_det(x)
    assert x.shape == z.shape
    assert relative_error(again, z) < 1e-10
    assert relative_error(log_det, -log_det_back) < 1e-9


def law_log_det(bijection: Bijection, x: Tensor) -> None:
    """The log-determinant is that of automatic differentiation."""
    with torch.no_grad():
        _, log_det = bijection.forward_and_log_det(x)
    autodiff = torch.linalg.slogdet(autodiff_jacobians(bijection, x)).logabsdet
    assert relative_error(log_det, autodiff) < 1e-9


def law_batches(bijection: Bijection, x: Tensor) -> None:
    """Rows alone and rows together give the same result."""
    with torch.no_grad():
        z, log_det = bijection.forward_and_log_det(x)
        for i in range(0, x.shape[1], x.shape[1] // 16):
            row = slice(i, i + 1)
            z_alone, log_det_alone = bijection.forward_and_log_det(x[:, row])
            assert relative_error(z_alone, z[:, row]) < 1e-9
            assert relative_error(log_det_alone, log_det[row]) < 1e-9


def law_float32(bijection: Bijection, x: Tensor, tolerance: float) -> None:
    """Computed in float32, the forward map is that of float64 but for rounding."""
    with torch.no_grad():
        z, log_det = bijection.forward_and_log_det(x)
        z32, log_det32 = bijection.float().forward_and_log_det(x.float())
    assert z32.dtype == log_det32.dtype == torch.float32
    assert relative_error(z32.double(), z) < tolerance
    assert relative_error(log_det32.double(), log_det) < 10 * tolerance


def law_devices(bijection: Bijection, x: Tensor) -> None:
    """The GPU gives what the CPU gives, both ways."""
    with torch.no_grad():
        z, log_det = bijection.forward_and_log_det(x)
        bijection = bijection.cuda()
        z_cuda, log_det_cuda = bijection.forward_and_log_det(x.cuda())
        again, _ = bijection.forward_and_log_det(bijection.inverse_and_log_det(z_cuda)[0])
    assert relative_error(z_cuda.cpu(), z) < 1e-9
    assert relative_error(log_det_cuda.cpu(), log_det) < 1e-9
    assert relative_error(again.cpu(), z) < 1e-9
