"""Closed forms for symmetric bidders with independent private values: bids, utility, revenue, optimal reserve.

One item, `bidders` risk-neutral bidders whose values are independent draws of one `law` with distribution F and
density f; G = F^(bidders - 1) is the law of the highest of the others. Several items sold one by one to additive
bidders add up. Functions named `..._by_quadrature` integrate the general formula and serve laws without a closed
form; they are also the independent check of the closed forms. Money is in units of value.

Every function raises ValueError or TypeError naming the argument for a law that is none, a value that is NaN, and a
count that is no positive integer.

Sources: Vickrey 1961, "Counterspeculation, Auctions, and Competitive Sealed Tenders"; Myerson 1981, "Optimal Auction
Design"; Krishna, "Auction Theory" (2nd edition, 2010), chapters 2 (first and second price), 3 (revenue equivalence,
all-pay) and 5 (optimal mechanisms).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike

from walras.envs.arguments import whole
from walras.envs.auctions.ironing import iron
from walras.envs.auctions.laws import Beta, Exponential, Floats, Law, ParetoTail, Power, Uniform
from walras.envs.auctions.piecewise import Discrete, PiecewiseUniform, TwoPoint

_NODES = 64  # Gauss-Legendre nodes in each smooth piece


def first_price_bid(law: Law, bidders: int, value: ArrayLike, reserve: float = 0.0) -> Floats:
    """Symmetric equilibrium bid in the first-price auction.

    b(v) = v - (1 / G(v)) integral_r^v G (Krishna, proposition 2.2 and section 2.5).

    For U[0, 1] without reserve (bidders - 1) / bidders v. Values below the reserve stay out and bid 0.

    Args:
        law: law of values, with a density.
        bidders: number of bidders n >= 1.
        value: values, any shape.
        reserve: smallest bid accepted.

    Returns:
        Bids, shape of `value`.

    Raises:
        ValueError: `bidders` < 1, a negative `reserve`, or a law on finitely many values (it has no pure equilibrium).
    """
    v, n, r = _checked(law, bidders, value, reserve)
    return _shaded(law, n, v, r, _rent)


def first_price_bid_by_quadrature(law: Law, bidders: int, value: ArrayLike, reserve: float = 0.0) -> Floats:
    """`first_price_bid` with the integral of G by Gauss-Legendre quadrature; any law with a density."""
    v, n, r = _checked(law, bidders, value, reserve)
    return _shaded(law, n, v, r, _rent_by_quadrature)


def second_price_bid(value: ArrayLike) -> Floats:
    """The value itself: truthful bidding is weakly dominant with any reserve (Vickrey 1961; Krishna, prop. 2.1)."""
    return _values(value).copy()


def all_pay_bid(law: Law, bidders: int, value: ArrayLike, reserve: float = 0.0) -> Floats:
    """Symmetric equilibrium bid in the all-pay auction.

    b(v) = v G(v) - integral_s^v G (Krishna, section 3.2), s the value that just enters.

    With a reserve (smallest bid accepted) s solves s G(s) = reserve; values below s bid 0. For U[0, 1] without
    reserve (n - 1) / n v^n.

    Raises:
        ValueError: as `first_price_bid`.
    """
    v, n, r = _checked(law, bidders, value, reserve)
    entry = all_pay_entry(law, bidders, r)
    if entry == math.inf:
        return np.zeros_like(v)
    top = np.maximum(v, entry)
    bid = top * _others(law, n, top) - _rent(law, n, top, entry)
    return np.where(v < entry, 0.0, np.maximum(bid, r))  # rounding must not push an entrant below the reserve


def all_pay_entry(law: Law, bidders: int, reserve: float) -> float:
    """The value s with s G(s) = `reserve`, from which on a bidder enters the all-pay auction.

    `inf` when nobody can afford the reserve.
    """
    _checked(law, bidders, 0.0, reserve)
    if reserve == 0.0:
        return 0.0

    def gap(s: float) -> float:
        return s * float(_others(law, bidders, np.asarray(s))) - reserve

    high = law.high if math.isfinite(law.high) else max(1.0, 2.0 * reserve)
    while not math.isfinite(law.high) and gap(high) < 0.0:
        high *= 2.0
    if gap(high) < 0.0:
        return math.inf
    low = 0.0
    while low < (middle := 0.5 * (low + high)) < high:
        low, high = (middle, high) if gap(middle) < 0.0 else (low, middle)
    return high


def interim_utility(law: Law, bidders: int, value: ArrayLike, reserve: float = 0.0) -> Floats:
    """Expected utility of a bidder with `value` when the highest value above `reserve` wins: integral_r^v G.

    The same in first-price, second-price and all-pay auctions with the same values served (Krishna, proposition 3.1);
    for the all-pay auction `reserve` is the entering value `all_pay_entry`.
    """
    v, n, r = _checked(law, bidders, value, reserve)
    return np.where(v < r, 0.0, _rent(law, n, np.maximum(v, r), r))


def expected_utility(law: Law, bidders: int, reserve: float = 0.0) -> float:
    """Expected equilibrium utility of one bidder before it knows its value: integral_r (1 - F) F^(n-1).

    For U[0, 1] without reserve 1 / (n (n + 1)).
    """
    _, n, r = _checked(law, bidders, 0.0, reserve)
    if isinstance(law, Uniform) and r <= law.low and n > 1:
        return (law.high - law.low) / (n * (n + 1))
    return _integrate(law, lambda x: (1.0 - law.cdf(x)) * law.cdf(x) ** (n - 1), r)


def revenue(law: Law, bidders: int, reserve: float = 0.0) -> float:
    """Expected revenue when the item goes to the highest value above `reserve`.

    This is E[max(second value, reserve); highest >= reserve].

    Second price exactly; first price and all-pay (whose entering value is `reserve`) by revenue equivalence (Myerson
    1981; Krishna, proposition 3.1). Closed forms: U[0, 1] (n - 1) / (n + 1) + r^n (1 - 2 n r / (n + 1)); exponential
    without reserve scale (H_n - 1); power without reserve.
    """
    _, n, r = _checked(law, bidders, 0.0, reserve, atoms=True)
    if isinstance(law, Uniform) and (law.low == 0.0 or r <= law.low) and r <= law.high and n > 1:
        width, cut = law.high - law.low, max(r - law.low, 0.0) / (law.high - law.low)
        return law.low + width * ((n - 1) / (n + 1) + cut**n * (1.0 - 2.0 * n * cut / (n + 1)))
    if isinstance(law, Exponential) and r == 0.0:
        return law.scale * math.fsum(1.0 / k for k in range(2, n + 1))
    if isinstance(law, Power) and r == 0.0:
        a = law.exponent
        return law.high * float(n * (n - 1)) * a * a / ((a * (n - 1) + 1.0) * (a * n + 1.0))
    return revenue_by_quadrature(law, bidders, reserve)


def revenue_by_quadrature(law: Law, bidders: int, reserve: float = 0.0) -> float:
    """`revenue` as r P(highest >= r) + integral_r^inf P(second > x) dx."""
    _, n, r = _checked(law, bidders, 0.0, reserve, atoms=True)

    def second_exceeds(x: Floats) -> Floats:
        below = law.cdf(x)
        return 1.0 - below**n - n * below ** (n - 1) * (1.0 - below)

    return r * (1.0 - float(_below(law, np.asarray(r))) ** n) + _integrate(law, second_exceeds, r)


def first_price_revenue(law: Law, bidders: int, reserve: float = 0.0) -> float:
    """Expected revenue of the first-price auction, n integral b G f, without using revenue equivalence."""
    _, n, r = _checked(law, bidders, 0.0, reserve)

    def paid(x: Floats) -> Floats:
        return n * first_price_bid(law, bidders, x, reserve) * _others(law, n, x) * law.pdf(x)

    return _integrate(law, paid, max(r, law.low))


def all_pay_revenue(law: Law, bidders: int, reserve: float = 0.0) -> float:
    """Expected revenue of the all-pay auction, n integral b f, without using revenue equivalence."""
    _checked(law, bidders, 0.0, reserve)
    entry = all_pay_entry(law, bidders, reserve)
    if not entry < law.high:
        return 0.0
    return _integrate(law, lambda x: bidders * all_pay_bid(law, bidders, x, reserve) * law.pdf(x), max(entry, law.low))


def virtual_value(law: Law, value: ArrayLike) -> Floats:
    """Virtual value v - (1 - F(v)) / f(v) (Myerson 1981); for a law on atoms its discrete form."""
    return _law(law).virtual_value(_values(value))


def ironed_virtual_value(law: Law, value: ArrayLike) -> Floats:
    """Ironed virtual value: minus the slope of the concave hull of v (1 - F) over F (Myerson 1981, section 6)."""
    return np.asarray(iron(_law(law))(_values(value)), dtype=np.float64)


def myerson_reserve(law: Law) -> float:
    """The optimal reserve, maximiser of r (1 - F(r)): smallest value of nonnegative ironed virtual value.

    Myerson 1981. U[low, high]: max(low, high / 2); exponential its scale; power
    high (1 + exponent)^(-1 / exponent); ParetoTail 1 / (exponent - 1).
    """
    if isinstance(_law(law), Uniform):
        return max(law.low, 0.5 * law.high)
    if isinstance(law, Exponential):
        return law.scale
    if isinstance(law, Power):
        return float(law.high * (1.0 + law.exponent) ** (-1.0 / law.exponent))
    reserve = float(iron(law).price(np.asarray(0.0)))
    if isinstance(law, Discrete | TwoPoint | PiecewiseUniform | ParetoTail):
        return reserve
    low, high = 0.99 * reserve, 1.01 * reserve  # the table is good to 1e-6; the virtual value itself gives the rest
    if not float(law.virtual_value(low)) < 0.0 <= float(law.virtual_value(high)):
        return reserve
    while low < (middle := 0.5 * (low + high)) < high:
        low, high = (middle, high) if float(law.virtual_value(middle)) < 0.0 else (low, middle)
    return high


def myerson_revenue(laws: Law | Sequence[Law], bidders: int | None = None) -> float:
    """Optimal revenue for one item: E[max(0, largest ironed virtual value)] (Myerson 1981).

    U[0, 1]: 1/4, 5/12, 0.53125 for n = 1, 2, 3.

    Args:
        laws: one law for each bidder, or one law for all.
        bidders: how many bidders share the one law.

    Raises:
        ValueError: `laws` is empty; `bidders` is missing for one law, or given for several.
        TypeError: an entry of `laws` is no law.
    """
    if isinstance(laws, Law):
        if bidders is None:
            raise ValueError("bidders: needed when one law is given")
        _checked(laws, bidders, 0.0, 0.0, atoms=True)
        own = (laws,) * bidders
        if isinstance(laws, Uniform) and laws.low == 0.0:
            return revenue(laws, bidders, 0.5 * laws.high)
    else:
        if bidders is not None:
            raise ValueError("bidders: only used when one law is given")
        if not isinstance(laws, Sequence) or not laws:
            raise ValueError(f"laws: one law, or a sequence of at least one, is needed, got {laws!r}")
        own = tuple(_law(law, "laws") for law in laws)
    groups = {law: own.count(law) for law in own}
    tables = {law: iron(law) for law in groups}

    def sold_above(level: Floats) -> Floats:
        below = np.ones_like(level)
        for law, count in groups.items():
            below = below * _below(law, tables[law].price(level)) ** count
        return 1.0 - below

    breaks = np.unique(np.concatenate([[0.0], *(table.levels[:-1] for table in tables.values())]))
    total = _pieces(sold_above, breaks[breaks >= 0.0], 8)
    if any(not math.isfinite(law.high) for law in groups):
        total += _tail(sold_above, float(breaks[-1]))
    return total


def vcg_revenue(law: Law, bidders: int, items: int = 1) -> float:
    """Revenue of VCG with additive bidders: `items` second-price auctions.

    For U[0, 1] this is items (n - 1) / (n + 1) (Krishna, section 5.3).
    """
    return whole("items", items) * revenue(law, bidders)


def _checked(
    law: Law, bidders: int, value: ArrayLike, reserve: float, atoms: bool = False
) -> tuple[Floats, int, float]:
    _law(law)
    n, v = whole("bidders", bidders), _values(value)
    if isinstance(reserve, bool) or not isinstance(reserve, Real) or not 0.0 <= reserve < math.inf:
        raise ValueError(f"reserve: must be nonnegative and finite, got {reserve!r}")
    if not atoms and isinstance(law, Discrete | TwoPoint):
        raise ValueError(f"law: needs a density, got {law!r}")
    return v, n, float(reserve)


def _law(law: Law, name: str = "law") -> Law:
    if not isinstance(law, Law):
        raise TypeError(f"{name}: a Law is needed, got {law!r}")
    return law


def _values(value: ArrayLike) -> Floats:
    try:
        values = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"value: numbers are needed, got {value!r}") from None
    if np.isnan(values).any():
        raise ValueError("value: must not be NaN")
    return values


def _shaded(
    law: Law, n: int, value: Floats, reserve: float, rent: Callable[[Law, int, Floats, float], Floats]
) -> Floats:
    """Bid v - (1 / G(v)) integral_r^v G; at values that never win (G = 0) the value itself, and 0 below the reserve."""
    top = np.maximum(value, reserve)
    with np.errstate(divide="ignore", invalid="ignore"):
        shade = rent(law, n, top, reserve) / _others(law, n, top)
    bid = np.maximum(top - np.where(np.isfinite(shade), shade, 0.0), reserve)  # against rounding below the reserve
    return np.where(value < reserve, 0.0, bid)


def _others(law: Law, n: int, value: Floats) -> Floats:
    """G(v) = F(v)^(n - 1)."""
    return np.power(law.cdf(value), n - 1)


def _below(law: Law, value: Floats) -> Floats:
    """P(V < v)."""
    return law.cdf(value) - law.pdf(value) if isinstance(law, Discrete | TwoPoint) else law.cdf(value)


def _rent(law: Law, n: int, value: Floats, reserve: float) -> Floats:
    """Integral of G over [r, v] for v >= r: in closed form for Uniform, Power and Exponential, else by quadrature."""
    if n == 1:
        return value - reserve
    if isinstance(law, Uniform):
        width = law.high - law.low
        inside, first = np.clip((value - law.low) / width, 0.0, 1.0), min(max((reserve - law.low) / width, 0.0), 1.0)
        return width * (np.power(inside, n) - first**n) / n + np.maximum(value - max(law.high, reserve), 0.0)
    if isinstance(law, Power):
        power = law.exponent * (n - 1) + 1.0
        inside, first = np.clip(value / law.high, 0.0, 1.0), math.pow(min(reserve / law.high, 1.0), power)
        return law.high * (np.power(inside, power) - first) / power + np.maximum(value - max(law.high, reserve), 0.0)
    if isinstance(law, Exponential):
        start = np.asarray(reserve / law.scale)
        return law.scale * (_exponential_rent(n - 1, value / law.scale) - _exponential_rent(n - 1, start))
    return _rent_by_quadrature(law, n, value, reserve)


def _exponential_rent(power: int, x: Floats) -> Floats:
    """Integral of (1 - e^-y)^power over [0, x]: x - sum_{k <= power} t^k / k with t = 1 - e^-x.

    Where t is small, by the rest of that series.
    """
    t = -np.expm1(-x)
    small = np.minimum(t, 0.5)
    series = sum(small ** (power + j) / (power + j) for j in range(1, 56))
    direct = x - sum(t**k / k for k in range(1, power + 1))
    return np.where(t <= 0.5, series, direct)


def _rent_by_quadrature(law: Law, n: int, value: Floats, reserve: float) -> Floats:
    """Integral of G over [r, v], one Gauss-Legendre rule on each smooth piece of F.

    The variable is the square root of the distance from the lower end, which softens F near low.
    """
    t, weight = _legendre(_NODES)
    edges = law.edges if isinstance(law, PiecewiseUniform) else (law.low, law.high)
    total: Floats = np.zeros_like(value)
    for left, right in zip((-math.inf, *edges), (*edges, math.inf), strict=True):
        start = max(left, reserve)
        width = np.maximum(np.minimum(value, right) - start, 0.0)
        total = total + width * np.sum(2.0 * weight * t * _others(law, n, start + width[..., None] * t**2), axis=-1)
    return total


@functools.lru_cache(maxsize=8)
def _legendre(nodes: int) -> tuple[Floats, Floats]:
    """Nodes and weights on [0, 1]."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    return 0.5 * (x + 1.0), 0.5 * w


def _pieces(function: Callable[[Floats], Floats], breaks: Floats, nodes: int) -> float:
    """Integral over all intervals between neighbouring `breaks`."""
    t, weight = _legendre(nodes)
    width = np.diff(breaks)
    return float(np.sum(width[:, None] * weight * function(breaks[:-1, None] + width[:, None] * t)))


def _tail(function: Callable[[Floats], Floats], low: float) -> float:
    """Integral from `low` to infinity, by x = low + t / (1 - t)."""
    breaks = np.linspace(0.0, 1.0, 33)
    return _pieces(lambda t: function(low + t / (1.0 - t)) / (1.0 - t) ** 2, breaks, 32)


def _integrate(law: Law, function: Callable[[Floats], Floats], low: float) -> float:
    """Integral of `function` from `low` to the top of the support (to infinity where it has none).

    It is 0 when `low` lies above the support.
    """
    if not math.isfinite(law.high):
        return _tail(function, low)
    if low >= law.high:
        return 0.0
    inner: tuple[float, ...] = (law.low,)
    if isinstance(law, PiecewiseUniform):
        inner = law.edges
    elif isinstance(law, Discrete | TwoPoint):
        inner = law.atoms
    elif isinstance(law, Power | Beta):  # steep ends: pieces that shrink geometrically towards both
        ends = 0.5 ** np.arange(1, 40)
        inner = (*(law.high * ends), *(law.high * (1.0 - ends)))
    breaks = np.unique([low, *(edge for edge in inner if low < edge < law.high), law.high])
    return _pieces(function, breaks, 32)
