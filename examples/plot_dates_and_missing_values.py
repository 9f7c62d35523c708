"""
What about dates and missing values?
====================================

Dates and missing values stay as they are. A date is a number on a grid of days, hours or
smaller units; a missing value is an event with a probability, which may depend on the rest
of the row. The example is a table of orders, some of which are still on their way.
"""

# %%
# The table
# ---------
#
# An order has a day. A delivered order also has a duration, in hours, and perhaps stars
# from the customer. The more recent the order, the likelier it is still on its way.
# Deliveries from abroad take longer.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skflow import FlowDensity

TODAY = pd.Timestamp("2026-03-01")


def make_orders(n_rows, seed):
    """Return orders of the last 60 days, one row each."""
    rng = np.random.default_rng(seed)
    days_ago = rng.integers(0, 60, n_rows)
    abroad = rng.uniform(size=n_rows) < 0.3
    hours = np.where(abroad, rng.gamma(9, 24, n_rows), rng.gamma(4, 16, n_rows)).round()
    here = hours < 24 * days_ago
    rated = here & (rng.uniform(size=n_rows) < 0.4)
    stars = (6 - hours / 60 + rng.normal(0, 0.6, n_rows)).round().clip(1, 5)
    price = np.exp(rng.normal(3.2, 0.5, n_rows) + 0.4 * abroad).round(2)
    return pd.DataFrame(
        {
            "ordered": TODAY - pd.to_timedelta(days_ago, unit="D"),
            "from": np.where(abroad, "abroad", "home"),
            "price": price,
            "took": pd.Series(pd.to_timedelta(hours, unit="h")).where(here),
            "stars": pd.Series(stars).where(rated).astype("Int64"),
        }
    )


X = make_orders(1500, seed=0)
print(X.head(6).to_string())

# %%
# ``took`` is a duration instead of a second date. Two dates of one order lie so close to
# each other, compared with the months they span, that their difference is the better
# column.
#
# ``bounds`` sets a bound that does not follow from the rows: no order is later than today.
# (The support of durations ends at 0 by default, as for all columns of one sign.)

flow = FlowDensity(bounds={"ordered": (None, TODAY)}, max_iter=12, random_state=0).fit(X)
print(flow.schema_)

# %%
# Informative missing values
# --------------------------
#
# The same order is scored as still on its way, and as delivered after some number of hours,
# for each age. A recent order is likely to be on its way; an order of two months ago is not.

ages = np.arange(1, 60)
hours = np.arange(0, 600, 6)


def make_order(days_ago, took):
    """Return orders for 24.90 from home, without stars."""
    order = pd.DataFrame({"ordered": TODAY - pd.to_timedelta(days_ago, unit="D"), "from": "home"})
    order = order.assign(price=24.90, took=pd.to_timedelta(took, unit="h"), stars=pd.NA)
    return order.astype(X.dtypes)


waiting = flow.score_samples(make_order(ages, np.full(len(ages), np.nan)))
grid = make_order(np.repeat(ages, len(hours)), np.tile(hours, len(ages)))
delivered = flow.score_samples(grid).reshape(len(ages), len(hours))

# %%
# The first scores contain the log-probability of a missing ``took``, the second the
# log-density of a duration, per second. The sum of the densities, times the 6 hours between
# two durations, is a probability as well: that of a delivered order.

on_its_way = np.exp(waiting)
arrived = 6 * 3600 * np.exp(delivered).sum(axis=1)
learned = on_its_way / (on_its_way + arrived)

unrated = X[(X["from"] == "home") & X["stars"].isna()]
age = (TODAY - unrated["ordered"]).dt.days
real = unrated["took"].isna().groupby(age).mean()

figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
axes[0].plot(real.index, real, "o", color="0.4", markersize=4, label="share of fitted rows")
axes[0].plot(ages, learned, color="C1", label="fitted probability")
axes[0].set(title="still on its way (from home, no stars)", xlabel="days since the order")
axes[0].legend()
drawn = flow.sample(1500, random_state=0)
for name, colour in (("home", "C0"), ("abroad", "C1")):
    bins = np.arange(0, 20, 0.5)
    for table, style in ((X, {"histtype": "stepfilled", "alpha": 0.35}), (drawn, {})):
        took = table["took"][table["from"] == name].dropna() / pd.Timedelta("1D")
        shown = {"histtype": "step", "linewidth": 1.5} | style
        label = f"{name}, {'real' if table is X else 'sampled'}"
        axes[1].hist(took, bins, density=True, color=colour, label=label, **shown)
axes[1].set(title="duration of deliveries", xlabel="days", ylabel="density")
axes[1].legend()

# %%
# Scores do not depend on the unit of the dtype
# ---------------------------------------------
#
# A date has the same score whether a library stores it in seconds or in nanoseconds: the
# density is always per second.

coarse = X.astype({"ordered": "datetime64[s]", "took": "timedelta64[s]"})
difference = flow.score_samples(coarse) - flow.score_samples(X)
print("largest difference of scores:", np.abs(difference).max())

# %%
# The inverse
# -----------
#
# Missing values come back with the same marker (``NaT`` or ``NA``), and sampled rows have
# missing values where real rows have them.

returned = flow.inverse_transform(flow.transform(X))
pd.testing.assert_frame_equal(returned, X)
print(drawn.head(6).to_string())
share = pd.DataFrame({"real": X.isna().mean(), "sampled": drawn.isna().mean()})
print("\nshare of missing values:")
print(share.round(3).to_string())
unseen = ((drawn["stars"].notna()) & drawn["took"].isna()).mean()
print(f"stars without a delivery, in no real row: {100 * unseen:.1f} % of sampled rows")

# %%
# A missing value in a column that had none in the training rows can be scored: it has a small
# probability. ``transform`` refuses the row, because the inverse could not restore it.

without_price = X.head(1).assign(price=np.nan)
print(f"as it is       {flow.score(X.head(1)):6.1f} nats")
print(f"without price  {flow.score(without_price):6.1f} nats")
try:
    flow.transform(without_price)
except ValueError as error:
    print(error)
