"""An upper bound on the revenue of every mechanism for one bidder with uniform values, by a linear program.

A mechanism is a convex function u (the bidder's utility) with gradient x, the allocation. Integrating <x, v> - u by
parts (Daskalakis, Deckelbaum and Tzamos 2017) leaves u alone: on the box, with density f,

    revenue = f (sum over faces of the integral of u <v, n> - (m + 1) integral of u).

Where u counts positively it is at most the mean over the corners of a cell, where it counts negatively at least its
value at the centre (u is convex): so finitely many values of u bound the revenue, with an error of the order of the
cells' size squared. That those values belong to a convex u with gradients in the allowed set are linear inequalities,
one for each pair of points. Leaving some out keeps the bound a bound; they are added where they are violated.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple, cast

import numpy as np

from walras.envs.arguments import whole
from walras.envs.auctions.laws import Uniform
from walras.envs.auctions.mechanism import DEMANDS
from walras.envs.auctions.priors import Prior, Triangle
from walras.envs.game import Array

_ADDED = 3  # inequalities added a round for each point, the most violated first
_ROUNDS = 60


class MenuBound(NamedTuple):
    """What `menu_bound` found.

    Attributes:
        bound: no mechanism earns more, up to the solver's tolerance of 1e-9.
        points: places at which u is a variable.
        rows: inequalities in the last program.
        violation: largest violation left among those that are not; the bound holds whatever it is.
    """

    bound: float
    points: int
    rows: int
    violation: float


def menu_bound(prior: Prior, demand: str = "additive", *, cells: int = 24) -> MenuBound:
    """Bound the revenue of all truthful, individually rational mechanisms for one bidder, lotteries included.

    Args:
        prior: independent uniform values, or `Triangle`, for one bidder.
        demand: `"additive"` or `"unit"`.
        cells: into how many cells each axis is cut; the gap falls with the square.

    Raises:
        ValueError: if the prior is another one, or `demand` is unknown.
        RuntimeError: if the solver fails.
    """
    cells = whole("cells", cells)
    if demand not in DEMANDS:
        raise ValueError(f"demand: must be one of {DEMANDS}, got {demand!r}")
    if prior.bidders != 1:
        raise ValueError(f"prior: one bidder is needed, got {prior.bidders}")
    if isinstance(prior, Triangle):
        weights, spacing = _triangle(cells), np.full(2, 1.0 / cells)
    else:
        laws = None if prior.marginals is None else prior.marginals[0]
        if laws is None or not all(isinstance(law, Uniform) for law in laws):
            raise ValueError(f"prior: the bound is for uniform values, got {prior!r}")
        weights, spacing = _box(prior.low[0], prior.high[0], cells), (prior.high[0] - prior.low[0]) / cells
    points = np.array(list(weights), np.float64)
    return _solve(points, np.array(list(weights.values())), demand, spacing)


def _box(low: Array, high: Array, cells: int) -> dict[tuple[float, ...], float]:
    """Weights of u at points of a box."""
    m = len(low)
    nodes = [np.linspace(a, b, cells + 1) for a, b in zip(low, high, strict=True)]
    centres = [0.5 * (node[1:] + node[:-1]) for node in nodes]
    found: dict[tuple[float, ...], float] = {}

    def add(axes: list[Array], shares: list[Array], total: float) -> None:
        for at in itertools.product(*(range(len(axis)) for axis in axes)):
            place = tuple(float(axis[k]) for axis, k in zip(axes, at, strict=True))
            found[place] = found.get(place, 0.0) + total * math.prod(
                share[k] for share, k in zip(shares, at, strict=True)
            )

    even = np.full(cells, 1.0 / cells)
    trapezoid = np.full(cells + 1, 1.0 / cells)
    trapezoid[[0, -1]] *= 0.5
    add(centres, [even] * m, -(m + 1.0))
    for j in range(m):
        width, one = float(high[j] - low[j]), np.ones(1)
        upper = [high[j : j + 1] if k == j else nodes[k] for k in range(m)]
        add(upper, [one if k == j else trapezoid for k in range(m)], float(high[j]) / width)
        if low[j] > 0:
            lower = [low[j : j + 1] if k == j else centres[k] for k in range(m)]
            add(lower, [one if k == j else even for k in range(m)], -float(low[j]) / width)
    return found


def _triangle(cells: int) -> dict[tuple[float, ...], float]:
    """Weights of u at points of the unit triangle, cut into `cells`^2 alike."""
    found: dict[tuple[float, ...], float] = {}
    for i, j in itertools.product(range(cells), repeat=2):
        for third in (1.0, 2.0):  # the centroids of the two halves of a square
            x, y = (i + third / 3.0) / cells, (j + third / 3.0) / cells
            if i + j + third <= cells:
                found[x, y] = -3.0 / cells**2
    for k in range(cells + 1):
        found[k / cells, 1.0 - k / cells] = (1.0 if k in (0, cells) else 2.0) / cells
    return found


def _solve(points: Array, weights: Array, demand: str, spacing: Array) -> MenuBound:
    import highspy

    count, m = points.shape
    span = float((points.max(axis=0) - points.min(axis=0)).max())
    inf = highspy.kHighsInf
    solver = cast(Any, highspy.Highs)()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = count * (1 + m), 0
    lp.sense_ = highspy.ObjSense.kMaximize
    lp.col_cost_ = np.concatenate([weights, np.zeros(count * m)])
    lp.col_lower_ = np.zeros(count * (1 + m))
    lp.col_upper_ = np.concatenate([np.full(count, inf), np.ones(count * m)])
    lp.a_matrix_.start_, lp.row_lower_, lp.row_upper_ = np.zeros(count * (1 + m) + 1, np.int32), [], []
    if solver.passModel(lp) == highspy.HighsStatus.kError:
        raise RuntimeError("menu_bound: HiGHS refused the program")

    def add(x: Array, y: Array) -> None:
        """u(y) - u(x) - <a(x), y - x> >= 0."""
        columns = np.column_stack([y, x, *(count + x * m + j for j in range(m))]).astype(np.int32)
        entries = np.column_stack([np.ones(len(x)), -np.ones(len(x)), points[x] - points[y]])
        starts = np.arange(0, columns.size, m + 2, dtype=np.int32)
        solver.addRows(
            len(x), np.zeros(len(x)), np.full(len(x), inf), columns.size, starts, columns.ravel(), entries.ravel()
        )

    if demand == "unit" and m > 1:
        columns = (count + np.arange(count * m)).astype(np.int32)
        starts = np.arange(0, count * m, m, dtype=np.int32)
        solver.addRows(count, np.full(count, -inf), np.ones(count), count * m, starts, columns, np.ones(count * m))
    apart = (np.abs(points[:, None] - points[None]) / spacing).max(axis=-1)
    known = (apart < 1.01) & ~np.eye(count, dtype=bool)
    add(*np.nonzero(known))
    worst = math.inf
    for _ in range(_ROUNDS):
        solver.run()
        if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            raise RuntimeError(f"menu_bound: HiGHS stopped with {solver.modelStatusToString(solver.getModelStatus())}")
        solution = np.asarray(solver.getSolution().col_value)
        u, a = solution[:count], solution[count:].reshape(count, m)
        # Violation of the pair (x, y): how far the plane at x lies above u at y.
        above = (u - (a * points).sum(axis=1))[:, None] + a @ points.T - u[None]
        above[known] = 0.0
        worst = float(above.max())
        if worst <= 1e-7 * span:
            break
        x = np.repeat(np.arange(count), _ADDED)
        y = np.argpartition(-above, _ADDED, axis=1)[:, :_ADDED].ravel()
        bad = above[x, y] > 1e-8 * span
        known[x[bad], y[bad]] = True
        add(x[bad], y[bad])
    value = float(solver.getInfo().objective_function_value)
    return MenuBound(value, count, int(solver.getNumRow()), max(worst, 0.0))
