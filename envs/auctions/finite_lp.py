"""Revenue-optimal mechanisms for finitely many types as linear programs: dominant strategies, and Bayesian.

With finite types the best truthful mechanism is a linear program over the outcomes of all type profiles. For two
bidders with two-point values these are the auctions of Yao (2017, Dominant-strategy versus Bayesian multi-item
auctions: maximum revenue determination and comparison), whose optimum GemNet reproduces (arXiv 2406.07428). Solved by
HiGHS; numbers are exact to about 1e-9 of the largest value.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from walras.envs.auctions.mechanism import DEMANDS, Array
from walras.envs.auctions.piecewise import Discrete, TwoPoint
from walras.envs.auctions.priors import Prior


class Types(NamedTuple):
    """Finite types of independent bidders.

    Attributes:
        values: for each bidder (A_i, m); the last item's value runs fastest.
        chances: for each bidder (A_i,) probabilities.
    """

    values: tuple[Array, ...]
    chances: tuple[Array, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """Number A_i of types of each bidder."""
        return tuple(len(own) for own in self.values)

    def keys(self, bidder: int) -> Array:
        """(P,) row-major number of the others' types in each of the P profiles, the last bidder running fastest."""
        places = np.indices(self.counts).reshape(len(self.counts), -1)
        key = np.zeros(places.shape[1], np.int64)
        for i, count in enumerate(self.counts):
            if i != bidder:
                key = key * count + places[i]
        return key

    def profiles(self) -> Array:
        """(P, n) type numbers of all profiles, in that order."""
        return np.indices(self.counts).reshape(len(self.counts), -1).T

    def masses(self) -> Array:
        """(P,) probabilities of the profiles."""
        mass = np.ones(())
        for own in self.chances:
            mass = np.multiply.outer(mass, own)
        return mass.ravel()


class FiniteOptimum(NamedTuple):
    """An optimal mechanism on finite types.

    Attributes:
        revenue: expected, the optimum of the program.
        allocation: (P, n, m) by type profile.
        payment: (P, n); of a Bayesian optimum what the type pays, whatever the others are.
    """

    revenue: float
    allocation: Array
    payment: Array


def finite_types(prior: Prior) -> Types:
    """The types of a prior whose laws all have atoms.

    Raises:
        ValueError: the values are not independent, or a law has no atoms.
    """
    laws = prior.marginals
    if laws is None:
        raise ValueError(f"prior: must have independent values, got {prior!r}")
    values, chances = [], []
    for row in laws:
        finite = [law for law in row if isinstance(law, Discrete | TwoPoint)]
        if len(finite) != len(row):
            raise ValueError(f"prior: only laws with atoms have finitely many types, got {row!r}")
        values.append(np.array(list(itertools.product(*(law.atoms for law in finite))), np.float64))
        chances.append(np.array([np.prod(p) for p in itertools.product(*(law.probabilities for law in finite))]))
    return Types(tuple(values), tuple(chances))


def dsic_optimum(
    prior: Prior | Types,
    demand: str = "additive",
    *,
    groups: Sequence[Array] | None = None,
    margin: float = 0.0,
    allocation: Array | None = None,
) -> FiniteOptimum:
    """The most that any mechanism with dominant strategies and ex-post participation earns on these types.

    Args:
        prior: with atoms, or its `Types`.
        demand: "additive" or "unit".
        groups: for each bidder (T_i, A_i) whole numbers: which own types take the same option of the menu that
            belongs to the others' types T_i (row-major); group 0 is given nothing. Default: every type has an option
            of its own.
        margin: advantage, in units of value, of a type's own option over every other one. Above 0 only with groups.
        allocation: (P, n, m), equal within each group: kept as it is, only payments are chosen.

    Raises:
        ValueError: an argument is malformed, or no mechanism has these groups with this margin.
        RuntimeError: the solver fails.
    """
    types = _types(prior, demand)
    n, m = len(types.values), types.values[0].shape[1]
    if groups is None:
        if margin:
            raise ValueError("margin: needs groups, since two types may well be given the same")
        blocks = [np.tile(np.arange(1, a + 1), (len(types.masses()) // a, 1)) for a in types.counts]
    else:
        blocks = [np.asarray(own, np.int64) for own in groups]
        for i, (own, a) in enumerate(zip(blocks, types.counts, strict=True)):
            if own.shape != (len(types.masses()) // a, a) or own.min() < 0:
                raise ValueError(f"groups[{i}]: must be nonnegative, of shape {(len(types.masses()) // a, a)}")
    # One block of m probabilities and a price for each option that some type takes; block -1 is the null option.
    place, size = [], 0
    for own in blocks:
        number = np.full(own.shape, -1)
        for t, row in enumerate(own):
            for group in np.unique(row[row > 0]):
                number[t, row == group] = size
                size += 1
        place.append(number)
    program = _Program(size * (m + 1))
    offsets = np.arange(m)
    for i, number in enumerate(place):
        for t in range(len(number)):
            taken = np.unique(np.append(number[t], -1))
            for own_type, block in enumerate(number[t].tolist()):
                value = types.values[i][own_type]
                for other in taken.tolist():
                    if other == block:
                        continue
                    columns, entries = [], []
                    for b, sign in ((block, 1.0), (other, -1.0)):
                        if b >= 0:
                            columns += [*(b * (m + 1) + offsets).tolist(), b * (m + 1) + m]
                            entries += [*(sign * value).tolist(), -sign]
                    program.add(columns, entries, margin)
        if demand == "unit":
            for b in np.unique(number[number >= 0]).tolist():
                program.add((b * (m + 1) + offsets).tolist(), [-1.0] * m, -1.0)
    profiles, masses = types.profiles(), types.masses()
    chosen = np.stack([place[i][types.keys(i), profiles[:, i]] for i in range(n)], axis=1)
    for row in np.unique(chosen, axis=0).tolist():
        sold = [b for b in row if b >= 0]
        if len(sold) > 1:
            for j in range(m):
                program.add([b * (m + 1) + j for b in sold], [-1.0] * len(sold), -1.0)
    cost = np.zeros(size * (m + 1))
    for i in range(n):
        for b, mass in zip(chosen[:, i].tolist(), masses.tolist(), strict=True):
            if b >= 0:
                cost[b * (m + 1) + m] += mass
    bounds = np.tile(np.array([[0.0, 1.0]] * m + [[-np.inf, np.inf]]), (size, 1))
    if allocation is not None:
        taken = chosen >= 0
        for j in range(m):
            bounds[chosen[taken] * (m + 1) + j] = np.asarray(allocation)[taken][:, j, None]
    solution = program.maximise(cost, bounds)
    if solution is None:
        raise ValueError("groups, margin: no mechanism has these groups with this margin")
    table = np.concatenate((solution.reshape(size, m + 1), np.zeros((1, m + 1))))[chosen]
    return FiniteOptimum(float(masses @ table[..., m].sum(axis=1)), table[..., :m], table[..., m])


def bic_optimum(prior: Prior | Types, demand: str = "additive") -> FiniteOptimum:
    """The most that any mechanism earns whose truthful reports are a Bayesian equilibrium with interim participation.

    Raises:
        ValueError: an argument is malformed.
        RuntimeError: the solver fails.
    """
    types = _types(prior, demand)
    n, m = len(types.values), types.values[0].shape[1]
    profiles, masses = types.profiles(), types.masses()
    count = len(masses)
    program = _Program(count * n * m + sum(types.counts))
    first = count * n * m + np.concatenate(([0], np.cumsum(types.counts)))[:n]
    for i in range(n):
        weight = masses / types.chances[i][profiles[:, i]]  # of the others' types
        columns = [
            (np.flatnonzero(profiles[:, i] == t)[:, None] * n * m + i * m + np.arange(m))
            for t in range(types.counts[i])
        ]
        shares = [weight[profiles[:, i] == t][:, None] for t in range(types.counts[i])]
        for t, value in enumerate(types.values[i]):
            own = (shares[t] * value).ravel().tolist()
            program.add([*columns[t].ravel().tolist(), int(first[i]) + t], [*own, -1.0], 0.0)
            for other in range(types.counts[i]):
                if other != t:
                    program.add(
                        [*columns[t].ravel().tolist(), int(first[i]) + t, *columns[other].ravel().tolist(),
                         int(first[i]) + other],
                        [*own, -1.0, *(-shares[other] * value).ravel().tolist(), 1.0], 0.0,
                    )  # fmt: skip
    for a in range(count):
        for j in range(m):
            program.add([(a * n + i) * m + j for i in range(n)], [-1.0] * n, -1.0)
        if demand == "unit":
            for i in range(n):
                program.add([(a * n + i) * m + j for j in range(m)], [-1.0] * m, -1.0)
    cost = np.concatenate((np.zeros(count * n * m), *types.chances))
    bounds = np.array([[0.0, 1.0]] * (count * n * m) + [[-np.inf, np.inf]] * sum(types.counts))
    solution = program.maximise(cost, bounds)
    if solution is None:
        raise RuntimeError("bic_optimum: the solver found no mechanism, though selling nothing is one")
    paid = np.stack([solution[first[i] + profiles[:, i]] for i in range(n)], axis=1)
    return FiniteOptimum(float(masses @ paid.sum(axis=1)), solution[: count * n * m].reshape(count, n, m), paid)


class _Program:
    """Rows `entries . x >= bound`, gathered one by one."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.rows: list[int] = []
        self.columns: list[int] = []
        self.entries: list[float] = []
        self.bounds: list[float] = []

    def add(self, columns: list[int], entries: list[float], bound: float) -> None:
        self.rows += [len(self.bounds)] * len(columns)
        self.columns += columns
        self.entries += entries
        self.bounds.append(bound)

    def maximise(self, cost: Array, bounds: Array) -> Array | None:
        """The best point, or None when there is none."""
        from scipy.optimize import linprog
        from scipy.sparse import csr_matrix

        matrix = csr_matrix((self.entries, (self.rows, self.columns)), shape=(len(self.bounds), self.size))
        solved = linprog(
            -cost, -matrix, -np.array(self.bounds), bounds=bounds, method="highs-ds",
            options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
        )  # fmt: skip
        if solved.status == 2:
            return None
        if solved.status != 0:
            raise RuntimeError(f"finite_lp: HiGHS stopped with {solved.message}")
        return np.asarray(solved.x, np.float64)


def _types(prior: Prior | Types, demand: str) -> Types:
    if demand not in DEMANDS:
        raise ValueError(f"demand: must be one of {DEMANDS}, got {demand!r}")
    return prior if isinstance(prior, Types) else finite_types(prior)
