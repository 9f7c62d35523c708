"""The simplest number within a tolerance, as people write coefficients, and its spelling."""

import math
from functools import lru_cache

MOST_DIGITS = 12
# Decimals divided by one of these are simple, too: thirds, per dozen, per hour, per day.
DIVISORS = (1, 3, 6, 7, 9, 11, 12, 36, 864)
MOST_DIVIDED = 3  # digits of a decimal in a ratio
EXTRA = 1  # digits that a division counts as


@lru_cache(maxsize=4096)
def simplest_within(number: float, tolerance: float) -> float:
    """Return the number of fewest digits near another.

    It is a decimal, one divided by a decimal, or a decimal divided by a small integer.

    Parameters
    ----------
    number, tolerance : float

    Returns
    -------
    simple : float
        ``number`` itself where no such number has 12 digits or fewer.

    Examples
    --------
    >>> simplest_within(0.1901, 0.001), simplest_within(1.15741e-05, 1e-09) == 1 / 86400
    (0.19, True)
    >>> simplest_within(0.5555556, 1e-6) == 5 / 9
    True
    """
    if abs(number) <= tolerance or not math.isfinite(number):
        return 0.0
    found = []
    for divisor in DIVISORS:
        decimal = shortest_decimal(number * divisor, tolerance * divisor)
        if decimal and (divisor == 1 or digits_of(decimal) <= MOST_DIVIDED):
            found.append((digits_of(decimal) + EXTRA * (divisor > 1), decimal / divisor))
    reciprocal = shortest_decimal(1 / number, tolerance / number**2)
    if reciprocal and digits_of(reciprocal) <= MOST_DIVIDED:
        found.append((digits_of(reciprocal) + EXTRA, 1 / reciprocal))
    return min(found, key=lambda pair: pair[0])[1] if found else number


def shortest_decimal(number: float, tolerance: float) -> float | None:
    """Return the decimal of fewest digits within the tolerance."""
    first = -math.floor(math.log10(abs(number)))
    for places in range(first - 1, first + MOST_DIGITS):
        decimal = round(number, places)
        if abs(decimal - number) <= tolerance:
            return decimal
    return None


def digits_of(number: float) -> int:
    """Return how many digits a decimal is written with, zeros at its ends left out."""
    return len(f"{abs(number):.14e}".split("e")[0].replace(".", "").rstrip("0"))


def complexity(number: float) -> int:
    """Return how many digits a coefficient is written with; a division counts as one."""
    if number == 0:
        return 0
    decimals = [digits_of(number * divisor) + EXTRA * (divisor > 1) for divisor in DIVISORS]
    return min(*decimals, digits_of(1 / number) + EXTRA)


def spell(number: float) -> str:
    """Return a positive number as text: a decimal, or a ratio where that is shorter.

    Examples
    --------
    >>> spell(0.19), spell(1 / 86400), spell(5 / 9)
    ('0.19', '1 / 86400', '5 / 9')
    """
    numerator, divisor = as_ratio(number)
    return f"{numerator:.12g}" if divisor == 1 else f"{numerator:.12g} / {divisor:.12g}"


def spell_multiple(factor: float, name: str) -> str:
    """Return a positive multiple of a named number as text.

    Examples
    --------
    >>> spell_multiple(1, "net"), spell_multiple(0.19, "net"), spell_multiple(1 / 86400, "stay")
    ('net', '0.19 net', 'stay / 86400')
    """
    numerator, divisor = as_ratio(factor)
    product = name if numerator == 1 else f"{numerator:.12g} {name}"
    return product if divisor == 1 else f"{product} / {divisor:.12g}"


def as_ratio(number: float) -> tuple[float, float]:
    """Return a numerator and a divisor of few digits, whose ratio a positive number is."""
    ratios = [(1.0, float(f"{1 / number:.12g}"))] if number < 1 else []
    ratios += [(float(f"{number * divisor:.12g}"), float(divisor)) for divisor in DIVISORS]
    exact = [
        (numerator, divisor)
        for numerator, divisor in ratios
        if math.isclose(numerator / divisor, number, rel_tol=1e-14)
    ]

    def length(ratio: tuple[float, float]) -> int:
        return len(" / ".join(f"{part:.12g}" for part in ratio).removesuffix(" / 1"))

    return min(exact, key=length, default=(number, 1.0))
