"""
Which bookings are wrong, and what would be right?
==================================================

A detector is fitted to last year's bookings, with categories, dates and missing values as
they are. For new bookings it shows how unusual each is, which cell is the reason, and what
would have been normal in its place.
"""

# %%
# The table
# ---------
#
# The table holds bookings of holiday homes: in the mountains mostly in winter, at the sea in
# summer, in town at any time. The price depends on the place, the nights and the guests; not
# every guest has given stars.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from skflow import FlowDensity, FlowOutlierDetector
from skflow.plotting import OutlierScoreDisplay, PairDisplay, ReasonsDisplay

rng = np.random.default_rng(0)


def make_bookings(n_rows):
    """Return bookings of a year, one row each."""
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

detector = FlowOutlierDetector(FlowDensity(max_iter=8), random_state=0).fit(last_year)
print(f"\n{detector.n_calibration_} bookings were held out to calibrate the p-values.")

# %%
# New bookings, some of them wrong
# --------------------------------
#
# Five errors are planted into 300 new bookings. Each wrong cell is usual in its column: the
# combination is wrong.

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
# Which bookings to check
# -----------------------
#
# ``predict`` also flags 1 % of normal bookings: of 300, about three that are right. If each
# check is expensive, limit the share of false alarms among the flagged bookings instead: by the
# Benjamini-Hochberg procedure, flag bookings with a ``q`` of at most that share. No p-value is
# below 1 in 601 here, because there are 600 calibration rows, and three of 300 bookings with
# this smallest p-value get a ``q`` of 0.17: a smaller ``q`` needs more calibration rows.

report = new.assign(p=detector.p_values(new))
report["q"] = false_discovery_control(report["p"])
report["planted"] = report.index.isin(planted)
flagged = report[detector.predict(new) == -1].sort_values("p")
print(flagged.round({"p": 4, "q": 2}).to_string())

# %%
# Why
# ---
#
# ``score_features`` measures how unlikely each cell is given the rest of its row: the
# logarithm of the probability that a draw is no likelier. The least likely cell of each flagged
# row:

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
# Reasons are mutual: an arrival that is wrong for the mountains is also a place that is wrong for
# August. The numbers do not determine which of the two is wrong.

# %%
# What would have been normal
# ---------------------------
#
# ``repair`` changes as few cells as are needed to make a row ordinary, each to what is usual
# given the others. pandas shows the difference.

print(suspects.compare(detector.repair(suspects), result_names=("is", "would be")).to_string())

# %%
# Where they lie
# --------------
#
# The display shows two columns of the new bookings over the highest-density regions of the
# detector's density.

PairDisplay.from_estimator(detector, new, features=("arrival", "place"), random_state=0)

# %%
# All of it as one page
# ---------------------
#
# ``report`` puts this together in an HTML page that needs no server: sort, search and filter the
# flagged bookings, and choose one to see its reasons. ``save`` writes it to a file, to send.

# sphinx_gallery_capture_repr_block = ("_repr_html_",)
detector.report(new, title="New bookings")
