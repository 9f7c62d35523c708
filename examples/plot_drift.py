"""
Has the process drifted since last month?
=========================================

If a process has not changed, the p-values of its rows under last month's model are uniform
between 0 and 1. So one Kolmogorov-Smirnov test shows whether a month as a whole has changed,
even if the distribution of every single column is unchanged.
"""

# %%
# Two months
# ----------
#
# A plant records flow, pressure, temperature, power and which of two lines ran. In the
# drifting month a filter clogs: pressure depends on the flow less closely than before. The
# distribution of each single column is unchanged.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import kstest

from skflow import FlowDensity, FlowOutlierDetector
from skflow.plotting import PairDisplay

rng = np.random.default_rng(0)


def make_month(n_rows, correlation=0.95):
    """Return the readings of a month, with a given correlation of flow and pressure."""
    a, b, c, d = rng.standard_normal((4, n_rows))
    line = rng.choice(["north", "south"], n_rows)
    b = correlation * a + np.sqrt(1 - correlation**2) * b
    return pd.DataFrame(
        {
            "flow": np.exp(3 + 0.3 * a).round(2),
            "pressure": (6 + 0.8 * b).round(3),
            "temperature": (70 + 4 * c + 6 * (line == "south")).round(1),
            "power": np.exp(4 + 0.2 * c + 0.1 * d).round(1),
            "line": line,
        }
    )


last_month = make_month(2400)
months = {"quiet": make_month(200), "drifting": make_month(200, correlation=0.8)}
detector = FlowOutlierDetector(FlowDensity(max_iter=6), random_state=0).fit(last_month)

# %%
# One test for the month
# ----------------------

p_values = {name: detector.p_values(month) for name, month in months.items()}
for name, p in p_values.items():
    test = kstest(p, "uniform")
    print(f"{name:9} month: distance {test.statistic:.3f}, p = {test.pvalue:.2g}")

# %%
# The same test of each single column, this month beside the last, finds nothing.

numbers = last_month.columns.drop("line")
alone = {
    column: kstest(months["drifting"][column], last_month[column]).pvalue for column in numbers
}
print(pd.Series(alone, name="p").round(3).to_string())

# %%
# The distribution function of the quiet month's p-values follows the diagonal. Those of the
# drifting month are too often small.

figure, ax = plt.subplots(figsize=(5.4, 4.4), layout="constrained")
styles = {"quiet": {"color": "#0072B2"}, "drifting": {"color": "#D55E00", "ls": "--"}}
for name, p in p_values.items():
    ax.ecdf(p, label=f"{name} month", **styles[name])
ax.axline((0, 0), slope=1, color="0.6", lw=1, zorder=0, label="no change")
ax.set(xlabel="p-value", ylabel="share of rows at or below it")
ax.legend()

# %%
# Which columns?
# --------------
#
# ``score_features`` measures how unlikely each cell is given the rest of its row. Its mean
# falls for the columns whose relation has changed, and for these alone.

means = pd.DataFrame({name: detector.score_features(m).mean() for name, m in months.items()})
means["change"] = means["drifting"] - means["quiet"]
print(means.round(2).sort_values("change").to_string())

PairDisplay.from_estimator(
    detector, months["drifting"], features=("flow", "pressure"), random_state=0
)

# %%
# How many rows to test
# ---------------------
#
# The test assumes exact p-values, but these are computed from a sample as well: the
# ``n_calibration_`` rows that were held out. Test at most about a third of that number at once,
# or require a smaller p-value of the test.

print(f"{len(months['quiet'])} new rows, {detector.n_calibration_} calibration rows")
