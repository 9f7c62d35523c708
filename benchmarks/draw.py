"""The figure and the sentence that each page of benchmarks begins with.

    python -m benchmarks.draw [NAME ...]

Nothing is measured: both come from the tables in ``docs/benchmarks/measured`` and the results in
``benchmarks/results``. A sentence is written with a line that says which defaults it is of.
"""

import argparse
import textwrap
from collections.abc import Callable

import matplotlib.pyplot as plt

from benchmarks.common.defaults import age
from benchmarks.common.report import PAGES
from benchmarks.figures import density, mixed, outliers, prediction, speed, wide
from benchmarks.figures.claim import Claim

FIGURES = PAGES.parent / "figures"
CLAIMS: dict[str, Callable[[], Claim]] = {
    "density": density.held_out,
    "seconds": density.seconds,
    "stability": density.stability,
    "known_densities": density.known,
    "wide": wide.wide,
    "first_fit": speed.first_fit,
    "speed": speed.speed,
    "memory": speed.memory,
    "selection": speed.selection,
    "prediction": prediction.regression,
    "imputation": prediction.imputation,
    "outliers": outliers.detection,
    "contaminated": outliers.contaminated,
    "oddbench": outliers.oddbench,
    "mixed_outliers": outliers.mixed,
    "p_values": outliers.p_values,
    "reasons": outliers.blame,
    "repair": outliers.repair,
    "likelihood": mixed.likelihood,
    "round_trip": mixed.round_trip,
    "constraints": mixed.constraints,
    "synthetic": mixed.synthetic,
    "synthetic_protocol": mixed.protocol,
    "mixed_cost": mixed.cost,
}


def text_of(name: str, claim: Claim) -> str:
    """Return the sentence, the figure and which defaults they are of, for a page to include."""
    return (
        f"{textwrap.fill(claim.sentence, 99, break_on_hyphens=False)}\n\n"
        f".. image:: /benchmarks/figures/{name}.png\n   :alt: {claim.alt}\n   :class: claim\n\n"
        f"{age(claim.measured)}"
    )


def main() -> None:
    """Draw what was named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[*CLAIMS, []], metavar="NAME")
    for name in parser.parse_args().names or CLAIMS:
        claim = CLAIMS[name]()
        FIGURES.mkdir(exist_ok=True)
        claim.figure.savefig(FIGURES / f"{name}.png", dpi=180, bbox_inches="tight")
        plt.close(claim.figure)
        (FIGURES / f"{name}.rst").write_text(text_of(name, claim))
        print(f"{name}: {claim.sentence}\n")


if __name__ == "__main__":
    main()
