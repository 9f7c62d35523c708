"""Progress of a fit: one bar, silent unless asked for."""

import sys
from typing import Self

from tqdm.auto import tqdm


class Reporter:
    """One progress bar over the epochs of a fit; a context manager.

    Parameters
    ----------
    max_iter : int
        Epochs at most.
    verbose : int
        0 shows nothing.
    """

    def __init__(self, max_iter: int, verbose: int) -> None:
        self.bar = tqdm(
            total=max_iter,
            desc="FlowDensity: closed form",
            unit="epoch",
            disable=not verbose,
            file=sys.stderr,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def skip(self, n_iter: int) -> None:
        """Count epochs of an earlier training as done."""
        self.bar.update(n_iter)

    def epoch(self, score: float, best: float) -> None:
        """Advance by one epoch; scores in nats per row."""
        self.bar.set_description("FlowDensity", refresh=False)
        self.bar.set_postfix_str(f"{score:.4f} nats/row, best {best:.4f}", refresh=False)
        self.bar.update()
