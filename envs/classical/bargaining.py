"""Rubinstein's bargaining: two players take turns in claiming shares of a shrinking pie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import gymnasium
import numpy as np
from gymnasium import spaces

from walras.envs.arguments import whole
from walras.envs.classical.stage import Deterministic
from walras.envs.game import Array, Game, Policy, Role, Truth

SLACK = 1e-6
"""Claims may exceed the pie by so much and still agree: two exact claims, rounded to float32, must."""

GRID_LIMIT = 10_000
"""Largest number of shares on a grid: a piece of the pie must be far larger than `SLACK`."""

_STAHL = "Ståhl (1972), Bargaining Theory; Osborne and Rubinstein (1990), Bargaining and Markets, ch. 3"


class BargainingState(NamedTuple):
    """State of the bargaining.

    Attributes:
        round: (B,) rounds that ended without agreement.
        claim: (B,) share that the proposer of this round claims; -1 before it has spoken.
        share: (B, 2) what the players agreed to; zeros without agreement.
    """

    round: Array
    claim: Array
    share: Array


@dataclass(frozen=True)
class SubgamePerfect:
    """What to claim as proposer and as responder, round by round."""

    propose: tuple[float, ...]
    respond: tuple[float, ...]
    space: gymnasium.Space[Any]

    def __call__(self, observation: Array) -> Array:
        """Claims (B, *shape)."""
        last = len(self.propose) - 1
        now = np.minimum(np.rint(observation[:, 0] * (last + 1)).astype(np.int64), last)
        claim = np.where(observation[:, 1] > 0, np.take(self.propose, now), np.take(self.respond, now))
        return cast(Array, claim.reshape(-1, *cast(Any, self.space.shape)).astype(self.space.dtype))


class Bargaining(Game[BargainingState]):
    """Two players share a pie of size one; each round without agreement shrinks it.

    ## Description
    `bargainer_0` proposes in rounds 0, 2, ..., `bargainer_1` in rounds 1, 3, ... The proposer claims a share x of
    the pie, which leaves 1 - x. The responder, having seen it, claims a share y: if x + y <= 1 (up to rounding)
    they agree, the proposer gets x and the responder 1 - x; else the next round begins. So to a responder a claim
    of 0 is a yes and a claim of 1 a no (unless it is offered all). A share agreed to in round t is worth
    `discount**t` of itself; after `rounds` rounds without agreement both get nothing.

    ## Action space
    The share claimed for oneself, `Box(0, 1, (1,))`; with `grid=g` `Discrete(g)`, action k claiming k / (g - 1).

    ## Observation space
    | Num | Observation | Min | Max |
    | --- | --- | --- | --- |
    | 0 | share of rounds that ended without agreement | 0 | 1 |
    | 1 | 1 for the proposer of this round, 0 for the responder | 0 | 1 |
    | 2 | what the standing proposal gives oneself; 0 before it is made | 0 | 1 |

    ## Rewards
    Own share times `discount**t` on agreement, else 0.

    ## Episode end
    With agreement, or after `rounds` rounds, by the rules. A round is two steps.

    ## Info
    `share` agreed to (zeros without agreement), `agreed` (0 or 1), `rejections`.

    Source: Rubinstein (1982), Econometrica 50; with finitely many rounds Ståhl (1972), Bargaining Theory.
    """

    def __init__(self, rounds: int = 10, *, discount: float = 0.9, grid: int | None = None) -> None:
        """Set the parameters.

        Args:
            rounds: T >= 1.
            discount: d, worth of a unit one round later, 0 <= d < 1.
            grid: number of shares, from 2 to `GRID_LIMIT`; `None`: any share.

        Raises:
            ValueError: if a parameter is out of range.
        """
        self.rounds, self.discount, self.grid = whole("rounds", rounds, 1), discount, grid
        if isinstance(discount, bool) or not isinstance(discount, int | float) or not 0 <= discount < 1:
            raise ValueError(f"discount must lie in [0, 1), got {discount!r}")
        action: spaces.Space[Any] = spaces.Box(0.0, 1.0, (1,))
        if grid is not None:
            if whole("grid", grid, 2) > GRID_LIMIT:
                raise ValueError(f"grid must be at most {GRID_LIMIT}, got {grid}")
            action = spaces.Discrete(grid)
        self.roles = (Role("bargainer", 2, spaces.Box(0.0, 1.0, (3,)), action),)

    def __repr__(self) -> str:
        """The parameters."""
        return f"{type(self).__name__}(rounds={self.rounds}, discount={self.discount}, grid={self.grid})"

    def root(self, batch: int) -> BargainingState:
        """Nobody has spoken."""
        return BargainingState(np.zeros(batch, np.int64), np.full(batch, -1.0), np.zeros((batch, 2)))

    def initial(self, batch: int, rng: np.random.Generator) -> BargainingState:
        """Nobody has spoken."""
        return self.root(batch)

    def movers(self, state: BargainingState) -> Array:
        """(B, 2): the proposer of the round, then the responder."""
        first = (state.round + (state.claim >= 0)) % 2 == 0
        return np.stack([first, ~first], axis=1)

    def observe(self, state: BargainingState, role: str) -> Array:
        """Progress, whether one proposes, and one's part of the standing proposal: (B, 2, 3)."""
        progress = np.broadcast_to((state.round / self.rounds)[:, None], state.share.shape)
        part = self._parts(state) * (state.claim >= 0)[:, None]
        return np.stack([progress, self._proposes(state), part], axis=2)

    def _proposes(self, state: BargainingState) -> Array:
        proposes: Array = (state.round % 2)[:, None] == np.arange(2)
        return proposes

    def _parts(self, state: BargainingState) -> Array:
        """(B, 2): what the standing proposal gives each player."""
        return np.where(self._proposes(state), state.claim[:, None], 1.0 - state.claim[:, None])

    def apply(self, state: BargainingState, actions: Mapping[str, Array]) -> tuple[BargainingState, Array]:
        """One claim: the state after it and the rewards (B, 2)."""
        answers = state.claim >= 0
        claims = actions["bargainer"] / (self.grid - 1) if self.grid else actions["bargainer"][..., 0].astype(float)
        claim = np.where(self.movers(state)[:, 0], claims[:, 0], claims[:, 1])
        agreed = answers & (state.claim + claim <= 1.0 + SLACK)
        refused = answers & ~agreed
        share = self._parts(state) * agreed[:, None]
        standing = np.where(refused, -1.0, np.where(answers, state.claim, claim))
        rewards = share * (self.discount ** state.round.astype(float))[:, None]
        return BargainingState(state.round + refused, standing, share), rewards

    def step(
        self, state: BargainingState, actions: Mapping[str, Array], rng: np.random.Generator
    ) -> tuple[BargainingState, Array]:
        """One claim; nothing is random."""
        return self.apply(state, actions)

    def terminal(self, state: BargainingState) -> Array:
        """After an agreement or the last round."""
        over: Array = (state.share.sum(axis=1) > 0) | (state.round >= self.rounds)
        return over

    def info(self, state: BargainingState, role: str) -> dict[str, Array]:
        """The agreement and how long it took."""
        agreed = (state.share.sum(axis=1) > 0).astype(float)
        both = np.ones_like(state.share)
        return {"share": state.share, "agreed": agreed[:, None] * both, "rejections": state.round[:, None] * both}

    def equilibrium(self) -> Mapping[str, Policy]:
        """Subgame-perfect claims by backward induction; a responder who gains nothing by a refusal agrees."""
        pieces = 1.0 if self.grid is None else float(self.grid - 1)
        propose, respond = [], []
        expects = 0.0  # pieces that the proposer of the round to come would get; after the last round nothing
        for _ in range(self.rounds):
            # The proposer never prefers to wait: the responder asks for at most what it would get as the next proposer.
            claim = self.discount * expects
            respond.append(claim if self.grid is None else float(np.ceil(claim - 1e-9)))
            expects = pieces - respond[-1]
            propose.append(expects)
        return {"bargainer": SubgamePerfect(tuple(propose[::-1]), tuple(respond[::-1]), self.roles[0].action_space)}

    def truths(self) -> tuple[Truth, ...]:
        """Shares under subgame-perfect play; none on a grid, whose smallest piece moves them."""
        if self.grid is not None:
            return ()
        d = self.discount
        share, limit = (1 - (-d) ** self.rounds) / (1 + d), 1 / (1 + d)
        return (
            Truth("first proposer's share", share, "equilibrium", _STAHL),
            Truth("first responder's share", 1 - share, "equilibrium", _STAHL),
            Truth("first proposer's share without end", limit, "identity", "Rubinstein (1982)"),
            Truth("sum of payoffs", 1.0, "optimum", "agreement in the first round"),
        )

    def render_text(self, state: BargainingState, lane: int = 0) -> str:
        """Round, standing claim and agreement."""
        now, claim, share = int(state.round[lane]), state.claim[lane], state.share[lane]
        if share.sum() > 0:
            return f"agreed in round {now}: {share[0]:.4f} and {share[1]:.4f}, discounted by {self.discount**now:.4f}"
        if now >= self.rounds:
            return f"no agreement in {self.rounds} rounds"
        who = self.agents[now % 2]
        return f"round {now} of {self.rounds}: {who} " + ("is to propose" if claim < 0 else f"claims {claim:.4f}")


class DiscreteBargaining(Bargaining, Deterministic[BargainingState]):
    """`Bargaining` over a pie in `grid - 1` pieces: the same rules as a finite game, exported as a tree."""

    def __init__(self, rounds: int = 3, *, discount: float = 0.5, grid: int = 5) -> None:
        """Set the parameters, as in `Bargaining`."""
        super().__init__(rounds, discount=discount, grid=whole("grid", grid, 2))
