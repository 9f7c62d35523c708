"""The learning rate as a function of progress."""

import math

WARM_UP = 0.03
LAST_RATE = 0.01


def rate_factor(progress: float) -> float:
    """Share of the peak rate at ``progress`` from 0 to 1: a short rise, then a cosine."""
    if progress < WARM_UP:
        return (progress + 1e-3) / (WARM_UP + 1e-3)
    phase = min(1.0, (progress - WARM_UP) / (1 - WARM_UP))
    return LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * phase)) / 2
