"""Best responses in sealed-bid auctions by simulation, and what a bidder could gain by one.

With values independent between bidders, the opponents' reports do not depend on the own value `v`. Every own report
`r` is then an option with an expected allocation and an expected payment, estimated once over simulated opponents,
and the best response for *any* value is the best option: for additive bidders argmax_r <v, x(r)> - p(r). Nothing
but the reports is put on a grid. All options are priced on the same simulated opponents (common random numbers).
`P` profiles, `G` reports, `n` bidders, `m` items; money in units of value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np

from walras.envs.arguments import whole
from walras.envs.auctions.mechanism import value
from walras.envs.auctions.priors import Independent, Prior, Triangle
from walras.envs.auctions.rules import SealedBidAuction
from walras.envs.game import Array, Game, Policy
from walras.envs.registry import as_game
from walras.envs.seats import default_policy, fill_seats
from walras.envs.spaces import ActionFit

_CHUNK = 4_000_000  # numbers held at once while options are compared


class Gain(NamedTuple):
    """What a bidder could gain, in units of value per auction.

    Attributes:
        gain: mean utility of the best response minus mean utility of the current policy, on fresh profiles.
        standard_error: of `gain`, over profiles (both policies meet the same ones).
        utility: mean utility of the current policy.
        best: mean utility of the best response.
    """

    gain: float
    standard_error: float
    utility: float
    best: float


@dataclass(frozen=True, eq=False)
class BestResponse:
    """Reports the option of largest expected utility, the lowest at ties; fits one round of a sealed-bid auction.

    Attributes:
        reports: (G, m) reports compared.
        shares: (G, K, m) allocations that each report may bring, K at most (rows of probability 0 fill up).
        chances: (G, K) their probabilities.
        payments: (G,) expected payment of each report.
        demand: `"additive"` or `"unit"`.
        discrete: act by the number of the report instead of the report.
    """

    reports: Array
    shares: Array
    chances: Array
    payments: Array
    demand: str = "additive"
    discrete: bool = False

    def utilities(self, values: Array) -> Array:
        """(B, G) expected utility of each report for own `values` (B, m)."""
        v = np.asarray(values, np.float64)
        if self.demand == "additive" or v.shape[1] == 1:
            expected = (self.shares * self.chances[..., None]).sum(axis=1)
            return cast(Array, v @ expected.T - self.payments)
        options, each, items = self.shares.shape
        spread = np.broadcast_to(v[:, None], (len(v), options * each, items))
        worth = value(spread, np.broadcast_to(self.shares.reshape(1, -1, items), spread.shape), self.demand)
        return cast(Array, (worth.reshape(-1, options, each) * self.chances).sum(axis=-1) - self.payments)

    def choose(self, values: Array) -> Array:
        """(B,) number of the best report for own `values` (B, m)."""
        rows = max(1, _CHUNK // self.shares.size)
        parts = [self.utilities(values[k : k + rows]).argmax(axis=1) for k in range(0, len(values), rows)]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def __call__(
        self, observation: Array, *, mask: Array | None = None, rng: np.random.Generator | None = None
    ) -> Array:
        """Reports (B, m), or their numbers (B,) on a grid, for observations (B, m + extras)."""
        best = self.choose(observation[:, : self.reports.shape[1]])
        return best if self.discrete else self.reports[best]


def best_response(
    game: Game[Any] | str,
    agent: str,
    others: Mapping[str, Any] | str | None = None,
    *,
    profiles: int = 20_000,
    reports: int | None = None,
    seed: int = 0,
) -> BestResponse:
    """Best response of `agent` to the policies of the other bidders, among the reports of a grid.

    Args:
        game: a sealed-bid auction of one round without budgets whose bidders' values are independent of each other;
            or its id.
        agent: who responds.
        others: role or agent -> policy, or one policy name for all; seats not mentioned play the equilibrium where
            known, else at random.
        profiles: simulated profiles of the opponents, >= 1.
        reports: reports compared for each item, >= 2 (default: 401 for one item, 21 for two, fewer for more),
            evenly spaced up to the largest value; an auction on a grid has its own.
        seed: of the simulation, >= 0.

    Raises:
        ValueError: if the game does not fit, the agent or a seat is unknown, or a number is out of range.
        KeyError: if an id is unknown.
        TypeError: if `game` is neither a game nor an id.
    """
    auction = _fitting(game)
    if agent not in auction.seat:
        raise ValueError(f"agent: {agent!r} is not one of {list(auction.agents)}")
    profiles, seed = whole("profiles", profiles), whole("seed", seed, 0)
    reports = None if reports is None else whole("reports", reports, 2)
    rng = np.random.default_rng([seed, 0])
    policies = _policies(auction, others)
    i = auction.seat[agent][2]
    values = auction.prior.sample(rng.random((profiles, auction.prior.draws)))
    bids = _bids(auction, policies, values, rng, skip=agent)
    grid = _grid(auction, i, reports)
    start = auction.start(values)
    linear = auction.demand == "additive" or auction.items == 1  # then only the expected allocation matters
    options = []
    for report in grid:
        bids[:, i] = report
        state, _ = auction.sell(start, bids)
        won = state.allocation[:, i]
        rows, counts = (
            (won.mean(axis=0)[None], np.array([profiles])) if linear else np.unique(won, axis=0, return_counts=True)
        )
        options.append((rows, counts / profiles, float(state.payment[:, i].mean())))
    width = max(len(rows) for rows, _, _ in options)
    shares, chances = np.zeros((len(grid), width, auction.items)), np.zeros((len(grid), width))
    for g, (rows, weights, _) in enumerate(options):
        shares[g, : len(rows)], chances[g, : len(rows)] = rows, weights
    return BestResponse(
        grid, shares, chances, np.array([paid for _, _, paid in options]), auction.demand, auction.grid is not None
    )


def exploitability(
    game: Game[Any] | str,
    policies: Mapping[str, Any] | str,
    *,
    profiles: int = 20_000,
    test_profiles: int = 100_000,
    reports: int | None = None,
    seed: int = 0,
    agents: tuple[str, ...] | None = None,
) -> dict[str, Gain]:
    """What each bidder could gain by a best response while the others keep their policies.

    The best response is found on `profiles` and judged on `test_profiles` fresh ones, so the gain is not flattered
    by the search: its expectation is at most the true one (and below zero where the current policy is better than
    any report of the grid).

    Args:
        game: as in `best_response`.
        policies: role or agent -> policy, or one policy name for all; seats not mentioned play the equilibrium
            where known, else at random.
        profiles: opponents' profiles on which the best response is found.
        test_profiles: fresh profiles on which it is compared with the current policy, >= 2.
        reports: as in `best_response`.
        seed: of both simulations.
        agents: who may deviate (default: all).

    Returns:
        Agent -> gain.

    Raises:
        ValueError, KeyError, TypeError: as `best_response`.
    """
    auction = _fitting(game)
    test_profiles, seed = whole("test_profiles", test_profiles, 2), whole("seed", seed, 0)
    seats = _policies(auction, policies)
    rng = np.random.default_rng([seed, 1])
    values = auction.prior.sample(rng.random((test_profiles, auction.prior.draws)))
    bids = _bids(auction, seats, values, rng)
    start = auction.start(values)
    current = auction.sell(start, bids)[1]
    gains = {}
    for agent in auction.agents if agents is None else agents:
        response = best_response(auction, agent, seats, profiles=profiles, reports=reports, seed=seed)
        i = auction.seat[agent][2]
        deviation = bids.copy()
        deviation[:, i] = response.reports[response.choose(values[:, i])]
        best = auction.sell(start, deviation)[1][:, i]
        difference = best - current[:, i]
        error = float(difference.std(ddof=1) / np.sqrt(test_profiles))
        gains[agent] = Gain(float(difference.mean()), error, float(current[:, i].mean()), float(best.mean()))
    return gains


def independent_bidders(prior: Prior) -> bool:
    """Whether the values of different bidders are known to be independent (those of one bidder's items need not be)."""
    return isinstance(prior, Independent | Triangle) or prior.marginals is not None


def _fitting(given: Game[Any] | str) -> SealedBidAuction:
    game = as_game(given, {})
    if not isinstance(game, SealedBidAuction):
        raise ValueError(f"game: a sealed-bid auction is needed for a best response on a grid, got {game!r}")
    if game.rounds != 1:
        raise ValueError(f"game: best responses are computed for one round, the auction has rounds={game.rounds}")
    if not independent_bidders(game.prior):
        raise ValueError(f"game: bidders' values must be independent of each other, the prior is {game.prior!r}")
    if game.budget is not None:
        raise ValueError(f"game: best responses are computed without budgets, the auction has budget={game.budget}")
    return game


def _policies(auction: SealedBidAuction, given: Mapping[str, Any] | str | None) -> dict[str, Policy]:
    if isinstance(given, str):
        given = dict.fromkeys(auction.agents, given)
    policies = fill_seats(auction, given or {})
    return {name: policies[name] if name in policies else default_policy(auction, name) for name in auction.agents}


def _bids(
    auction: SealedBidAuction,
    policies: Mapping[str, Policy],
    values: Array,
    rng: np.random.Generator,
    skip: str | None = None,
) -> Array:
    """Reports (P, n, m) of the policies at `values`; zeros for `skip`."""
    fit, seen = ActionFit(auction.roles[0].action_space), auction.roles[0].observation_space
    observed = auction.observe(auction.start(values), "bidder").astype(cast(Any, seen.dtype))
    bids = np.zeros_like(values)
    for i, agent in enumerate(auction.agents):
        if agent != skip:
            action = policies[agent](observed[:, i], mask=None, rng=rng)
            bids[:, i] = auction.bids(fit(action, (len(values),), "policy", agent))
    return bids


def _grid(auction: SealedBidAuction, i: int, count: int | None) -> Array:
    """(G, m) reports of bidder i: the auction's own grid, else evenly spaced ones from 0 up to the largest value."""
    if auction.grid is not None:
        return np.asarray(auction.reports)
    m = auction.items
    count = max(3, int(400 ** (1 / m) + 1e-9) + 1) if count is None else count
    top = auction.prior.high[i]
    if not np.isfinite(top).all():  # a heavy tail would leave the grid too coarse where nearly all values lie
        laws = (auction.prior.marginals or ())[i]
        top = np.array([law.high if np.isfinite(law.high) else float(law.ppf(0.9999)) for law in laws])
    rows = [np.linspace(0.0, t, count) for t in top]
    return np.stack(np.meshgrid(*rows, indexing="ij"), axis=-1).reshape(-1, m)
