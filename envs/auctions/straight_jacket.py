"""The Straight-Jacket auction: optimal prices for one additive buyer of up to six goods, and exact volumes behind them.

Values of m goods are independent, uniform on [0, 1]. Any r of the goods cost p_r, and p_1, ..., p_m are fixed one after
another by the volume of the types who would buy nothing were there only r goods:

    vol {x in [0, 1]^r : the sum of the largest s is at most p_s, for all s <= r} = 1 - r / (m + 1).

Giannakopoulos and Koutsoupias 2018, "Duality and optimality of auctions for uniform distributions", SIAM Journal on
Computing 47: optimal for m <= 6 and conjectured for every m.

That body is a symmetric polymatroid: x(J) <= f(|J|) with f(s) = min over t >= s of p_t, which is concave. A facet
x(J) = f(s) is the product of the base polytope of f on s goods and of the polymatroid of f(s + .) - f(s) on the others,
and a face of a base polytope is again a product of two base polytopes. Pyramids over the facets give volumes by
recursions whose terms are all nonnegative: O(m^3) operations, no cancellation, in floats or in fractions.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

from walras.envs.arguments import whole

Number = Fraction | float


def polymatroid_volume(bounds: Sequence[Number]) -> Number:
    """Volume of {x >= 0 : x(J) <= f(|J|) for every set J of coordinates}, with f(s) = min over t >= s of bounds[t - 1].

    Args:
        bounds: nonnegative, one for each size 1, ..., r; fractions give a fraction.

    Raises:
        ValueError: if a bound is negative, or f is not concave: then the body is no polymatroid.
    """
    heights = _closed([0 * bounds[0], *bounds]) if bounds else [1]
    _check_concave("bounds", heights)
    return _polymatroid(tuple(heights))


def straight_jacket_prices(items: int) -> tuple[float, ...]:
    """Prices p_1, ..., p_m of any 1, ..., m goods, to the last bits of a float.

    p_1 = m / (m + 1), p_2 = (2 m - sqrt 2) / (m + 1). From m = 5 on some prices fall in the number of goods: the
    larger bundle is cheaper.

    Raises:
        ValueError: if `items` is no integer of at least 1.
    """
    return _prices(whole("items", items))


@functools.lru_cache(maxsize=64)
def _prices(m: int) -> tuple[float, ...]:
    from scipy.optimize import brentq

    heights = [0.0]
    for r in range(1, m + 1):
        target = (m + 1 - r) / (m + 1)

        def excess(price: float, known: tuple[float, ...] = tuple(heights), target: float = target) -> float:
            return float(_polymatroid(tuple(_closed([*known, price])))) - target

        # A concave f: the price rises by no more than it did from r - 2 to r - 1 goods.
        highest = 1.0 if r == 1 else 2.0 * heights[-1] - heights[-2]
        heights.append(float(brentq(excess, 0.0, highest, xtol=4e-16, rtol=4 * 2.0**-52, maxiter=200)))
    return tuple(heights[1:])


def symmetric_menu_shares(prices: Sequence[Number]) -> tuple[Number, ...]:
    """Probability with which one buyer takes 0, 1, ..., m goods when any r of them cost prices[r - 1]; U[0, 1] values.

    What costs no more than a part of it takes the place of that part.

    Args:
        prices: nonnegative; fractions give fractions.

    Raises:
        ValueError: if there is no price, or prices (after that replacement, at most 1 a good) are not concave.
    """
    if not prices:
        raise ValueError("prices: at least one is needed")
    m = len(prices)
    asked = [0 * prices[0], *prices]
    # Nobody pays more than 1 for one more good: a higher price is as good as that one.
    heights = _closed(asked)
    for r in range(1, m + 1):
        heights[r] = min(heights[r], heights[r - 1] + 1)
    _check_concave("prices", heights)
    shares: list[Number] = []
    for r in range(m + 1):
        # The goods taken: 1 - x is in a polymatroid, since no part of them is better left. The others: so is x.
        taken = tuple(length + heights[r - length] - heights[r] for length in range(r + 1))
        left = tuple(heights[r + length] - heights[r] for length in range(m - r + 1))
        bought = r == 0 or asked[r] == heights[r]
        shares.append(math.comb(m, r) * _polymatroid(taken) * _polymatroid(left) if bought else 0 * heights[0])
    return tuple(shares)


def straight_jacket_revenue(items: int) -> float:
    """Expected revenue of the Straight-Jacket auction: 1/4, (12 + 2 sqrt 2) / 27, 0.8755, ... for m = 1, 2, 3, ..."""
    prices = straight_jacket_prices(items)
    return math.fsum(p * float(share) for p, share in zip(prices, symmetric_menu_shares(prices)[1:], strict=True))


def uniform_bundle(items: int) -> tuple[float, float]:
    """Best price for all goods together, sold as one lot, and its revenue; values independent, uniform on [0, 1].

    The price is where p P(sum > p) is largest. Hart and Nisan 2017, "Approximate revenue maximization with multiple
    items"; the law of the sum is that of Irwin and Hall, here without its alternating sum.
    """
    from scipy.optimize import brentq

    m = whole("items", items)

    def body(price: float) -> tuple[float, float]:
        """P(sum <= price), and the density there."""
        below, density = _volumes(tuple(min(float(s), price) for s in range(m + 1)))
        return float(below), float(density)

    def slope(price: float) -> float:
        below, density = body(price)
        return 1.0 - below - price * density

    # The sum is log-concave, so revenue has one peak; it lies below the mean plus one half.
    price = float(brentq(slope, 0.0, 0.5 * m + 0.5, xtol=1e-15, rtol=4 * 2.0**-52))
    return price, price * (1.0 - body(price)[0])


def _closed(heights: Sequence[Number]) -> list[Number]:
    """f(s) = min over t >= s of `heights[t]`."""
    return list(itertools.accumulate(reversed(heights), min))[::-1]


def _check_concave(name: str, heights: Sequence[Number]) -> None:
    if min(heights) < 0:
        raise ValueError(f"{name}: must be nonnegative, got {heights[1:]!r}")
    for before, here, after in zip(heights, heights[1:], heights[2:], strict=False):
        if 2 * here < before + after - 1e-12:
            raise ValueError(f"{name}: must be concave in the number of goods, got {heights[1:]!r}")


def _polymatroid(f: tuple[Number, ...]) -> Number:
    """Volume of the symmetric polymatroid of f(0) = 0, f(1), ..., f(r): closed, concave."""
    return _volumes(f)[0]


@functools.lru_cache(maxsize=4096)
def _volumes(f: tuple[Number, ...]) -> tuple[Number, Number]:
    """Volume of the polymatroid of f, and that of its base polytope with one coordinate left out.

    The second is the derivative of the first by f(r).
    """
    r = len(f) - 1
    base: dict[tuple[int, int], Number] = {}
    for length in range(1, r + 1):
        for a in range(r + 1 - length):
            base[a, length] = _base(f, base, a, length)
    volume: dict[int, Number] = {r: 1}  # of the polymatroid of f(a + .) - f(a)
    for a in range(r - 1, -1, -1):
        size = r - a
        volume[a] = (
            sum(math.comb(size, s) * (f[a + s] - f[a]) * base[a, s] * volume[a + s] for s in range(1, size + 1)) / size
        )
    return volume[0], base[0, r] if r else 0


def _base(f: Sequence[Number], base: dict[tuple[int, int], Number], a: int, s: int) -> Number:
    """Volume, with one coordinate left out, of the base polytope of f(a + .) - f(a) on `s` goods.

    The sum over facets of pyramids from the centre, where every coordinate is the mean.
    """
    if s == 1:
        return 1
    total = f[a + s] - f[a]
    return sum(
        math.comb(s, t) * (f[a + t] - f[a] - total * t / s) * base[a, t] * base[a + t, s - t] for t in range(1, s)
    ) / (s - 1)
