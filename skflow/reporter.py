"""Progress of a fit on standard error, silent unless asked for."""

import math
import sys
import time
from collections.abc import Callable
from typing import Self

from tqdm.asyncio import tqdm as console_tqdm
from tqdm.auto import tqdm

SECONDS = 5.0  # between two lines where there is no terminal
INITIAL = "{desc}{postfix}"
EPOCHS = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} epochs{postfix}"


class Reporter:
    """One progress bar over a fit: on a terminal, or in a notebook; elsewhere a line at times.

    A context manager, which ends the bar with what was reached.

    Parameters
    ----------
    name : str
        Name of the fit.
    verbose : int
        0 shows nothing.
    now : callable, default=None
        Returns the time in seconds; None reads a clock that only moves forward.
    """

    def __init__(
        self, name: str = "fit", verbose: int = 0, now: Callable[[], float] | None = None
    ) -> None:
        self.name = name
        self.now = now or time.monotonic
        self.start = self.written = self.now()
        has_bar = tqdm is not console_tqdm or sys.stderr.isatty()
        self.writes_lines = bool(verbose) and not has_bar
        self.bar = tqdm(
            desc=name,
            bar_format=INITIAL,
            dynamic_ncols=True,
            disable=not verbose or not has_bar,
            file=sys.stderr,
        )
        self.n_iter = self.max_iter = 0
        self.best = math.nan

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        seconds = _clock_face(self.now() - self.start)
        best = "" if math.isnan(self.best) else f", best {self.best:.4f} nats/row"
        most = f"/{self.max_iter}" if self.max_iter else ""
        reached = f"{self.n_iter}{most} epochs in {seconds}{best}"
        self.bar.bar_format = INITIAL
        self.bar.set_postfix_str(reached, refresh=False)
        self.bar.close()
        if self.writes_lines:
            self._write(reached)

    def note(self, text: str) -> None:
        """Say what a part of the fit that has no epochs does."""
        self.bar.bar_format = INITIAL
        self.bar.set_postfix_str(text)
        self._write_at_times(text)

    def begin(self, max_iter: int, n_done: int = 0) -> None:
        """Begin a training of at most so many epochs, of which some were done before."""
        self.n_iter, self.max_iter = n_done, max_iter
        self.bar.bar_format = EPOCHS
        self.bar.set_postfix_str("", refresh=False)
        self.bar.reset(total=max_iter)
        self.bar.update(n_done)

    def epoch(self, score: float, best: float, soonest: float, latest: float) -> None:
        """Advance by one epoch.

        Parameters
        ----------
        score, best : float
            Score of this epoch, and the best so far, in nats per row.
        soonest, latest : float
            Seconds left if no epoch gains any more, and at most.
        """
        self.n_iter += 1
        self.best = best
        left = f"{_clock_face(soonest)} to {_clock_face(latest)} left"
        text = f"{left}, {score:.4f} nats/row, best {best:.4f}"
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.update()
        self._write_at_times(f"epoch {self.n_iter} of {self.max_iter} at most, {text}")

    def _write_at_times(self, text: str) -> None:
        if self.writes_lines and self.now() - self.written >= SECONDS:
            self._write(text)

    def _write(self, text: str) -> None:
        self.written = self.now()
        tqdm.write(f"{self.name}: {text}", file=sys.stderr)


def _clock_face(seconds: float) -> str:
    """Spell seconds as minutes and seconds, hours before them where there are any."""
    return str(tqdm.format_interval(seconds))
