"""Sealed-bid auctions with private values: the participants' game."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from walras.envs.arguments import whole
from walras.envs.auctions.equilibria import equilibrium_bids, is_truthful, known_numbers, reserves
from walras.envs.auctions.mechanism import DEMANDS, Mechanism, value
from walras.envs.auctions.named import as_mechanism, as_prior
from walras.envs.auctions.priors import Prior
from walras.envs.game import Array, Game, Policy, Role, Truth

GRID_LIMIT = 100_000
"""Largest number of reports on a grid: beyond it a Discrete action space serves nobody."""


class AuctionState(NamedTuple):
    """State of the auction (`n` bidders, `m` items; money in units of value).

    Attributes:
        value: (B, n, m) private values of the round to come (after the last round: of that round).
        budget: (B, n) money left, `inf` without budgets.
        round: (B,) rounds played.
        sold_value: (B, n, m) values in the round last played.
        sold_budget: (B, n) money held in that round, before its payment.
        bid: (B, n, m) its reports, after the budget.
        allocation: (B, n, m) its probabilities of winning.
        payment: (B, n) its payments.
    """

    value: Array
    budget: Array
    round: Array
    sold_value: Array
    sold_budget: Array
    bid: Array
    allocation: Array
    payment: Array


@dataclass(frozen=True, eq=False)
class EquilibriumBidder:
    """Bids from the values in the observation, kept inside the action space.

    Attributes:
        bids: own values (..., m) -> reports (..., m).
        items: m.
        high: (m,) largest reports, float32 as the reports themselves.
    """

    bids: Callable[[Array], Array]
    items: int
    high: Array

    def __call__(self, observation: Array) -> Array:
        """Observations (B, m + extras) -> reports (B, m)."""
        reports: Array = np.minimum(self.bids(observation[..., : self.items]), self.high)
        return reports


class SealedBidAuction(Game[AuctionState]):
    """Bidders with private values report, a mechanism allocates and charges.

    ## Description
    Nature draws values v (n, m) from the prior; every bidder sees its own row only; all report at once; the
    mechanism gives bidder i the item j with probability x_ij and charges p_i. Everyone is risk neutral. Ties share
    the item in expectation. With `rounds=T` the auction is repeated with fresh values; with a `budget`, reports
    whose sum exceeds the money left are scaled down to it.

    ## Action space
    Reports, `Box(0, high, (m,))` in units of value; with `grid=g` `Discrete(g**m)`: digit j (base g, item 0
    first) is the report for item j on `linspace(low_j, high_j, g)`.

    ## Observation space
    | Num | Observation | Min | Max |
    | --- | --- | --- | --- |
    | 0..m-1 | own value of each item | prior's low | prior's high |
    | m | share of rounds already played (repeated form only) | 0 | 1 |
    | m+1 | share of the budget left (with budgets only) | 0 | 1 |
    | last m | reserve of each item, or of the lot; 0 without one (`public=True` only) | 0 | the reserve |

    An unbounded prior is cut at its value for the largest uniform number, 1 - 2**-53, so every bound is finite and
    attained.

    ## Rewards
    `v_i(x_i) - p_i`: additive bidders value the sum `v_i . x_i`, unit-demand bidders the best item they receive.

    ## Episode end
    After `rounds` rounds, by the rules.

    ## Info
    `allocation`, `payment` of the round last played; with `audit=True` also `utility`, `truthful_utility` (what the
    true values, scaled down to the money left, would have earned against the same reports) and, where an exact best
    answer is known (menus and truthful mechanisms, without budgets), `regret >= 0`; for menus also
    `chosen_element` and the `menu_items` (K, m) and `menu_prices` (K,) offered.

    Source: Vickrey (1961); Myerson (1981); Krishna, Auction Theory, chapters 2-5. Setting of arXiv 2406.07428,
    section 2.
    """

    def __init__(
        self,
        bidders: int = 3,
        items: int = 1,
        *,
        prior: Prior | str | Mapping[str, Any] = "uniform01",
        mechanism: Mechanism | str | Mapping[str, Any] = "first-price",
        demand: str = "additive",
        rounds: int = 1,
        budget: float | None = None,
        grid: int | None = None,
        audit: bool = False,
        public: bool = False,
    ) -> None:
        """Set the parameters.

        Args:
            bidders: n >= 1.
            items: m >= 1.
            prior: law of the values: an object, a name (`walras.envs.auctions.priors.PRESETS`), or its dict.
            mechanism: an object with `outcome(bids)`, a name (`walras.envs.auctions.named.MECHANISMS`), or its dict.
            demand: `"additive"` or `"unit"`.
            rounds: T >= 1.
            budget: money of each bidder for all rounds, > 0; `None`: no limit.
            grid: number of reports for each item, >= 2; `None`: any number from 0 to the prior's largest value.
            audit: report truthful utility, regret and menus in `info` (costs further evaluations of the mechanism).
            public: append what is publicly known of the mechanism to every observation.

        Raises:
            ValueError: if a parameter is out of range, or prior or mechanism and auction differ in size.
            TypeError: if `prior` or `mechanism` is of a kind that cannot be read.
        """
        bidders, items, rounds = whole("bidders", bidders), whole("items", items), whole("rounds", rounds)
        if demand not in DEMANDS:
            raise ValueError(f"demand must be one of {DEMANDS}, got {demand!r}")
        for name, flag in (("audit", audit), ("public", public)):
            if not isinstance(flag, bool | np.bool_):
                raise ValueError(f"{name} must be True or False, got {flag!r}")
        if budget is not None:
            if isinstance(budget, bool) or not isinstance(budget, Real) or not 0 < budget < math.inf:
                raise ValueError(f"budget must be a positive finite number, got {budget!r}")
            budget = float(budget)
        if grid is not None:
            grid = whole("grid", grid, 2)
            if grid**items > GRID_LIMIT:
                raise ValueError(f"grid: grid**items must be at most {GRID_LIMIT}, got grid={grid}, items={items}")
        self.bidders, self.items, self.rounds, self.budget, self.grid = bidders, items, rounds, budget, grid
        self.demand, self.audit, self.public = demand, bool(audit), bool(public)
        self.prior = as_prior(prior, bidders, items)
        self.mechanism = as_mechanism(mechanism, self.prior, demand)
        self._public = np.array(reserves(self.mechanism, items)) if public else np.zeros(0)
        self._values_only = rounds == 1 and budget is None and not public
        shares = np.zeros(int(rounds > 1) + int(budget is not None))
        # One space for the role: bidders with different laws share the widest bounds.
        top = self.prior.sample(np.full((1, self.prior.draws), 1.0 - 2.0**-53))[0]
        self.low = self.prior.low.min(axis=0)
        self.high = np.where(np.isfinite(self.prior.high), self.prior.high, top).max(axis=0)
        low = np.concatenate([self.low, shares, 0.0 * self._public])
        high = np.concatenate([self.high, shares + 1.0, self._public])
        # Outward rounding: a float64 value never falls outside its float32 bounds.
        observation = spaces.Box(_down(low), _up(high), dtype=np.float32)
        action: spaces.Space[Any] = spaces.Box(np.zeros(items, np.float32), _up(self.high), dtype=np.float32)
        if grid is not None:
            action = spaces.Discrete(grid**items)
            digits = np.stack(np.unravel_index(np.arange(grid**items), (grid,) * items), axis=-1)
            self.reports = self.low + digits * (self.high - self.low) / (grid - 1)
            """(g**m, m): the report that each discrete action stands for."""
        self.roles = (Role("bidder", bidders, observation, action),)

    def __repr__(self) -> str:
        """Parameters that tell this auction from others."""
        return (
            f"SealedBidAuction(bidders={self.bidders}, items={self.items}, mechanism={self.mechanism!r}, "
            f"demand={self.demand!r}, rounds={self.rounds}, budget={self.budget}, grid={self.grid})"
        )

    # -- rules ---------------------------------------------------------------------------------------------------------

    def initial(self, batch: int, rng: np.random.Generator) -> AuctionState:
        """Values are drawn; nothing is sold yet."""
        return self.start(self.prior.transform(rng.random((batch, self.prior.draws))))

    def start(self, values: Array) -> AuctionState:
        """The state in which `values` (B, n, m) have just been drawn."""
        batch, n, _ = values.shape
        nothing = np.zeros_like(values)
        budget = np.full((batch, n), math.inf if self.budget is None else self.budget)
        return AuctionState(
            value=values,
            budget=budget,
            round=np.zeros(batch, np.int64),
            sold_value=values,
            sold_budget=budget,
            bid=nothing,
            allocation=nothing,
            payment=np.zeros((batch, n)),
        )

    def observe(self, state: AuctionState, role: str) -> Array:
        """Own values, then progress, money left and the public reserves where they matter: (B, n, m + extras)."""
        if self._values_only:
            return state.value
        parts = [state.value]
        if self.rounds > 1:
            parts.append(np.broadcast_to((state.round / self.rounds)[:, None, None], (*state.budget.shape, 1)))
        if self.budget is not None:
            parts.append((state.budget / self.budget)[..., None])
        if self.public:
            parts.append(np.broadcast_to(self._public, state.value.shape))
        return np.concatenate(parts, axis=-1)

    def step(
        self, state: AuctionState, actions: Mapping[str, Array], rng: np.random.Generator
    ) -> tuple[AuctionState, Array]:
        """Reports are collected, the mechanism decides, and fresh values are drawn if another round follows."""
        state, utility = self.sell(state, self.bids(actions["bidder"]))
        if self.rounds > 1:
            fresh = self.prior.transform(rng.random((len(state.round), self.prior.draws)))
            state = state._replace(value=np.where((state.round < self.rounds)[:, None, None], fresh, state.value))
        return state, utility

    def bids(self, action: Array) -> Array:
        """Reports (B, n, m) that the actions of the bidders stand for."""
        return action.astype(np.float64) if self.grid is None else self.reports[action]

    def sell(self, state: AuctionState, bids: Array) -> tuple[AuctionState, Array]:
        """One round without nature: the state after it (values unchanged) and the utilities (B, n)."""
        budget = state.budget
        if self.budget is not None:
            bids = _within(bids, budget)
        allocation, payment = self.mechanism.outcome(bids)
        utility: Array = value(state.value, allocation, self.demand) - payment
        if self.budget is not None:
            budget = np.maximum(budget - payment, 0.0)  # a rounding error must not become a debt
        return (
            AuctionState(state.value, budget, state.round + 1, state.value, state.budget, bids, allocation, payment),
            utility,
        )

    def terminal(self, state: AuctionState) -> Array:
        """After the last round."""
        over: Array = state.round >= self.rounds
        return over

    # -- reports and truths --------------------------------------------------------------------------------------------

    def info(self, state: AuctionState, role: str) -> dict[str, Array]:
        """Allocation and payment of the last round; with `audit`, what truth and the best answer would have earned."""
        if not self.audit:
            return {"allocation": state.allocation, "payment": state.payment}
        utility = value(state.sold_value, state.allocation, self.demand) - state.payment
        facts = {"allocation": state.allocation, "payment": state.payment, "utility": utility}
        truthful = np.stack([self._utility_of_truth(state, i) for i in range(self.bidders)], axis=-1)
        facts["truthful_utility"] = np.where((state.round > 0)[:, None], truthful, 0.0)
        best = None
        menus = getattr(self.mechanism, "menus", None)
        if menus is not None:
            menu = menus(state.bid)
            own = np.broadcast_to(state.sold_value[:, :, None, :], menu.items.shape)
            best = (value(own, menu.items, self.demand) - menu.prices).max(axis=-1)
            facts |= {
                "chosen_element": menu.utility(state.bid).argmax(axis=-1),
                "menu_items": menu.items,
                "menu_prices": menu.prices,
            }
        elif is_truthful(self.mechanism, self.demand, self.items):
            best = truthful
        if best is not None and self.budget is None:  # with a budget the best answer may lie out of reach
            facts["regret"] = np.where((state.round > 0)[:, None], np.maximum(best - utility, 0.0), 0.0)
        return facts

    def _utility_of_truth(self, state: AuctionState, i: int) -> Array:
        bids = state.bid.copy()
        truth = state.sold_value[:, i]
        if self.budget is not None:
            truth = _within(truth, state.sold_budget[:, i])
        bids[:, i] = truth
        outcome = self.mechanism.outcome(bids)
        earned: Array = (value(state.sold_value, outcome.allocation, self.demand) - outcome.payment)[:, i]
        return earned

    def equilibrium(self) -> Mapping[str, Policy] | None:
        """Bids of the symmetric equilibrium, or the truth where it is dominant.

        `None` with budgets or grids, and where no closed form is known.
        """
        if self.budget is not None or self.grid is not None:
            return None
        bids = equilibrium_bids(self.mechanism, self.prior, self.demand)
        if bids is None:
            return None
        return {"bidder": EquilibriumBidder(bids, self.items, _up(self.high))}

    def truths(self) -> tuple[Truth, ...]:
        """Expected revenue and bidder's utility in equilibrium where one is known, optimum and bounds, for one round.

        Nothing with budgets: the theory is that of bidders who can pay what they report.
        """
        if self.budget is not None:
            return ()
        played = None if self.grid is not None else self.mechanism
        return known_numbers(played, self.prior, self.demand, " per round" if self.rounds > 1 else "")

    def render_text(self, state: AuctionState, lane: int = 0) -> str:
        """A table of the round last played (before the first: of the values alone)."""
        values = state.value if state.round[lane] == 0 else state.sold_value
        width = 8 * self.items
        lines = [
            f"round {int(state.round[lane])} of {self.rounds}   mechanism {type(self.mechanism).__name__}",
            f"{'bidder':>8} {'value':>{width}} {'report':>{width}} {'wins':>{width}} {'pays':>8}",
        ]
        for i in range(self.bidders):
            cells = ["".join(f"{x:8.3f}" for x in part[lane, i]) for part in (values, state.bid, state.allocation)]
            lines.append(f"{i:>8} {cells[0]} {cells[1]} {cells[2]} {state.payment[lane, i]:8.3f}")
        return "\n".join(lines)

    def render_rgb(self, state: AuctionState, lane: int = 0) -> npt.NDArray[np.uint8]:
        """Bars of value, report and price for every bidder and item; winners' reports are filled."""
        from walras.envs.picture import new_figure, to_rgb

        values = state.value if state.round[lane] == 0 else state.sold_value
        figure = new_figure(max(3.0, 1.0 + 0.8 * self.bidders * self.items), 2.6)
        axes = figure.add_subplot()
        at = np.arange(self.bidders * self.items)
        won = state.allocation[lane].ravel()
        axes.bar(at - 0.2, values[lane].ravel(), 0.38, color="#cbd5e1", label="value")
        axes.bar(at + 0.2, state.bid[lane].ravel(), 0.38, color="none", edgecolor="#c2410c", label="report")
        axes.bar(at + 0.2, state.bid[lane].ravel() * won, 0.38, color="#c2410c", label="share won")
        places = [(i, j) for i in range(self.bidders) for j in range(self.items)]
        paid = state.payment[lane]
        names = [f"bidder {i}\npays {paid[i]:.3g}" if self.items == 1 else f"{i}: item {j}" for i, j in places]
        axes.set_xticks(at, names, fontsize=7)
        axes.set_title(f"round {int(state.round[lane])} of {self.rounds}, revenue {paid.sum():.3f}", fontsize=9)
        axes.legend(fontsize=7, frameon=False)
        figure.tight_layout()
        return to_rgb(figure)


def _within(bids: Array, budget: Array) -> Array:
    """Reports (..., m), scaled down where their sum exceeds `budget` (...).

    A single report becomes the budget to the last bit, so that bidders with the same money tie.
    """
    total = bids.sum(axis=-1)
    share = bids / np.maximum(total, np.finfo(float).tiny)[..., None]
    scaled: Array = np.where((total > budget)[..., None], share * budget[..., None], bids)
    return scaled


def _down(x: Array) -> Array:
    y = x.astype(np.float32)
    return np.where(y > x, np.nextafter(y, np.float32(-np.inf)), y)


def _up(x: Array) -> Array:
    y = x.astype(np.float32)
    return np.where(y < x, np.nextafter(y, np.float32(np.inf)), y)
