"""Menus for finitely many types: learned by gradient, then made exact by a linear program, then a table.

A menu for every tuple of the others' types, its options and prices free parameters, trained by the loss of GemNet
(arXiv 2406.07428: soft revenue, penalty on items promised more than once) with expectations summed over all type
profiles, many restarts at once. What is learned is which types take the same option of which menu. Those choices are
kept in a program that maximises expected revenue over all allocations and prices under which every type prefers its
own option by a margin, so that ties never matter (`walras.envs.auctions.finite_lp`). Choices can then be improved
menu by menu, each time by that program. The mechanism is a `CellMenus` table on the types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from walras.algorithms.auctions.cell_transform import promised
from walras.envs.auctions.cell_menus import CellMenus, type_cuts
from walras.envs.auctions.finite_lp import FiniteOptimum, Types, dsic_optimum, finite_types
from walras.envs.auctions.mechanism import Array
from walras.envs.auctions.priors import Prior
from walras.envs.auctions.tables import dyadic

if TYPE_CHECKING:
    import torch

BITS = 30
"""Numbers of the tables are multiples of 2^-30."""

_EXHAUSTED = 5  # types up to which a menu's choices are improved over all partitions (203 for 5 types)


class Choices(NamedTuple):
    """Which types take the same option, and the best mechanism with these choices.

    Attributes:
        groups: for each bidder (T_i, A_i), see `dsic_optimum`.
        optimum: of the program that keeps them; `None`: no mechanism has them.
    """

    groups: tuple[Array, ...]
    optimum: FiniteOptimum | None

    @property
    def revenue(self) -> float:
        """Expected revenue; minus infinity without a mechanism."""
        return -np.inf if self.optimum is None else self.optimum.revenue


def margin_for(types: Types, bits: int = BITS) -> float:
    """Advantage of each type's own option that survives the rounding of all numbers to 2^-bits."""
    largest = max(float(own.max(axis=0).sum()) for own in types.values)
    return float(2.0 ** (2 - bits) * (1.0 + largest))


def settle(
    types: Types, groups: Sequence[Array], demand: str = "additive", *, above: float = -np.inf, bits: int = BITS
) -> Choices:
    """The best mechanism in which types choose by `groups`, each by the margin that `tabulate` needs.

    Options that the program tells apart by less than 1e-5 are joined, so that probabilities come out as plain numbers;
    choices that only such small differences hold apart have no mechanism. What earns no more than `above` is returned
    as the program leaves it.
    """
    kept = tuple(np.array(own, np.int64) for own in groups)
    try:
        found = Choices(kept, dsic_optimum(types, demand, groups=kept, margin=margin_for(types, bits)))
        return found if found.revenue <= above else _plain(types, found, demand, bits)
    except ValueError:  # no mechanism has these groups
        return Choices(kept, None)


def improve(
    types: Types, choices: Choices, demand: str = "additive", *, bound: float = np.inf, bits: int = BITS
) -> Choices:
    """Change the choices of one menu at a time as long as expected revenue grows.

    All partitions of the own types are tried for each menu, or, beyond five types, all moves of a single type.

    Args:
        types: of the bidders.
        choices: to start from.
        demand: "additive" or "unit".
        bound: revenue that no mechanism exceeds; within 1e-6 of it there is nothing to improve.
        bits: see `settle`.
    """
    best = choices
    while best.revenue < bound - 1e-6:
        before = best.revenue
        for i, own in enumerate(choices.groups):
            for t in range(len(own)):
                for row in _alternatives(best.groups[i][t]):
                    groups = [g.copy() for g in best.groups]
                    groups[i][t] = row
                    tried = settle(types, groups, demand, above=best.revenue + 1e-7, bits=bits)
                    if tried.revenue > best.revenue + 1e-7:
                        best = tried
                        if best.revenue >= bound - 1e-6:
                            return best
        if best.revenue <= before + 1e-7:
            break
    return best


def _alternatives(row: Array) -> Iterator[tuple[int, ...]]:
    count = len(row)
    if count <= _EXHAUSTED:
        yield from _partitions(count)
        return
    present = sorted({0, *row.tolist()})
    for a in range(count):
        for group in (*present, present[-1] + 1):
            if group != row[a]:
                yield (*row[:a].tolist(), group, *row[a + 1 :].tolist())


def _partitions(count: int) -> Iterator[tuple[int, ...]]:
    """All ways to put `count` types into numbered groups, group 0 the null option, up to the groups' names."""

    def extend(row: tuple[int, ...], most: int) -> Iterator[tuple[int, ...]]:
        if len(row) == count:
            yield row
            return
        for group in range(most + 2):
            yield from extend((*row, group), max(most, group))

    yield from extend((), 0)


def tabulate(prior: Prior, choices: Choices, demand: str = "additive", *, bits: int = BITS) -> CellMenus:
    """The mechanism of `settle` as a table of multiples of 2^-bits in which every type strictly prefers its option.

    Raises:
        ValueError: there is no mechanism, or the rounded one would promise an item twice (never, with the margin of
            `margin_for`).
    """
    types, (groups, best) = finite_types(prior), choices
    if best is None:
        raise ValueError("choices: no mechanism has these choices")
    m = types.values[0].shape[1]
    profiles = types.profiles()
    most = 1 + max(len(np.unique(row[row > 0])) for own in groups for row in own)
    options, prices = [], []
    for i, own in enumerate(groups):
        share, price = np.zeros((len(own), most, m)), np.zeros((len(own), most))
        keys = types.keys(i)
        for t, row in enumerate(own):
            for k, group in enumerate(np.unique(row[row > 0]), start=1):
                at = int(np.flatnonzero((keys == t) & (row[profiles[:, i]] == group))[0])
                share[t, k] = _down(best.allocation[at, i], bits)
                price[t, k] = dyadic(best.payment[at, i], bits)
        options.append(share)
        prices.append(price)
    cuts = type_cuts([[law.atoms for law in row] for row in prior.marginals or ()])  # type: ignore[attr-defined]
    table = CellMenus(cuts, tuple(options), tuple(prices), True, (), demand, bits)
    if promised(table).max() > 1.0:
        raise ValueError("choices: an item would be promised twice after rounding")
    return table


def _plain(types: Types, choices: Choices, demand: str, bits: int) -> Choices:
    """The mechanism without the solver's tolerance, where its probabilities are multiples of 2^-12 up to 1e-5.

    Raises:
        ValueError: no mechanism has these probabilities with the margin.
    """
    found = choices.optimum
    assert found is not None
    near = dyadic(found.allocation, 12) + 0.0
    if np.any(np.abs(near - found.allocation) > 1e-5):
        return choices
    profiles = types.profiles()
    joined = []
    for i, own in enumerate(choices.groups):
        keys, groups = types.keys(i), np.zeros_like(own)
        for t in range(len(own)):
            at = np.flatnonzero(keys == t)
            rows, place = np.unique(near[at, i], axis=0, return_inverse=True)
            groups[t, profiles[at, i]] = place.ravel() + bool(rows[0].any())
        joined.append(groups)
    best = dsic_optimum(types, demand, groups=joined, margin=margin_for(types, bits), allocation=near)
    return Choices(tuple(joined), best)


def _down(shares: Array, bits: int) -> Array:
    """Probabilities rounded to the nearest multiple of 2^-bits where they are one up to the solver's tolerance."""
    scaled = np.ldexp(np.clip(shares, 0.0, 1.0), bits)
    near = np.round(scaled)
    return np.ldexp(np.where(np.abs(scaled - near) < 0.25, near, np.floor(scaled)), -bits)


class FiniteMenuLearner:
    """Learns a mechanism for a prior with finitely many types.

    Args:
        prior: laws with atoms; at most a few thousand type profiles.
        demand: "additive" or "unit".
        options: options of each menu beside the null option.
        restarts: random starts, trained together; the best choices win.
        steps: gradient steps.
        learning_rate: of Adam, divided by ten for the last fifth.
        temperature: inverse temperature of the soft choice at the start and the end, in units of the largest value.
        penalty: weight of items promised more than once, at the start and the end.
        search: from how many of the best choices, at most, the search menu by menu starts; it ends when the optimum of
            the linear program over all mechanisms is met. 0: no search.

    Attributes:
        learned_: the trained menus (`CellMenus`, prices as learned), before anything is done to them.
        soft_: (restarts,) soft revenue of each start.
        conflict_: (restarts,) expected amount promised more than once, in the soft choice.
        choices_: the choices that the learned menus lead to, with the best mechanism that has them.
        improved_: after the search (`choices_` itself without).
        mechanism_: the table of `improved_`.
    """

    def __init__(
        self,
        prior: Prior,
        demand: str = "additive",
        *,
        options: int = 4,
        restarts: int = 32,
        steps: int = 1500,
        learning_rate: float = 0.02,
        temperature: tuple[float, float] = (40.0, 400.0),
        penalty: tuple[float, float] = (1.0, 1.5),
        search: int = 6,
        seed: int = 0,
    ) -> None:
        self.prior, self.demand, self.options, self.restarts, self.steps = prior, demand, options, restarts, steps
        self.learning_rate, self.temperature, self.penalty = learning_rate, temperature, penalty
        self.search, self.seed = search, seed

    def fit(self, progress: Callable[[float, str], None] | None = None) -> FiniteMenuLearner:
        """Train, keep the best choices, make them exact.

        Raises:
            ValueError: the prior has a law without atoms.
        """
        types = finite_types(self.prior)
        shares, prices, self.soft_, self.conflict_ = self._train(types, progress or (lambda fraction, text: None))
        seen: dict[bytes, tuple[Choices, int]] = {}
        for r in range(self.restarts):
            groups = [_grouped(types.values[i], shares[i][r], prices[i][r]) for i in range(len(types.values))]
            name = b"".join(own.tobytes() for own in groups)
            if name not in seen:
                seen[name] = (settle(types, groups, self.demand), r)
        ranked = sorted(seen.values(), key=lambda pair: -pair[0].revenue)
        self.choices_, best = ranked[0]
        if self.choices_.optimum is None:  # selling nothing always is a mechanism
            self.choices_ = settle(types, [np.zeros_like(own) for own in self.choices_.groups], self.demand)
            ranked[0] = (self.choices_, best)
        self.learned_ = self._table([own[best] for own in shares], [own[best] for own in prices])
        self.improved_, bound = self.choices_, dsic_optimum(types, self.demand).revenue
        for start, _ in ranked[: self.search]:
            if self.improved_.revenue < bound - 1e-6 and start.optimum is not None:
                tried = improve(types, start, self.demand, bound=bound)
                self.improved_ = max(self.improved_, tried, key=lambda choices: choices.revenue)
        self.mechanism_ = tabulate(self.prior, self.improved_, self.demand)
        return self

    def _table(self, shares: Sequence[Array], prices: Sequence[Array]) -> CellMenus:
        cuts = type_cuts([[law.atoms for law in row] for row in self.prior.marginals or ()])  # type: ignore[attr-defined]
        options = [np.concatenate((np.zeros_like(own[:, :1]), own), axis=1) for own in shares]
        paid = [np.concatenate((np.zeros_like(own[:, :1]), own), axis=1) for own in prices]
        kept = tuple(np.floor(np.ldexp(own, BITS)) * 2.0**-BITS for own in options)
        return CellMenus(cuts, kept, tuple(dyadic(own, BITS) for own in paid), True, (), self.demand, BITS)

    def _train(self, types: Types, progress: Callable[[float, str], None]) -> tuple[Any, Any, Array, Array]:
        """Options [(R, T_i, K, m)] and prices [(R, T_i, K)], soft revenue (R,), conflict (R,)."""
        import torch

        n, m = len(types.values), types.values[0].shape[1]
        scale = max(float(own.max()) for own in types.values)
        generator = torch.Generator().manual_seed(self.seed)
        profiles, mass = types.profiles(), torch.tensor(types.masses())
        values = [torch.tensor(types.values[i][profiles[:, i]] / scale) for i in range(n)]
        keys = [torch.tensor(types.keys(i)) for i in range(n)]
        menus = [len(types.masses()) // a for a in types.counts]
        width = m + (self.demand == "unit")
        logits = [
            torch.randn(self.restarts, t, self.options, width, generator=generator, dtype=torch.float64) for t in menus
        ]
        rates = [torch.rand(self.restarts, t, self.options, generator=generator, dtype=torch.float64) for t in menus]
        optimiser = torch.optim.Adam([p.requires_grad_() for p in (*logits, *rates)], lr=self.learning_rate)

        def menu(i: int) -> tuple[torch.Tensor, torch.Tensor]:
            raw = 2.0 * logits[i]
            share = torch.softmax(raw, dim=-1)[..., :m] if self.demand == "unit" else torch.sigmoid(raw)
            return share, rates[i] * share.sum(dim=-1)

        def soft(temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
            revenue, given = torch.zeros(self.restarts, dtype=torch.float64), []
            for i in range(n):
                share, price = menu(i)
                share, price = share[:, keys[i]], price[:, keys[i]]
                utility = (share * values[i][:, None]).sum(dim=-1) - price
                utility = torch.cat((torch.zeros_like(utility[..., :1]), utility), dim=-1)
                chance = torch.softmax(temperature * utility, dim=-1)[..., 1:]
                revenue = revenue + (chance * price).sum(dim=-1) @ mass
                given.append((chance[..., None] * share).sum(dim=2))
            return revenue, torch.relu(torch.stack(given).sum(dim=0) - 1.0).sum(dim=-1) @ mass

        for step in range(self.steps):
            done = step / self.steps
            start, end = self.temperature
            weight = self.penalty[0] + done * (self.penalty[1] - self.penalty[0])
            for group in optimiser.param_groups:
                group["lr"] = self.learning_rate * (0.1 if done >= 0.8 else 1.0)
            revenue, conflict = soft(start * (end / start) ** done)
            optimiser.zero_grad()
            (weight * conflict - revenue).sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            if step % 100 == 0:
                progress(done, f"revenue {scale * float(revenue.detach().max()):.4f}")
        with torch.no_grad():
            revenue, conflict = soft(self.temperature[1])
            made = [menu(i) for i in range(n)]
        shares = [share.numpy() for share, _ in made]
        return shares, [scale * price.numpy() for _, price in made], scale * revenue.numpy(), conflict.numpy()


def _grouped(values: Array, shares: Array, prices: Array) -> Array:
    """Groups (T, A) by what types `values` (A, m) choose from options (T, K, m): equal to the nearest half is equal."""
    utility = np.einsum("aj,tkj->tak", values, shares) - prices[:, None]
    choice = np.concatenate((np.zeros_like(utility[..., :1]), utility), axis=-1).argmax(axis=-1)
    rough = np.concatenate((np.zeros_like(shares[:, :1]), np.round(2.0 * shares) / 2.0), axis=1)
    groups = np.zeros(choice.shape, np.int64)
    for t, row in enumerate(choice):
        taken, place = np.unique(rough[t][row], axis=0, return_inverse=True)
        groups[t] = place.ravel() + bool(taken[0].any())
    return groups
