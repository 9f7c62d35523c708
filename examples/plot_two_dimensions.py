"""
What does the density of a two-dimensional shape look like?
===========================================================

Two interleaved spiral arms have almost no correlation, and nothing Gaussian. The example
draws the fitted density, and the latent space in which the same rows are a standard normal
cloud.
"""

# %%
# The rows
# --------

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

from skflow import FlowDensity


def draw_spiral(n_rows, seed):
    """Return rows on two arms, and the arm of each."""
    rng = np.random.default_rng(seed)
    angle = 3 * np.pi * np.sqrt(rng.uniform(0.05, 1, n_rows))
    arm = rng.integers(0, 2, n_rows)
    turned = angle + np.pi * arm
    centre = np.column_stack((angle * np.cos(turned), angle * np.sin(turned)))
    return centre + rng.normal(0, 0.35, (n_rows, 2)), arm


X, arm = draw_spiral(2000, seed=0)
X_test, _ = draw_spiral(2000, seed=1)

# %%
# The density
# -----------
#
# No scaler is needed. ``score`` is the mean log-density in nats per row, here of
# rows that were not used for the fit; a single Gaussian is the baseline.

flow = FlowDensity(max_iter=30, random_state=0).fit(X)
gaussian = stats.multivariate_normal(X.mean(axis=0), np.cov(X.T))
print(f"flow      {flow.score(X_test):.2f} nats per row")
print(f"Gaussian  {gaussian.logpdf(X_test).mean():.2f} nats per row")

# %%
# A density can be checked: over a wide grid it must sum to 1.

line = np.linspace(-25, 25, 251)
grid = np.stack(np.meshgrid(line, line), axis=-1)
log_density = flow.score_samples(grid.reshape(-1, 2)).reshape(251, 251)
print(f"integral over the grid: {np.exp(log_density).sum() * (line[1] - line[0]) ** 2:.4f}")

# %%
# The latent space
# ----------------
#
# ``transform`` maps every row to latents. If the fit is right, latents are standard
# normal and independent: the arms become one round cloud. ``inverse_transform`` restores
# the arms.

Z = flow.transform(X)
returned = flow.inverse_transform(Z)

figure, axes = plt.subplots(2, 2, figsize=(8, 8), layout="constrained")
near = {"extent": (-25, 25, -25, 25), "origin": "lower", "cmap": "magma"}
axes[0, 0].scatter(*X.T, c=arm, s=3, cmap="coolwarm")
axes[0, 0].set_title("rows, coloured by arm")
axes[0, 1].imshow(np.exp(log_density), **near)
axes[0, 1].set_title("fitted density")
axes[1, 0].scatter(*Z.T, c=arm, s=3, cmap="coolwarm")
axes[1, 0].set_title("latents of the same rows")
axes[1, 1].scatter(*returned.T, c=arm, s=3, cmap="coolwarm")
axes[1, 1].set_title("rows back from their latents")
for axis in axes.flat:
    half = 3.8 if axis is axes[1, 0] else 11
    axis.set(xlim=(-half, half), ylim=(-half, half), aspect="equal")

# %%
# Two numbers confirm the picture. The cells of this table have all digits of a float64,
# more than the 13 that come back exactly, so the difference is small instead of zero.

print("latent covariance:", np.cov(Z.T).round(2).tolist())
print(f"largest difference after the round trip: {np.abs(returned - X).max():.1e}")
