"""Vine copula with kernel marginals, of pyvinecopulib."""

import time

import numpy as np
import pyvinecopulib
from numpy.typing import NDArray
from pyvinecopulib.sklearn import VineDensity

FloatArray = NDArray[np.float64]

MOST_COLUMNS = 20  # for which all families of pair copulas are tried; beyond, kernels alone


def measure_vine(train: FloatArray, test: FloatArray, seed: int) -> dict:
    """Measure a vine; the score is that of the rows to which it gives a density above 0."""
    families = pyvinecopulib.all if train.shape[1] <= MOST_COLUMNS else pyvinecopulib.tll
    controls = pyvinecopulib.FitControlsVinecop(family_set=families, num_threads=1)
    start = time.process_time()
    vine = VineDensity(controls=controls, random_state=seed, n_jobs=1).fit(train)
    seconds = time.process_time() - start
    scores = vine.score_samples(test)
    possible = scores > -np.inf
    return {
        "nats": float(scores[possible].mean()),
        "impossible": round(float(1 - possible.mean()), 6),
        "seconds": seconds,
    }
