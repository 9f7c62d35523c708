"""
Which pixels make this digit strange?
=====================================

A detector that has seen one digit alone finds all others strange. ``score_features`` marks the
pixels that give them away, and ``repair`` draws the nearest version that would pass.
"""

# %%
# Learn one digit
# ---------------
#
# The images of scikit-learn's digits have 8 x 8 pixels of 0 to 16, a column each. Three
# quarters of the zeros are learnt. ``n_layers=0`` is the closed form alone: enough for so few
# rows, and quick.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skflow import FlowDensity, FlowOutlierDetector
from skflow.plotting import OutlierScoreDisplay

DIGIT = 0
images, digits = load_digits(return_X_y=True)
learnt, fresh = train_test_split(images[digits == DIGIT], random_state=0)
detector = FlowOutlierDetector(FlowDensity(n_layers=0), random_state=0).fit(learnt)

# %%
# Is anything else found?
# -----------------------
#
# Of zeros it has not seen, about one in twenty should have a p-value of 0.05 or less; of other
# digits as many as possible.

for digit in range(10):
    rows = fresh if digit == DIGIT else images[digits == digit]
    share = (detector.p_values(rows) <= 0.05).mean()
    print(f"{digit}: {100 * share:5.1f} % have a p-value of 0.05 or less")

others = images[digits != DIGIT]
display = OutlierScoreDisplay.from_estimator(
    detector, others, reference=fresh, names=("other digits", "fresh zeros")
)

# %%
# Which pixels, and what would pass
# ---------------------------------
#
# An image takes some tenths of a second to explain and seconds to repair: each of its 64 pixels
# is conditioned on all others, again after each change. So we look at three. Pixels are strange
# where there is ink that a zero would not have beside the rest, and where ink is missing.

strange = np.stack([images[digits == digit][0] for digit in (6, 9, 5)])
reasons = detector.score_features(strange)
repaired = detector.repair(strange)

figure, axes = plt.subplots(3, 4, figsize=(8.6, 6.8), layout="constrained")
for (seen, why, what, change), image, reason, new in zip(
    axes, strange, reasons, repaired, strict=True
):
    shades = {"cmap": "Greys", "vmin": 0, "vmax": 16}
    seen.imshow(image.reshape(8, 8), **shades)
    shown = why.imshow(-reason.reshape(8, 8), cmap="Oranges", vmin=0, vmax=np.log(1e4))
    what.imshow(new.reshape(8, 8), **shades)
    moved = change.imshow((new - image).reshape(8, 8), cmap="RdBu", vmin=-16, vmax=16)
    change.set_xlabel(f"{np.count_nonzero(new != image)} pixels")
for ax, title in zip(axes[0], ("as it is", "strange pixels", "repaired", "change"), strict=True):
    ax.set_title(title)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
bar = figure.colorbar(shown, ax=axes[:, 1], location="bottom", shrink=0.9)
bar.set_ticks(np.log([1, 100, 1e4]), labels=["all", "1 in 100", "1 in $10^4$"])
figure.colorbar(moved, ax=axes[:, 3], location="bottom", shrink=0.9, label="grey levels")

# %%
# Six to nine changed pixels make a zero of a six, a nine and a five. A pixel that is strange
# need not change: once a stroke is where it should be, its neighbours are normal again.

print(detector.p_values(strange).round(3), "->", detector.p_values(repaired).round(3))
