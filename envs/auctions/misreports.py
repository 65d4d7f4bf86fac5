"""Bidders who look for a better report by climbing the gradient of their own utility.

As RegretNet's adversaries do (arXiv 1706.03459).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from walras.envs.auctions.mechanism import Array, Outcome, value


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
