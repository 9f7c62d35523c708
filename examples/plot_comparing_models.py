"""
Is the larger model really better?
==================================

Two densities of the same table are compared on held-out rows. The difference is computed row by
row, because rows differ in how likely they are under every model. The mean difference has a
standard error, which shows whether the difference may be chance.
"""

# %%
# Two models, one schema
# ----------------------
#
# The table holds measurements of diabetes patients, of whom a third is held out. Scores of two
# models are comparable only if both have the same schema, so all models use one: that of the
# training rows. The mixture copula and the flows have two components.

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from skflow import FlowDensity

X = load_diabetes(as_frame=True, scaled=False).data
train, test = train_test_split(X, test_size=1 / 3, random_state=0)
reference = FlowDensity(n_layers=0, n_components=1, random_state=0).fit(train)
print(reference.schema_)

settings = {"n_components": 2, "column_kinds": reference.schema_}
copula = FlowDensity(n_layers=0, **settings, random_state=0).fit(train)
flows = [FlowDensity(max_iter=8, **settings, random_state=seed).fit(train) for seed in range(3)]
assert all(flow.schema_ == copula.schema_ == reference.schema_ for flow in flows)

# %%
# Means and their standard errors
# -------------------------------

scores = pd.DataFrame(
    {
        "one Gaussian": reference.score_samples(test),
        "mixture copula": copula.score_samples(test),
    }
)
for seed, flow in enumerate(flows):
    scores[f"flow, seed {seed}"] = flow.score_samples(test)
print(scores.agg(["mean", "sem"]).T.round(2).to_string())

# %%
# The standard error of each mean is large, because some patients are far likelier than others.
# They are so under every model, and this variation cancels in the difference.


def compare(one, other):
    """Return mean and standard error of the difference, in nats per row."""
    difference = scores[one] - scores[other]
    error = difference.sem()
    return {
        "is": one,
        "ahead of": other,
        "by": difference.mean(),
        "standard error": error,
        "in standard errors": difference.mean() / error,
    }


pairs = [("mixture copula", "one Gaussian")]
pairs += [(f"flow, seed {seed}", "mixture copula") for seed in range(3)]
comparison = pd.DataFrame([compare(*pair) for pair in pairs])
print(comparison.round(2).to_string(index=False))

# %%
# A difference of two standard errors or more is hardly due to the choice of held-out patients.
# It may still be due to the seed, which the standard error does not include. So the flow is
# fitted with three seeds, and a conclusion about flows should hold for all of them. Here all three
# are ahead, by amounts that differ about as much as the smallest of them: how far is uncertain.

scores["flow"] = scores[[f"flow, seed {seed}" for seed in range(3)]].mean(axis=1)
figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.8), layout="constrained")
for ax, (one, other) in zip(
    axes, [("mixture copula", "one Gaussian"), ("flow", "mixture copula")], strict=True
):
    difference = scores[one] - scores[other]
    mean, error = difference.mean(), difference.sem()
    ax.hist(difference, bins=40, color="#0072B2", alpha=0.6)
    ax.axvline(0, color="0.3", lw=1)
    ax.axvline(mean, color="#D55E00", ls="--", label=f"mean {mean:.2f}")
    band = {"color": "#D55E00", "alpha": 0.25, "lw": 0, "label": "two standard errors"}
    ax.axvspan(mean - 2 * error, mean + 2 * error, **band)
    ax.set(xlabel=f"{one} less {other}, nats", ylabel="patients")
    ax.legend()

# %%
# Without a common schema
# -----------------------
#
# A model of the sex as a plain number gives it a density, not a probability. The score
# changes, and the difference does not show which of the models is better.

plain = FlowDensity(n_layers=0, n_components=1, column_kinds={"sex": "integer"}, random_state=0)
plain.fit(train)
print("same schema:", plain.schema_ == reference.schema_)
print(f"'ahead' by {(plain.score_samples(test) - scores['one Gaussian']).mean():.2f} nats per row")
