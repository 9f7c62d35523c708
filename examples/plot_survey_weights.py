"""
A survey with design weights
============================

Surveys ask some groups more often than others, so that small groups are not lost. Each answer then
has a design weight: the number of people that it stands for. A fit with ``sample_weight`` is a
density of the population, not of the sample.
"""

# %%
# A population, and who was asked
# -------------------------------
#
# The population is known here, so that the fits can be compared with it: three regions, with
# hours of work and income. The survey asks people of the small region, and people with high
# incomes, more often.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skflow import FlowDensity

rng = np.random.default_rng(0)
REGIONS = ["city", "suburb", "country"]


def make_population(n_people):
    """Return people: region, hours of work per week, income per month."""
    region = rng.choice(REGIONS, n_people, p=[0.55, 0.35, 0.10])
    is_part_time = rng.random(n_people) < 0.3
    hours = np.where(is_part_time, rng.normal(20, 4, n_people), rng.normal(39, 2, n_people))
    level = pd.Series(region).map({"city": 7.9, "suburb": 7.7, "country": 7.4}).to_numpy()
    income = np.exp(level + 0.5 * np.log(hours.clip(5) / 39) + rng.normal(0, 0.35, n_people))
    return pd.DataFrame({"region": region, "hours": hours.round(1), "income": income.round()})


population = make_population(100_000)
probability = np.where(population["region"] == "country", 0.16, 0.02)
probability *= np.where(population["income"] > 3000, 4.0, 1.0)
is_asked = rng.random(len(population)) < probability
survey, weight = population[is_asked], 1 / probability[is_asked]
print(f"{len(survey)} answers stand for {weight.sum():.0f} people")

# %%
# Two fits
# --------
#
# Only ratios of weights count. Together the answers are as much evidence as the effective number
# of rows, ``sum(w) ** 2 / sum(w ** 2)``.

print(f"effective number of rows: {weight.sum() ** 2 / (weight**2).sum():.0f}")
fits = {
    f"{name} fit": FlowDensity(n_layers=0, random_state=0).fit(survey, sample_weight=w)
    for name, w in (("weighted", weight), ("unweighted", None))
}

drawn = {name: flow.sample(20_000, random_state=0) for name, flow in fits.items()}
tables = {"population": population, **drawn}
shares = pd.DataFrame({k: v["region"].value_counts(normalize=True) for k, v in tables.items()})
print(shares.round(3).to_string())
numbers = {k: v[["hours", "income"]].median() for k, v in tables.items()}
print(pd.DataFrame(numbers).round(1).to_string())

# %%
# The marginals of the weighted fit are those of the population; those of the other fit are those
# of the people who were asked.

figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
styles = {
    "population": {"color": "0.7", "lw": 5},
    "weighted fit": {"color": "#0072B2"},
    "unweighted fit": {"color": "#D55E00", "ls": "--"},
}
positions = np.arange(len(REGIONS))
for k, (name, table) in enumerate(tables.items()):
    color = styles[name]["color"]
    axes[0].bar(positions + 0.27 * (k - 1), shares[name][REGIONS], 0.25, color=color, label=name)
    for ax, column in zip(axes[1:], ("hours", "income"), strict=True):
        bins = np.linspace(*population[column].quantile([0.001, 0.995]), 60)
        heights, edges = np.histogram(table[column], bins, density=True)
        ax.plot((edges[1:] + edges[:-1]) / 2, heights, **styles[name])
        ax.set(xlabel=column, ylabel="density")
axes[0].set_xticks(positions, REGIONS)
axes[0].set(ylabel="share of the people")
axes[0].legend()

# %%
# The mean log-density of the whole population confirms it: the weighted fit describes people
# better whom nobody asked.

for name, flow in fits.items():
    print(f"{name:14}: {flow.score(population):.3f} nats per person")
