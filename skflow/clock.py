"""The seconds a fit may take."""

import math
import time
from collections.abc import Callable


class Clock:
    """Counts the seconds since it was made, up to a limit.

    Parameters
    ----------
    limit : float, default=None
        Seconds; None is no limit.
    now : callable, default=None
        Returns the time in seconds; None reads a clock that only moves forward.
    """

    def __init__(self, limit: float | None = None, now: Callable[[], float] | None = None) -> None:
        self.limit = math.inf if limit is None else limit
        self.now = now or time.monotonic
        self.start = self.now()

    def add(self, seconds: float) -> None:
        """Count seconds of an earlier, interrupted work as passed."""
        self.start -= seconds

    def passed(self) -> float:
        """Return the seconds since the start."""
        return self.now() - self.start

    def share(self) -> float:
        """Return the share of the limit that is over."""
        return self.passed() / self.limit

    @property
    def is_over(self) -> bool:
        """Whether the limit has passed."""
        return not self.allows(0.0)

    def is_past(self, moment: float) -> bool:
        """Whether so many seconds have passed; infinitely many never do."""
        return math.isfinite(moment) and self.passed() > moment

    def left(self) -> float:
        """Return the seconds until the limit; infinite where there is none."""
        return max(0.0, self.limit - self.passed())

    def allows(self, seconds: float) -> bool:
        """Whether what takes so many seconds would end within the limit."""
        return self.passed() + seconds <= self.limit

    def progress(self, began: float, seconds: float) -> float:
        """Return how far a series of equal steps will be in the middle of the next one.

        Parameters
        ----------
        began : float
            What :meth:`passed` was when the first step began.
        seconds : float
            Duration of one step, as far as is known; else 0.

        Returns
        -------
        share : float
            Share of the steps that end within the limit, from 0 to 1; 0 without a limit.
        """
        passed = self.passed()
        left = max(self.limit - passed, 1e-9)
        if seconds and math.isfinite(left):
            left = seconds * max(1, left // seconds)
        return min(1.0, (passed - began + seconds / 2) / (passed - began + left))
