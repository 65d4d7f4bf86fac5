"""The whole market in turns: a regulator may cap the fee, the platform sets it, sellers join, trade settles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from walras.envs.arguments import whole
from walras.envs.classical.stage import Deterministic
from walras.envs.game import Array, Game, Role, Truth
from walras.envs.platforms.equilibrium import Joining
from walras.envs.platforms.joining import Stage, Terms, fee_argument, ideal_welfare, settle
from walras.envs.platforms.market import LAWS, Market, as_market, draw_markets, known_law

GOALS = ("welfare", "buyers-sellers")


class MarketState(NamedTuple):
    """State of the marketplace.

    Attributes:
        values: (B, n, m).
        known: (B, n, m) bool.
        cap: (B,) the largest fee allowed (1 without a regulator).
        fee: (B,) the fee (0 before it is set).
        choice: (B, m) who has joined so far.
        turn: (B,) moves made.
    """

    values: Array
    known: Array
    cap: Array
    fee: Array
    choice: Array
    turn: Array


class Marketplace(Game[MarketState]):
    """A platform sets a fee, sellers join or stay off, the market settles; a regulator may cap the fee first.

    ## Description
    Moves in turn: the regulator (if there is one) caps the fee; the platform asks for a fee, and gets at most the cap;
    the sellers decide, all at once or one after the other, seeing the fee and who joined before them; then trade takes
    place at the largest competitive prices and everybody is paid.

    ## Action space
    Regulator and platform: `Box(0, 1, (1,))`, the cap and the fee; with `grid=g`: `Discrete(g)`, action k is
    k / (g - 1). Sellers: `Discrete(2)`, 0 off, 1 join.

    ## Observation space
    `Box`, alike for all but the one-hot: values (n m), who knows whom (n m), cap, fee (0 before they are set), who has
    joined (m), and for sellers one's own number, one-hot (m).

    ## Rewards
    At the end: the regulator gets what `goal` says (`"welfare"`, or `"buyers-sellers"`: welfare less fees), the
    platform the fees, sellers `(1 - fee) p_j` or `p_j`.

    ## Episode end
    After the last seller's move.

    ## Info
    `cap`, `fee`, `welfare`, `ideal_welfare`, `revenue`, `payoff` (sellers: own; others: 0), of the market as it stands.

    Source: arXiv 2309.08781, sections 2 and 4 (cap); the form in turns and the goals of the regulator are ours.
    """

    def __init__(
        self,
        market: Market | str | Mapping[str, Any] | None = "sawtooth",
        *,
        regulator: bool = False,
        sequential: bool = False,
        goal: str = "welfare",
        grid: int | None = None,
        buyers: int = 4,
        sellers: int = 3,
        law: str = "homogeneous-uniform",
        edge: float = 0.3,
    ) -> None:
        """Set the parameters.

        Args:
            market: as in `SellerEntry`, without costs; `None`: random markets.
            regulator: a regulator moves first.
            sequential: sellers decide one after the other, by number, instead of all at once.
            goal: what the regulator earns.
            grid: number of caps and fees to choose from, >= 2; `None`: any.
            buyers: n of random markets.
            sellers: m of random markets.
            law: of random values, as in `RandomEntry`.
            edge: probability that a random pair knows each other.

        Raises:
            ValueError: if a parameter is out of range.
        """
        self.market = None if market is None else as_market(market)
        if self.market is not None and self.market.costs is not None:
            raise ValueError("market: goods without costs are needed here")
        for name, flag in (("regulator", regulator), ("sequential", sequential)):
            if not isinstance(flag, bool):
                raise ValueError(f"{name} must be True or False, got {flag!r}")
        if goal not in GOALS:
            raise ValueError(f"goal must be one of {GOALS}, got {goal!r}")
        self.buyers = whole("buyers", buyers) if self.market is None else self.market.buyers
        self.sellers = whole("sellers", sellers) if self.market is None else self.market.sellers
        self.law, self.edge = known_law(law), fee_argument("edge", edge)
        self.regulator, self.sequential, self.goal = regulator, sequential, goal
        self.grid = None if grid is None else whole("grid", grid, 2)
        self.levels = None if grid is None else np.linspace(0.0, 1.0, grid)
        """(g,): the caps and fees that actions stand for."""
        top = max(LAWS[law][1] if self.market is None else float(self.market.values.max()), 1e-9)
        size, m = self.buyers * self.sellers, self.sellers
        high = np.concatenate([np.full(size, np.float32(top * 1.001)), np.ones(size + 2 + m)]).astype(np.float32)
        seen = spaces.Box(np.zeros_like(high), high, dtype=np.float32)
        wider = np.append(high, np.ones(m, np.float32))
        number: spaces.Space[Any] = spaces.Box(np.float32(0), np.float32(1), (1,))
        share = number if self.grid is None else spaces.Discrete(self.grid)
        first = (Role("regulator", None, seen, share),) if regulator else ()
        own = spaces.Box(np.zeros_like(wider), wider, dtype=np.float32)
        self.roles = (*first, Role("platform", None, seen, share), Role("seller", m, own, spaces.Discrete(2)))
        self.turns = int(regulator) + 1 + (m if sequential else 1)

    def __repr__(self) -> str:
        """Parameters that tell this game from others."""
        what = f"{self.market!r}" if self.market else f"{self.buyers} x {self.sellers} {self.law}, edge={self.edge}"
        return (
            f"{type(self).__name__}({what}, regulator={self.regulator}, sequential={self.sequential}, "
            f"goal={self.goal!r}, grid={self.grid})"
        )

    def initial(self, batch: int, rng: np.random.Generator) -> MarketState:
        """A market; nobody has moved."""
        shape = (batch, self.buyers, self.sellers)
        if self.market is None:
            return self._start(*draw_markets(rng, *shape, self.law, self.edge))
        return self._start(np.broadcast_to(self.market.values, shape), np.broadcast_to(self.market.known, shape))

    def _start(self, values: Array, known: Array) -> MarketState:
        batch = len(values)
        none = np.zeros((batch, self.sellers), np.int64)
        return MarketState(values, known, np.ones(batch), np.zeros(batch), none, np.zeros(batch, np.int64))

    def movers(self, state: MarketState) -> Array:
        """(B, N) bool: regulator, platform, then all sellers or one."""
        moves = np.zeros((len(state.turn), self.n_agents), bool)
        first = int(self.regulator)
        for turn in range(first + 1):
            moves[:, turn] = state.turn == turn
        at = state.turn - first - 1
        for j in range(self.sellers):
            moves[:, first + 1 + j] = at == j if self.sequential else at == 0
        return moves

    def observe(self, state: MarketState, role: str) -> Array:
        """(B, c, k), see the class docstring."""
        batch = len(state.turn)
        flat = [a.reshape(batch, -1) for a in (state.values, state.known)]
        seen = np.concatenate([*flat, state.cap[:, None], state.fee[:, None], state.choice], axis=1)[:, None]
        if role != "seller":
            return np.asarray(seen)
        m = self.sellers
        everyone = np.broadcast_to(seen, (batch, m, seen.shape[2]))
        return np.concatenate([everyone, np.broadcast_to(np.eye(m), (batch, m, m))], axis=2)

    def apply(self, state: MarketState, actions: Mapping[str, Array]) -> tuple[MarketState, Array]:
        """One move of whoever is to move; at the end everybody is paid."""
        first = int(self.regulator)
        at = state.turn - first - 1
        cap = np.where(at == -2, self._share(actions["regulator"]), state.cap) if self.regulator else state.cap
        fee = np.where(at == -1, np.minimum(self._share(actions["platform"]), cap), state.fee)
        deciding = at[:, None] == np.arange(self.sellers) if self.sequential else (at == 0)[:, None]
        choice = np.where(deciding, actions["seller"].astype(np.int64), state.choice)
        after = MarketState(state.values, state.known, cap, fee, choice, state.turn + 1)
        rewards = np.zeros((len(at), self.n_agents))
        over = self.terminal(after)
        if over.any():
            stage = self.settlement(after)
            revenue = stage.revenue[:, 0]
            if self.regulator:
                rewards[:, 0] = stage.welfare - (revenue if self.goal == "buyers-sellers" else 0.0)
            rewards[:, first] = revenue
            rewards[:, first + 1 :] = stage.payoff
            rewards[~over] = 0.0
        return after, rewards

    def step(
        self, state: MarketState, actions: Mapping[str, Array], rng: np.random.Generator
    ) -> tuple[MarketState, Array]:
        """One move; nothing in it is random."""
        return self.apply(state, actions)

    def settlement(self, state: MarketState) -> Stage:
        """Trade in the market as it stands."""
        reach = np.ones((1, self.buyers), bool)
        return settle(state.values, state.known, state.choice, Terms(state.fee[:, None], reach))

    def terminal(self, state: MarketState) -> Array:
        """After the last move."""
        over: Array = state.turn >= self.turns
        return over

    def info(self, state: MarketState, role: str) -> dict[str, Array]:
        """The market as it stands."""
        size = self.role(role).size
        stage = self.settlement(state)
        facts = {
            "cap": state.cap, "fee": state.fee, "welfare": stage.welfare.astype(np.float64),
            "ideal_welfare": ideal_welfare(state.values).astype(np.float64), "revenue": stage.revenue[:, 0],
        }  # fmt: skip
        payoff = stage.payoff if role == "seller" else np.zeros((len(state.turn), size))
        return {**{name: np.repeat(fact[:, None], size, axis=1) for name, fact in facts.items()}, "payoff": payoff}

    def truths(self) -> tuple[Truth, ...]:
        """Ideal welfare, and the platform's largest revenue where sellers decide at once and nobody caps the fee."""
        if self.market is None:
            return ()
        game = Joining(self.market)
        known = [Truth("welfare if all could trade with all", float(game.ideal), "optimum", "matching")]
        if not self.regulator and not self.sequential and self.grid is None and self.sellers <= 12:
            best = game.optimistic()
            source = "the best fee with the best equilibrium that it supports; derived here"
            known.append(
                Truth("platform's revenue, indifferent sellers follow it", float(best.revenue), "bound", source)
            )
        return tuple(known)

    def _share(self, given: Array) -> Array:
        """(B,) a cap or a fee from actions (B, 1, ...)."""
        if self.levels is None:
            return np.clip(given[:, 0, 0].astype(np.float64), 0.0, 1.0)
        found: Array = self.levels[given[:, 0]]
        return found


class FiniteMarketplace(Marketplace, Deterministic[MarketState]):
    """The marketplace on a grid of fees and a fixed market: the same rules as a game tree.

    ## Action space
    As in `Marketplace` with a grid.

    ## Observation space
    As in `Marketplace`.

    ## Rewards
    As in `Marketplace`.

    ## Episode end
    As in `Marketplace`.

    ## Info
    As in `Marketplace`.

    Source: as `Marketplace`.
    """

    def __init__(
        self,
        market: Market | str | Mapping[str, Any] = "sawtooth",
        *,
        regulator: bool = False,
        sequential: bool = False,
        goal: str = "welfare",
        grid: int = 19,
    ) -> None:
        """Set the parameters, as in `Marketplace`.

        Raises:
            ValueError: if a parameter is out of range.
        """
        super().__init__(as_market(market), regulator=regulator, sequential=sequential, goal=goal, grid=grid)

    def root(self, batch: int) -> MarketState:
        """Nobody has moved."""
        assert self.market is not None
        shape = (batch, self.buyers, self.sellers)
        return self._start(np.broadcast_to(self.market.values, shape), np.broadcast_to(self.market.known, shape))
