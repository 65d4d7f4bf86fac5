"""Bidders who look for a better report: by climbing the gradient of their utility, or by trying reports.

Gradients are what RegretNet's adversaries follow (arXiv 1706.03459); they miss jumps and end in local optima. Trying a
grid of reports and refining around the best ones needs no gradient and finds more.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from walras.envs.arguments import whole
from walras.envs.auctions.mechanism import Array, Outcome, value


class Misreports(NamedTuple):
    """What bidders found who each deviate alone.

    Attributes:
        reports: (N, n, m) the best report found; the truth where nothing better was found.
        gains: (N, n) by how much it is better than the truth, >= 0.
    """

    reports: Array
    gains: Array


def search_misreports(
    values: Array,
    outcome: Callable[[Array], Outcome],
    demand: str = "additive",
    *,
    low: Array,
    high: Array,
    grid: int = 15,
    rounds: int = 6,
    least: float = 1e-9,
) -> Misreports:
    """The best report of each bidder, the others truthful, among a grid of reports refined around the best one.

    Args:
        values: (N, n, m) true values.
        outcome: reports (N, n, m) -> outcome, numpy; called grid^m + rounds 3^m times for each bidder.
        demand: `"additive"` or `"unit"`.
        low: smallest reports, (m,) or (n, m).
        high: largest reports.
        grid: reports for each item on the grid, >= 2.
        rounds: how often all neighbours at half the last distance are tried.
        least: gains below it are taken for rounding, and are none.

    Raises:
        ValueError: if `values` has not three axes, or a number is out of range.
    """
    grid, rounds = whole("grid", grid, 2), whole("rounds", rounds, 0)
    v = np.asarray(values, np.float64)
    if v.ndim != 3:
        raise ValueError(f"values: must be (N, n, m), got shape {v.shape}")
    _, n, m = v.shape
    bottom, top = (np.broadcast_to(np.asarray(end, np.float64), (n, m)) for end in (low, high))
    won, paid = outcome(v)
    honest = value(v, won, demand) - paid
    reports, best = v.copy(), honest.copy()
    nodes = np.array(list(itertools.product(np.linspace(0.0, 1.0, grid), repeat=m)))
    around = np.array([step for step in itertools.product((-1.0, 0.0, 1.0), repeat=m) if any(step)])
    for i in range(n):
        bids = v.copy()

        def attempt(report: Array, i: int = i, bids: Array = bids) -> None:
            bids[:, i] = report
            won, paid = outcome(bids)
            utility = (value(v, won, demand) - paid)[:, i]
            better = utility > best[:, i]
            best[better, i] = utility[better]
            reports[better, i] = bids[better, i]

        width = top[i] - bottom[i]
        for node in nodes:
            attempt(bottom[i] + node * width)
        step = width / (grid - 1)
        for _ in range(rounds):
            step = 0.5 * step
            centre = reports[:, i].copy()
            for direction in around:
                attempt(np.clip(centre + direction * step, bottom[i], top[i]))
    gains = best - honest
    found = gains >= least
    return Misreports(np.where(found[..., None], reports, v), np.where(found, gains, 0.0))


def gradient_misreports(
    values: Array,
    outcome: Callable[[Array], Outcome],
    demand: str = "additive",
    *,
    high: Array,
    steps: int = 25,
    rate: float = 0.02,
) -> Array:
    """The best report that each bidder finds while the others report truthfully.

    Adam steps from a slightly shaded truth; the best report seen is kept, the truth included, so no bidder does
    worse than by honesty. A gradient sees only what is smooth: where the utility is flat with jumps, as in a
    second-price auction, nothing is found.

    Args:
        values: (N, n, m) true values.
        outcome: reports -> outcome, for torch tensors.
        demand: `"additive"` or `"unit"`.
        high: (m,) largest report.
        steps: gradient steps, >= 1.
        rate: step size in units of `high`.

    Returns:
        (N, n, m) reports.
    """
    import torch

    true = torch.as_tensor(np.asarray(values), dtype=torch.float64)
    top = torch.as_tensor(np.asarray(high), dtype=torch.float64)
    best = true.clone()
    for i in range(true.shape[1]):
        report = (0.99 * true[:, i]).clone().requires_grad_()
        optimiser = torch.optim.Adam([report], lr=float(rate * top.max()))
        best_utility = _utility(true, true[:, i], i, outcome, demand).detach()
        for _ in range(steps):
            utility = _utility(true, report, i, outcome, demand)
            with torch.no_grad():
                better = utility > best_utility
                best_utility = torch.where(better, utility, best_utility)
                best[:, i] = torch.where(better[:, None], report, best[:, i])
            if not utility.requires_grad:
                break
            optimiser.zero_grad()
            (-utility.sum()).backward()
            optimiser.step()
            with torch.no_grad():
                report.copy_(torch.minimum(report.clamp(min=0.0), top))
    result: Array = best.detach().numpy()
    return result


def _utility(true: Array, report: Array, i: int, outcome: Callable[[Array], Outcome], demand: str) -> Array:
    import torch

    bids = torch.cat([true[:, :i], report[:, None], true[:, i + 1 :]], dim=1)
    allocation, payment = outcome(bids)
    return (value(true, allocation, demand) - payment)[:, i]
