"""Tables with known constraints among independent columns."""

from collections.abc import Callable

import numpy as np
import pandas as pd

Made = tuple[dict[str, object], str]
Maker = Callable[[np.random.Generator, int], Made]


def cents(rng: np.random.Generator, n: int, size: float = 200.0) -> np.ndarray:
    """Return amounts of two decimals."""
    return np.round(rng.gamma(2.0, size / 2, n), 2)


def half_even(counts: np.ndarray) -> np.ndarray:
    """Round integers over 100 to whole ones, ties to even, exactly."""
    whole, rest = np.divmod(counts, 100)
    return whole + ((rest > 50) | ((rest == 50) & (whole % 2 == 1)))


def sum_of_two(rng: np.random.Generator, n: int) -> Made:
    """Make whole numbers, and their sum; one is mostly 0."""
    a, b = rng.poisson(300, n), rng.poisson(40, n) * (rng.random(n) < 0.4)
    return {"repair": a, "other": b, "total": a + b}, "total = repair + other"


def sum_of_five(rng: np.random.Generator, n: int) -> Made:
    """Make five amounts, and their sum."""
    parts = {f"p{k}": np.round(cents(rng, n, 10.0 * (k + 1)), 2) for k in range(5)}
    total = np.round(sum(parts.values()), 2)
    return {**parts, "all": total}, "all = p0 + p1 + p2 + p3 + p4"


def difference(rng: np.random.Generator, n: int) -> Made:
    """Make what a revenue is made of, some of it negative."""
    cost = cents(rng, n, 100)
    profit = np.round(rng.normal(30, 20, n), 2)
    revenue = np.round(cost + profit, 2)
    return {"revenue": revenue, "cost": cost, "profit": profit}, "revenue = cost + profit"


def copy(rng: np.random.Generator, n: int) -> Made:
    """Make a column twice."""
    x = rng.normal(size=n)
    return {"first": x, "second": x}, "second = first"


def hour_of_day(rng: np.random.Generator, n: int) -> Made:
    """Make times of day such as 517, and their hours."""
    minutes = np.clip(rng.normal(840, 200, n), 0, 1439).astype(int)
    times = 100 * (minutes // 60) + minutes % 60
    return {"hour": minutes // 60, "left": times}, "hour = hour of left"


def affine(rng: np.random.Generator, n: int) -> Made:
    """Make temperatures in two units."""
    celsius = np.round(rng.normal(15, 8, n), 1)
    return {
        "celsius": celsius,
        "fahrenheit": np.round(np.rint(celsius * 10) * 18 + 3200) / 100,
    }, "fahrenheit = 1.8 celsius + 32"


def percentage(rng: np.random.Generator, n: int) -> Made:
    """Make a tax, rounded to cents."""
    net = rng.integers(100, 100_000, n)
    return {"net": net / 100, "tax": half_even(net * 19) / 100}, "tax = 0.19 net, rounded to 0.01"


def product(rng: np.random.Generator, n: int) -> Made:
    """Make a price times pieces."""
    price, pieces = rng.integers(50, 20_000, n), rng.integers(1, 40, n)
    return {
        "price": price / 100,
        "pieces": pieces,
        "amount": price * pieces / 100,
    }, "amount = price * pieces"


def product_rounded(rng: np.random.Generator, n: int) -> Made:
    """Make a product of two decimals, rounded to cents."""
    hours, rate = rng.integers(50, 900, n), rng.integers(1500, 9000, n)
    return {
        "hours": hours / 100,
        "rate": rate / 100,
        "wage": half_even(hours * rate) / 100,
    }, "wage = hours * rate, rounded to 0.01"


def ratio(rng: np.random.Generator, n: int) -> Made:
    """Make a percentage of two counts, to one decimal."""
    shots = rng.integers(5, 400, n)
    hits = rng.binomial(shots, rng.beta(4, 4, n))
    return {
        "shots": shots,
        "hits": hits,
        "accuracy": np.round(100 * hits / shots, 1),
    }, "accuracy = 100 hits / shots, rounded to 0.1"


def taxed_sum(rng: np.random.Generator, n: int) -> Made:
    """Make a sum of two amounts with different taxes."""
    goods, service = rng.integers(1000, 90_000, n), rng.integers(100, 20_000, n)
    taxed = half_even(goods * 119 + service * 107)
    return {
        "goods": goods / 100,
        "service": service / 100,
        "bill": taxed / 100,
    }, "bill = 1.19 goods + 1.07 service, rounded to 0.01"


def duration(rng: np.random.Generator, n: int) -> Made:
    """Make an end of a start and a duration."""
    start = np.datetime64("2024-01-01T00:00:00", "ns") + rng.integers(0, 10**7, n).astype("m8[s]")
    length = rng.integers(60, 90_000, n).astype("m8[s]").astype("m8[ns]")
    return {"start": start, "end": start + length, "length": length}, "end = start + length"


def days(rng: np.random.Generator, n: int) -> Made:
    """Make the whole days between two dates."""
    start = np.datetime64("2021-01-01", "s") + rng.integers(0, 10**8, n).astype("m8[s]")
    stay = rng.integers(3600, 60 * 86_400, n)
    return {
        "arrival": start,
        "departure": start + stay.astype("m8[s]"),
        "nights": stay // 86_400,
    }, "nights = -arrival / 86400 + departure / 86400, rounded down to 1"


def category_to_category(rng: np.random.Generator, n: int) -> Made:
    """Make cities, and their countries."""
    cities = np.array([f"city {k}" for k in range(60)])
    countries = np.array([f"country {k % 7}" for k in range(60)])
    city = (60 * rng.beta(1, 1.5, n)).astype(int)
    return {"city": cities[city], "country": countries[city]}, "country by city (60 pairs)"


def category_to_number(rng: np.random.Generator, n: int) -> Made:
    """Make products, and their weights."""
    product = rng.integers(0, 50, n)
    price = np.round(rng.gamma(2, 40, 50), 2)
    return {
        "item": np.array([f"product {k}" for k in range(50)])[product],
        "weight": price[product],
    }, "weight by item (50 pairs)"


MAKERS: list[Maker] = [
    *(sum_of_two, sum_of_five, difference, copy, affine, percentage, product, product_rounded),
    *(hour_of_day, ratio, taxed_sum, duration, days, category_to_category, category_to_number),
]


def others(rng: np.random.Generator, n: int) -> dict[str, object]:
    """Return columns that depend on nothing."""
    return {
        "age": rng.integers(18, 90, n),
        "income": np.round(rng.lognormal(10, 1, n)),
        "sex": rng.choice(["f", "m"], n),
        "score": rng.normal(size=n),
        "visits": rng.poisson(0.3, n),
        "region": rng.choice([f"region {k}" for k in range(12)], n, p=np.arange(1, 13) / 78),
        "member": rng.random(n) < 0.1,
    }


def make(maker: Maker, n: int = 2000, broken: float = 0.02, missing: float = 0.02, seed: int = 0):
    """Return a table of one constraint, some cells of its target broken or missing."""
    rng = np.random.default_rng(seed)
    columns, expected = maker(rng, n)
    frame = pd.DataFrame({**others(rng, n), **columns})
    for name in columns:
        wrong = np.flatnonzero(rng.random(n) < broken / len(columns))
        frame.loc[wrong, name] = frame[name].to_numpy()[rng.integers(0, n, len(wrong))]
    for name in columns:
        if missing:
            frame[name] = frame[name].mask(rng.random(n) < missing)
    return frame, expected
