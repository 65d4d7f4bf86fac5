"""Sellers decide whether to join a platform that charges a fee: in one fixed market, or in random ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from walras.envs.arguments import whole
from walras.envs.classical.stage import Always, Deterministic
from walras.envs.game import Array, Policy, Truth
from walras.envs.platforms.clearing import TOLERANCE
from walras.envs.platforms.entry_rules import EntryRules, EntryState
from walras.envs.platforms.joining import Stage, deviations, fee_argument, settle, terms
from walras.envs.platforms.market import LAWS, Market, as_market, draw_markets, known_law
from walras.envs.platforms.profiles import choices, number_of, payoffs, price_profiles, pure_equilibria

_PAPER = "arXiv 2309.08781"
TABLE = 4096
"""A fixed market with at most so many joint choices is cleared once for all of them."""


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
            ValueError: if there are more than two million of them (a hundred thousand, where the price rule is not
                `"max"` or sellers arrive later).
        """
        plain = self.arrivals is None and self.offer.price_rule == "max"
        if (self.offer.platforms + 1) ** self.sellers > (2_000_000 if plain else 100_000):
            raise ValueError(f"market: {self.sellers} sellers have too many joint choices")
        if plain:
            table = price_profiles(self.market.values, self.market.known, self.offer, self.costs)
            found: Array = payoffs(table.price, self.offer)[0]
            return found
        return self._first_round(self.profiles).payoff.astype(np.float64)

    def equilibria(self) -> Array:
        """(E, m) joint choices of the first round that no seller wants to leave, up to rounding; perhaps none.

        Raises:
            ValueError: if there are too many joint choices, as in `payoffs`.
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
            f"law={self.law!r}, edge={self.edge}, rounds={self.rounds}, information={self.information!r}, "
            f"price_rule={self.offer.price_rule!r}, reach={self.offer.reach.astype(int).tolist()}, "
            f"arrivals={self.arrivals and [a.tolist() for a in self.arrivals]}, acquaint={self.acquaint})"
        )

    def initial(self, batch: int, rng: np.random.Generator) -> EntryState:
        """A fresh market for each lane."""
        return self.start(*draw_markets(rng, batch, self.buyers, self.sellers, self.law, self.edge))
