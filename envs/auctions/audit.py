"""What a mechanism earns, held against what a truthful one can earn; and the search for the promise that it breaks.

Where a bound on the revenue of every truthful, individually rational, feasible auction is known, a mechanism that earns
more from truthful reports breaks one of these promises: its revenue alone convicts it. The audit says so, and looks
for the value profile that shows it: an item promised more than once, a truthful bidder who loses, or a report that
pays better than the truth.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from walras.envs.arguments import whole
from walras.envs.auctions.laws import Uniform
from walras.envs.auctions.mechanism import DEMANDS, Array, Mechanism, value
from walras.envs.auctions.misreports import search_misreports
from walras.envs.auctions.one_bidder import ONE_BIDDER
from walras.envs.auctions.priors import Prior
from walras.envs.auctions.theory import myerson_revenue

_CHUNK = 50_000  # profiles evaluated at once
_ERRORS = 4.0  # standard errors by which revenue must exceed a ceiling
_ROUNDING = 1e-9


_Worst: TypeAlias = tuple[float, Any, int]  # size, profile (None: no breach), bidder


class Ceiling(NamedTuple):
    """A proven upper bound on the revenue of every truthful, individually rational, feasible auction."""

    revenue: float
    source: str


CERTIFIED_2X2 = Ceiling(
    0.882351586,
    "github.com/Baymax-ray/two-bidder-two-item-dsic-certificates: exact rational replay of a dual, not peer reviewed",
)
"""For two additive bidders and two items, all values U[0, 1]."""


def revenue_ceiling(prior: Prior, demand: str = "additive") -> Ceiling | None:
    """The least upper bound known for bidders with these values, or `None`.

    One item: Myerson's optimum. Two additive bidders and two items, all values U[0, 1]: `CERTIFIED_2X2`. One bidder
    of `walras.envs.auctions.one_bidder.ONE_BIDDER`: the proved optimum.

    Raises:
        ValueError: if `demand` is unknown.
    """
    if demand not in DEMANDS:
        raise ValueError(f"demand must be one of {DEMANDS}, got {demand!r}")
    laws = prior.marginals
    if prior.items == 1 and laws is not None:
        return Ceiling(myerson_revenue([row[0] for row in laws]), "Myerson (1981), Optimal Auction Design")
    if laws == ((Uniform(0.0, 1.0),) * 2,) * 2 and demand == "additive":
        return CERTIFIED_2X2
    for known in ONE_BIDDER.values():
        if (known.prior, known.demand) == (prior, demand):
            return Ceiling(known.revenue, known.source)
    return None


class Audit(NamedTuple):
    """What an audit found.

    Attributes:
        revenue: mean sum of payments of truthful bidders.
        standard_error: of `revenue`.
        ceiling: the proven upper bound, `None` where none is known.
        broken: `"feasible"`, `"individually rational"` or `"truthful"`: the promise that a profile shows broken;
            `"truthful"` also where only the revenue convicts; `""` where nothing was found.
        excess: largest probability beyond one with which an item was promised.
        loss: largest loss of a truthful bidder.
        gain: largest gain of a misreport found.
        mean_gain: mean over the searched profiles and the bidders.
        profile: (n, m) values that show it, `None` where there are none.
        bidder: who loses or misreports there; -1 where nobody is concerned.
        report: (m,) the report that gains, `None` for other breaches.
    """

    revenue: float
    standard_error: float
    ceiling: float | None
    broken: str
    excess: float
    loss: float
    gain: float
    mean_gain: float
    profile: Array | None
    bidder: int
    report: Array | None

    @property
    def exceeds(self) -> bool:
        """Whether the revenue lies above the ceiling by more than four standard errors."""
        return self.ceiling is not None and self.revenue - _ERRORS * self.standard_error > self.ceiling

    def __str__(self) -> str:
        """The finding in one sentence or two."""
        text = f"revenue {self.revenue:.5f} +- {self.standard_error:.5f}"
        if self.exceeds:
            text += f" exceeds {self.ceiling:.5f}, which no truthful auction does"
        if self.broken == "feasible":
            return f"{text}; not feasible: an item is promised {1 + self.excess:.4g} times at {_show(self.profile)}"
        if self.broken == "individually rational":
            return f"{text}; not individually rational: bidder {self.bidder} loses {self.loss:.4g} by the truth at " + (
                _show(self.profile)
            )
        if self.broken == "truthful" and self.report is not None:
            return (
                f"{text}; not truthful: at {_show(self.profile)} bidder {self.bidder} gains {self.gain:.4g} by the "
                f"report {_show(self.report)}"
            )
        return f"{text}; not truthful, by the revenue alone" if self.broken else f"{text}; no broken promise found"


def audit(
    mechanism: Mechanism,
    prior: Prior,
    demand: str = "additive",
    *,
    profiles: int = 1_000_000,
    searched: int = 1000,
    grid: int = 15,
    rng: np.random.Generator,
) -> Audit:
    """Measure the revenue from truthful bidders, hold it against the ceiling, and search for a broken promise.

    Args:
        mechanism: anything with `outcome(bids)`.
        prior: law of the values.
        demand: `"additive"` or `"unit"`.
        profiles: fresh draws for revenue, feasibility and individual rationality, >= 2.
        searched: of these, on so many misreports are looked for (`search_misreports`).
        grid: reports for each item in that search.
        rng: of the draws.

    Raises:
        ValueError: if a number is out of range or `demand` is unknown.
    """
    profiles, searched, grid = whole("profiles", profiles, 2), whole("searched", searched), whole("grid", grid, 2)
    bound = revenue_ceiling(prior, demand)
    total, squares = 0.0, 0.0
    excess: _Worst = (0.0, None, -1)
    loss: _Worst = (0.0, None, -1)
    first: list[Array] = []
    for start in range(0, profiles, _CHUNK):
        values = prior.sample(rng.random((min(_CHUNK, profiles - start), prior.draws)))
        if start < searched:
            first.append(values[: searched - start])
        won, paid = mechanism.outcome(values)
        revenue = paid.sum(axis=1)
        total, squares = total + float(revenue.sum()), squares + float((revenue * revenue).sum())
        excess = _worst(excess, won.sum(axis=1) - 1.0, values, who=False)
        loss = _worst(loss, paid - value(values, won, demand), values, who=True)
    mean = total / profiles
    error = math.sqrt(max(squares / profiles - mean * mean, 0.0) / (profiles - 1))
    tried = np.concatenate(first)
    top = np.minimum(prior.high, tried.max(axis=0))
    found = search_misreports(tried, mechanism.outcome, demand, low=prior.low, high=top, grid=grid)
    k, i = np.unravel_index(int(found.gains.argmax()), found.gains.shape)
    gain = float(found.gains[k, i])
    ceiling = None if bound is None else bound.revenue
    facts = (mean, error, ceiling)
    sizes = (max(excess[0], 0.0), max(loss[0], 0.0), gain, float(found.gains.mean()))
    if excess[1] is not None:
        return Audit(*facts, "feasible", *sizes, excess[1], -1, None)
    if loss[1] is not None:
        return Audit(*facts, "individually rational", *sizes, loss[1], loss[2], None)
    if gain > 0.0:
        return Audit(*facts, "truthful", *sizes, tried[k], int(i), found.reports[k, i])
    nothing = Audit(*facts, "", *sizes, None, -1, None)
    return nothing._replace(broken="truthful") if nothing.exceeds else nothing


def _worst(so_far: _Worst, breach: Array, values: Array, *, who: bool) -> _Worst:
    """The largest breach (B, n or m) beyond rounding, with its profile and, if asked, the bidder."""
    k, i = np.unravel_index(int(breach.argmax()), breach.shape)
    size = float(breach[k, i])
    return (size, values[k], int(i) if who else -1) if size > max(so_far[0], _ROUNDING) else so_far


def _show(array: Any) -> str:
    return str(np.round(array, 4).tolist())
