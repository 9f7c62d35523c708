"""The laws of bijections, and every bijection of the flow by name.

Tables are ``(n_columns, n_rows)``; NaN marks missing entries. Every law holds in every
case: with and without missing entries, labels, and conditions of numbers and labels.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from skflow.flow.batch import Batch
from skflow.flow.bijection import Bijection, Chain
from skflow.flow.context import Context, ContextEncoder
from skflow.flow.coupling import Coupling
from skflow.flow.effects import ConditionEffects, LabelEffects
from skflow.flow.floored_components import EllipticalComponents, GaussianComponents, regressions
from skflow.flow.marginals import Marginals
from skflow.flow.mixture import Mixture
from skflow.initialization.marginals import fit_marginals

N_COLUMNS = 4
BOUND = 4.0
N_LABELS = (3, 2)
N_ENTRIES = sum(N_LABELS) + len(N_LABELS)
N_FEATURES = 6
N_GIVEN_LABELS = (4, 2)
N_GIVEN_VALUES = 3


class Case(NamedTuple):
    """Whether rows have missing entries, labels and conditions."""

    missing: bool = False
    labels: bool = False
    given: bool = False

    def __str__(self) -> str:
        return ", ".join(name for name, holds in self._asdict().items() if holds) or "plain"


CASES = {str(case): case for case in map(Case._make, itertools.product((False, True), repeat=3))}
PLAIN = Case()


class ContextRows(NamedTuple):
    """Rows, and their context."""

    x: Tensor
    context: Context

    def take(self, rows: slice) -> "ContextRows":
        return ContextRows(self.x[:, rows], self._each(lambda part: part[:, rows]))

    def to(self, target: torch.device | torch.dtype | str) -> "ContextRows":
        """On another device, or in another dtype."""
        keeps_integers = isinstance(target, torch.dtype)

        def move(part: Tensor) -> Tensor:
            return part if keeps_integers and not part.is_floating_point() else part.to(target)

        return ContextRows(self.x.to(target), self._each(move))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Context:
        parts = [None if part is None else change(part) for part in self.context[:4]]
        return Context(*parts, quantize=self.context.quantize)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal_rows(n_rows: int, seed: int = 0, n_columns: int = N_COLUMNS) -> Tensor:
    """Rows whose scale varies: near 0, within the spline's interval and outside it."""
    rows = torch.randn(n_columns, n_rows, generator=seeded(seed), dtype=torch.float64)
    scale = 10 ** (torch.rand(n_rows, generator=seeded(seed + 1), dtype=torch.float64) * 2 - 1)
    return rows * scale


def random_labels(n_rows: int, seed: int = 6, n_labels: tuple[int, ...] = N_LABELS) -> Tensor:
    """Labels of two columns, novel ones among them."""
    generator = seeded(seed)
    return torch.stack([torch.randint(n + 1, (n_rows,), generator=generator) for n in n_labels])


def random_conditions(n_rows: int, seed: int = 9) -> Batch:
    """Conditions of labels and numbers, a third of which are missing."""
    y = normal_rows(n_rows, seed, N_GIVEN_VALUES)
    missing = torch.rand(y.shape, generator=seeded(seed + 1)) < 1 / 3
    labels = random_labels(n_rows, seed + 2, N_GIVEN_LABELS)
    return Batch(labels, y.masked_fill(missing, torch.nan))


def encoder(n_labels: tuple[int, ...], n_values: int) -> ContextEncoder:
    """Encoder whose features of labels are as large as those of numbers."""
    made = ContextEncoder(
        n_labels, n_values, N_FEATURES, dropout=0.0, bound=BOUND, generator=seeded(8)
    )
    made.weight.data *= 10
    return made.double().requires_grad_(False)


def with_context(case: Case, x: Tensor) -> ContextRows:
    """Rows as a case has them: a third of the entries missing, random labels and conditions."""
    if case.missing:
        missing = torch.rand(x.shape, generator=seeded(7)) < 1 / 3
        x = x.masked_fill(missing, torch.nan)
    features, codes, of_given, condition = [], None, None, None
    if case.labels:
        of_labels = encoder(N_LABELS, 0)
        codes = of_labels.vocabulary(random_labels(x.shape[1]))
        features.append(of_labels(codes))
    if case.given:
        conditions = random_conditions(x.shape[1])
        of_given = encoder(N_GIVEN_LABELS, N_GIVEN_VALUES).encode(conditions)
        features.append(of_given)
        condition = conditions.y
    of_both = torch.cat(features) if features else None
    return ContextRows(x, Context(codes, of_both, of_given, condition))


def identity_coupling(
    case: Case = PLAIN,
    n_columns: int = N_COLUMNS,
    *,
    n_groups: int | None = None,
    backwards: bool = False,
) -> Coupling:
    return Coupling(
        n_columns,
        n_groups=n_groups,
        backwards=backwards,
        n_features=N_FEATURES * (case.labels + case.given),
        n_bins=8,
        bound=BOUND,
        hidden_units=16,
        n_blocks=1,
        dropout=0.0,
        generator=seeded(0),
    ).double()


def random_coupling(
    case: Case = PLAIN, seed: int = 1, *, n_groups: int | None = None, backwards: bool = False
) -> Coupling:
    coupling = identity_coupling(case, n_groups=n_groups, backwards=backwards)
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


def marginals(
    n_bins: int, case: Case = PLAIN, bounds: list[tuple[float, float]] | None = None
) -> Marginals:
    table = with_context(Case(missing=case.missing), skewed_table()).x
    return fit_marginals(table.T.numpy(), n_bins, bounds)


def bounded_marginals(case: Case = PLAIN) -> Marginals:
    """Bounds on, near and far beyond the training rows, and none."""
    infinity = float("inf")
    ends = [(-10.0, 10.0), (0.0, infinity), (-infinity, infinity), (-infinity, 12.0)]
    return marginals(12, case, ends)


def far_marginals(n_bins: int, case: Case = PLAIN) -> Marginals:
    """Columns of two far modes, and of three."""
    table = with_context(Case(missing=case.missing), skewed_table()).x
    table[0] += 1e3 * (torch.arange(table.shape[1]) % 2)
    table[3] += 1e6 * (torch.arange(table.shape[1]) % 3)
    return fit_marginals(table.T.numpy(), n_bins)


def mixture(
    scale: float,
    n_components: int = 5,
    n_columns: int = N_COLUMNS,
    case: Case = PLAIN,
    n_given: int = 0,
    *,
    elliptical: bool = False,
) -> Mixture:
    """Components of a given width around scattered centres, each correlated its own way.

    Elliptical ones share centre and correlations, and differ in their radii.

    The first ``n_given`` of their columns are those of a condition.
    """
    generator, n_mapped = seeded(3), n_columns
    n_columns += n_given

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    factor = draw(n_components, n_columns, n_columns).tril() / 2 + torch.eye(n_columns)
    covariances = scale**2 * factor @ factor.transpose(1, 2)
    weights = torch.softmax(draw(n_components), dim=0)
    means = draw(n_components, n_columns)
    components: GaussianComponents | EllipticalComponents
    components = GaussianComponents(weights, means, covariances)
    if elliptical:
        radii = draw(n_components).exp()
        components = EllipticalComponents(weights, radii, means[:1], *regressions(covariances[:1]))
    effects: list[nn.Module] = []
    if case.labels:
        effects.append(LabelEffects(draw(N_ENTRIES, n_components + n_columns) / 2))
    if case.given:
        effects.append(ConditionEffects(N_FEATURES, n_components, n_mapped, n_given))
        effects[-1].weight.data = draw(n_components + n_mapped, N_FEATURES) / 4
    return Mixture.from_components(
        components, BOUND, effects, has_missing=case.missing, n_given=n_given
    )


def mixture_after_conditions(case: Case) -> Mixture:
    return mixture(0.5, case=case, n_given=N_GIVEN_VALUES * case.given)


def mixture_without_embedding(case: Case) -> Mixture:
    return mixture(0.3, case=case._replace(missing=False))


def chain(case: Case = PLAIN) -> Chain:
    return Chain(
        [
            marginals(8, case),
            random_coupling(case, 4),
            random_coupling(case, 5, backwards=True),
            mixture(0.5, case=case),
        ]
    )


BIJECTIONS: dict[str, Callable[[Case], Bijection]] = {
    "identity coupling": identity_coupling,
    "random coupling": random_coupling,
    "random coupling, backwards": lambda case: random_coupling(case, backwards=True),
    "random coupling, two groups": lambda case: random_coupling(case, n_groups=2),
    "random coupling, three groups": lambda case: random_coupling(case, n_groups=3),
    "random coupling, one group": lambda case: random_coupling(case, n_groups=1),
    "marginals, one bin": lambda case: marginals(1, case),
    "marginals, many bins": lambda case: marginals(12, case),
    "marginals, bounded": bounded_marginals,
    "marginals, far modes, one bin": lambda case: far_marginals(1, case),
    "marginals, far modes, many bins": lambda case: far_marginals(12, case),
    "mixture, one component": lambda case: mixture(1.0, n_components=1, case=case),
    "mixture, broad": lambda case: mixture(1.0, case=case),
    "mixture, narrow": lambda case: mixture(0.02, case=case),
    "mixture, elliptical": lambda case: mixture(0.5, case=case, elliptical=True),
    "mixture, without embedding": mixture_without_embedding,
    "mixture, after conditions": mixture_after_conditions,
    "chain of all": chain,
}


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Largest difference, relative where numbers are larger than 1; the same are absent."""
    assert torch.equal(found.isnan(), expected.isnan())
    error = (found - expected).abs() / expected.abs().clamp_min(1)
    return float(error.nan_to_num(0.0).max()) if len(error) else 0.0


def autodiff_jacobians(bijection: Bijection, rows: ContextRows) -> list[Tensor]:
    """Jacobian of the forward map at each row, of its present entries.

    All rows at once: none depends on another (see :func:`law_batches`).
    """
    x = rows.x.clone().requires_grad_()
    z, _ = bijection.forward_and_log_det(x, rows.context)
    gradients = [torch.autograd.grad(one[~one.isnan()].sum(), x, retain_graph=True)[0] for one in z]
    jacobians = torch.stack(gradients).permute(2, 0, 1)
    from_, to = ~rows.x.T.isnan(), ~z.detach().T.isnan()
    return [
        jacobian[rows_][:, columns]
        for jacobian, rows_, columns in zip(jacobians, to, from_, strict=True)
    ]


def law_inverse(bijection: Bijection, rows: ContextRows) -> None:
    """``inverse(forward(x)) = x``, and log-determinants, where there are two, cancel.

    A map that contracts loses digits which no inverse can bring back: the error
    of a row may be 1e-12 times the norm of its inverse Jacobian.
    """
    x, context = rows
    with torch.no_grad():
        z, log_det = bijection.forward_and_log_det(x, context)
        back = bijection.inverse(z, context)
    assert z.shape == x.shape
    assert log_det.shape == x.shape[1:]
    assert torch.equal(z.isnan().sum(dim=0), x.isnan().sum(dim=0))
    assert torch.equal(back.isnan(), x.isnan())
    norms = [torch.linalg.inv(jacobian).norm() for jacobian in autodiff_jacobians(bijection, rows)]
    stretch = torch.stack(norms).clamp_min(1)
    error = ((back - x).abs() / x.abs().clamp_min(1)).nan_to_num(0.0).amax(dim=0)
    assert float((error / stretch).max()) < 1e-12
    if isinstance(bijection, Marginals):
        _, log_det_back = bijection.inverse_and_log_det(z)
        assert log_det_back.shape == x.shape[1:]
        assert float(((log_det + log_det_back).abs() / stretch).max()) < 1e-10


def law_forward_undoes_inverse(bijection: Bijection, latents: ContextRows) -> None:
    """``forward(inverse(z)) = z`` for normal ``z``: where the density of the flow is."""
    z, context = latents
    with torch.no_grad():
        x = bijection.inverse(z, context)
        again, log_det = bijection.forward_and_log_det(x, context)
    assert x.shape == z.shape
    assert relative_error(again, z) < 1e-10
    if isinstance(bijection, Marginals):
        assert relative_error(log_det, -bijection.inverse_and_log_det(z)[1]) < 1e-9


def law_log_det(bijection: Bijection, rows: ContextRows) -> None:
    """The log-determinant is that of automatic differentiation."""
    with torch.no_grad():
        _, log_det = bijection.forward_and_log_det(*rows)
    jacobians = autodiff_jacobians(bijection, rows)
    autodiff = torch.stack([torch.linalg.slogdet(jacobian).logabsdet for jacobian in jacobians])
    assert relative_error(log_det, autodiff) < 1e-9


def law_batches(bijection: Bijection, rows: ContextRows) -> None:
    """Rows alone and rows together give the same result."""
    n_rows = rows.x.shape[1]
    with torch.no_grad():
        z, log_det = bijection.forward_and_log_det(*rows)
        for i in range(0, n_rows, n_rows // 16):
            row = slice(i, i + 1)
            z_alone, log_det_alone = bijection.forward_and_log_det(*rows.take(row))
            assert relative_error(z_alone, z[:, row]) < 1e-9
            assert relative_error(log_det_alone, log_det[row]) < 1e-9


def law_absent_entries_do_not_matter(bijection: Bijection, rows: ContextRows) -> None:
    """The image of a row does not depend on missing entries of other rows."""
    x, context = rows
    whole = x.isnan().sum(dim=0) == 0
    with torch.no_grad():
        z, log_det = bijection.forward_and_log_det(x, context)
        filled, log_det_filled = bijection.forward_and_log_det(x.nan_to_num(0.5), context)
    assert whole.any()
    assert not whole.all()
    assert relative_error(z[:, whole], filled[:, whole]) < 1e-12
    assert relative_error(log_det[whole], log_det_filled[whole]) < 1e-12


def law_float32(bijection: Bijection, rows: ContextRows, tolerance: float) -> None:
    """Computed in float32, the forward map is that of float64 but for rounding."""
    with torch.no_grad():
        z, log_det = bijection.forward_and_log_det(*rows)
        z32, log_det32 = bijection.float().forward_and_log_det(*rows.to(torch.float32))
    assert z32.dtype == log_det32.dtype == torch.float32
    assert relative_error(z32.double(), z) < tolerance
    assert relative_error(log_det32.double(), log_det) < 10 * tolerance


def law_devices(bijection: Bijection, rows: ContextRows) -> None:
    """The GPU gives what the CPU gives, both ways."""
    with torch.no_grad():
        z, log_det = bijection.forward_and_log_det(*rows)
        bijection, (x, context) = bijection.cuda(), rows.to("cuda")
        z_cuda, log_det_cuda = bijection.forward_and_log_det(x, context)
        back = bijection.inverse(z_cuda, context)
        again, _ = bijection.forward_and_log_det(back, context)
    assert relative_error(z_cuda.cpu(), z) < 1e-9
    assert relative_error(log_det_cuda.cpu(), log_det) < 1e-9
    assert relative_error(again.cpu(), z) < 1e-9


def law_context_matters(bijection: Bijection, x: Tensor, case: Case) -> None:
    """Rows that differ in their labels, or conditions, alone are sent to different places."""
    rows = with_context(case, x)
    n_rows = x.shape[1]
    others = rows.take(torch.arange(n_rows).roll(1)).context
    with torch.no_grad():
        z, _ = bijection.forward_and_log_det(*rows)
        z_others, _ = bijection.forward_and_log_det(x, others)
    differ = (others.features != rows.context.features).any(dim=0)
    assert differ.double().mean() > 0.5
    assert (z != z_others).any(dim=0)[differ].double().mean() > 0.9
    torch.testing.assert_close(z[:, ~differ], z_others[:, ~differ], rtol=0, atol=1e-14)
