"""Sellers decide whether to join a platform that charges a fee: the joining game, once or repeated, fixed or random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from walras.envs.arguments import whole
from walras.envs.classical.stage import Always, Deterministic
from walras.envs.game import Array, Game, Policy, Role, Truth
from walras.envs.platforms.clearing import TOLERANCE, sellers_view
from walras.envs.platforms.joining import Stage, Terms, deviations, fee_argument, ideal_welfare, settle, terms
from walras.envs.platforms.market import LAWS, Market, as_market, draw_markets, known_law
from walras.envs.platforms.profiles import choices, number_of, pure_equilibria

_PAPER = "arXiv 2309.08781"
INFORMATION = ("full", "private")
TABLE = 4096
"""A fixed market with at most so many joint choices is cleared once for all of them."""


class EntryState(NamedTuple):
    """State of the joining game.

    Attributes:
        values: (B, n, m) what each buyer would give for each good.
        known: (B, n, m) bool, who knows whom in the round to come.
        before: (B, n, m) bool, who knew whom in the round last played.
        choice: (B, m) what the sellers chose in the round last played (before the first: 0).
        price: (B, m) prices of that round.
        round: (B,) rounds played.
    """

    values: Array
    known: Array
    before: Array
    choice: Array
    price: Array
    round: Array


class EntryRules(Game[EntryState]):
    """The rules that `SellerEntry` (a fixed market) and `RandomEntry` (a random one) share.

    A subclass says how the market of an episode comes about; who is present when, whether trade makes acquaintances,
    what sellers see and earn is written here.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        high: float,
        offer: Terms,
        *,
        costs: Array | None,
        rounds: int,
        information: str,
        arrivals: Sequence[Sequence[int]] | None,
        acquaint: bool,
    ) -> None:
        """Set spaces and what all rounds share; `shape` is (n, m), `high` the largest value."""
        self.buyers, self.sellers = shape
        self.offer, self.costs, self.rounds = offer, costs, whole("rounds", rounds)
        if information not in INFORMATION:
            raise ValueError(f"information must be one of {INFORMATION}, got {information!r}")
        if not isinstance(acquaint, bool):
            raise ValueError(f"acquaint must be True or False, got {acquaint!r}")
        self.information, self.acquaint = information, acquaint
        self.arrivals = None if arrivals is None else _arrivals(arrivals, shape)
        self.high = max(float(high), float(offer.fees.max()), 1e-9)
        top, n, m, platforms = np.float32(self.high), *shape, offer.platforms
        if costs is not None:
            top = max(top, np.float32(costs.max()))
        top = np.nextafter(top, np.float32(np.inf))
        market, own_costs = (2 * n * m, m) if information == "full" else (2 * n, 1)
        last = m if information == "full" else 1
        bounds = [np.full(market // 2, top), np.ones(market // 2), np.ones(platforms)]
        bounds += [] if costs is None else [np.full(own_costs, top)]
        bounds += [np.full(last, float(platforms)), np.full(last, top), np.ones(m), np.ones(1)]
        width = np.concatenate(bounds).astype(np.float32)
        self.roles = (
            Role(
                "seller", m, spaces.Box(np.zeros_like(width), width, dtype=np.float32), spaces.Discrete(platforms + 1)
            ),
        )

    # -- rules ---------------------------------------------------------------------------------------------------------

    def start(self, values: Array, known: Array) -> EntryState:
        """The state before the first round in these markets, (B, n, m) both."""
        batch, _, m = values.shape
        price = np.zeros((batch, m), values.dtype if self._exact(values) else np.float64)
        return EntryState(values, known, known, np.zeros((batch, m), np.int64), price, np.zeros(batch, np.int64))

    def apply(self, state: EntryState, actions: Mapping[str, Array]) -> tuple[EntryState, Array]:
        """Sellers choose, the market clears, everybody is paid."""
        choice = actions["seller"].astype(np.int64)
        if self.arrivals is not None:
            choice = np.where(self._here(state.round)[1], choice, 0)
        stage = self.stage(state.values, state.known, choice, state.round)
        known = state.known
        if self.acquaint:
            known = known.copy()
            lane, i = np.nonzero(stage.matching >= 0)
            known[lane, i, stage.matching[lane, i]] = True
        price = stage.price.astype(state.price.dtype)
        after = EntryState(state.values, known, state.known, choice, price, state.round + 1)
        return after, stage.payoff.astype(np.float64)

    def step(
        self, state: EntryState, actions: Mapping[str, Array], rng: np.random.Generator
    ) -> tuple[EntryState, Array]:
        """One round; nothing in it is random."""
        return self.apply(state, actions)

    def terminal(self, state: EntryState) -> Array:
        """After the last round."""
        over: Array = state.round >= self.rounds
        return over

    def legal(self, state: EntryState, role: str) -> Array | None:
        """(B, m, L + 1): sellers who have not arrived stay off; `None` where all are there from the start."""
        if self.arrivals is None:
            return None
        legal = np.broadcast_to(self._here(state.round)[1][:, :, None], (*state.choice.shape, self.offer.platforms + 1))
        legal = legal.copy()
        legal[:, :, 0] = True
        return legal

    def stage(self, values: Array, known: Array, choice: Array, at: Array) -> Stage:
        """What choices (B, m) lead to in round `at` (B,) of markets (B, n, m)."""
        return settle(values, known, choice, self.offer, self.costs, self._present(at))

    def observe(self, state: EntryState, role: str) -> Array:
        """(B, m, k), see the class docstrings."""
        batch, n, m = state.values.shape
        fees = np.broadcast_to(self.offer.fees, (batch, m, self.offer.platforms))
        one_hot = np.broadcast_to(np.eye(m), (batch, m, m))
        share = np.broadcast_to((state.round / self.rounds)[:, None, None], (batch, m, 1))
        costs = [] if self.costs is None else [np.broadcast_to(self.costs, (batch, m, m))]
        if self.information == "full":
            parts = [np.broadcast_to(a.reshape(batch, 1, -1), (batch, m, n * m)) for a in (state.values, state.known)]
            last = [np.broadcast_to(a[:, None, :], (batch, m, m)) for a in (state.choice, state.price)]
        else:
            parts = [a.transpose(0, 2, 1) for a in (state.values, state.known)]
            last = [a[:, :, None] for a in (state.choice, state.price)]
            costs = [] if self.costs is None else [np.broadcast_to(self.costs[:, None], (batch, m, 1))]
        return np.concatenate([*parts, fees, *costs, *last, one_hot, share], axis=2)

    def info(self, state: EntryState, role: str) -> dict[str, Array]:
        """Facts about the round last played (before the first: about everybody staying off)."""
        at = np.maximum(state.round - 1, 0)
        batch, m = state.choice.shape
        stage = self.stage(state.values, state.before, state.choice, at)
        other = self.counterfactual(state.values, state.before, state.choice, at)
        gain = np.where(self._choices(at), other, -np.inf).max(axis=2) - stage.payoff
        everyone = np.ones((1, m))
        settled = gain.max(axis=1) <= TOLERANCE * self.high
        return {
            "choice": state.choice,
            "buyer": sellers_view(stage.matching, m),
            "paid": stage.paid,
            "price_max": stage.price_max,
            "price_min": stage.price_min,
            "payoff": stage.payoff,
            "counterfactual": other,
            "welfare": stage.welfare[:, None] * everyone,
            "ideal_welfare": self.ideal(state.values, at)[:, None] * everyone,
            "revenue": stage.revenue.sum(axis=1)[:, None] * everyone,
            "is_equilibrium": np.broadcast_to(settled[:, None], (batch, m)),
        }

    def counterfactual(self, values: Array, known: Array, choice: Array, at: Array) -> Array:
        """(B, m, L + 1) payoff of each choice of each seller while all others keep theirs."""
        profiles = deviations(choice, self.offer.platforms)
        batch, m, options, _ = profiles.shape
        each = np.repeat(np.arange(batch), m * options)
        stage = self.stage(values[each], known[each], profiles.reshape(-1, m), at[each])
        payoff = stage.payoff.reshape(batch, m, options, m)
        own: Array = payoff[:, np.arange(m), :, np.arange(m)].transpose(1, 0, 2).astype(np.float64)
        return own

    def ideal(self, values: Array, at: Array) -> Array:
        """(B,) welfare if all who are there could trade with each other."""
        return ideal_welfare(values, self.costs, self._present(at))

    def render_text(self, state: EntryState, lane: int = 0) -> str:
        """A table of the round last played."""
        facts = {name: fact[lane] for name, fact in self.info(state, "seller").items()}
        lines = [
            f"round {int(state.round[lane])} of {self.rounds}, fee {np.array2string(self.offer.fees, precision=4)}",
            f"welfare {facts['welfare'][0]:g} of {facts['ideal_welfare'][0]:g}, revenue {facts['revenue'][0]:g}",
            f"{'seller':>8}{'platform':>10}{'buyer':>8}{'paid':>10}{'earns':>10}",
        ]
        for j in range(self.sellers):
            platform, buyer = int(facts["choice"][j]), int(facts["buyer"][j])
            lines.append(
                f"{j:>8}{platform or 'off':>10}{buyer if buyer >= 0 else '-':>8}"
                f"{facts['paid'][j]:10.4g}{facts['payoff'][j]:10.4g}"
            )
        return "\n".join(lines)

    # -- who is there --------------------------------------------------------------------------------------------------

    def _here(self, at: Array) -> tuple[Array, Array]:
        """(B, n) and (B, m) bool: buyers and sellers who have arrived by round `at`."""
        if self.arrivals is None:
            return np.ones((len(at), self.buyers), bool), np.ones((len(at), self.sellers), bool)
        return self.arrivals[0] <= at[:, None], self.arrivals[1] <= at[:, None]

    def _present(self, at: Array) -> Array | None:
        """(B, n, m) bool: pairs of which both have arrived; `None` where all are there from the start."""
        if self.arrivals is None:
            return None
        buyers, sellers = self._here(at)
        present: Array = buyers[:, :, None] & sellers[:, None, :]
        return present

    def _choices(self, at: Array) -> Array:
        """(B, m, L + 1) bool: who may choose what in round `at`."""
        open_to = np.repeat(self._here(at)[1][:, :, None], self.offer.platforms + 1, axis=2)
        open_to[:, :, 0] = True
        return open_to

    def _exact(self, values: Array) -> bool:
        """Whether prices are integers."""
        whole_costs = self.costs is None or (self.costs.dtype == np.int64 and self.offer.fee_on == "margin")
        return values.dtype == np.int64 and whole_costs and self.offer.price_rule != "mid"


class SellerEntry(EntryRules, Deterministic[EntryState]):
    """Sellers of one fixed market choose at the same time whether to join a platform, for `rounds` rounds.

    ## Description
    Off the platform a seller trades only with buyers she knows; on it with every buyer it reaches, the ones she knows
    included, and she pays the fee on her price whoever buys. Trades and prices are a competitive equilibrium of the
    graph that the choices make, by default at the largest competitive prices, for which alone the welfare bounds hold.
    Nothing is random, so the game can be exported as a tree. With several rounds the stage repeats; the market may grow
    by `arrivals`, and with `acquaint` those who have traded know each other from then on.

    ## Action space
    `Discrete(L + 1)`: 0 stays off, l joins platform l (with one platform: `Discrete(2)`).

    ## Observation space
    `Box`, in this order; n buyers, m sellers, L platforms:

    | `information="full"` | `"private"` | what |
    | --- | --- | --- |
    | n m | n | values, row by row; or the values for one's own good |
    | n m | n | who knows whom (0, 1); or who knows oneself |
    | L | L | fees |
    | m | 1 | with costs only: all, or one's own |
    | m | 1 | choices of the last round (0 before the first); or one's own |
    | m | 1 | prices of the last round; or one's own |
    | m | m | one's own number, one-hot |
    | 1 | 1 | share of rounds played |

    ## Rewards
    `(1 - fee) p_j` on a platform, `p_j` off it, an unsold good earns nothing. With costs: the same of the price over
    cost, see `fee_on`.

    ## Episode end
    After `rounds` rounds, by the rules.

    ## Info
    Of the round last played, for each seller: `choice`, `buyer` (-1: unsold), `paid`, `price_max`, `price_min`,
    `payoff`, `counterfactual` (payoff of each choice while the others keep theirs), and for all alike `welfare`,
    `ideal_welfare`, `revenue`, `is_equilibrium` (no seller gains by another choice in this round).

    Source: arXiv 2309.08781, sections 2 and 3 (the game), its extensions to several platforms and production costs.
    """

    def __init__(
        self,
        market: Market | str | Mapping[str, Any] = "no-pure-equilibrium",
        fee: float | Sequence[float] = 0.9,
        *,
        rounds: int = 1,
        information: str = "full",
        price_rule: str = "max",
        reach: Sequence[Sequence[int]] | None = None,
        fee_on: str = "price",
        arrivals: Sequence[Sequence[int]] | None = None,
        acquaint: bool = False,
    ) -> None:
        """Set the parameters.

        Args:
            market: a `Market`, the name of one of `walras.envs.platforms.market.INSTANCES`, or
                `{"values": ..., "known": ..., "costs": ...}`.
            fee: one in [0, 1], or one for each platform.
            rounds: T >= 1.
            information: `"full"` or `"private"`.
            price_rule: `"max"`, `"min"` or `"mid"`; bounds and theorems are about `"max"`.
            reach: (L, n) of 0 and 1, the buyers each platform reaches; `None`: all.
            fee_on: where goods cost something: the fee is due on the `"price"`, or on the `"margin"` over cost.
            arrivals: for the n buyers and for the m sellers the round from which each is there; `None`: 0 for all.
            acquaint: buyers and sellers who trade know each other in later rounds.

        Raises:
            ValueError: if a parameter is out of range or does not fit the market.
        """
        self.market = as_market(market)
        offer = terms(fee, self.market.buyers, reach, price_rule, fee_on)
        super().__init__(
            (self.market.buyers, self.market.sellers),
            float(self.market.values.max()),
            offer,
            costs=self.market.costs,
            rounds=rounds,
            information=information,
            arrivals=arrivals,
            acquaint=acquaint,
        )
        self._tables: tuple[Stage, Array] | None = None

    def __repr__(self) -> str:
        """Parameters that tell this game from others."""
        return (
            f"SellerEntry({self.market!r}, fee={self.offer.fees.tolist()}, rounds={self.rounds}, "
            f"information={self.information!r}, price_rule={self.offer.price_rule!r}, "
            f"reach={self.offer.reach.astype(int).tolist()}, fee_on={self.offer.fee_on!r}, "
            f"arrivals={None if self.arrivals is None else [a.tolist() for a in self.arrivals]}, "
            f"acquaint={self.acquaint})"
        )

    @property
    def static(self) -> bool:
        """All rounds are the same stage game."""
        return self.arrivals is None and not self.acquaint

    @property
    def profiles(self) -> Array:
        """((L+1)^m, m): all joint choices; seller 0's runs slowest, so with one platform rows are bit strings."""
        return choices(self.sellers, self.offer.platforms + 1)

    def root(self, batch: int) -> EntryState:
        """Nobody has chosen."""
        shape = (batch, self.buyers, self.sellers)
        return self.start(np.broadcast_to(self.market.values, shape), np.broadcast_to(self.market.known, shape))

    def stage(self, values: Array, known: Array, choice: Array, at: Array) -> Stage:
        """As in `EntryRules`; a small market that never changes is looked up."""
        if not self._listed:
            return super().stage(values, known, choice, at)
        row = self._row(choice)
        return Stage(*(field[row] for field in self._table()[0]))

    def counterfactual(self, values: Array, known: Array, choice: Array, at: Array) -> Array:
        """As in `EntryRules`; a small market that never changes is looked up."""
        if not self._listed:
            return super().counterfactual(values, known, choice, at)
        found: Array = self._table()[1][self._row(choice)]
        return found

    def payoffs(self) -> Array:
        """((L+1)^m, m) payoffs of all joint choices of the first round, in the order of `profiles`.

        Raises:
            ValueError: if there are more than a million of them.
        """
        if (self.offer.platforms + 1) ** self.sellers > 1_000_000:
            raise ValueError(f"market: {self.sellers} sellers have more than a million joint choices")
        return self._first_round(self.profiles).payoff.astype(np.float64)

    def equilibria(self) -> Array:
        """(E, m) joint choices of the first round that no seller wants to leave, up to rounding; perhaps none.

        Raises:
            ValueError: if there are more than a million joint choices.
        """
        stable = pure_equilibria(self.payoffs()[None], self.offer.platforms + 1, TOLERANCE * self.high)[0]
        found: Array = self.profiles[stable]
        return found

    def equilibrium(self) -> Mapping[str, Policy] | None:
        """The pure equilibrium of the stage with the largest welfare, the first of equals, in every round.

        `None` where there is none, where rounds differ, or where there are too many joint choices to look at.
        """
        if not self._listed:
            return None
        found = self.equilibria()
        if not len(found):
            return None
        welfare = self._first_round(found).welfare
        best = found[int(np.argmax(welfare >= welfare.max() - TOLERANCE * self.high))]
        space = self.roles[0].action_space
        return {agent: Always(int(choice), space) for agent, choice in zip(self.agents, best, strict=True)}

    def truths(self) -> tuple[Truth, ...]:
        """Per round: ideal welfare, that of the best and of the worst pure equilibrium, and the bound of the paper."""
        if not self._listed:
            return ()
        ideal = float(self.ideal(self.market.values, np.zeros(1, np.int64))[0])
        known = [Truth("welfare per round if all could trade with all", ideal, "optimum", "a maximum-weight matching")]
        found = self.equilibria()
        known.append(Truth("number of pure equilibria of a round", float(len(found)), "identity", "all joint choices"))
        if len(found):
            welfare = self._first_round(found).welfare
            for which, value in (("best", welfare.max()), ("worst", welfare.min())):
                known.append(
                    Truth(f"welfare per round in the {which} pure equilibrium", float(value), "equilibrium", "same")
                )
        fee = float(self.offer.fees.max())
        covered = self.offer.reach.any(axis=0).all() and self.offer.price_rule == "max"
        if covered and fee < 1 and (self.costs is None or self.offer.fee_on == "margin"):
            bound = ideal * (1 - fee) / (2 - fee)
            name, source = "least welfare per round in equilibrium", f"{_PAPER}: (2-a)/(1-a)"
            if self.offer.platforms > 1:
                name, source = "least welfare per round in pure equilibrium", "derived here, checked numerically"
            known.append(Truth(name, bound, "bound", source))
        return tuple(known)

    @property
    def _listed(self) -> bool:
        return self.static and (self.offer.platforms + 1) ** self.sellers <= TABLE

    def _row(self, choice: Array) -> Array:
        return number_of(choice, self.offer.platforms + 1)

    def _first_round(self, choice: Array) -> Stage:
        if self._listed:
            return Stage(*(field[self._row(choice)] for field in self._table()[0]))
        start = np.zeros(1, np.int64)
        return settle(
            self.market.values[None], self.market.known[None], choice, self.offer, self.costs, self._present(start)
        )

    def _table(self) -> tuple[Stage, Array]:
        """Every joint choice's stage, and the payoff (P, m, L + 1) of every choice beside it; made when first asked."""
        if self._tables is None:
            profiles = self.profiles
            stage = settle(self.market.values[None], self.market.known[None], profiles, self.offer, self.costs)
            rows = self._row(deviations(profiles, self.offer.platforms))
            other = np.stack([stage.payoff[rows[:, j], j] for j in range(self.sellers)], axis=1).astype(np.float64)
            self._tables = stage, other
        return self._tables


class RandomEntry(EntryRules):
    """Sellers of a market drawn anew in each episode choose whether to join a platform.

    The rules are those of `SellerEntry`, whose text runs here; only the market is random: independent values of one
    `law`, and each pair knows each other with probability `edge`. Rows of the market differ from episode to episode, so
    what is learned here is a policy for many markets.

    ## Action space
    As in `SellerEntry`.

    ## Observation space
    As in `SellerEntry`.

    ## Rewards
    As in `SellerEntry`.

    ## Episode end
    After `rounds` rounds, by the rules.

    ## Info
    As in `SellerEntry`.

    Source: arXiv 2309.08781, section 2; the laws are ours.
    """

    def __init__(
        self,
        buyers: int = 4,
        sellers: int = 3,
        fee: float | Sequence[float] = 0.5,
        *,
        law: str = "uniform",
        edge: float = 0.3,
        rounds: int = 1,
        information: str = "full",
        price_rule: str = "max",
        reach: Sequence[Sequence[int]] | None = None,
        arrivals: Sequence[Sequence[int]] | None = None,
        acquaint: bool = False,
    ) -> None:
        """Set the parameters.

        Args:
            buyers: n >= 1.
            sellers: m >= 1.
            fee: one in [0, 1], or one for each platform.
            law: `"uniform"` on [0, 1], `"integer"` from 1 to 20, either one independent for every pair; with
                `"homogeneous-"` before it, one for every buyer.
            edge: probability that a pair knows each other.
            rounds: T >= 1.
            information: `"full"` or `"private"`.
            price_rule: as in `SellerEntry`.
            reach: as in `SellerEntry`.
            arrivals: as in `SellerEntry`.
            acquaint: as in `SellerEntry`.

        Raises:
            ValueError: if a parameter is out of range.
        """
        shape = whole("buyers", buyers), whole("sellers", sellers)
        self.law, self.edge = known_law(law), fee_argument("edge", edge)
        offer = terms(fee, buyers, reach, price_rule)
        super().__init__(
            shape,
            LAWS[law][1],
            offer,
            costs=None,
            rounds=rounds,
            information=information,
            arrivals=arrivals,
            acquaint=acquaint,
        )

    def __repr__(self) -> str:
        """Parameters that tell this game from others."""
        return (
            f"RandomEntry(buyers={self.buyers}, sellers={self.sellers}, fee={self.offer.fees.tolist()}, "
            f"law={self.law!r}, edge={self.edge}, rounds={self.rounds}, information={self.information!r})"
        )

    def initial(self, batch: int, rng: np.random.Generator) -> EntryState:
        """A fresh market for each lane."""
        return self.start(*draw_markets(rng, batch, self.buyers, self.sellers, self.law, self.edge))


def _arrivals(given: Sequence[Sequence[int]], shape: tuple[int, int]) -> tuple[Array, Array]:
    parts = [np.asarray(part) for part in given]
    sizes = [part.shape for part in parts]
    if sizes != [(shape[0],), (shape[1],)] or any(part.dtype.kind not in "iu" or part.min() < 0 for part in parts):
        raise ValueError(f"arrivals: {shape[0]} and {shape[1]} rounds from 0 on are needed, got {given!r}")
    return parts[0].astype(np.int64), parts[1].astype(np.int64)
