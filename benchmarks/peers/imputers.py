"""Imputers of mixed tables: each draws the missing cells of a table several times.

Each library is imported when it is asked for, so that those which are absent are left out.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from skflow import FlowImputer

Draws = list[pd.DataFrame]
Imputer = Callable[[pd.DataFrame, int], Draws]

N_DRAWS = 20


def by_flow(partial: pd.DataFrame, seed: int) -> Draws:
    """FlowImputer, all of its defaults."""
    imputer = FlowImputer(random_state=seed).fit(partial)
    return [imputer.set_params(random_state=k).transform(partial) for k in range(N_DRAWS)]


def by_miceforest(partial: pd.DataFrame, seed: int) -> Draws:
    """Chained equations with predictive mean matching on gradient boosting."""
    import miceforest

    typed = partial.copy()
    for name in typed.select_dtypes(exclude="number").columns:
        typed[name] = typed[name].astype("category")
    kernel = miceforest.ImputationKernel(typed, num_datasets=N_DRAWS, random_state=seed)
    try:
        kernel.mice(3)
    except ValueError:  # matching by log-odds fails where a class has probability 1
        lacking = typed.loc[:, typed.isna().any()].select_dtypes("category")
        drawn = dict.fromkeys(lacking.columns, "fast")
        kernel = miceforest.ImputationKernel(
            typed, num_datasets=N_DRAWS, random_state=seed, mean_match_strategy=drawn
        )
        kernel.mice(3)
    return [
        kernel.complete_data(k).astype(partial.dtypes.to_dict()).reset_index(drop=True)
        for k in range(N_DRAWS)
    ]


def of_numbers(make: Callable[[int], Any], n_draws: int = 1) -> Imputer:
    """Return an imputer of numbers as one of tables: categories one-hot, the largest back.

    A method that draws nothing gives its guess as each of the draws.
    """

    def impute(partial: pd.DataFrame, seed: int) -> Draws:
        parts, owners = [], []
        for name, cells in partial.items():
            if cells.dtype == float:
                spread = float(cells.std()) or 1.0
                parts.append(((cells - cells.mean()) / spread).to_numpy()[:, None])
                owners.append((name, None, (float(cells.mean()), spread)))
            else:
                levels = sorted(cells.dropna().unique())
                hot = (cells.to_numpy()[:, None] == np.array(levels, dtype=object)).astype(float)
                hot[cells.isna()] = np.nan
                parts.append(hot)
                owners.append((name, np.array(levels, dtype=object), None))
        ends = np.cumsum([part.shape[1] for part in parts])
        draws = []
        for k in range(n_draws):
            filled = make(n_draws * seed + k).fit_transform(np.hstack(parts))
            table = partial.copy()
            for (name, levels, scale), part in zip(
                owners, np.split(filled, ends[:-1], axis=1), strict=True
            ):
                guess = (
                    levels[part.argmax(axis=1)]
                    if scale is None
                    else part[:, 0] * scale[1] + scale[0]
                )
                table[name] = partial[name].where(partial[name].notna(), guess)
            draws.append(table)
        return draws * (N_DRAWS // n_draws)

    return impute


METHODS: dict[str, tuple[str, Imputer]] = {
    "FlowImputer": ("skflow", by_flow),
    "SimpleImputer": ("sklearn", of_numbers(lambda _: SimpleImputer(strategy="median"))),
    "KNNImputer": ("sklearn", of_numbers(lambda _: KNNImputer())),
    "IterativeImputer": (
        "sklearn",
        of_numbers(lambda k: IterativeImputer(sample_posterior=True, random_state=k), N_DRAWS),
    ),
    "missForest": (
        "sklearn",
        of_numbers(
            lambda k: IterativeImputer(
                ExtraTreesRegressor(50, random_state=k), max_iter=5, random_state=k
            )
        ),
    ),
    "miceforest": ("miceforest", by_miceforest),
}
