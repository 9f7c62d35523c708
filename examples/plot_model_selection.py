"""
Which density fits a table best?
================================

``score`` is the mean log-density of held-out rows, and higher is better. ``GridSearchCV``
and ``HalvingGridSearchCV`` need nothing else to choose a model. There is no scaler in front:
it would change the unit of the scores, see :ref:`no-scaler` in the user guide.
"""

# %%
# A grid of models
# ----------------
#
# The table has 300 rows of three columns; the third is a non-linear function of the first
# two, with more noise on one side. ``n_layers=0`` fits the :term:`Gaussian mixture copula`
# alone, and ``n_components=1`` makes it a Gaussian copula.

import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV

from skflow import FlowDensity

rng = np.random.default_rng(0)
a, b = rng.normal(size=(2, 300))
c = np.sin(2 * a) + b**2 / 2 + np.exp(a / 2) * rng.normal(size=300) / 5
X = pd.DataFrame({"a": a, "b": b, "c": c})

grid = {"n_components": [1, 16], "n_layers": [0, 4]}
density = FlowDensity(hidden_units=32, max_iter=6, random_state=0)
search = GridSearchCV(density, grid, cv=3).fit(X)
results = pd.DataFrame(search.cv_results_).sort_values("rank_test_score")
columns = ["param_n_components", "param_n_layers", "mean_test_score", "std_test_score"]
print(results[columns].round(2).to_string(index=False))

# %%
# Scores are nats per row. The folds have different rows, so the scores of one model
# differ between folds; the question is whether one model is ahead of another on every
# fold.

figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
names = [
    f"{row.param_n_components} components, {row.param_n_layers} layers"
    for row in results.itertuples()
]
for fold, marker in enumerate("osD"):
    axis.plot(results[f"split{fold}_test_score"], names, marker, label=f"fold {fold}")
axis.invert_yaxis()
axis.set(xlabel="held-out nats per row")
axis.legend()

# %%
# Halving over epochs
# -------------------
#
# ``HalvingGridSearchCV`` uses ``max_iter`` as its resource: all candidates train for a
# few epochs, and the better half continues to the next round with twice as many. The
# learning-rate schedule ends with ``max_iter``, so every round is a complete, shorter
# fit. ``n_components`` is set, because otherwise each fit would search for it.

grid = {"n_layers": [1, 2], "learning_rate": [5e-4, 4e-3]}
began = time.perf_counter()
halving = HalvingGridSearchCV(
    FlowDensity(n_components=2, hidden_units=32, random_state=0),
    grid,
    resource="max_iter",
    min_resources=3,
    max_resources=6,
    factor=2,
    cv=2,
    random_state=0,
).fit(X)
seconds = time.perf_counter() - began
results = pd.DataFrame(halving.cv_results_).rename(columns={"n_resources": "epochs"})
columns = ["iter", "epochs", "param_n_layers", "param_learning_rate", "mean_test_score"]
print(results[columns].to_string(index=False, float_format="%.4g"))
print(f"{2 * len(results)} short fits in {seconds:.0f} s; chosen: {halving.best_params_}")

# %%
# The chosen model has been fitted to all rows and is ready for use. Its score above is
# the best of several, and therefore a little too good: to report a score, use rows that
# took no part in the choice.

print(halving.best_estimator_.sample(3, random_state=0).round(2))
