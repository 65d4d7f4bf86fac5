"""Sealed-bid auctions on finitely many values and bids: the same rules as a game tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from walras.envs.arguments import whole
from walras.envs.auctions.mechanism import Mechanism
from walras.envs.auctions.named import as_prior
from walras.envs.auctions.priors import Discrete, Prior, TwoPoint
from walras.envs.auctions.rules import GRID_LIMIT, AuctionState, SealedBidAuction
from walras.envs.game import Array, FiniteGame, Role

CEILINGS = ("below-value", "value", "none")


class DiscreteState(NamedTuple):
    """State of the finite auction.

    Attributes:
        drawn: (B,) how many of the n * m values of the coming round nature has drawn, item after item of bidder after
            bidder.
        sale: the auction itself; values not yet drawn are those of the round before (at first zero).
    """

    drawn: Array
    sale: AuctionState


class DiscreteAuction(FiniteGame[DiscreteState]):
    """Bidders with finitely many private values choose among finitely many bids; a mechanism allocates and charges.

    The rules are those of `SealedBidAuction`, whose text runs here; only the dealing of values and the menu of bids
    differ. The default with V `values` is OpenSpiel's `first_sealed_auction(players=2, max_value=V)`: values 1..V
    equally likely, bids 0..V-1 below the value, the highest bid wins and pays, ties are broken evenly (there by a
    chance move, here in expectation).

    ## Action space
    `Discrete(g**m)`: digit j (base g, item 0 first) chooses the bid for item j from the g `bids`.

    ## Observation space
    As in `SealedBidAuction`: own values (m), with several rounds the share played, with budgets the share left.

    ## Rewards
    `v_i(x_i) - p_i`, ties in expectation.

    ## Episode end
    After `rounds` rounds, by the rules.

    ## Info
    As in `SealedBidAuction`.

    Source: OpenSpiel `first_sealed_auction` (Lanctot et al., arXiv 1908.09453).
    """

    def __init__(
        self,
        bidders: int = 2,
        items: int = 1,
        *,
        values: int = 3,
        prior: Prior | str | Mapping[str, Any] | None = None,
        bids: Sequence[float] | None = None,
        ceiling: str = "below-value",
        mechanism: Mechanism | str | Mapping[str, Any] = "first-price",
        demand: str = "additive",
        rounds: int = 1,
        budget: float | None = None,
        audit: bool = False,
    ) -> None:
        """Set the parameters.

        Args:
            bidders: n >= 1.
            items: m >= 1.
            values: V >= 1: every value is one of 1..V, equally likely. Ignored when a prior is given.
            prior: independent laws with atoms (`Discrete`, `TwoPoint`) for every bidder and item: object, preset or
                dict.
            bids: increasing nonnegative bids for an item; default: 0 and every possible value, without the largest one
                if the ceiling is below the value.
            ceiling: legal bids for an item: `"below-value"` (under one's value for it), `"value"` (up to it) or
                `"none"` (all). The lowest bid is always legal.
            mechanism: as in `SealedBidAuction`.
            demand: `"additive"` or `"unit"`.
            rounds: T >= 1.
            budget: money of each bidder for all rounds, > 0; `None`: no limit.
            audit: as in `SealedBidAuction`.

        Raises:
            ValueError: if a parameter is out of range.
            TypeError: if a value has no atoms, or values are not independent.
        """
        bidders, items, values = whole("bidders", bidders), whole("items", items), whole("values", values)
        if ceiling not in CEILINGS:
            raise ValueError(f"ceiling must be one of {CEILINGS}, got {ceiling!r}")
        law = Discrete(tuple(range(1, values + 1)), (1.0 / values,) * values)
        if prior is None:
            prior = Prior.iid(law, bidders, items)
        prior = as_prior(prior, bidders, items)
        if prior.marginals is None:
            raise TypeError(f"prior: independent laws with atoms are needed, {type(prior).__name__} is correlated")
        laws = [law for row in prior.marginals for law in row]
        finite = [law for law in laws if isinstance(law, Discrete | TwoPoint)]
        if len(finite) < len(laws):
            other = next(law for law in laws if not isinstance(law, Discrete | TwoPoint))
            raise TypeError(f"prior: laws with atoms (Discrete, TwoPoint) are needed, got {other!r}")
        self.auction = SealedBidAuction(
            bidders, items, prior=prior, mechanism=mechanism, demand=demand, rounds=rounds, budget=budget, audit=audit
        )
        width = max(len(law.atoms) for law in finite)
        self._atoms = np.array([[*law.atoms, *[law.atoms[-1]] * (width - len(law.atoms))] for law in finite])
        odds = [[*law.probabilities, *[0.0] * (width - len(law.probabilities))] for law in finite]
        self._odds = np.array([*odds, [0.0] * width])
        if bids is None:
            atoms = sorted({atom for law in finite for atom in law.atoms})
            bids = sorted({0.0, *(atoms[:-1] if ceiling == "below-value" else atoms)})
        self.levels = _increasing(bids)
        """(g,): the bids for one item."""
        actions = len(self.levels) ** items
        if actions > GRID_LIMIT:
            raise ValueError(f"bids: {len(self.levels)} for each of {items} items make more than {GRID_LIMIT} actions")
        self.bidders, self.items, self.ceiling = bidders, items, ceiling
        self.prior, self.mechanism, self.rounds = prior, self.auction.mechanism, self.auction.rounds
        digits = np.stack(np.unravel_index(np.arange(actions), (len(self.levels),) * items), axis=-1)
        self.reports = self.levels[digits]
        """(g**m, m): the report that each action stands for."""
        self.roles = (Role("bidder", bidders, self.auction.roles[0].observation_space, spaces.Discrete(actions)),)

    def __repr__(self) -> str:
        """Parameters that tell this auction from others."""
        return (
            f"DiscreteAuction(bidders={self.bidders}, items={self.items}, bids={self.levels.tolist()}, "
            f"ceiling={self.ceiling!r}, mechanism={self.mechanism!r}, rounds={self.rounds})"
        )

    def root(self, batch: int) -> DiscreteState:
        """No value is drawn yet."""
        values = np.zeros((batch, self.bidders, self.items))
        return DiscreteState(np.zeros(batch, np.int64), self.auction.start(values))

    def chance(self, state: DiscreteState) -> Array:
        """Probabilities (B, C) of the next value's atoms."""
        odds: Array = self._odds[state.drawn]
        return odds

    def resolve(self, state: DiscreteState, outcome: Array) -> DiscreteState:
        """The next value becomes atom number `outcome` of its law."""
        value = state.sale.value.copy()
        value.reshape(len(value), -1)[np.arange(len(value)), state.drawn] = self._atoms[state.drawn, outcome]
        first = (state.sale.round == 0)[:, None, None]
        sale = state.sale._replace(value=value, sold_value=np.where(first, value, state.sale.sold_value))
        return DiscreteState(state.drawn + 1, sale)

    def observe(self, state: DiscreteState, role: str) -> Array:
        """Own values, then progress and money left where they matter: (B, n, m + extras)."""
        return self.auction.observe(state.sale, role)

    def legal(self, state: DiscreteState, role: str) -> Array:
        """(B, n, g**m): reports that respect the ceiling for every item."""
        value = state.sale.value[:, :, None, :]
        if self.ceiling == "none":
            return np.ones((*state.sale.budget.shape, len(self.reports)), bool)
        allowed = self.reports < value if self.ceiling == "below-value" else self.reports <= value
        legal: Array = (allowed | (self.reports == self.levels[0])).all(axis=-1)
        return legal

    def apply(self, state: DiscreteState, actions: Mapping[str, Array]) -> tuple[DiscreteState, Array]:
        """Reports are collected and the mechanism decides; new values are due if another round follows."""
        sale, utility = self.auction.sell(state.sale, self.reports[actions["bidder"]])
        drawn = np.where(self.auction.terminal(sale), state.drawn, 0)
        return DiscreteState(drawn, sale), utility

    def terminal(self, state: DiscreteState) -> Array:
        """After the last round."""
        return self.auction.terminal(state.sale)

    def info(self, state: DiscreteState, role: str) -> dict[str, Array]:
        """As in `SealedBidAuction`."""
        return self.auction.info(state.sale, role)

    def render_text(self, state: DiscreteState, lane: int = 0) -> str:
        """A table of the round last played (before the first: of the values alone)."""
        return self.auction.render_text(state.sale, lane)


def _increasing(bids: Sequence[float]) -> Array:
    problem = ValueError(f"bids must be nonnegative, finite and increasing, got {bids!r}")
    try:
        levels = np.array(bids, np.float64)
    except (TypeError, ValueError):
        raise problem from None
    if levels.ndim != 1 or not levels.size or not np.isfinite(levels).all():
        raise problem
    if levels[0] < 0 or (np.diff(levels) <= 0).any():
        raise problem
    return levels
