"""Scores are log-densities: they integrate to 1 and meet densities known in closed form."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.special import logsumexp

from skflow import FlowDensity
from tests.settings import slow_but
from tests.tables import randomise

FloatArray = NDArray[np.float64]


def integral(
    flow: FlowDensity, X: FloatArray, n_points: int, reach: float, width: float | None = None
) -> float:
    """Integrate ``exp(score)`` over all of space by trapezoids, dense where the rows are.

    ``x = centre + width * sinh(u)`` lets a grid in ``u`` reach ``exp(reach)`` widths far.
    """
    u = np.linspace(-reach, reach, n_points)
    axes, volume = [], np.ones(1)
    for column in X.T:
        low, centre, high = np.quantile(column, [0.1, 0.5, 0.9])
        spread = width or (high - low) / 2
        axes.append(centre + spread * np.sinh(u))
        volume = np.multiply.outer(volume, spread * np.cosh(u) * (u[1] - u[0]))
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, X.shape[1])
    return float(np.exp(flow.score_samples(points)) @ volume.ravel())


def bent_table(n_rows: int, n_columns: int) -> FloatArray:
    """Columns that bend around each other: a flow has something to learn."""
    X = np.random.default_rng(0).standard_normal((n_rows, n_columns))
    X[:, 1:] += X[:, :1] ** 2
    return X * 10.0 ** np.arange(n_columns)


@pytest.mark.parametrize(
    ("n_columns", "n_points", "reach"),
    slow_but([(1, 20_001, 60.0)], [(1, 20_001, 60.0), (2, 1001, 22.0), (3, 141, 6.0)]),
)
def test_trained_densities_integrate_to_one(n_columns: int, n_points: int, reach: float) -> None:
    X = bent_table(1000, n_columns)
    flow = FlowDensity(
        n_layers=4, hidden_units=16, n_components=2, max_iter=10, random_state=0
    ).fit(X)
    assert integral(flow, X, n_points, reach) == pytest.approx(1, abs=1e-3)


def test_a_random_density_integrates_to_one() -> None:
    """Layers of random weights bend so sharply that one column alone can be resolved."""
    X = bent_table(1000, 1)
    flow = randomise(FlowDensity(n_components=4, max_iter=1, random_state=0).fit(X), seed=1)
    assert integral(flow, X, 20_001, 60.0) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("n_components", "n_points"), slow_but([(1, 1201)], [(1, 1201), ("auto", 2401)])
)
def test_the_initialization_integrates_to_one(n_components: int | str, n_points: int) -> None:
    X = np.append(bent_table(300, 2), bent_table(300, 2) + 7, axis=0)
    flow = FlowDensity(n_layers=0, n_components=n_components, random_state=0).fit(X)
    assert integral(flow, X, n_points, 22.0) == pytest.approx(1, abs=1e-3)


def test_wide_columns_integrate_to_one() -> None:
    """Values from 1e-12 to 1e3, both signs: the codec bends the column by asinh."""
    rng = np.random.default_rng(1)
    X = (10 ** rng.uniform(-12, 3, 400) * rng.choice([-1, 1], 400))[:, None]
    flow = FlowDensity(n_components=8, max_iter=5, random_state=0).fit(X)
    assert integral(flow, X, 400_001, 300.0, width=1e-14) == pytest.approx(1, abs=1e-3)


Sampler = Callable[[np.random.Generator, int], FloatArray]
LogDensity = Callable[[FloatArray], FloatArray]


def covariance(n_columns: int, seed: int) -> FloatArray:
    factor = np.random.default_rng(seed).standard_normal((n_columns, n_columns))
    return factor @ factor.T + 0.3 * np.eye(n_columns)


def gaussian(n_columns: int) -> tuple[Sampler, LogDensity]:
    law = stats.multivariate_normal(np.arange(n_columns), covariance(n_columns, 0))
    return lambda rng, n: law.rvs(n, random_state=rng), law.logpdf


def gaussian_mixture(n_columns: int) -> tuple[Sampler, LogDensity]:
    centres = 4 * np.random.default_rng(1).standard_normal((3, n_columns))
    laws = [
        stats.multivariate_normal(centre, covariance(n_columns, k) / 4)
        for k, centre in enumerate(centres)
    ]
    weights = np.array([0.5, 0.3, 0.2])

    def sample(rng: np.random.Generator, n: int) -> FloatArray:
        label = rng.choice(3, size=n, p=weights)
        draws = np.stack([law.rvs(n, random_state=rng) for law in laws])
        return draws[label, np.arange(n)]

    return sample, lambda X: logsumexp(
        [np.log(w) + law.logpdf(X) for w, law in zip(weights, laws, strict=True)], axis=0
    )


def gaussian_copula() -> tuple[Sampler, LogDensity]:
    """Correlated normals behind log-normal, gamma, logistic and Student marginals."""
    marginals = [stats.lognorm(0.7), stats.gamma(3), stats.logistic(scale=5), stats.t(5)]
    correlation = covariance(4, 2)
    scale = np.sqrt(np.diag(correlation))
    law = stats.multivariate_normal(np.zeros(4), correlation / np.outer(scale, scale))

    def sample(rng: np.random.Generator, n: int) -> FloatArray:
        u = stats.norm.cdf(law.rvs(n, random_state=rng))
        return np.column_stack([m.ppf(x) for m, x in zip(marginals, u.T, strict=True)])

    def log_density(X: FloatArray) -> FloatArray:
        u = np.column_stack([m.cdf(x) for m, x in zip(marginals, X.T, strict=True)])
        z = stats.norm.ppf(u)
        marginal = sum(m.logpdf(x) for m, x in zip(marginals, X.T, strict=True))
        return law.logpdf(z) - stats.norm.logpdf(z).sum(axis=1) + marginal

    return sample, log_density


def clayton_copula(theta: float = 2.0) -> tuple[Sampler, LogDensity]:
    """Two exponential columns, dependent where both are small (Clayton, 1978)."""

    def sample(rng: np.random.Generator, n: int) -> FloatArray:
        u, w = rng.uniform(size=(2, n))
        v = (u**-theta * (w ** (-theta / (1 + theta)) - 1) + 1) ** (-1 / theta)
        return -np.log(np.column_stack((u, v)))

    def log_density(X: FloatArray) -> FloatArray:
        u = np.exp(-X)
        copula = np.log1p(theta) - (1 + theta) * np.log(u).sum(axis=1)
        copula -= (2 + 1 / theta) * np.log((u**-theta).sum(axis=1) - 1)
        return copula - X.sum(axis=1)

    return sample, log_density


def far_modes() -> tuple[Sampler, LogDensity]:
    """Two narrow modes, thousands of their widths apart."""
    laws, weights = [stats.norm(-1e3, 1), stats.norm(1e4, 2)], np.array([0.4, 0.6])

    def sample(rng: np.random.Generator, n: int) -> FloatArray:
        low, high = (law.rvs(n, random_state=rng) for law in laws)
        return np.where(rng.random(n) < weights[0], low, high)

    def log_density(X: FloatArray) -> FloatArray:
        parts = [np.log(w) + law.logpdf(X[:, 0]) for w, law in zip(weights, laws, strict=True)]
        return logsumexp(parts, axis=0)

    return sample, log_density


KNOWN = {
    "Gaussian, 1 column": gaussian(1),
    "Gaussian, 5 columns": gaussian(5),
    "mixture, 2 columns": gaussian_mixture(2),
    "mixture, 4 columns": gaussian_mixture(4),
    "Gaussian copula, 4 columns": gaussian_copula(),
    "Clayton copula, 2 columns": clayton_copula(),
    "far modes, 1 column": far_modes(),
}


def mean_error(flow: FlowDensity, name: str, n_rows: int) -> float:
    """Mean absolute error of the log-density on fresh rows, in nats per column."""
    sample, log_density = KNOWN[name]
    rng = np.random.default_rng(0)
    train, fresh = (sample(rng, n).reshape(n, -1) for n in (n_rows, 4000))
    error = np.abs(flow.fit(train).score_samples(fresh) - log_density(fresh))
    return float(error.mean() / train.shape[1])


@pytest.mark.parametrize(
    "name",
    slow_but(
        ["mixture, 2 columns", "Gaussian copula, 4 columns", "far modes, 1 column"],
        KNOWN,
    ),
)
def test_known_densities_from_few_rows(name: str) -> None:
    """A sanity check of the initialization: no unit, no factor is lost."""
    flow = FlowDensity(n_layers=0, n_components=3, random_state=0)
    assert mean_error(flow, name, 2000) < 0.2


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", KNOWN)
def test_known_densities(name: str, record_property: Callable[[str, object], None]) -> None:
    error = mean_error(FlowDensity(random_state=0), name, 20_000)
    record_property("nats_per_column", error)
    print(f"{name}: {error:.4f} nats per column")  # noqa: T201
    assert error < 0.1


@pytest.mark.slow
def test_a_thousand_columns() -> None:
    table = np.random.default_rng(0).normal(size=(120, 1000))
    flow = FlowDensity(n_layers=2, n_components=1, max_iter=1, random_state=0).fit(table)
    scores = flow.score_samples(table)
    assert np.isfinite(scores).all()
    # Independent standard normal columns have an entropy of 1.419 nats each.
    assert -scores.mean() / 1000 < 1.6
    np.testing.assert_allclose(flow.inverse_transform(flow.transform(table)), table, atol=1e-11)
