"""
How far will the disease progress, and how sure is that?
========================================================

A regressor that predicts the whole distribution: intervals that cover, probabilities of events,
and what changes if one measurement does.
"""

# %%
# Fit
# ---
#
# scikit-learn's diabetes table holds ten measurements of 442 patients, and the progression of the
# disease within a year. A quarter of the patients is held out. The Gaussian mixture copula alone,
# without trained layers, is quick.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.linear_model import BayesianRidge
from sklearn.model_selection import train_test_split

from skflow import FlowDensity, FlowRegressor
from skflow.metrics import coverage_error, interval_score, pit_values
from skflow.plotting import PITDisplay, PredictiveDensityDisplay, QuantileFanDisplay

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
y = y.rename("progression")
X_train, X_new, y_train, y_new = train_test_split(X, y, test_size=0.25, random_state=0)

regressor = FlowRegressor(FlowDensity(n_layers=0), random_state=0).fit(X_train, y_train)
print(f"R2 on held-out patients: {regressor.score(X_new, y_new):.2f}")

# %%
# Intervals
# ---------
#
# Intervals are calibrated on patients that nothing was fitted to, so that nine of ten contain the
# truth. Bayesian ridge regression predicts normal distributions, all of about one width.

interval = regressor.predict_interval(X_new, coverage=0.9)
mean, sd = BayesianRidge().fit(X_train, y_train).predict(X_new, return_std=True)
ridge = np.column_stack((mean - 1.645 * sd, mean + 1.645 * sd))

table = pd.DataFrame(
    {
        name: {
            "coverage": np.mean((ends[:, 0] <= y_new) & (y_new <= ends[:, 1])),
            "narrowest": np.min(ends[:, 1] - ends[:, 0]),
            "widest": np.max(ends[:, 1] - ends[:, 0]),
            "interval score": interval_score(y_new, ends, coverage=0.9),
        }
        for name, ends in (("FlowRegressor", interval), ("Bayesian ridge", ridge))
    }
)
print(table.round(2).to_string())

# %%
# One patient
# -----------
#
# The predicted density of two patients, with the interval and the truth. A distribution answers
# further questions, such as the probability of a progression of more than 200.

fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True)
widths = interval[:, 1] - interval[:, 0]
for row, ax in zip((widths.argmin(), widths.argmax()), axes, strict=True):
    PredictiveDensityDisplay.from_estimator(regressor, X_new, row=int(row), y=y_new, ax=ax)
    above = regressor.predict_dist(X_new)[[row]].sf(200)[0]
    ax.set_title(f"P(progression > 200) = {above:.2f}")

# %%
# What if?
# --------
#
# The same patient with another body mass index: quantiles of the progression along it.

QuantileFanDisplay.from_estimator(regressor, X_new, "bmi", row=int(widths.argmin()))

# %%
# Are the distributions right?
# ----------------------------
#
# The predicted probabilities of a lower value than the true one are uniform if they are. The bars
# of about 110 patients vary by chance as much as the shaded band says.

PITDisplay.from_estimator(regressor, X_new, y_new)
print(f"coverage error (QICE): {coverage_error(pit_values(regressor, X_new, y_new)):.3f}")
plt.show()
