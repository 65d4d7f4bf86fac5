"""The designer's game: commit to a mechanism, watch a population of bidders answer, earn the revenue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from walras.envs.arguments import whole
from walras.envs.auctions.families import FAMILIES, Family
from walras.envs.auctions.mechanism import DEMANDS, Outcome, value
from walras.envs.auctions.named import as_prior
from walras.envs.auctions.priors import Prior
from walras.envs.game import Array, Game, Role, Truth

Respond = Callable[[Array, Callable[[Array], Outcome]], Array]
"""How bidders report: values (N, n, m) and the committed mechanism `outcome(bids)` -> reports (N, n, m)."""


class Measures(NamedTuple):
    """What a committed mechanism did to a population; every field (B,), in units of value per profile.

    Attributes:
        revenue: mean sum of payments.
        welfare: mean value of what the bidders received.
        over_allocation: mean sum over items of the probability promised beyond one.
        regret: mean over bidders of what the reports found by `respond` gained over the truth.
    """

    revenue: Array
    welfare: Array
    over_allocation: Array
    regret: Array


class DesignState(NamedTuple):
    """The design committed last, (B, k), and what it did."""

    design: Array
    measures: Measures


class AuctionDesign(Game[DesignState]):
    """A seller chooses the parameters of an auction and sees what a fresh population of bidders pays.

    ## Description
    Each step the designer commits to a mechanism of the family; nature draws `profiles` value profiles; the bidders
    report (truthfully, or by `respond`); the means over profiles are the outcome. Designs of one step do not touch
    the next: the game is a bandit with many looks.

    ## Action space
    `Box(low, high, (k,))`, by `family`:

    | family | k | parameters |
    | --- | --- | --- |
    | `reserve` | m | second price with reserve, item by item |
    | `first-price-reserve` | m | first price with reserve, item by item |
    | `posted-price` | m | prices, bidders served in index order |
    | `ama` | n + (n+1)^m | affine maximiser over all assignments: bidder weights, then welfare boosts |
    | `node-menu` | nodes x K | prices at grid nodes of the others' reports (`node_menus`), `grid` intervals |

    The boost of selling nothing counts as 0, whatever its entry says; unit demand leaves out assignments that give a
    bidder two items.

    ## Observation space
    `Box`: 8 quantiles of the prior for each bidder and item (8 n m numbers), then revenue, welfare,
    over-allocation, regret of the last step.

    ## Rewards
    `revenue - over_weight * over_allocation - regret_weight * regret`, each step; the return sums `horizon` steps,
    while `truths()` are per step.

    ## Episode end
    Truncation after `horizon` steps.

    ## Info
    `revenue`, `welfare`, `over_allocation`, `regret`.

    Source: Myerson (1981); Roberts (1979) for affine maximisers; setting of arXiv 2406.07428.
    """

    def __init__(
        self,
        bidders: int = 2,
        items: int = 1,
        *,
        prior: Prior | str | Mapping[str, Any] = "uniform01",
        family: str = "reserve",
        demand: str = "additive",
        respond: str | Respond = "truthful",
        profiles: int = 4096,
        over_weight: float = 1.0,
        regret_weight: float = 1.0,
        grid: int = 2,
        horizon: int = 64,
    ) -> None:
        """Set the parameters.

        Args:
            bidders: n >= 1.
            items: m >= 1.
            prior: as in `SealedBidAuction`.
            family: one of the table above.
            demand: `"additive"` or `"unit"`.
            respond: `"truthful"`; `"gradient"` (each bidder climbs its own utility by gradient steps from the truth,
                torch needed); or a callable `respond(values, outcome) -> reports`.
            profiles: value profiles drawn a step and lane, >= 1.
            over_weight: price of promising an item beyond probability one, >= 0.
            regret_weight: price of regret, >= 0.
            grid: intervals of `node-menu`, >= 1.
            horizon: steps of an episode, >= 1.

        Raises:
            ValueError: if a parameter is out of range.
        """
        bidders, items, profiles = whole("bidders", bidders), whole("items", items), whole("profiles", profiles)
        grid, horizon = whole("grid", grid), whole("horizon", horizon)
        for name, weight in (("over_weight", over_weight), ("regret_weight", regret_weight)):
            if isinstance(weight, bool) or not isinstance(weight, Real) or not 0 <= weight < np.inf:
                raise ValueError(f"{name} must be a nonnegative finite number, got {weight!r}")
        if demand not in DEMANDS:
            raise ValueError(f"demand must be one of {DEMANDS}, got {demand!r}")
        if respond not in ("truthful", "gradient") and not callable(respond):
            raise ValueError(f"respond must be 'truthful', 'gradient' or a callable, got {respond!r}")
        if not isinstance(family, str) or family not in FAMILIES:
            raise ValueError(f"family must be one of {sorted(FAMILIES)}, got {family!r}")
        self.bidders, self.items, self.demand, self.profiles, self.horizon = bidders, items, demand, profiles, horizon
        self.over_weight, self.regret_weight, self.respond, self.grid = over_weight, regret_weight, respond, grid
        self.prior = as_prior(prior, bidders, items)
        top = np.where(np.isfinite(self.prior.high), self.prior.high, self._quantiles(np.array([0.999]))[0])
        self.high = top.max(axis=0)
        self.low = self.prior.low.min(axis=0)
        self.family_name = family
        self.family: Family = FAMILIES[family](bidders, items, self.low, self.high, demand, grid)
        self.quantiles = self._quantiles((np.arange(8) + 0.5) / 8)
        # Revenue and welfare are bounded by the sum of all values, over-allocation by the promises of all bidders.
        bound = np.float32(
            bidders * items * max(1.0, float(self.high.max())) * 16 + np.abs(self.family.high).max() * bidders
        )
        low = np.append(np.zeros(self.quantiles.size), np.full(4, -bound))
        high = np.append(np.full(self.quantiles.size, max(1.0, float(self.quantiles.max()) * 1.001)), np.full(4, bound))
        self.roles = (
            Role(
                "designer",
                None,
                spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32),
                spaces.Box(self.family.low.astype(np.float32), self.family.high.astype(np.float32), dtype=np.float32),
            ),
        )

    def __repr__(self) -> str:
        """Parameters that tell this setting from others."""
        return (
            f"AuctionDesign(bidders={self.bidders}, items={self.items}, family={self.family_name!r}, "
            f"demand={self.demand!r})"
        )

    # -- rules ---------------------------------------------------------------------------------------------------------

    def initial(self, batch: int, rng: np.random.Generator) -> DesignState:
        """Nothing committed, nothing measured."""
        return DesignState(np.zeros((batch, len(self.family.low))), Measures(*np.zeros((4, batch))))

    def observe(self, state: DesignState, role: str) -> Array:
        """Quantiles of the prior and the last step's measures, (B, 1, 8 n m + 4)."""
        last = np.stack(state.measures, axis=-1)
        known = np.broadcast_to(self.quantiles.ravel(), (len(last), self.quantiles.size))
        return np.concatenate([known, last], axis=-1)[:, None]

    def step(
        self, state: DesignState, actions: Mapping[str, Array], rng: np.random.Generator
    ) -> tuple[DesignState, Array]:
        """A population meets the committed mechanism."""
        design = actions["designer"][:, 0].astype(np.float64)
        batch = len(design)
        u = rng.random((batch, self.profiles, self.prior.draws)).reshape(-1, self.prior.draws)
        each = np.repeat(design, self.profiles, axis=0)
        measures = self.measure(
            self.prior.transform(u), lambda bids: self.family.outcome(bids, _match(each, bids)), batch
        )
        reward = measures.revenue - self.over_weight * measures.over_allocation - self.regret_weight * measures.regret
        return DesignState(design, measures), reward[:, None]

    def terminal(self, state: DesignState) -> Array:
        """Never: the horizon ends the episode."""
        return np.zeros(len(state.design), bool)

    def measure(self, values: Array, outcome: Callable[[Array], Outcome], batch: int = 1) -> Measures:
        """What any mechanism, also one without a vector of parameters, does to `batch` populations.

        Args:
            values: (batch * P, n, m), population after population.
            outcome: reports (N, n, m) -> outcome, for numpy (and torch, if bidders climb gradients).
            batch: number of populations B.
        """
        reports = self._reports(values, outcome)
        allocation, payment = outcome(reports)
        received = value(values, allocation, self.demand)
        regret = np.zeros(len(values))
        if reports is not values:
            honest = outcome(values)
            # Others report truthfully while one deviates: the gain is measured one bidder at a time.
            gains = []
            for i in range(self.bidders):
                lie = values.copy()
                lie[:, i] = reports[:, i]
                deviation = outcome(lie)
                gains.append(
                    (
                        value(values, deviation.allocation, self.demand)
                        - deviation.payment
                        - value(values, honest.allocation, self.demand)
                        + honest.payment
                    )[:, i]
                )
            regret = np.maximum(np.stack(gains), 0.0).mean(axis=0)
        over = np.maximum(allocation.sum(axis=1) - 1.0, 0.0).sum(axis=-1)
        over = np.where(over < 1e-9, 0.0, over)  # the shares of a tie may sum to one plus rounding
        parts = (payment.sum(axis=-1), received.sum(axis=-1), over, regret)
        return Measures(*(part.reshape(batch, -1).mean(axis=1) for part in parts))

    def info(self, state: DesignState, role: str) -> dict[str, Array]:
        """The last step's measures."""
        return {name: measure[:, None] for name, measure in state.measures._asdict().items()}

    def truths(self) -> tuple[Truth, ...]:
        """Per step: the optimal revenue where Myerson's theorem gives it, otherwise bounds to reach.

        Nothing where bidders need not answer as theory has it: to a callable `respond`, or in a first-price sale.
        """
        if callable(self.respond) or self.family_name == "first-price-reserve":
            return ()
        from walras.envs.auctions.equilibria import design_numbers

        return design_numbers(self.prior, self.demand, " per step")

    def _reports(self, values: Array, outcome: Callable[[Array], Outcome]) -> Array:
        if self.respond == "truthful":
            return values
        if self.respond == "gradient":
            from walras.envs.auctions.misreports import gradient_misreports

            found: Array = gradient_misreports(values, outcome, self.demand, high=self.high)
            return found
        assert callable(self.respond)
        reports: Array = np.maximum(self.respond(values, outcome), 0.0)
        if reports.shape != values.shape or not np.isfinite(reports).all():
            raise ValueError(f"respond: finite reports {values.shape} are needed, got shape {reports.shape} or NaN")
        return reports

    def _quantiles(self, at: Array) -> Array:
        """(len(at), n, m) quantiles of each value; by a fixed sample where the prior is not a product of laws."""
        marginals = self.prior.marginals
        if marginals is not None:
            return np.array([[[float(law.ppf(p)) for law in row] for row in marginals] for p in at])
        u = np.random.Generator(np.random.Philox(0)).random((4096, self.prior.draws))
        return np.quantile(self.prior.sample(u), at, axis=0)


def _match(design: Array, bids: Array) -> Any:
    """The designs as the kind of array the bids are (torch while bidders climb gradients)."""
    return design if isinstance(bids, np.ndarray) else bids.new_tensor(design)
