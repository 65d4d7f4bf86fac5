"""The revenue-optimal introductions by mixed-integer programming (HiGHS).

Variables: x_ij, buyer i trades with seller j; q_ij in [0, v_ij x_ij], the price paid in that trade. Then seller k's
price is sum_b q_bk, buyer i's payoff is sum_j (v_ij x_ij - q_ij), and the program is

    max  sum of q over pairs outside the world
    s.t. x a matching;  sum_j (v_ij x_ij - q_ij) + sum_b q_bk >= v_ik  for each world pair (i, k).

Splitting each trade's value between its two sides makes strong duality hold by itself, pair by pair. A program with one
price and one payoff each, and one equation for strong duality, has a far weaker relaxation. Two more facts tighten it:
at the largest prices an introduced buyer is left with no more than her best known seller is worth to her; and a pair
whose use would cost more than the bound leaves above what is known to be earned is out.

Source: the problem is that of arXiv 2406.07385; the formulation is ours, checked against brute force.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np

from walras.algorithms.platforms.introduction_bound import pair_losses, revenue_bound
from walras.algorithms.platforms.introduction_search import search_introductions
from walras.envs.game import Array
from walras.envs.platforms.introductions import as_graph, one_market, trade

_ITERATIONS = 400  # of the Lagrangian bound
_SLACK = 5e-3  # what the solver's tolerances may take off a bound on whole numbers, with room to spare


class Optimum(NamedTuple):
    """The introductions found and what is proved about them.

    Attributes:
        introduced: (n, m) bool, a matching that trades along all its pairs.
        revenue: what they earn by the rules (`trade`), not by the solver.
        bound: no introductions earn more, up to the solver's tolerance.
        nodes: branch-and-bound nodes.
        largest: the largest value of the market.
    """

    introduced: Array
    revenue: float
    bound: float
    nodes: int
    largest: float

    def proved(self, tolerance: float = 1e-6) -> bool:
        """Whether revenue meets the bound, up to `tolerance` in units of the bound or of the largest value."""
        return self.bound - self.revenue <= tolerance * max(self.largest, self.bound)


def optimal_introductions(
    values: Any, world: Any, *, seconds: float | None = None, start: Any = None, seed: int = 0
) -> Optimum:
    """Solve the program, from the best introductions that annealing finds.

    Args:
        values: (n, m), nonnegative and finite. Where they are integers, so is revenue, and the bound is rounded down.
        world: (n, m) bool.
        seconds: time after which the solver stops with what it has; `None`: it goes on until the optimum is proved.
            Results then depend on the machine.
        start: (n, m) bool, introductions to start from instead of annealing's.
        seed: of the annealing.

    Raises:
        ValueError: if shapes do not fit, or a value is negative or not finite.
        RuntimeError: if the solver fails.
    """
    v, e = one_market(values, world)
    whole, largest = v.dtype.kind in "iub", float(v.max(initial=0))
    # The solver's tolerances are absolute: floats are measured in the power of two above the largest.
    unit = 1.0 if whole else float(2.0 ** np.frexp(largest)[1])
    v = v if whole else v / unit
    if start is None:
        start = search_introductions(v, e, seed=seed).introduced
    known = trade(v, e, start)
    best = as_graph(known.matching[0], v.shape[1]) & ~e, float(known.revenue[0])
    exact = v.astype(np.float64)
    limit = revenue_bound(exact, e, iterations=_ITERATIONS, revenue=best[1])
    lost = pair_losses(exact, e, limit.multipliers)
    # Pairs with which no more can be earned than is known; for whole numbers, not one more.
    least = best[1] + (1.0 - 1e-6 if whole else 1e-9 * max(1.0, best[1]))
    usable = (limit.bound - lost >= least) & (v > 0)
    usable[known.matching[0] >= 0, known.matching[0][known.matching[0] >= 0]] = True
    found, bound, nodes = _solve(exact, e, usable, known.matching[0], known.price_max[0], best[1], whole, seconds)
    bound = min(bound, limit.bound)
    if found is not None:
        again = trade(v, e, found)
        if again.revenue[0] > best[1]:
            best = as_graph(again.matching[0], v.shape[1]) & ~e, float(again.revenue[0])
    if whole:
        bound = float(np.floor(bound + _SLACK))
    return Optimum(best[0], unit * best[1], unit * max(bound, best[1]), nodes, largest)


def _solve(
    v: Array,
    e: Array,
    usable: Array,
    matching: Array,
    prices: Array,
    revenue: float,
    whole: bool,
    seconds: float | None,
) -> tuple[Array | None, float, int]:
    """Introductions of the solver, if it found better ones, with its bound and nodes."""
    import highspy

    n, m = v.shape
    pair = np.flatnonzero(usable)
    if not len(pair):
        return None, revenue, 0
    size = len(pair)
    buyer, seller = pair // m, pair % m
    value, known = v[buyer, seller], e[buyer, seller]
    # The rest of an introduced buyer's value is hers only because of a seller whom she knows.
    outside = np.where(e, v, 0.0).max(axis=1)
    lowest = np.where(known, 0.0, np.maximum(0.0, value - outside[buyer]))
    ks, worlds = np.arange(size), np.flatnonzero(e.ravel() & (v.ravel() > 0))
    i, k = worlds // m, worlds % m
    one = np.ones(size)
    mine_row, mine = np.nonzero(buyer[None] == i[:, None])
    hers_row, hers = np.nonzero(seller[None] == k[:, None])
    # Rows: buyers, sellers, q <= v x, q >= lowest x, the world's conditions. Columns: x, then q.
    first = n + m + 2 * size
    rows = np.concatenate(
        [buyer, n + seller, *[n + m + ks] * 2, *[n + m + size + ks] * 2, *[first + mine_row] * 2, first + hers_row]
    )
    columns = np.concatenate([ks, ks, size + ks, ks, size + ks, ks, mine, size + mine, size + hers])
    entries = np.concatenate(
        [one, one, one, -value, one, -lowest, value[mine], -np.ones(len(mine)), np.ones(len(hers))]
    )
    inf = highspy.kHighsInf
    low = np.concatenate([np.full(n + m + size, -inf), np.zeros(size), v[i, k]])
    high = np.concatenate([np.ones(n + m), np.zeros(size), np.full(size + len(worlds), inf)])
    from scipy.sparse import csr_matrix

    matrix = csr_matrix((entries, (rows, columns)), shape=(len(low), 2 * size))
    matrix.sum_duplicates()
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = 2 * size, len(low)
    lp.sense_ = highspy.ObjSense.kMaximize
    lp.col_cost_ = np.concatenate([np.zeros(size), ~known]).astype(np.float64)
    lp.col_lower_, lp.col_upper_ = np.zeros(2 * size), np.concatenate([one, value])
    lp.row_lower_, lp.row_upper_ = low, high
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = matrix.indptr, matrix.indices, matrix.data
    lp.integrality_ = [highspy.HighsVarType.kInteger] * size + [highspy.HighsVarType.kContinuous] * size
    solver = cast(Any, highspy.Highs)()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("mip_rel_gap", 1e-9)
    # Whole revenues differ by one or not at all.
    solver.setOptionValue("mip_abs_gap", 1.0 - 2 * _SLACK if whole else 1e-9 * max(1.0, float(value.sum())))
    if seconds is not None:
        solver.setOptionValue("time_limit", float(seconds))
    if solver.passModel(lp) == highspy.HighsStatus.kError:
        raise RuntimeError("optimal_introductions: HiGHS refused the program")
    point = highspy.HighsSolution()
    used = matching[buyer] == seller
    point.col_value = np.concatenate([used, np.where(used, prices[seller], 0.0)]).astype(np.float64)
    solver.setSolution(point)
    solver.run()
    status, info = solver.getModelStatus(), solver.getInfo()
    if status == highspy.HighsModelStatus.kTimeLimit and not np.isfinite(info.mip_dual_bound):
        return None, float(value.sum()), int(info.mip_node_count)
    if status not in (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kTimeLimit):
        raise RuntimeError(f"optimal_introductions: HiGHS stopped with {solver.modelStatusToString(status)}")
    solution = np.asarray(solver.getSolution().col_value)
    found = None
    if len(solution) == 2 * size and info.objective_function_value > revenue:
        found = np.zeros(n * m, bool)
        found[pair[(solution[:size] > 0.5) & ~known]] = True
        found = found.reshape(n, m)
    return found, float(info.mip_dual_bound), int(info.mip_node_count)
