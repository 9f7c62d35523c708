"""
What if one condition were different?
=====================================

A conditional density answers for a single row: its conditions stay, one of them moves, and the
distribution of the other columns moves with it. The example fits two columns of the diabetes
table given three others. A question about the fitted rows, not about causes: other patients with
that body mass index differ in more than their index.
"""

# %%
# The density of blood pressure and disease progression, given the others
# -----------------------------------------------------------------------
#
# ``given`` names the conditions. The fit serves this question alone. The rows are few: the
# closed form, ``n_layers=0``, suffices. Blood pressures of 101 are frequent; here they are numbers
# like all others.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from skflow import FlowDensity

X = load_diabetes(as_frame=True, scaled=False).frame[["age", "sex", "bmi", "bp", "target"]]
train, test = train_test_split(X, random_state=0)
settings = {"n_layers": 0, "column_kinds": {"bp": "continuous"}, "random_state": 0}
flow = FlowDensity(given=["age", "sex", "bmi"], **settings).fit(train)
print(flow.schema_)

# %%
# Is it worth its conditions? In nats per row, beside the density of the same columns alone:

alone = FlowDensity(**settings).fit(train[["bp", "target"]])
print(f"given age, sex and bmi: {flow.score(test):.2f}")
print(f"alone:                  {alone.score(test[['bp', 'target']]):.2f}")

# %%
# One patient, whose body mass index moves
# ----------------------------------------
#
# ``sample`` draws rows for each row of conditions.

patient = test.iloc[[0]]
bmi = np.linspace(20, 38, 10)
moved = pd.concat([patient.assign(bmi=value) for value in bmi], ignore_index=True)
draws = flow.sample(500, random_state=0, given=moved)
quantiles = draws.groupby("bmi")["target"].quantile([0.05, 0.25, 0.5, 0.75, 0.95]).unstack()
print(quantiles.round(0))

figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
for low, high in ((0.05, 0.95), (0.25, 0.75)):
    axes[0].fill_between(bmi, quantiles[low], quantiles[high], color="tab:blue", alpha=0.25)
axes[0].plot(bmi, quantiles[0.5], color="tab:blue", label="median, 50 % and 90 % of draws")
axes[0].plot(patient["bmi"], patient["target"], "ko", label="the patient as observed")
axes[0].set(xlabel="body mass index", ylabel="disease progression")
axes[0].legend(loc="upper left")

# %%
# The joint distribution of both columns moves as well.

for value, color in zip(bmi[[0, -1]], ("tab:green", "tab:orange"), strict=True):
    shown = draws[draws["bmi"] == value]
    axes[1].scatter(shown["bp"], shown["target"], s=6, color=color, label=f"bmi {value:.0f}")
axes[1].set(xlabel="blood pressure", ylabel="disease progression")
axes[1].legend()

# %%
# The latents of held-out rows say whether the density is calibrated: each should be standard
# normal, so that its distribution function is uniform.

shares = norm.cdf(flow.transform(test))
for name, share in zip(flow.get_feature_names_out(), shares.T, strict=True):
    inside = ((share > 0.05) & (share < 0.95)).mean()
    print(f"{name}: {100 * inside:.0f} % of {len(test)} rows inside the central 90 %")
