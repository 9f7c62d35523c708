"""Changes of defaults that move figures, and which measurements are older."""

import re
import textwrap

# Day and change, the newest last. Records hold the day on which they were measured.
CHANGES = (
    ("2026-11-25", "smaller blocks of rows and a faster root search in sampling and inversion"),
    (
        "2026-11-28",
        "weight decay from 3,300 rows on, epochs and steps from 10,000 to 20,000 rows, fewer rows "
        "left out by robust=True",
    ),
    (
        "2026-11-29",
        "rounding levels in columns with round numbers, atoms in columns of few irregular numbers, "
        "atoms of conditions as values, elliptical mixtures from 65 columns on, fewer epochs "
        "without a gain, smaller steps for narrow components",
    ),
    (
        "2026-11-30",
        "spikes in elliptical mixtures from 65 columns on, more than 8 columns of levels on a grid "
        "as values, constraints between columns, outlier scores with the tails of columns by "
        "themselves, regressors narrowed by their spread, averages of weights over later steps of "
        "short trainings, straight lines as marginals and weaker factors in elliptical mixtures, "
        "times of day on a grid of minutes, atoms of short lists of numbers, cross-fits of "
        "regressors that each hold out other rows",
    ),
    (
        "2026-12-01",
        "thousands of whole numbers that are codes as atoms, donors of missing cells by trees of "
        "all rows",
    ),
)


def age(measured: str) -> str:
    """Return which defaults the figures of a line "Measured ..." have, for a page to include.

    Later changes are behind a fold. A change on the day of a measurement counts as one after it.
    Figures that a later change does not bear on are not measured again.
    """
    when = measured.partition(" with ")[0].partition("the others")[0]
    days = sorted(re.findall(r"\d{4}-\d\d-\d\d", when))
    span = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
    later = [f"{change} ({day})" for day, change in CHANGES if day >= days[0]]
    if not later:
        return f".. rst-class:: age\n\nMeasured {span}, with the defaults of this version.\n"
    days_of = "that day" if days[0] == days[-1] else "the first of these days"
    text = textwrap.fill(f"{'; '.join(later)}.", 99, break_on_hyphens=False)
    return (
        f".. rst-class:: age\n\n.. fold:: Measured {span}. Defaults that changed on {days_of} or "
        f"since\n\n{textwrap.indent(text, '   ')}\n"
    )
