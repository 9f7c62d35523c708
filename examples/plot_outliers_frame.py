"""
Which bookings are wrong, and what should they say?
===================================================

A detector learns from last year's bookings, with categories, dates and holes as they are.
Of new ones it says how strange each is, which cell is to blame, and what would have been
normal in its place.
"""

# %%
# The table
# ---------
#
# Bookings of holiday homes: in the mountains mostly in winter, at the sea in summer, in town
# at any time. The price follows the place, the nights and the guests; who has not left yet
# has no stars to give.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from skflow import FlowDensity, FlowOutlierDetector
from skflow.plotting import OutlierScoreDisplay, PairDisplay, ReasonsDisplay

rng = np.random.default_rng(0)


def make_bookings(n_rows):
    """Return bookings of a year, a row each."""
    place = rng.choice(["mountains", "sea", "town"], n_rows, p=[0.3, 0.4, 0.3])
    spread = np.select([place == "mountains", place == "sea"], [25, 30], 110)
    middle = np.select([place == "mountains", place == "sea"], [40, 200], 180)
    day = (rng.normal(middle, spread)).round().clip(0, 364)
    nights = np.where(place == "town", rng.integers(1, 5, n_rows), rng.choice([7, 14], n_rows))
    guests = 1 + rng.binomial(5, 0.4, n_rows)
    rate = np.select([place == "mountains", place == "sea"], [38, 30], 45)
    price = nights * rate * (1 + guests) * np.exp(rng.normal(0, 0.12, n_rows))
    stars = pd.Series(5 - rng.binomial(4, 0.2, n_rows)).where(rng.uniform(size=n_rows) < 0.6)
    return pd.DataFrame(
        {
            "place": place,
            "arrival": pd.Timestamp("2025-01-01") + pd.to_timedelta(day, unit="D"),
            "nights": nights,
            "guests": guests,
            "price": price.round(2),
            "stars": stars.astype("Int64"),
        }
    )


last_year = make_bookings(2400)
print(last_year.head().to_string())

detector = FlowOutlierDetector(FlowDensity(max_iter=15), random_state=0).fit(last_year)
print(f"\n{detector.n_calibration_} bookings were kept apart, to calibrate p-values by.")

# %%
# New bookings, some of them wrong
# --------------------------------
#
# Into 300 new bookings we plant five errors that each leave every column as it usually is:
# it is the combination that is wrong.

new = make_bookings(300)
mistakes = [
    ("arrival", "sea", pd.Timestamp("2025-01-20")),  # the sea, in winter
    ("arrival", "mountains", pd.Timestamp("2025-08-03")),  # the mountains, in summer
    ("price", "sea", 350.0),  # far too cheap for a fortnight of four
    ("price", "town", 2900.0),  # far too dear for two nights
    ("nights", "town", 14),  # paid for fewer
]
planted = []
for column, place, value in mistakes:
    fits = (new["place"] == place) & ~new.index.isin(planted)
    if place == "sea" and column == "price":
        fits &= (new["nights"] == 14) & (new["guests"] >= 4)
    if place == "town":
        fits &= (new["nights"] == 2) & (new["guests"] <= 3)
    planted.append(new.index[fits][0])
    new.loc[planted[-1], column] = value

display = OutlierScoreDisplay.from_estimator(
    detector, new, reference=last_year, names=("new bookings", "last year's")
)

# %%
# Which ones to look at
# ---------------------
#
# ``predict`` flags what 1 % of normal bookings would be flagged for as well: of 300, about
# three that are right. Where each look costs, limit the share of false alarms among the
# flagged instead: by Benjamini and Hochberg's procedure, flag what has a ``q`` of at most that
# share. No p-value is below 1 in 601 here, as 600 bookings calibrate, and three of 300 that have
# this smallest one get a ``q`` of 0.17: for less, more bookings have to calibrate.

report = new.assign(p=detector.p_values(new))
report["q"] = false_discovery_control(report["p"])
report["planted"] = report.index.isin(planted)
flagged = report[detector.predict(new) == -1].sort_values("p")
print(flagged.round({"p": 4, "q": 2}).to_string())

# %%
# Why
# ---
#
# ``score_features`` says of each cell how unlikely it is given the rest of its row: the
# logarithm of the probability that a draw is no likelier. Of the flagged rows, the cell that
# is to blame most:

suspects = new.loc[flagged.index]
reasons = detector.score_features(suspects)
print(
    pd.DataFrame(
        {"column": reasons.idxmin(axis=1), "one in": np.exp(-reasons.min(axis=1)).round()}
    ).to_string()
)

figure, axes = plt.subplots(2, 1, figsize=(8, 7), layout="constrained")
for ax, row in zip(axes, planted[1::2], strict=False):
    ReasonsDisplay.from_estimator(detector, new.loc[[row]], random_state=0, ax=ax)

# %%
# Cells that belong together share the blame: an arrival that is wrong for the mountains is also a
# place that is wrong for August. The numbers cannot tell which of the two it was.

# %%
# What would have been normal
# ---------------------------
#
# ``repair`` changes as few cells as it takes to make a row unremarkable, each to what is usual
# beside the others. pandas shows the difference.

print(suspects.compare(detector.repair(suspects), result_names=("is", "would be")).to_string())

# %%
# Where they lie
# --------------
#
# Two columns of the new bookings, over the regions that hold most of last year's.

PairDisplay.from_estimator(detector, new, features=("arrival", "place"), random_state=0)
