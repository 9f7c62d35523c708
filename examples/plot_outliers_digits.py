"""
Which pixels make this digit an outlier?
========================================

For a detector fitted to images of one digit, all other digits are outliers. ``score_features``
marks the pixels that are the reason, and ``repair`` changes the image until it would pass.
"""

# %%
# Fit one digit
# -------------
#
# The images of scikit-learn's digits have 8 x 8 pixels of 0 to 16, one column each. The detector
# is fitted to three quarters of the zeros. ``n_layers=0`` fits the :term:`Gaussian mixture copula`
# alone, which is enough for so few rows, and quick.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skflow import FlowDensity, FlowOutlierDetector
from skflow.plotting import OutlierScoreDisplay

DIGIT = 0
images, digits = load_digits(return_X_y=True)
train, fresh = train_test_split(images[digits == DIGIT], random_state=0)
detector = FlowOutlierDetector(FlowDensity(n_layers=0), random_state=0).fit(train)

# %%
# Which images are outliers?
# --------------------------
#
# Among new zeros, about one in twenty should have a p-value of 0.05 or less; among other digits,
# as many as possible.

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
# The reasons of an image take some tenths of a second, and its repair takes seconds: each of its
# 64 pixels is conditioned on all others, again after each change. So we look at two images. A
# pixel is unlikely if it has ink that a zero would not have given the rest, or if ink is missing.

strange = np.stack([images[digits == digit][0] for digit in (6, 9)])
reasons = detector.score_features(strange)
repaired = detector.repair(strange)

figure, axes = plt.subplots(2, 4, figsize=(8.6, 4.8), layout="constrained")
for (seen, why, what, change), image, reason, new in zip(
    axes, strange, reasons, repaired, strict=True
):
    shades = {"cmap": "Greys", "vmin": 0, "vmax": 16}
    seen.imshow(image.reshape(8, 8), **shades)
    shown = why.imshow(-reason.reshape(8, 8), cmap="Oranges", vmin=0, vmax=np.log(1e4))
    what.imshow(new.reshape(8, 8), **shades)
    moved = change.imshow((new - image).reshape(8, 8), cmap="RdBu", vmin=-16, vmax=16)
    change.set_xlabel(f"{np.count_nonzero(new != image)} pixels")
for ax, title in zip(axes[0], ("as it is", "unlikely pixels", "repaired", "change"), strict=True):
    ax.set_title(title)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
bar = figure.colorbar(shown, ax=axes[:, 1], location="bottom", shrink=0.9)
bar.set_ticks(np.log([1, 100, 1e4]), labels=["all", "1 in 100", "1 in $10^4$"])
figure.colorbar(moved, ax=axes[:, 3], location="bottom", shrink=0.9, label="grey levels")

# %%
# Six to ten changed pixels turn a six and a nine into a zero. Not every unlikely pixel has to
# change: once a stroke is where it should be, its neighbours are normal again.

print(detector.p_values(strange).round(3), "->", detector.p_values(repaired).round(3))
