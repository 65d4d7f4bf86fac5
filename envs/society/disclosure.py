"""What a seller earns who lets bidders learn their values with some probability: a closed form for one item.

n bidders, values U[0, 1], second price without reserve. Each bidder learns the value with probability theta, else bids
the mean 1/2, which is dominant. With k informed bidders the price is the second highest of k uniforms and n - k halves;
welfare is the mean of the winner's value. Revenue at 0 is 1/2, at 1 it is (n - 1) / (n + 1): for two bidders the seller
prefers that nobody knows, from four on that all do, at three both are equal. Derived here; the trade-off is that of
Ganuza and Penalva (2010), Econometrica 78.
"""

from __future__ import annotations

import math

from walras.envs.arguments import whole


def revenue(bidders: int, disclosed: float) -> float:
    """Expected price."""
    return _mean(bidders, disclosed, _price)


def welfare(bidders: int, disclosed: float) -> float:
    """Expected value of the winner."""
    return _mean(bidders, disclosed, _value)


def utility(bidders: int, disclosed: float) -> float:
    """Expected utility of one bidder."""
    return (welfare(bidders, disclosed) - revenue(bidders, disclosed)) / bidders


def best_disclosure(bidders: int) -> float:
    """The probability in [0, 1] that earns the seller most (the smallest such)."""
    from scipy.optimize import minimize_scalar

    candidates = [0.0, 1.0]
    grid = [i / 200 for i in range(201)]
    k = max(range(201), key=lambda i: revenue(bidders, grid[i]))
    inner = minimize_scalar(
        lambda p: -revenue(bidders, float(p)), bounds=(grid[max(k - 1, 0)], grid[min(k + 1, 200)]), method="bounded"
    )
    candidates.append(float(inner.x))
    return max(candidates, key=lambda p: (round(revenue(bidders, p), 12), -p))


def _mean(bidders: int, disclosed: float, of: object) -> float:
    n = whole("bidders", bidders, 2)
    if not 0 <= disclosed <= 1:
        raise ValueError(f"disclosed must lie in [0, 1], got {disclosed!r}")
    total = 0.0
    for k in range(n + 1):
        odds = math.comb(n, k) * disclosed**k * (1 - disclosed) ** (n - k)
        total += odds * of(k, n - k)  # type: ignore[operator]
    return total


def _price(k: int, blanks: int) -> float:
    """Mean second highest of k uniforms and so many halves: the integral of 1 - F."""
    half = 0.5
    # Above 1/2: at most one uniform above x.
    above = half - _integral(k, half, 1.0, second=True)
    if blanks >= 2:
        return half + above
    if blanks == 1:  # below 1/2 one bid is above x already: no uniform may be
        return half - _integral(k, 0.0, half, second=False) + above
    return half - _integral(k, 0.0, half, second=True) + above


def _integral(k: int, low: float, high: float, *, second: bool) -> float:
    """Integral of x^k, or of x^k + k x^(k-1) (1 - x) (at most one of k uniforms above x)."""
    if k == 0:
        return high - low
    whole_ = (high ** (k + 1) - low ** (k + 1)) / (k + 1)
    if not second:
        return whole_
    return whole_ + (high**k - low**k) - k * whole_


def _value(k: int, blanks: int) -> float:
    """Mean value of the winner: the largest uniform if it beats the halves, else a bidder worth 1/2 on the mean."""
    if blanks == 0:
        return k / (k + 1)
    half = 0.5
    # The maximum of k uniforms and 1/2.
    return half + half - (1.0 - half ** (k + 1)) / (k + 1)
