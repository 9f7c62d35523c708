"""Tables of independent columns of all kinds: no constraint is true in any of them."""

import numpy as np
import pandas as pd


def column(rng: np.random.Generator, n: int, kind: int) -> object:
    """Return one column of a kind that is easily taken for another's function."""
    start = np.datetime64("2023-01-01", "s")
    return [
        lambda: rng.normal(size=n),
        lambda: np.round(rng.gamma(1, 30, n), 2),
        lambda: rng.poisson(0.05, n),  # nearly all 0
        lambda: (rng.random(n) < 0.02).astype(int),
        lambda: rng.negative_binomial(1, 0.002, n) * (rng.random(n) < 0.3),
        lambda: rng.integers(0, 3, n) * 1000,  # heavy ties
        lambda: np.sort(rng.integers(0, 10**6, n)),
        lambda: np.arange(n) + 1,
        lambda: rng.permutation(n),
        lambda: np.sort(start + rng.integers(0, 10**8, n).astype("m8[s]")),
        lambda: start + rng.integers(0, 1000, n).astype("m8[D]"),
        lambda: np.full(n, 7),
        lambda: np.where(rng.random(n) < 0.01, rng.integers(0, 9, n), 5),  # nearly constant
        lambda: rng.choice(["a", "b", "c"], n, p=[0.97, 0.02, 0.01]),
        lambda: rng.choice([f"city {k}" for k in range(n // 15)], n),
        lambda: rng.random(n) < 0.01,
        lambda: rng.normal(size=n).astype(np.float32),
        lambda: rng.integers(0, 10, n) / 10,
        lambda: (rng.pareto(1.2, n) * 100).astype(np.int64),
        lambda: np.where(rng.random(n) < 0.95, 0, np.round(rng.gamma(2, 50, n), 2)),
        lambda: rng.integers(1, 6, n),
        lambda: rng.integers(0, 100, n) * 86_400,
        lambda: np.cumsum(rng.random(n)),
    ][kind]()


N_KINDS, COUNT = 23, 7  # two counts from 1 would be copies


def independent(seed: int) -> pd.DataFrame:
    """Return one of 20 tables: few rows, many columns, some cells missing."""
    rng = np.random.default_rng(seed)
    n = [150, 400, 1000, 3000][seed % 4]
    n_columns = [8, 23, 60][seed % 3]
    others = rng.choice([kind for kind in range(N_KINDS) if kind != COUNT], 60)
    kinds = [*range(N_KINDS), *others] if n_columns > 8 else None
    kinds = rng.permutation(N_KINDS) if kinds is None else kinds
    frame = pd.DataFrame(
        {f"x{j}": column(rng, n, int(kind)) for j, kind in enumerate(kinds[:n_columns])}
    )
    if seed % 2:
        for name in frame.columns[::3]:
            frame[name] = frame[name].mask(rng.random(n) < 0.1)
    return frame
