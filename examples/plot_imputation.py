"""
Imputation of a table with dates and categories
===============================================

A table of orders has numbers, a category and dates, and a fifth of its cells is missing. The cells
are filled by ``FlowImputer`` and by two imputers of scikit-learn, and compared with the true ones.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, SimpleImputer

from skflow import FlowDensity, FlowImputer

# %%
# Orders: urgent ones are small, dear per piece and delivered within days; the others are large and
# take weeks.

rng = np.random.default_rng(0)
n_rows = 300
urgent = rng.random(n_rows) < 0.4
pieces = np.where(urgent, rng.gamma(2, 10, n_rows), rng.gamma(3, 100, n_rows)).round() + 1
price = np.where(urgent, 9, 4) * pieces**0.9 * np.exp(0.1 * rng.normal(size=n_rows))
ordered = np.datetime64("2025-01-01") + rng.integers(0, 365, n_rows).astype("m8[D]")
days = np.where(urgent, rng.integers(1, 4, n_rows), rng.integers(14, 30, n_rows))
orders = pd.DataFrame(
    {
        "urgent": np.where(urgent, "yes", "no"),
        "pieces": pieces,
        "price": price.round(2),
        "ordered": ordered,
        "delivered": ordered + days.astype("m8[D]"),
    }
)
missing = rng.random(orders.shape) < 0.2
partial = orders.mask(missing)
partial.head()

# %%
# One fit serves all columns as they are. Each call draws the missing cells of each row together,
# given its other cells.

imputer = FlowImputer(FlowDensity(max_iter=5), random_state=0).fit(partial)
filled = imputer.transform(partial)
filled.head()

# %%
# Imputers of scikit-learn take numbers only: the category becomes 0 and 1, dates become days. The
# continuous ranked probability score (CRPS) of 5 draws compares draws with the true cell; for a
# single guess it is the absolute error. It is proper: no forecast other than the true conditional
# distribution is better on average.


def as_numbers(table: pd.DataFrame) -> np.ndarray:
    """Orders as numbers, NaN where missing."""
    numbers = table.assign(urgent=table["urgent"].map({"yes": 1.0, "no": 0.0}))
    for name in ("ordered", "delivered"):
        numbers[name] = (table[name] - pd.Timestamp("2025-01-01")) / pd.Timedelta("1D")
    return numbers.astype(float).to_numpy()


def crps(draws: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """CRPS of draws, ``(n_draws, n_cells)``: mean error less half the mean difference."""
    spread = np.abs(draws[:, None] - draws[None]).mean(axis=(0, 1))
    return np.abs(draws - truth).mean(axis=0) - spread / 2


truth, known = as_numbers(orders), as_numbers(partial)
draws = {"FlowImputer": [], "IterativeImputer": [], "SimpleImputer": []}
draws["SimpleImputer"].append(SimpleImputer(strategy="median").fit_transform(known))
for seed in range(5):
    imputer.set_params(random_state=seed)
    draws["FlowImputer"].append(as_numbers(imputer.transform(partial)))
    iterative = IterativeImputer(sample_posterior=True, max_iter=5, random_state=seed)
    draws["IterativeImputer"].append(iterative.fit_transform(known))

scores = pd.DataFrame(
    {
        name: [
            crps(np.array(tables)[:, missing[:, j], j], truth[missing[:, j], j]).mean()
            for j in range(orders.shape[1])
        ]
        for name, tables in draws.items()
    },
    index=orders.columns,
)
scores.round(3)

# %%
# The number of days from order to delivery has two modes. Draws from the joint density keep them;
# regressions with normal residuals fill the gap between them, and some deliveries precede their
# order.

was_missing = missing[:, 4] & ~missing[:, 3]
panels = {"true": truth, **{name: tables[0] for name, tables in draws.items()}}
fig, axes = plt.subplots(1, 4, figsize=(10, 2.5), sharex=True, layout="constrained")
for ax, (name, table) in zip(axes, panels.items(), strict=True):
    ax.hist((table[:, 4] - table[:, 3])[was_missing], bins=np.arange(-40, 80, 2))
    ax.set(title=name, xlabel="days to delivery")
plt.show()
