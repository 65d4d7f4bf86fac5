"""One round of a society as its citizens live it: the policy is given, and everybody plays. For learning followers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from walras.envs.game import Array, Game, Observation
from walras.envs.society.layer import PLAY, Society, SocietyState

Law = Callable[[Array], Array]
"""From uniforms (B, k) to policies (B, k)."""


class Citizens(Game[SocietyState]):
    """The play of one round: a simultaneous game where the one below is, without voters and principal.

    Every lane has a policy of its own, drawn at the deal. The round's end is a horizon, not the end of the world: the
    last state is that in which the next round would go on, so a learner may value what is left there.

    States are those of the society; `society.info(state, "principal")` tells what the round came to.
    """

    def __init__(self, society: Society, policy: Law | Sequence[float] | Array | None = None) -> None:
        """Take the place of the citizens.

        Args:
            society: whose citizens; its `steps`, or else the horizon of the game below, is the length of a round.
            policy: what holds: numbers (k,), a law from uniforms (B, k) to policies (B, k), or `None`: uniform within
                the levers' bounds.

        Raises:
            ValueError: if the numbers lie outside the levers' bounds, or a round has no length.
        """
        # Rounds that begin where the last one ended, without end: no lane is ever over by the rules.
        self.society = copy.copy(society)
        self.society.rounds, self.society.carry_over, self.society.design_every = 2**31, True, None
        length = society.steps if society.steps is not None else society.game.horizon
        if length is None:
            raise ValueError("society: a round without `steps` of a game without a horizon has no length")
        self.horizon = self.society.steps = length
        self.roles = tuple(role for role in society.roles if role.name not in ("voter", "principal"))
        self._first = len(society.agents) - self.n_agents
        self._law: Law | None = policy if callable(policy) else None
        self.policy: Array | None = None
        """(k,) the policy of every lane, where it is fixed."""
        if policy is not None and not callable(policy):
            self.policy = np.asarray(policy, np.float64)
            low, high = society.low, society.high
            if self.policy.shape != low.shape or not ((low <= self.policy) & (self.policy <= high)).all():
                raise ValueError(
                    f"policy: {len(low)} numbers within {low.tolist()} and {high.tolist()} needed, got {policy!r}"
                )

    def __repr__(self) -> str:
        what = self._law if self.policy is None else self.policy.tolist()
        return f"Citizens({self.society!r}, {what!r})"

    def initial(self, batch: int, rng: np.random.Generator) -> SocietyState:
        """The society's deal, its policy set, play due."""
        state = self.society.initial(batch, rng)
        if self.policy is not None:
            return self.society.under(state, self.policy)
        low, high = self.society.low, self.society.high
        u = rng.random((batch, len(low)))
        chosen = low + u * (high - low) if self._law is None else np.clip(self._law(u), low, high)
        return self.society.under(state, chosen)

    def observe(self, state: SocietyState, role: str) -> Observation:
        """As in the society."""
        return self.society.observe(state, role)

    def legal(self, state: SocietyState, role: str) -> Array | None:
        """As in the society."""
        return self.society.legal(state, role)

    def info(self, state: SocietyState, role: str) -> dict[str, Array]:
        """As in the society."""
        return self.society.info(state, role)

    def step(
        self, state: SocietyState, actions: Mapping[str, Array], rng: np.random.Generator
    ) -> tuple[SocietyState, Array]:
        """A step of the game below, with the policy's payments; who plays on after the round keeps its policy."""
        state, rewards = self.society.step(state, actions, rng)
        state = state._replace(phase=np.full_like(state.phase, PLAY))
        return state, rewards[:, self._first :].copy()

    def terminal(self, state: SocietyState) -> Array:
        """Never: the round ends at the horizon."""
        return np.zeros(len(state.phase), bool)

    def incomes(self, state: SocietyState) -> Array:
        """(B, n) utilities of the round that has just ended, after the policy's payments."""
        found: Array = state.last_utility
        return found

    def truths(self) -> tuple[Any, ...]:
        """None that would hold under every policy."""
        return ()

    def render_text(self, state: SocietyState, lane: int = 0) -> str:
        """As in the society."""
        return self.society.render_text(state, lane)

    def render_rgb(self, state: SocietyState, lane: int = 0) -> Any:
        """As in the society."""
        return self.society.render_rgb(state, lane)
