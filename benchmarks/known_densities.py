"""Error of the log-density against densities known in closed form.

python -m benchmarks.known_densities
"""

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.common import report
from skflow import FlowDensity

FloatArray = NDArray[np.float64]
Density = tuple[FloatArray, Callable[[FloatArray], FloatArray]]

N_TRAIN, N_FRESH = 20_000, 5_000


def gaussian(rng: np.random.Generator, n_rows: int) -> Density:
    """Return rows of a correlated Gaussian of 4 columns, and its log-density."""
    factor = np.random.default_rng(1).normal(size=(4, 4))
    law = stats.multivariate_normal(np.arange(4.0), factor @ factor.T + 0.1 * np.eye(4))
    return law.rvs(n_rows, random_state=rng), law.logpdf


def mixture(rng: np.random.Generator, n_rows: int) -> Density:
    """Return rows of three Gaussians in 3 columns, and their log-density."""
    fixed = np.random.default_rng(2)
    means = fixed.normal(scale=3, size=(3, 3))
    factors = fixed.normal(size=(3, 3, 3))
    laws = [
        stats.multivariate_normal(mean, factor @ factor.T + 0.2 * np.eye(3))
        for mean, factor in zip(means, factors, strict=True)
    ]
    weights = np.array([0.5, 0.3, 0.2])
    member = rng.choice(3, size=n_rows, p=weights)
    draws = np.stack([law.rvs(n_rows, random_state=rng) for law in laws])

    def log_density(x: FloatArray) -> FloatArray:
        joint = np.stack([law.logpdf(x) for law in laws]) + np.log(weights)[:, None]
        return np.logaddexp.reduce(joint)

    return draws[member, np.arange(n_rows)], log_density


def copula(rng: np.random.Generator, n_rows: int) -> Density:
    """Return rows of a Gaussian copula with gamma, Student and uniform margins."""
    correlation = np.array([[1.0, 0.7, -0.3], [0.7, 1.0, 0.2], [-0.3, 0.2, 1.0]])
    law = stats.multivariate_normal(np.zeros(3), correlation)
    margins = (stats.gamma(2.0, scale=3.0), stats.t(4), stats.uniform(-1.0, 5.0))
    scores = law.rvs(n_rows, random_state=rng)
    rows = np.column_stack(
        [m.ppf(stats.norm.cdf(z)) for m, z in zip(margins, scores.T, strict=True)]
    )

    def log_density(x: FloatArray) -> FloatArray:
        z = np.column_stack([stats.norm.ppf(m.cdf(c)) for m, c in zip(margins, x.T, strict=True)])
        marginal = sum(m.logpdf(c) for m, c in zip(margins, x.T, strict=True))
        return law.logpdf(z) - stats.norm.logpdf(z).sum(axis=1) + marginal

    return rows, log_density


def main() -> None:
    """Measure, print and write the results."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    rows = []
    for make in (gaussian, mixture, copula):
        train, log_density = make(np.random.default_rng(3), N_TRAIN)
        fresh, _ = make(np.random.default_rng(4), N_FRESH)
        flow = FlowDensity(random_state=0).fit(train)
        error = flow.score_samples(fresh) - log_density(fresh)
        n_columns = train.shape[1]
        rows.append(
            [
                make.__name__,
                str(n_columns),
                f"{log_density(fresh).mean():.3f}",
                f"{flow.score(fresh):.3f}",
                f"{np.abs(error).mean() / n_columns:.4f}",
                f"{np.quantile(np.abs(error), 0.99) / n_columns:.3f}",
            ]
        )
    report.write(
        "known_densities",
        report.command(),
        f"{N_TRAIN:,} training rows, {N_FRESH:,} fresh rows, nats.",
        (
            "density",
            "columns",
            "true mean",
            "FlowDensity",
            "mean absolute error per column",
            "99 % quantile per column",
        ),
        rows,
    )


if __name__ == "__main__":
    main()
