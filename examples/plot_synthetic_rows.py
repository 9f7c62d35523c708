"""
Do sampled rows keep types and relations?
=========================================

Sampled rows can replace rows that must not be shared, or add to rows that are too few. How
good are they? Here they are compared with real rows that the model was not fitted to, by
eye and by four numbers, each beside the same number for real rows.
"""

# %%
# Flats
# -----
#
# The table of flats for rent is synthetic: a category, integers, areas, a flag, and missing
# values, because the year of the oldest houses is unknown.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import ks_2samp
from scipy.stats.contingency import association
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from skflow import FlowDensity

DISTRICTS = ["centre", "harbour", "hills", "north"]


def make_flats(n_rows, seed):
    """Return flats, one row each."""
    rng = np.random.default_rng(seed)
    district = rng.choice(4, n_rows, p=[0.2, 0.15, 0.25, 0.4])
    rooms = 1 + rng.binomial(5, np.array([0.25, 0.3, 0.45, 0.35])[district])
    area = np.exp(np.log(18 + 19 * rooms) + rng.normal(0, 0.15, n_rows)).round(1)
    year = np.array([1920, 1985, 1960, 1970])[district] + rng.normal(0, 18, n_rows)
    year = 2025 - np.abs(2025 - year)
    balcony = rng.uniform(size=n_rows) < 1 / (1 + np.exp((1965 - year) / 12))
    rate = np.array([15.0, 13.5, 11.5, 9.0])[district] + 1.5 * balcony
    rent = area * rate * np.exp(rng.normal(0, 0.1, n_rows)) + 120
    return pd.DataFrame(
        {
            "district": np.array(DISTRICTS)[district],
            "rooms": rooms,
            "area": area,
            "year": pd.Series(year.round()).where(year > 1889.5).astype("Int64"),
            "balcony": balcony,
            "rent": (10 * (rent / 10).round()).astype(int),
        }
    )


X = make_flats(2000, seed=0)
X_new = make_flats(2000, seed=1)
flow = FlowDensity(bounds={"year": (1890, 2025)}, max_iter=15, random_state=0).fit(X)
drawn = flow.sample(2000, random_state=0)
print(flow.schema_)
print(drawn.head(6).to_string())

# %%
# Types
# -----
#
# The sampled table has the dtypes of the real one, and its cells lie on the same grids:
# rooms are integers, areas have one decimal, and rents end in 0. ``bounds`` adds what does
# not follow from the rows: no year is before 1890 or after 2025.

pd.testing.assert_series_equal(drawn.dtypes, X.dtypes)
print("smallest and largest year:", drawn["year"].min(), drawn["year"].max())

# %%
# By eye
# ------
#
# The figure shows pairs of columns; real flats in the upper half, sampled ones in the lower
# half. Each panel has its mirror image in the other half.

columns = ["rooms", "area", "year", "rent"]
colours = dict(zip(DISTRICTS, ["#0072B2", "#D55E00", "#009E73", "0.6"], strict=True))
jitter = np.random.default_rng(0).uniform(-0.3, 0.3, 700)
figure, axes = plt.subplots(4, 4, figsize=(9, 9), layout="constrained")
for i, below in enumerate(columns):
    for j, left in enumerate(columns):
        axis = axes[i, j]
        if i == j:
            shown = [table[left].dropna().astype(float) for table in (X_new, drawn)]
            bins = np.linspace(*np.quantile(shown[0], [0.001, 0.999]), 25)
            bins = np.arange(0.5, 7) if left == "rooms" else bins
            axis.hist(shown[0], bins, color="0.8", label="real")
            axis.hist(shown[1], bins, histtype="step", color="k", label="sampled")
            axis.set(yticks=[], title=left)
            continue
        table = (X_new if i < j else drawn).head(700)
        x, y = (table[name].astype(float) for name in (left, below))
        x, y = (v + jitter * (v.name == "rooms") for v in (x, y))
        axis.scatter(x, y, c=table["district"].map(colours), s=3)
        limits = [X_new[name].astype(float).quantile([0, 1]) for name in (left, below)]
        axis.set(xlim=limits[0] + [-0.5, 0.5], ylim=limits[1] + [-0.5, 0.5])
        if i < j:
            axis.set_facecolor("#f4f4ec")
axes[0, 0].legend(fontsize=7)
for name, colour in colours.items():
    axes[0, 3].scatter([], [], color=colour, s=12, label=name)
axes[0, 3].legend(fontsize=7, loc="lower right")
figure.suptitle("real flats above the diagonal (shaded), sampled ones below")

# %%
# By numbers
# ----------
#
# The distance of single columns is the largest difference of two distribution functions
# (Kolmogorov-Smirnov), or half the sum of the differences of the shares of categories. 0 is
# best. Two samples of real rows differ a little as well: this is the reference.


def distance(one, other):
    """Return the two-sample distance of a column; missing values count as a value."""
    if one.dtype.kind in "iuf" and one.nunique() > 10:
        return ks_2samp(one.fillna(-1).astype(float), other.fillna(-1).astype(float)).statistic
    shares = [column.value_counts(normalize=True, dropna=False) for column in (one, other)]
    return shares[0].sub(shares[1], fill_value=0).abs().sum() / 2


print(
    pd.DataFrame(
        {
            name: {column: distance(X_new[column], table[column]) for column in X}
            for name, table in (("other real rows", X), ("sampled rows", drawn))
        }
    )
    .round(3)
    .to_string()
)

# %%
# The relation of two columns is the rank correlation of numbers, Cramer's V of categories
# (0: unrelated, 1: one determines the other), or the correlation ratio of a category and
# numbers.


def relation(table, one, other):
    """Return the strength of the relation of two columns."""
    categorical = [name in ("district", "balcony") for name in (one, other)]
    if all(categorical):
        return association(pd.crosstab(table[one], table[other]), method="cramer")
    if not any(categorical):
        return table[one].astype(float).corr(table[other].astype(float), "spearman")
    label, number = (one, other) if categorical[0] else (other, one)
    numbers = table[number].astype(float)
    means = numbers.groupby(table[label]).transform("mean")
    return means.std() / numbers.std()


pairs = [(one, other) for k, one in enumerate(X) for other in list(X)[k + 1 :]]
relations = pd.DataFrame(
    {
        name: {f"{one}, {other}": relation(table, one, other) for one, other in pairs}
        for name, table in (("new real rows", X_new), ("fitted", X), ("sampled", drawn))
    }
)
print(relations.round(2).to_string())

# %%
# All columns together: a classifier is trained to distinguish real from sampled rows. Its
# area under the ROC curve, on rows it was not trained on, is 0.5 if it can only guess, and 1
# if all sampled rows are recognized.


def separability(real, other):
    """Return the cross-validated AUC of a classifier of two tables."""
    both = pd.concat([real, other], ignore_index=True)
    both = both.assign(district=both["district"].astype("category"))
    which = np.repeat([0, 1], [len(real), len(other)])
    classifier = HistGradientBoostingClassifier(max_iter=60, random_state=0)
    chances = cross_val_predict(classifier, both, which, cv=5, method="predict_proba")
    return roc_auc_score(which, chances[:, 1])


alone = X.apply(lambda column: column.sample(frac=1, random_state=len(column.name)).to_numpy())
alone = alone.astype(X.dtypes)
print(f"other real rows:              {separability(X_new, X):.2f}")
print(f"sampled rows:                 {separability(X_new, drawn):.2f}")
print(f"each column shuffled alone:   {separability(X_new, alone):.2f}")

# %%
# Nothing copied
# --------------
#
# A generator that repeats its training rows would pass all checks above. The number of
# sampled rows that equal a fitted row, and that of new real rows, by chance:

fitted = pd.util.hash_pandas_object(X, index=False)
for name, table in (("new real rows", X_new), ("sampled rows", drawn)):
    copies = pd.util.hash_pandas_object(table, index=False).isin(fitted).sum()
    print(f"{name}: {copies} of {len(table)}")

# %%
# This is no guarantee of privacy. The strings of categorical columns are stored and sampled,
# and a high density around one unusual row reveals that row. Drop what is private.
