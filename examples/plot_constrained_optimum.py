"""
Which row is extreme in one respect, and still a plausible one?
===============================================================

A function of a row alone is largest at absurd rows. A density is the constraint that
keeps them out: here an optimizer of torch looks for the wine of the deepest colour for its
alcohol, among wines no less probable than most.
"""

# %%
# The density
# -----------
#
# A distribution of torch holds numbers only. ``column_kinds`` takes each column for a plain
# number, values that occur often included.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_wine

from skflow import FlowDensity

X = load_wine(as_frame=True).data[["alcohol", "color_intensity", "hue", "flavanoids"]]
kinds = dict.fromkeys(X, "continuous")
flow = FlowDensity(n_layers=0, column_kinds=kinds, random_state=0).fit(X)
density = flow.as_torch()

# %%
# The optimum
# -----------
#
# The goal is the colour intensity per unit of alcohol, in percent. The constraint is a
# log-density above that of a tenth of the wines; rows below it pay a penalty, in proportion to
# the nats that they lack. Each step moves a column by a share of its spread.

threshold = np.quantile(flow.score_samples(X), 0.1)
spread = torch.tensor(X.std().to_numpy())
start = torch.tensor(X.median().to_numpy())
moved = torch.zeros(4, dtype=torch.float64, requires_grad=True)
optimizer = torch.optim.Adam([moved], lr=0.05)
path = []
for step in range(300):
    optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / 300)
    optimizer.zero_grad()
    row = start + moved * spread
    goal = 100 * row[1] / row[0]
    lack = torch.relu(threshold - density.log_prob(row))
    (20 * lack - goal).backward()
    optimizer.step()
    path.append(row.detach().numpy())
best = pd.DataFrame(path[-1:], columns=X.columns)
ratios = 100 * X["color_intensity"] / X["alcohol"]
found = 100 * best["color_intensity"] / best["alcohol"]
print(best.round(2).to_string(index=False))
print(f"goal {found[0]:.0f}; of the wines {ratios.median():.0f}, and {ratios.max():.0f} at most")
print(f"log-density {flow.score(best):.2f}, threshold {threshold:.2f}")

# %%
# The search leaves the median wine, reaches the edge of the plausible region, and follows it.

path = np.array(path)
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
axes.scatter(X["alcohol"], X["color_intensity"], s=12, color="lightgrey", label="wines")
axes.plot(path[:, 0], path[:, 1], color="tab:blue", label="search")
axes.plot(*path[-1, :2], "o", color="tab:red", label="optimum")
axes.set(xlabel="alcohol", ylabel="color_intensity", title="The deepest colour for the alcohol")
axes.legend()
plt.show()
