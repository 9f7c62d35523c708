"""Draw the picture of README.md: spiral.png, beside this file."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from skflow import FlowDensity


def draw_spiral(n_rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows on two arms, rounded to 0.001, and the arm of each."""
    rng = np.random.default_rng(seed)
    angle = 3 * np.pi * np.sqrt(rng.uniform(0.05, 1, n_rows))
    arm = rng.integers(0, 2, n_rows)
    turned = angle + np.pi * arm
    centre = np.column_stack((angle * np.cos(turned), angle * np.sin(turned)))
    return (centre + rng.normal(0, 0.35, (n_rows, 2))).round(3), arm


def main() -> None:
    """Fit, draw, save."""
    rows, arm = draw_spiral(4000, seed=0)
    flow = FlowDensity(random_state=0).fit(rows)
    line = np.linspace(-11, 11, 300)
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    density = np.exp(flow.score_samples(grid)).reshape(300, 300)
    latents = flow.transform(rows)
    returned = flow.inverse_transform(latents)
    identical = 100 * (returned == rows).mean()

    figure, axes = plt.subplots(1, 4, figsize=(12, 3.3), layout="constrained")
    colours = {"c": arm, "s": 2, "cmap": "coolwarm"}
    axes[0].scatter(*rows.T, **colours)
    axes[0].set_title("4,000 rows")
    axes[1].imshow(density, extent=(-11, 11, -11, 11), origin="lower", cmap="magma")
    axes[1].set_title("learned density")
    axes[2].scatter(*latents.T, **colours)
    axes[2].set_title("the rows' latents")
    axes[3].scatter(*returned.T, **colours)
    axes[3].set_title(f"rows back: {identical:.6g} % of cells equal")
    for axis in axes:
        half = 3.8 if axis is axes[2] else 11
        axis.set(xlim=(-half, half), ylim=(-half, half), aspect="equal", xticks=[], yticks=[])
    figure.savefig(Path(__file__).with_name("spiral.png"), dpi=80)


if __name__ == "__main__":
    main()
