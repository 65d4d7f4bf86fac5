"""Regulate the platform: buyers, sellers and the platform itself vote on, or live under, a cap on its fee."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from walras.envs.game import Array, Game, Observation, Policy, Role, Truth
from walras.envs.platforms.equilibrium import Joining
from walras.envs.platforms.market import Market
from walras.envs.platforms.marketplace import Marketplace, MarketState
from walras.envs.society.labour import Rate
from walras.envs.society.layer import Society
from walras.envs.society.levers import Bound

_ENTRY = "arXiv 2309.08781"


class Town(Marketplace):
    """The marketplace with its buyers as agents: they have nothing to decide, but something to lose.

    ## Description
    As in `Marketplace` without a regulator: the platform sets its fee, the sellers join or stay off, trade takes place
    at the largest competitive prices. A buyer earns the value of the good it gets less its price.

    ## Action space
    Platform: `Box(0, 1, (1,))`. Sellers: `Discrete(2)`. Buyers: `Discrete(1)`, there is nothing to choose.

    ## Observation space
    As in `Marketplace`; buyers see what the platform sees.

    ## Rewards
    At the end, as in `Marketplace`; buyers theirs.

    ## Episode end
    After the sellers' move.

    ## Info
    As in `Marketplace`, where `payoff` is that of sellers.

    Source: arXiv 2309.08781, section 2.
    """

    def __init__(self, market: Market | str | Mapping[str, Any] = "sawtooth") -> None:
        """Set the market, without costs.

        Raises:
            ValueError: if it has costs.
        """
        super().__init__(market)
        platform = self.role("platform")
        self.roles = (*self.roles, Role("buyer", self.buyers, platform.observation_space, spaces.Discrete(1)))

    def movers(self, state: MarketState) -> Array:
        """The platform, then all others."""
        moves = np.zeros((len(state.turn), 1 + self.sellers + self.buyers), bool)
        moves[:, 0] = state.turn == 0
        moves[:, 1:] = (state.turn == 1)[:, None]
        return moves

    def observe(self, state: MarketState, role: str) -> Array:
        """As in `Marketplace`."""
        if role != "buyer":
            return super().observe(state, role)
        seen = super().observe(state, "platform")
        return np.broadcast_to(seen, (len(seen), self.buyers, seen.shape[2]))

    def apply(self, state: MarketState, actions: Mapping[str, Array]) -> tuple[MarketState, Array]:
        """One move; at the end everybody is paid."""
        fee = np.where(state.turn == 0, self._share(actions["platform"]), state.fee)
        deciding = (state.turn == 1)[:, None]
        choice = np.where(deciding, actions["seller"].astype(np.int64), state.choice)
        after = MarketState(state.values, state.known, state.cap, fee, choice, state.turn + 1)
        rewards = np.zeros((len(fee), self.n_agents))
        over = self.terminal(after)
        if over.any():
            rewards = np.where(over[:, None], self.earned(after), 0.0)
        return after, rewards

    def earned(self, state: MarketState) -> Array:
        """(B, 1 + m + n) what platform, sellers and buyers earn in the market as it stands."""
        stage = self.settlement(state)
        lane, i = np.nonzero(stage.matching >= 0)
        good = stage.matching[lane, i]
        gain = np.zeros((len(state.turn), self.buyers))
        values = np.broadcast_to(state.values, (len(state.turn), self.buyers, self.sellers))
        gain[lane, i] = values[lane, i, good] - stage.paid[lane, good]
        return np.concatenate([stage.revenue, stage.payoff, gain], axis=1).astype(np.float64)

    def truths(self) -> tuple[Truth, ...]:
        """Ideal welfare."""
        return super().truths()[:1]


class Answer(NamedTuple):
    """What a cap leads to.

    Attributes:
        fee: the platform's.
        joined: (m,) who joins.
        earned: (1 + m + n,) what platform, sellers and buyers earn.
        welfare: value traded.
    """

    fee: float
    joined: Array
    earned: Array
    welfare: float


class FeeCap(Society):
    """A town under a cap on the platform's fee: set by a principal, or voted by all.

    ## Description
    `Society` over `Town` with one lever, the largest fee that counts. The platform answers a cap with the fee that
    earns it most there, with the sellers' best equilibrium for it; the answers are exact (`Joining.optimistic`).

    ## Action space
    As in `Society`; the policy is one number in [0, 1].

    ## Observation space
    As in `Society`; the platform sees the cap.

    ## Rewards
    As in `Society`.

    ## Episode end
    After `rounds` rounds of one market each.

    ## Info
    As in `Society`.

    Source: arXiv 2309.08781, sections 2 and 4; votes are ours.
    """

    def __init__(
        self,
        market: Market | str | Mapping[str, Any] = "harmonic",
        *,
        vote: Mapping[str, Any] | str | None = None,
        objectives: Sequence[str | Mapping[str, Any]] = ("surplus", "egalitarian", "mean:revenue"),
        objective: str | None = None,
        rounds: int = 1,
        grid: int | None = None,
        caps: int = 101,
    ) -> None:
        """Set the parameters.

        Args:
            market: as in `Town`.
            vote: as in `Society`; over the policy, everybody's favourite is known.
            objectives: as in `Society`; `"surplus"` is welfare, for all are citizens.
            objective: as in `Society`.
            rounds: of an episode.
            grid: number of caps that the principal chooses from; `None`: any.
            caps: favourites are looked for on so many caps.

        Raises:
            ValueError: if a parameter is out of range.
        """
        town = Town(market)
        super().__init__(
            town, levers=(Bound("platform", 0, "cap"),), objectives=objectives, objective=objective, vote=vote,
            rounds=rounds, grid=grid,
        )  # fmt: skip
        self.caps = np.linspace(0.0, 1.0, caps)
        assert town.market is not None
        self.joining = Joining(town.market)
        """Equilibria of the town at every fee."""
        self._known: dict[float, Answer] = {}

    def answer(self, cap: float) -> Answer:
        """What the town does under a cap, exactly (the cap to six digits)."""
        key = round(float(cap), 6)
        if key not in self._known:
            found = self.joining.optimistic(Fraction(key).limit_denominator(1_000_000))
            town = self.game
            assert isinstance(town, Town)
            joined = np.zeros(town.sellers, np.int64)
            joined[list(found.joined)] = 1
            start = town.initial(1, np.random.default_rng(0))
            state = start._replace(fee=np.array([float(found.fee)]), choice=joined[None], turn=np.array([2]))
            self._known[key] = Answer(float(found.fee), joined, town.earned(state)[0], float(found.welfare))
        return self._known[key]

    def favourites(self) -> Array:
        """(1 + m + n,) the cap that each would choose for the town; of equals the largest, so no cap without need."""
        table = np.stack([self.answer(cap).earned for cap in self.caps])
        best = table >= table.max(axis=0) - 1e-9
        last = len(self.caps) - 1 - np.argmax(best[::-1], axis=0)
        chosen: Array = self.caps[last]
        return chosen

    def answers(self) -> Mapping[str, Policy]:
        """The platform's best fee under the cap it sees, and the sellers' equilibrium at the fee they see."""
        sellers = {f"seller_{j}": _Seller(self, j) for j in range(self.game.role("seller").size)}
        return {"platform": _Platform(self), **sellers, "buyer": _Watch()}

    def equilibrium(self) -> Mapping[str, Policy] | None:
        """Answers, and with a vote over the policy everybody's favourite cap."""
        known = dict(self.answers())
        if self.over == "policy":
            known |= {f"voter_{i}": Rate(float(cap)) for i, cap in enumerate(self.favourites())}
        return known

    def truths(self) -> tuple[Truth, ...]:
        """Welfare without a cap, with the best cap of the grid, and if all could trade with all; per round."""
        free = self.answer(1.0)
        best = max((self.answer(cap) for cap in self.caps), key=lambda answer: answer.welfare)
        source = f"{_ENTRY}; the platform's best fee under each cap, over all sets of sellers"
        return (
            Truth("welfare per round without a cap", free.welfare, "equilibrium", source),
            Truth("welfare per round at the best cap", best.welfare, "optimum", source),
            Truth("platform's revenue per round without a cap", float(free.earned[0]), "optimum", source),
            Truth("welfare per round if all could trade with all", float(self.joining.ideal), "optimum", "matching"),
        )


class _Watch:
    """Does nothing."""

    def __call__(self, observation: Observation) -> Array:
        """(B,) zeros."""
        assert isinstance(observation, dict)
        return np.zeros(len(observation["policy"]), np.int64)


class _Platform:
    """The best fee under the cap that holds."""

    def __init__(self, society: FeeCap) -> None:
        self.society = society

    def __call__(self, observation: Observation) -> Array:
        """(B, 1)."""
        assert isinstance(observation, dict)
        caps, which = np.unique(np.asarray(observation["policy"], np.float64)[:, 0], return_inverse=True)
        fees = np.array([self.society.answer(float(cap)).fee for cap in caps], np.float32)
        return np.minimum(fees[which.reshape(-1)], 1.0)[:, None]


class _Seller:
    """One seller's part of the equilibrium at the fee that was set.

    On the platform's path that is the equilibrium the platform counts on; at other fees the one of largest revenue,
    and where there is no pure one the seller joins.
    """

    def __init__(self, society: FeeCap, number: int) -> None:
        self.society, self.number = society, number

    def __call__(self, observation: Observation) -> Array:
        """(B,)."""
        assert isinstance(observation, dict)
        town: Game[Any] = self.society.game
        assert isinstance(town, Town)
        place = 2 * town.buyers * town.sellers + 1
        rows = np.stack(
            [
                np.asarray(observation["policy"], np.float64)[:, 0],
                np.asarray(observation["game"], np.float64)[:, place],
            ],
            axis=1,
        )
        pairs, which = np.unique(rows, axis=0, return_inverse=True)
        return np.array([self._choose(cap, fee) for cap, fee in pairs], np.int64)[which.reshape(-1)]

    def _choose(self, cap: float, fee: float) -> int:
        known = self.society.answer(cap)
        if abs(known.fee - fee) < 1e-5:
            return int(known.joined[self.number])
        found = self.society.joining.select(Fraction(fee).limit_denominator(100_000), "optimistic")
        return 1 if found is None else int(self.number in found.joined)
