"""
Which rows of a census are unusual?
===================================

A table of people has categories, integers, money that is zero for most, and missing values
where a question does not apply. One ``fit`` takes it as it is, without encoding, imputation
or scaling. The fitted density gives a log-density for each row, the same rows back from
their latents, and new rows that keep the relations between columns.
"""

# %%
# The table
# ---------
#
# The table is synthetic, so that the true relations are known. People who do not work have
# no occupation, hours and wage. Schooling depends on age, occupation and wage on
# schooling, marriage on age. Nine in ten have no gain from capital, and ages above 90
# are recorded as 90.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skflow import FlowDensity

SCHOOLS = ["primary", "secondary", "college", "university"]
JOBS = ["care", "craft", "office", "sales", "science"]
# Weights of the jobs, one row per school.
JOB_WEIGHTS = np.array([[3, 5, 1, 3, 0], [4, 5, 3, 4, 0], [3, 1, 5, 4, 1], [1, 0, 4, 2, 5]])


def make_census(n_rows, seed):
    """Return a table of people, one row each."""
    rng = np.random.default_rng(seed)
    age = (17 + rng.gamma(3, 10, n_rows)).astype(int).clip(max=90)
    school = rng.choice(4, n_rows, p=[0.2, 0.4, 0.25, 0.15])
    school = np.minimum(school, np.select([age < 20, age < 23], [1, 2], 3))
    married = rng.uniform(size=n_rows) < 0.75 / (1 + np.exp((30 - age) / 6))
    works = rng.uniform(size=n_rows) < 0.9 / (1 + np.exp((62 - age) / -6))
    weights = JOB_WEIGHTS[school] / JOB_WEIGHTS[school].sum(axis=1, keepdims=True)
    job = (weights.cumsum(axis=1) < rng.uniform(size=(n_rows, 1))).sum(axis=1)
    part_time = rng.uniform(size=n_rows) < 0.3
    hours = np.where(part_time, rng.normal(22, 5, n_rows), rng.normal(41, 4, n_rows)).round()
    wage = np.exp(2.4 + 0.25 * school + 0.006 * (age - 40) + rng.normal(0, 0.25, n_rows))
    gain = np.where(rng.uniform(size=n_rows) < 0.1, rng.lognormal(8, 1, n_rows).round(), 0)
    return pd.DataFrame(
        {
            "age": age,
            "school": pd.Categorical.from_codes(school, SCHOOLS, ordered=True),
            "married": married,
            "occupation": pd.Series(np.array(JOBS)[job]).where(works, None),
            "hours": pd.Series(hours.clip(5, 70)).where(works).astype("Int64"),
            "wage": pd.Series(wage.round(2)).where(works),
            "gain": gain.astype(int),
        }
    )


X = make_census(3000, seed=0)
print(X.head(6).to_string())

# %%
# One fit
# -------
#
# ``schema_`` shows the kind of each column. ``gain`` has an :term:`atom`, 0, and ``age``
# another, 90: no gain is an event with a probability, and the size of a gain has a
# density. A missing value is an event as well.

flow = FlowDensity(max_iter=25, random_state=0).fit(X)
print(flow.schema_)
X_test = make_census(3000, seed=1)
print(f"\n{flow.score(X_test):.2f} nats per row on new people")

# %%
# Unusual rows
# ------------
#
# Each cell of the rows below is frequent enough; their combination is not, as the scores
# show. The rows are compared with new people of the same kind, those who work and have no
# gain: a row with a gain has one number more, and its density per dollar lowers the score
# whatever the gain.

scores = pd.Series(flow.score_samples(X_test))
alike = scores[X_test["occupation"].notna() & (X_test["gain"] == 0)]
ordinary = X.iloc[[0]].assign(age=44, school="college", married=True)
ordinary = ordinary.assign(occupation="office", hours=40, wage=18.5, gain=0)
changes = {
    "an office worker of 44": {},
    "the same, in science": {"occupation": "science"},
    "the same, aged 81": {"age": 81},
    "in science, from primary school": {"occupation": "science", "school": "primary"},
    "the same, 45.00 an hour": {"wage": 45.0},
    "the same, hours missing": {"hours": pd.NA},
    "the same, works as a wizard": {"occupation": "wizard"},
}
people = pd.concat([ordinary.assign(**change) for change in changes.values()])
nats = flow.score_samples(people.astype({"hours": "Int64"}))
for name, score in zip(changes, nats, strict=True):
    print(f"{name:32} {score:6.1f} nats; lower: {100 * np.mean(alike < score):4.1f} % of people")

# %%
# The last but one has a missing value where no fitted row had one: everyone who works has
# hours. No rule is certain in a density, but a violation lowers the score. The last has a
# novel category, with a small probability and a finite score.
#
# To find unusual rows without a question in mind, sort by score; here within each kind of
# row, by the distance below the median of its kind.

kind = [X_test["occupation"].notna(), X_test["gain"] > 0]
below = scores - scores.groupby(kind).transform("median")
print(X_test.assign(nats=scores.round(1), below=below.round(1)).nsmallest(6, "below").to_string())

# %%
# The same rows back
# ------------------
#
# A column with a label and a value has two latents, ``gain_label`` and ``gain``. The
# inverse returns the same rows, with missing values, dtypes and the order of categories.

Z = flow.set_output(transform="pandas").transform(X_test)
print("latents:", *Z.columns)
pd.testing.assert_frame_equal(flow.inverse_transform(Z), X_test)
print("all rows came back the same")

# %%
# Relations
# ---------
#
# Sampled rows show the relations that the model has fitted. A rule of the table nearly holds
# in the sampled rows. Shares that change fast with a number, such as age here, are
# smoothed a little after so short a fit to so few rows.

drawn = flow.sample(3000, random_state=0)


def describe(table):
    """Return shares that depend on two or three columns."""
    working = table["occupation"].notna()
    university = table["school"] == "university"
    return {
        "hours just where there is an occupation": (table["hours"].notna() == working).mean(),
        "works, of those of 70 and older": working[table["age"] >= 70].mean(),
        "works, of those younger than 50": working[table["age"] < 50].mean(),
        "married, of those younger than 30": table["married"][table["age"] < 30].mean(),
        "married, of those of 40 and older": table["married"][table["age"] >= 40].mean(),
        "in science, of the university's": (table["occupation"] == "science")[university].mean(),
        "in science, of the others": (table["occupation"] == "science")[~university].mean(),
        "no gain": (table["gain"] == 0).mean(),
    }


print(pd.DataFrame({"real": describe(X_test), "sampled": describe(drawn)}).round(3).to_string())

# %%
# The figure shows scores of the people above, wages by school, and occupations of those
# who work, real beside sampled.

figure, axes = plt.subplots(1, 3, figsize=(12.5, 4), layout="constrained")
counts, _, _ = axes[0].hist(alike, 60, color="0.8")
heights = counts.max() * np.linspace(1.6, 0.5, len(changes))
for k, (name, score) in enumerate(zip(changes, nats, strict=True)):
    axes[0].plot([score, score], [0, heights[k]], color="C0", linewidth=1)
    axes[0].annotate(name, (score - 0.3, heights[k]), ha="right", va="top", fontsize=8)
axes[0].set(title="people who work, without gains", xlabel="nats", xlim=(-44, -10))
axes[0].set_yticks([])
for shift, table, name, colour in ((-0.2, X_test, "real", "0.4"), (0.2, drawn, "sampled", "C1")):
    wages = [table["wage"][table["school"] == school].dropna() for school in SCHOOLS]
    boxes = axes[1].boxplot(
        wages,
        positions=np.arange(4) + shift,
        widths=0.35,
        showfliers=False,
        patch_artist=True,
        boxprops={"facecolor": colour},
        medianprops={"color": "white"},
    )
    boxes["boxes"][0].set_label(name)
    shares = pd.crosstab(table["school"], table["occupation"], normalize="index")
    shares = shares.reindex(columns=JOBS, fill_value=0)
    left = np.zeros(4)
    for job, shade in zip(JOBS, plt.cm.cividis(np.linspace(0, 1, 5)), strict=True):
        height = 0.38 if name == "real" else 0.3
        bars = axes[2].barh(
            np.arange(4) + shift, shares.loc[SCHOOLS, job], height, left, color=shade
        )
        if name == "real":
            bars.set_label(job)
        left += shares.loc[SCHOOLS, job].to_numpy()
axes[1].set_xticks(range(4), SCHOOLS)
axes[1].set(title="hourly wage by school")
axes[1].legend(loc="upper left")
axes[2].set_yticks(range(4), SCHOOLS)
axes[2].set(title="occupations: real above, sampled below", xlim=(0, 1))
axes[2].invert_yaxis()
axes[2].legend(ncols=5, loc="upper center", bbox_to_anchor=(0.5, -0.08), fontsize=8)
