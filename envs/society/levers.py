"""Levers: what a policy may set, on any game. Each is written once, batched, and knows nothing of the others.

Shapes: `B` lanes, `n` citizens (the agents of the game whom the policy is for), `k` numbers that a lever takes from
the policy. A lever acts at one of four places of a step, and leaves the others alone:

- `rules`: the game is played by rules that hold the lever's numbers, lane by lane (a reserve price);
- `act`: actions are changed before the game sees them (a cap on a fee);
- `see`: observations are changed before players see them (disclosure);
- `pay`: money changes hands after the step (taxes, fees, subsidies).
"""

from __future__ import annotations

import abc
import copy
import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from walras.envs.arguments import real, switch, whole
from walras.envs.auctions.mechanism import Outcome
from walras.envs.auctions.rules import SealedBidAuction
from walras.envs.auctions.sales import FirstPrice, SecondPrice, first_price, second_price
from walras.envs.game import Array, Game
from walras.envs.society.taxes import bracket_of, bracket_tax, lump_sum


class Flow(NamedTuple):
    """What one step of the game brought, before the policy's money.

    Attributes:
        amount: (B, n, ...) what the lever's `base` says: rewards, or a fact of the game.
        step: (B,) steps of the round, this one included.
        last: (B,) bool, whether it was the round's last.
        round: (B,) rounds finished before.
    """

    amount: Array
    step: Array
    last: Array
    round: Array


class Paid(NamedTuple):
    """What a lever made of it.

    Attributes:
        net: (B, n) what every citizen pays (negative: receives).
        revenue: (B,) what the treasury keeps (negative: spends).
        memory: (B, m) what the lever remembers.
    """

    net: Array
    revenue: Array
    memory: Array


class Lever(abc.ABC):
    """One thing that a policy sets. Subclasses are frozen dataclasses of numbers and names."""

    base: str = "reward"
    """What `pay` is due on: `"reward"`, or the name of a fact in the game's `info`."""

    @abc.abstractmethod
    def bounds(self) -> tuple[Array, Array]:
        """Least and largest numbers, (k,) each."""

    @abc.abstractmethod
    def labels(self) -> tuple[str, ...]:
        """A word for each number."""

    def fits(self, game: Game[Any], citizens: Sequence[str]) -> None:  # noqa: B027 - most levers fit every game
        """Check that the lever can be pulled in this game.

        Raises:
            ValueError: naming what does not fit.
        """

    def cells(self, people: int) -> int:
        """Numbers that the lever remembers, m."""
        return 0

    def draws(self, people: int) -> int:
        """Uniforms that it draws a step, kept in its first cells."""
        return 0

    def rules(self, game: Game[Any], policy: Array) -> Game[Any]:
        """The game by whose rules the coming step is played, at `policy` (B, k)."""
        return game

    def act(self, game: Game[Any], actions: dict[str, Array], policy: Array) -> dict[str, Array]:
        """The actions that the game sees."""
        return actions

    def see(self, game: Game[Any], role: str, seen: Array, policy: Array, memory: Array) -> Array:
        """What the agents of `role` see, given an array `seen` (B, c, ...)."""
        return seen

    def pay(self, flow: Flow, policy: Array, memory: Array) -> Paid | None:
        """Who pays what; `None`: no money moves."""
        return None


@dataclass(frozen=True)
class PeriodTax(Lever):
    """A bracket tax on the income of each period, due on the period's last step (section 3.3 of the SED code).

    Rates lie in [0, 1]; the round's last step ends a period too. `annealing` rounds long the tax is phased in from a
    tenth, `f = 0.1 + 0.9 min(round / annealing, 1)`.

    Attributes:
        edges: incomes that separate the brackets, positive and ascending.
        period: steps, >= 1.
        redistribute: give the proceeds back in equal parts; else the treasury keeps them.
        base: what counts as income.
        annealing: rounds, >= 0.
        factor: > 0; rates count so many times, so that one above `1 / factor` takes more than was earned (as the
            follow-up's step tax has it; the SED code has 1).
    """

    edges: tuple[float, ...] = (10.0, 20.0)
    period: int = 50
    redistribute: bool = True
    base: str = "reward"
    annealing: int = 0
    factor: float = 1.0

    def __post_init__(self) -> None:
        """Check the numbers (ValueError otherwise)."""
        object.__setattr__(self, "edges", _edges(self.edges))
        whole("period", self.period)
        whole("annealing", self.annealing, 0)
        switch("redistribute", self.redistribute)
        real("factor", self.factor, 0.0, above=True)

    def bounds(self) -> tuple[Array, Array]:
        """Rates in [0, 1], one a bracket."""
        return np.zeros(len(self.edges) + 1), np.ones(len(self.edges) + 1)

    def labels(self) -> tuple[str, ...]:
        """One a bracket."""
        lows = (0.0, *self.edges)
        return ("rate",) if not self.edges else tuple(f"rate from {low:g}" for low in lows)

    def cells(self, people: int) -> int:
        """Income of the period so far."""
        return people

    def pay(self, flow: Flow, policy: Array, memory: Array) -> Paid:
        """Nothing until the period ends."""
        income = memory + flow.amount
        due = (flow.step % self.period == 0) | flow.last
        if not due.any():
            return Paid(np.zeros_like(income), np.zeros(len(income)), income)
        strength = np.minimum(0.1 + 0.9 * flow.round / self.annealing, 1.0) if self.annealing else 1.0
        tax = bracket_tax(income, policy, np.array(self.edges)) * np.expand_dims(self.factor * strength * due, 1)
        if self.redistribute:
            return Paid(lump_sum(tax), np.zeros(len(tax)), np.where(due[:, None], 0.0, income))
        return Paid(tax, tax.sum(axis=1), np.where(due[:, None], 0.0, income))


@dataclass(frozen=True)
class StepTax(Lever):
    """A tax on each step's income, whose bracket is that of the last steps' sum (arXiv 2410.08345, its code).

    `tax_i = factor * rate(bracket of the sum of the last `window` steps and this one) * income_i`, given back in equal
    parts at once.

    Attributes:
        edges: sums that separate the brackets.
        window: earlier steps that count, >= 0.
        factor: > 0; the authors take 4, so rates above a quarter take more than was earned.
        base: what counts as income.
    """

    edges: tuple[float, ...] = (3.0, 5.0)
    window: int = 10
    factor: float = 4.0
    base: str = "reward"

    def __post_init__(self) -> None:
        """Check the numbers (ValueError otherwise)."""
        object.__setattr__(self, "edges", _edges(self.edges))
        whole("window", self.window, 0)
        real("factor", self.factor, 0.0, above=True)

    def bounds(self) -> tuple[Array, Array]:
        """Rates in [0, 1], one a bracket."""
        return np.zeros(len(self.edges) + 1), np.ones(len(self.edges) + 1)

    def labels(self) -> tuple[str, ...]:
        """One a bracket."""
        return tuple(f"rate from {low:g}" for low in (0.0, *self.edges))

    def cells(self, people: int) -> int:
        """Incomes of the last steps, oldest first."""
        return people * self.window

    def pay(self, flow: Flow, policy: Array, memory: Array) -> Paid:
        """Tax and redistribution of this step."""
        batch, people = flow.amount.shape
        recent = np.concatenate([memory.reshape(batch, self.window, people), flow.amount[:, None]], axis=1)
        bracket = bracket_of(recent.sum(axis=1), np.array(self.edges))
        tax = self.factor * np.take_along_axis(policy, bracket, axis=1) * flow.amount
        return Paid(lump_sum(tax), np.zeros(batch), recent[:, 1:].reshape(batch, -1))


@dataclass(frozen=True)
class Fee(Lever):
    """A share in [0, most] of every positive income, kept by the treasury.

    Attributes:
        base: what counts as income.
        most: largest share, in (0, 1].
    """

    base: str = "reward"
    most: float = 1.0

    def __post_init__(self) -> None:
        """Check the number (ValueError otherwise)."""
        real("most", self.most, 0.0, 1.0, above=True)

    def bounds(self) -> tuple[Array, Array]:
        """One share."""
        return np.zeros(1), np.full(1, float(self.most))

    def labels(self) -> tuple[str, ...]:
        """One word."""
        return ("fee",)

    def pay(self, flow: Flow, policy: Array, memory: Array) -> Paid:
        """The share, at once."""
        fee = policy * np.maximum(flow.amount, 0.0)
        return Paid(fee, fee.sum(axis=1), memory)


@dataclass(frozen=True)
class Subsidy(Lever):
    """Pays so much for each unit of a fact, out of the treasury; a negative price is a charge.

    Attributes:
        base: a fact of the game: one number for each citizen, or `kinds` numbers.
        kinds: entries of the fact, each with its own price.
        least: smallest price.
        most: largest price.
        redistribute: collect the cost from all in equal parts, so that the treasury spends nothing.
    """

    base: str = "reward"
    kinds: int = 1
    least: float = 0.0
    most: float = 1.0
    redistribute: bool = False

    def __post_init__(self) -> None:
        """Check the numbers (ValueError otherwise)."""
        whole("kinds", self.kinds)
        switch("redistribute", self.redistribute)
        real("most", self.most, real("least", self.least), above=True)

    def bounds(self) -> tuple[Array, Array]:
        """One price a kind."""
        return np.full(self.kinds, float(self.least)), np.full(self.kinds, float(self.most))

    def labels(self) -> tuple[str, ...]:
        """One word a kind."""
        return ("subsidy",) if self.kinds == 1 else tuple(f"subsidy {i}" for i in range(self.kinds))

    def pay(self, flow: Flow, policy: Array, memory: Array) -> Paid:
        """The price of what each did in this step."""
        batch, people = flow.amount.shape[:2]
        amount = np.asarray(flow.amount, np.float64).reshape(batch, people, self.kinds)
        due = -(amount * policy[:, None, :]).sum(axis=2)
        if self.redistribute:
            return Paid(lump_sum(due), np.zeros(batch), memory)
        return Paid(due, due.sum(axis=1), memory)


@dataclass(frozen=True)
class Bound(Lever):
    """The policy bounds one number of an action: a cap, or a floor.

    Attributes:
        role: whose action; its space is a Box.
        entry: which number of it.
        side: `"cap"` or `"floor"`.
        low: least bound.
        high: largest bound.
    """

    role: str = "platform"
    entry: int = 0
    side: str = "cap"
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        """Check the side and the numbers (ValueError otherwise)."""
        if self.side not in ("cap", "floor"):
            raise ValueError(f"side must be 'cap' or 'floor', got {self.side!r}")
        whole("entry", self.entry, 0)
        real("high", self.high, real("low", self.low), above=True)

    def bounds(self) -> tuple[Array, Array]:
        """From `low` to `high`."""
        return np.full(1, float(self.low)), np.full(1, float(self.high))

    def labels(self) -> tuple[str, ...]:
        """One word."""
        return (f"{self.role} {self.side}",)

    def fits(self, game: Game[Any], citizens: Sequence[str]) -> None:
        """A role of that name with a Box of enough numbers."""
        known = [role.name for role in game.roles]
        if self.role not in known:
            raise ValueError(f"lever {self.side!r}: role {self.role!r} is not one of {known}")
        space = game.role(self.role).action_space
        if not isinstance(space, spaces.Box) or not 0 <= self.entry < int(np.prod(space.shape)):
            raise ValueError(f"lever {self.side!r}: a Box action with an entry {self.entry} is needed, got {space}")
        if self.low < float(space.low.flat[self.entry]) or self.high > float(space.high.flat[self.entry]):
            raise ValueError(f"lever {self.side!r}: [{self.low}, {self.high}] lies outside the action space {space}")

    def act(self, game: Game[Any], actions: dict[str, Array], policy: Array) -> dict[str, Array]:
        """The action inside the bound."""
        given = actions[self.role]
        flat = given.reshape(*given.shape[:2], -1).copy()
        limit = policy.astype(flat.dtype)
        keep = np.minimum if self.side == "cap" else np.maximum
        flat[..., self.entry] = keep(flat[..., self.entry], limit)
        return {**actions, self.role: flat.reshape(given.shape)}


@dataclass(frozen=True)
class Reserve(Lever):
    """The reserve price of a first- or second-price sale, one for all items.

    Attributes:
        most: largest reserve.
    """

    most: float = 1.0

    def __post_init__(self) -> None:
        """Check the number (ValueError otherwise)."""
        real("most", self.most, 0.0, above=True)

    def bounds(self) -> tuple[Array, Array]:
        """From 0 up."""
        return np.zeros(1), np.full(1, float(self.most))

    def labels(self) -> tuple[str, ...]:
        """One word."""
        return ("reserve",)

    def fits(self, game: Game[Any], citizens: Sequence[str]) -> None:
        """A sealed-bid auction by first or second price."""
        if not isinstance(game, SealedBidAuction) or not isinstance(game.mechanism, FirstPrice | SecondPrice):
            raise ValueError(f"lever 'reserve': a first- or second-price SealedBidAuction is needed, got {game!r}")

    def rules(self, game: Game[Any], policy: Array) -> Game[Any]:
        """The same auction, sold at the reserves of the lanes."""
        changed: Any = copy.copy(game)
        sale = first_price if isinstance(changed.mechanism, FirstPrice) else second_price
        changed.mechanism = _Reserved(sale, np.broadcast_to(policy, (len(policy), changed.items)))
        return changed  # type: ignore[no-any-return]


@dataclass(frozen=True)
class _Reserved:
    """A sale at reserves (B, m) that differ by lane."""

    sale: Any
    reserve: Array

    def outcome(self, bids: Array) -> Outcome:
        """Outcome for bids (B, n, m)."""
        found: Outcome = self.sale(bids, self.reserve)
        return found


@dataclass(frozen=True)
class Disclosure(Lever):
    """How likely each citizen learns a part of its observation, independently, anew each step; else it sees a blank.

    Attributes:
        role: whose observation, an array.
        columns: entries that are disclosed or not; empty: the values of an auction, else all.
        blank: what stands in their place; `None`: the prior mean of an auction's values.
    """

    role: str = "bidder"
    columns: tuple[int, ...] = ()
    blank: float | None = None

    def __post_init__(self) -> None:
        """Check the numbers (ValueError otherwise)."""
        if not isinstance(self.columns, tuple):
            raise ValueError(f"columns must be numbers of entries, got {self.columns!r}")
        for column in self.columns:
            whole("columns", column, 0)
        if self.blank is not None:
            real("blank", self.blank)

    def bounds(self) -> tuple[Array, Array]:
        """A probability."""
        return np.zeros(1), np.ones(1)

    def labels(self) -> tuple[str, ...]:
        """One word."""
        return ("disclosure",)

    def fits(self, game: Game[Any], citizens: Sequence[str]) -> None:
        """A role with an array observation; an auction where columns or blank are left open."""
        known = [role.name for role in game.roles]
        if self.role not in known:
            raise ValueError(f"lever 'disclosure': role {self.role!r} is not one of {known}")
        if not isinstance(game.role(self.role).observation_space, spaces.Box):
            raise ValueError("lever 'disclosure': an array observation is needed")
        if not set(game.role(self.role).agents) <= set(citizens):
            raise ValueError(f"lever 'disclosure': {self.role!r} must be citizens")
        if (self.blank is None or not self.columns) and not isinstance(game, SealedBidAuction):
            raise ValueError("lever 'disclosure': columns and blank are needed outside auctions")

    def cells(self, people: int) -> int:
        """One coin a citizen."""
        return people

    def draws(self, people: int) -> int:
        """One coin a citizen."""
        return people

    def see(self, game: Game[Any], role: str, seen: Array, policy: Array, memory: Array) -> Array:
        """The truth where the coin says so."""
        if role != self.role:
            return seen
        if isinstance(game, SealedBidAuction):
            columns = list(self.columns) or list(range(game.items))
            blank: Any = prior_mean(game)[columns] if self.blank is None else self.blank
        else:
            columns, blank = list(self.columns), self.blank
        told = memory[:, : seen.shape[1]] < policy
        result = np.array(seen, np.float64)
        result[..., columns] = np.where(told[..., None], result[..., columns], blank)
        return result


def prior_mean(game: SealedBidAuction) -> Array:
    """(m,) mean value of each item over bidders; by 65,536 fixed draws where the prior is no product of laws."""
    marginals = game.prior.marginals
    if marginals is not None:
        return np.asarray(np.array([[law.mean for law in row] for row in marginals]).mean(axis=0))
    u = np.random.Generator(np.random.Philox(0)).random((65536, game.prior.draws))
    return np.asarray(game.prior.sample(u).mean(axis=(0, 1)))


LEVERS: dict[str, type[Lever]] = {
    "period-tax": PeriodTax,
    "step-tax": StepTax,
    "fee": Fee,
    "subsidy": Subsidy,
    "bound": Bound,
    "reserve": Reserve,
    "disclosure": Disclosure,
}
"""Levers by the name that scenarios use; `fee-cap` is a `bound` on a platform's fee."""

_SHORT: dict[str, dict[str, Any]] = {
    "fee-cap": {"lever": "bound", "role": "platform", "side": "cap"},
    "flat-tax": {"lever": "period-tax", "edges": (), "period": 1},
}


def as_lever(given: Lever | str | Mapping[str, Any]) -> Lever:
    """A lever from its name, or from `{"lever": name, ...}` with its parameters.

    Raises:
        ValueError: if the name or a parameter is unknown, or a number is out of range.
    """
    if isinstance(given, Lever):
        return given
    if not isinstance(given, str | Mapping):
        raise ValueError(f"lever: a name or a table with the entry 'lever' is needed, got {given!r}")
    settings = {"lever": given} if isinstance(given, str) else dict(given)
    name = settings.pop("lever", None)
    if name in _SHORT:
        settings = {**_SHORT[name], **settings}
        name = settings.pop("lever")
    if name not in LEVERS:
        raise ValueError(f"lever must be one of {sorted([*LEVERS, *_SHORT])}, got {name!r}")
    kind: Any = LEVERS[name]
    known = {field.name for field in dataclasses.fields(kind)}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise ValueError(f"lever {name!r}: unknown parameters {unknown}; known are {sorted(known)}")
    lever: Lever = kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()})
    return lever


def _edges(edges: Sequence[float]) -> tuple[float, ...]:
    if isinstance(edges, str) or not isinstance(edges, Sequence | np.ndarray):
        raise ValueError(f"edges must be positive, finite and ascending numbers, got {edges!r}")
    checked = tuple(real("edges", edge) for edge in edges)
    if any(edge <= 0 for edge in checked) or any(a >= b for a, b in itertools.pairwise(checked)):
        raise ValueError(f"edges must be positive, finite and ascending, got {edges!r}")
    return checked
