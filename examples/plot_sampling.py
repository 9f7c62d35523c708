"""
How do I draw new rows?
=======================

``sample`` returns rows in the fitted container: the same column names and dtypes,
integers as integers. The example fits 178 wines, and then the last step of a Pipeline.
For a table with categories and missing values, and stricter checks of sampled rows, see
:ref:`sphx_glr_auto_examples_plot_synthetic_rows.py`.
"""

# %%
# New rows
# --------
#
# Two columns hold integers, the others numbers with few decimals. So do sampled rows.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer

from skflow import FlowDensity

columns = ["alcohol", "magnesium", "flavanoids", "color_intensity", "proline"]
X = load_wine(as_frame=True).data[columns].astype({"magnesium": int, "proline": int})
flow = FlowDensity(random_state=0).fit(X)
print(flow.schema_)
print(flow.sample(5, random_state=0).round(2))

# %%
# An integer ``random_state`` gives the same rows each time, ``None`` new ones.
#
# Are they like the real ones?
# ----------------------------
#
# Compare what you will use: the distribution of each column, and the dependence between
# columns. The density keeps a small share, some tenths of a per cent per column, for
# values outside the range of the rows, so that no score is minus infinity, and
# ``sample`` draws from the density as it is: a few cells lie outside that range.

samples = flow.sample(2000, random_state=1)
quartiles = [0.25, 0.5, 0.75]
print("quartiles of the real rows:")
print(X.quantile(quartiles).round(2))
print("quartiles of the sampled rows:")
print(samples.quantile(quartiles).round(2))
print("rank correlations of the real rows:")
print(X.corr("spearman").round(2))
print("rank correlations of the sampled rows:")
print(samples.corr("spearman").round(2))
outside = ((samples < X.min()) | (samples > X.max())).to_numpy().mean()
print(f"sampled cells outside the range of the real column: {100 * outside:.1f} %")

figure, axes = plt.subplots(1, 3, figsize=(11, 3.5), layout="constrained")
for axis, column in zip(axes[:2], ["flavanoids", "proline"], strict=True):
    bins = np.linspace(X[column].min(), X[column].max(), 25)
    axis.hist(samples[column], bins, density=True, color="tab:orange", alpha=0.6, label="sampled")
    axis.hist(X[column], bins, density=True, histtype="step", color="k", label="real")
    axis.set(xlabel=column, ylabel="density")
axes[0].legend()
shown = samples.iloc[:178]
axes[2].scatter(shown["flavanoids"], shown["proline"], s=8, color="tab:orange", label="sampled")
axes[2].scatter(X["flavanoids"], X["proline"], s=8, color="k", label="real")
axes[2].set(xlabel="flavanoids", ylabel="proline")
axes[2].legend()

# %%
# From a Pipeline
# ---------------
#
# A Pipeline has no ``sample``, but its last step has. Sampled rows are in the units of the
# earlier steps' output, so invert these steps. (The Pipeline's ``score`` is in those
# units, too: do not compare it with that of a flow on the table itself.)

pipeline = make_pipeline(PowerTransformer(), FlowDensity(random_state=0)).fit(X)
drawn = pipeline[-1].sample(5, random_state=0)
rows = pipeline[:-1].inverse_transform(drawn)
print(dict(zip(columns, rows[0].round(2).tolist(), strict=True)))
