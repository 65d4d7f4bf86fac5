"""The platform's game: choose a fee, watch the sellers answer, earn it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from walras.envs.arguments import whole
from walras.envs.game import Array, Game, Observation, Policy, Role, Truth
from walras.envs.platforms.clearing import clear
from walras.envs.platforms.equilibrium import Joining
from walras.envs.platforms.followers import SELECTIONS, answers
from walras.envs.platforms.joining import fee_argument
from walras.envs.platforms.market import LAWS, Market, as_market, draw_markets, known_law
from walras.envs.platforms.profiles import Profiles, Supports, choices, price_profiles, supports

OBJECTIVES = ("revenue", "welfare", "buyers-sellers")
SELLER_LIMIT = 12


class FeeState(NamedTuple):
    """A market, and what the last fee led to.

    Attributes:
        values: (B, n, m).
        known: (B, n, m) bool.
        fee: (B,) the last fee, 0 before the first.
        revenue: (B,) expected fees collected.
        welfare: (B,) expected value traded.
        joined: (B, m) with what probability each seller joined.
        round: (B,) fees set so far.
    """

    values: Array
    known: Array
    fee: Array
    revenue: Array
    welfare: Array
    joined: Array
    round: Array


class PlatformFee(Game[FeeState]):
    """A platform sets its fee; sellers join or stay off; the market clears and the platform collects.

    ## Description
    One step: the platform announces a fee up to the cap, sellers answer by `selection`, trade takes place at the
    largest competitive prices. Steps do not touch each other: the game is a bandit, with a market that is the same in
    every episode (`market=...`) or drawn for each (`market=None`). Revenue as a function of the fee is a sawtooth: it
    rises until the next seller leaves.

    ## Action space
    `Box(0, cap, (1,))` the fee; with `grid=g`: `Discrete(g)`, action k is the fee `cap k / (g - 1)`.

    ## Observation space
    `Box`: values (n m), who knows whom (n m), then fee, revenue, welfare and each seller's share of joining (m) of the
    last step (zeros at first), and the share of rounds played.

    ## Rewards
    `objective="revenue"`: fees collected; `"welfare"`: value traded; `"buyers-sellers"`: the difference of the two.
    Expectations where sellers mix.

    ## Episode end
    After `rounds` steps, by the rules.

    ## Info
    `fee`, `revenue`, `welfare` of the last step, `ideal_welfare`, `joined` (how many, expected).

    Source: arXiv 2309.08781, section 2; what sellers do where several equilibria or none exist is ours.
    """

    def __init__(
        self,
        market: Market | str | Mapping[str, Any] | None = "sawtooth",
        *,
        buyers: int = 4,
        sellers: int = 3,
        law: str = "homogeneous-uniform",
        edge: float = 0.3,
        cap: float = 1.0,
        grid: int | None = None,
        selection: str = "optimistic",
        learning_rounds: int = 200,
        objective: str = "revenue",
        rounds: int = 1,
    ) -> None:
        """Set the parameters.

        Args:
            market: as in `SellerEntry`; `None`: random markets.
            buyers: n of random markets.
            sellers: m of random markets, at most 12.
            law: of random values, as in `RandomEntry`.
            edge: probability that a random pair knows each other.
            cap: largest fee, in (0, 1].
            grid: number of fees to choose from, >= 2; `None`: any.
            selection: which pure equilibrium the sellers play: `"optimistic"` (largest revenue), `"best"` or `"worst"`
                (by welfare), `"algorithm"` (homogeneous goods). Where there is none, and with `"learning"` always, they
                learn by regret matching, and the later half of their rounds counts.
            learning_rounds: rounds of that, >= 2.
            objective: `"revenue"`, `"welfare"` or `"buyers-sellers"`.
            rounds: T >= 1.

        Raises:
            ValueError: if a parameter is out of range, or goods are not homogeneous where the algorithm needs them.
        """
        self.market = None if market is None else as_market(market)
        if self.market is not None and self.market.costs is not None:
            raise ValueError("market: goods without costs are needed here")
        self.buyers = whole("buyers", buyers) if self.market is None else self.market.buyers
        self.sellers = whole("sellers", sellers) if self.market is None else self.market.sellers
        self.law, self.edge = known_law(law), fee_argument("edge", edge)
        if self.sellers > SELLER_LIMIT:
            raise ValueError(f"sellers must be at most {SELLER_LIMIT}, got {self.sellers}")
        self.cap = fee_argument("cap", cap)
        if self.cap == 0:
            raise ValueError("cap must be positive, got 0")
        for name, value, known in (
            ("selection", selection, SELECTIONS), ("objective", objective, OBJECTIVES),
        ):  # fmt: skip
            if value not in known:
                raise ValueError(f"{name} must be one of {known}, got {value!r}")
        alike = law.startswith("homogeneous") if self.market is None else self.market.homogeneous
        if selection == "algorithm" and not alike:
            raise ValueError("selection: 'algorithm' needs homogeneous goods")
        self.selection, self.objective = selection, objective
        self.learning_rounds = whole("learning_rounds", learning_rounds, 2)
        self.rounds = whole("rounds", rounds)
        self.grid = None if grid is None else whole("grid", grid, 2)
        self.levels = None if grid is None else np.linspace(0.0, self.cap, grid)
        """(g,): the fees that actions stand for."""
        top = LAWS[law][1] if self.market is None else float(self.market.values.max())
        total = np.float32(max(top, 1e-9) * min(self.buyers, self.sellers) * 1.001)
        size = self.buyers * self.sellers
        width = [np.full(size, np.float32(max(top, 1e-9) * 1.001)), np.ones(size), np.ones(1), np.full(2, total)]
        high = np.concatenate([*width, np.ones(self.sellers + 1)]).astype(np.float32)
        action: spaces.Space[Any] = spaces.Box(np.float32(0), np.float32(self.cap), (1,))
        self.roles = (
            Role(
                "platform",
                None,
                spaces.Box(np.zeros_like(high), high, dtype=np.float32),
                action if self.grid is None else spaces.Discrete(self.grid),
            ),
        )
        self._fixed: tuple[Profiles, Supports] | None = None

    def __repr__(self) -> str:
        """Parameters that tell this setting from others."""
        what = f"{self.market!r}" if self.market else f"{self.buyers} x {self.sellers} {self.law}, edge={self.edge}"
        return (
            f"PlatformFee({what}, cap={self.cap}, grid={self.grid}, selection={self.selection!r}, "
            f"objective={self.objective!r}, learning_rounds={self.learning_rounds}, rounds={self.rounds})"
        )

    # -- rules ---------------------------------------------------------------------------------------------------------

    def initial(self, batch: int, rng: np.random.Generator) -> FeeState:
        """A market, and no fee yet."""
        shape = (batch, self.buyers, self.sellers)
        if self.market is None:
            values, known = draw_markets(rng, *shape, self.law, self.edge)
        else:
            values, known = np.broadcast_to(self.market.values, shape), np.broadcast_to(self.market.known, shape)
        zeros = np.zeros(batch)
        return FeeState(values, known, zeros, zeros, zeros, np.zeros((batch, self.sellers)), np.zeros(batch, np.int64))

    def observe(self, state: FeeState, role: str) -> Array:
        """(B, 1, k), see the class docstring."""
        batch = len(state.fee)
        parts = [state.values.reshape(batch, -1), state.known.reshape(batch, -1)]
        last = np.stack([state.fee, state.revenue, state.welfare], axis=1)
        share = (state.round / self.rounds)[:, None]
        return np.concatenate([*parts, last, state.joined, share], axis=1)[:, None]

    def step(self, state: FeeState, actions: Mapping[str, Array], rng: np.random.Generator) -> tuple[FeeState, Array]:
        """A fee, the sellers' answer, trade."""
        given = actions["platform"][:, 0]
        fee = np.clip(given[:, 0].astype(np.float64), 0.0, self.cap) if self.levels is None else self.levels[given]
        after = self.respond(state, fee, rng)
        reward = {"revenue": after.revenue, "welfare": after.welfare}.get(self.objective, after.welfare - after.revenue)
        return after, reward[:, None]

    def respond(self, state: FeeState, fee: Array, rng: np.random.Generator) -> FeeState:
        """What fees (B,) lead to."""
        table, found = self._tables(state)
        shape = (len(fee), self.learning_rounds, self.sellers)
        odds = answers(table, found, fee, self.selection, lambda: np.asarray(rng.random(shape)))
        x = choices(self.sellers)
        revenue = fee * (odds * (table.price * x).sum(axis=2)).sum(axis=1)
        welfare = (odds * table.welfare).sum(axis=1)
        return FeeState(state.values, state.known, fee, revenue, welfare, odds @ x, state.round + 1)

    def terminal(self, state: FeeState) -> Array:
        """After the last round."""
        over: Array = state.round >= self.rounds
        return over

    def info(self, state: FeeState, role: str) -> dict[str, Array]:
        """The last step's outcome."""
        ideal = clear(state.values, np.ones((1, self.buyers, self.sellers), bool)).welfare
        facts = {
            "fee": state.fee, "revenue": state.revenue, "welfare": state.welfare,
            "ideal_welfare": ideal, "joined": state.joined.sum(axis=1),
        }  # fmt: skip
        return {name: fact[:, None] for name, fact in facts.items()}

    # -- theory --------------------------------------------------------------------------------------------------------

    def equilibrium(self) -> Mapping[str, Policy] | None:
        """The fee with the largest revenue against the sellers' answer; of a fixed market, any fee, revenue's sake."""
        if self.market is None or self.objective != "revenue" or self.levels is not None:
            return None
        if self.selection != "optimistic":
            return None
        return {"platform": Fee(float(Joining(self.market).optimistic(self.cap).fee))}

    def truths(self) -> tuple[Truth, ...]:
        """Per step: the largest revenue of any fee, and its welfare, in a fixed market; ideal welfare."""
        if self.market is None:
            return ()
        game = Joining(self.market)
        known = [Truth("welfare per step if all could trade with all", float(game.ideal), "optimum", "matching")]
        if self.selection == "optimistic":
            best = game.optimistic(self.cap)
            source = "highest fee that supports a set of sellers, over all sets; derived here"
            known += [
                Truth("largest revenue per step", float(best.revenue), "optimum", source),
                Truth("the fee that earns it", float(best.fee), "optimum", source),
                Truth("welfare per step at that fee", float(best.welfare), "equilibrium", source),
            ]
        if self.cap < 1:
            bound = float(game.ideal) * (1 - self.cap) / (2 - self.cap)
            known.append(
                Truth("least welfare per step in equilibrium", bound, "bound", "arXiv 2309.08781: (2-a)/(1-a)")
            )
        return tuple(known)

    def _tables(self, state: FeeState) -> tuple[Profiles, Supports]:
        batch = len(state.fee)
        if self.market is None:
            table = price_profiles(state.values, state.known)
            return table, supports(table.price)
        if self._fixed is None:
            table = price_profiles(self.market.values, self.market.known)
            self._fixed = table, supports(table.price)
        table, found = self._fixed
        return (
            Profiles(*(np.broadcast_to(f, (batch, *f.shape[1:])) for f in table)),
            Supports(*(np.broadcast_to(f, (batch, *f.shape[1:])) for f in found)),
        )


@dataclass(frozen=True)
class Fee:
    """The policy that always sets one fee.

    Attributes:
        fee: in [0, 1].
    """

    fee: float

    def __call__(self, observation: Observation) -> Array:
        """(B, 1) float32."""
        return np.full((len(np.asarray(observation)), 1), self.fee, np.float32)
