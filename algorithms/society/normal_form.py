"""One round of a small society as a table: every joint choice that is kept for the round, and what it pays.

For games below with few discrete actions: each citizen takes one action and keeps it until the round ends. Equilibria
are found by looking at every profile and every deviation; learners play on the table. Shapes: `n` citizens with `A`
actions each, `P = A^n` profiles, the first citizen's action running slowest.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from gymnasium import spaces

from walras.envs.game import Array, take
from walras.envs.lanes import LaneRandom, clock
from walras.envs.society.layer import PLAY, Society, SocietyState

MOST_PROFILES = 300_000
"""Largest table."""


class NormalForm(NamedTuple):
    """A round as a table.

    Attributes:
        actions: A.
        profiles: (P, n) actions.
        payoff: (P, n) what citizens feel.
        utility: (P, n) their utilities.
        measures: (P, K) the society's objectives.
    """

    actions: int
    profiles: Array
    payoff: Array
    utility: Array
    measures: Array

    def best_replies(self) -> Array:
        """(P, n) bool: is each citizen's action a best reply to the others'?"""
        shape = (self.actions,) * self.profiles.shape[1]
        replies = np.zeros(self.payoff.shape, bool)
        for i in range(self.profiles.shape[1]):
            table = self.payoff[:, i].reshape(shape)
            best = table.max(axis=i, keepdims=True)
            replies[:, i] = (table >= best - 1e-9 * np.maximum(1.0, np.abs(best))).reshape(-1)
        return replies

    def equilibria(self) -> Array:
        """Numbers of the pure Nash equilibria, ascending."""
        return np.flatnonzero(self.best_replies().all(axis=1))

    def number(self, profile: Array) -> int:
        """The number of a profile (n,)."""
        return int(np.ravel_multi_index(tuple(profile), (self.actions,) * len(profile)))


def choices_of(society: Society) -> int:
    """A: how many actions every citizen has.

    Raises:
        ValueError: if the game below has other roles than citizens, turns, unlike or too many actions.
    """
    roles = society.game.roles
    counts = {role.action_space.n if isinstance(role.action_space, spaces.Discrete) else 0 for role in roles}
    everybody = len(society.citizens) == society.game.n_agents
    if len(counts) != 1 or 0 in counts or not everybody:
        raise ValueError(f"society: citizens with equally many discrete actions are needed, got {society.game!r}")
    actions = int(counts.pop())
    if actions ** len(society.citizens) > MOST_PROFILES:
        raise ValueError(f"society: {actions} ** {len(society.citizens)} profiles are too many for a table")
    return actions


def normal_form(society: Society, state: SocietyState, policy: Array) -> NormalForm:
    """The coming round under a policy, from one state.

    Args:
        society: with a game below in which nothing is random once the round has begun.
        state: one lane.
        policy: (k,).

    Raises:
        ValueError: if the society is too large for a table (see `choices_of`).
    """
    actions, n = choices_of(society), len(society.citizens)
    profiles = np.stack(np.unravel_index(np.arange(actions**n), (actions,) * n), axis=1)
    batch = len(profiles)
    now = society.under(take(state, np.zeros(batch, np.int64)), policy)
    moves, at = {}, 0
    for role in society.roles:
        space = role.action_space
        if role.name in ("voter", "principal"):
            moves[role.name] = np.zeros((batch, role.size, *(space.shape or ())), space.dtype)
        else:
            moves[role.name] = profiles[:, at : at + role.size]
            at += role.size
    payoff, first, goal = np.zeros((batch, n)), now.round.copy(), now.round[0] + 1
    rng = LaneRandom(clock(0, batch))
    while True:
        now, rewards = society.step(now, moves, rng)
        payoff += rewards[:, -n:]
        if (now.round >= goal).all():
            break
        if (now.phase != PLAY).any():  # the principal's later turns keep the policy
            now = now._replace(phase=np.full(batch, PLAY, np.int64))
    assert (now.round == first + 1).all()
    return NormalForm(actions, profiles, payoff, now.last_utility, now.last_measures)


def regret_matching(form: NormalForm, rounds: int, regrets: Array, u: Array) -> tuple[Array, Array]:
    """Independent regret matching on the table, full information (Hart and Mas-Colell 2000).

    Args:
        form: the table.
        rounds: how many.
        regrets: (n, A) where it begins; not changed.
        u: (rounds, n) uniforms.

    Returns:
        Regrets (n, A), and the numbers of the profiles played (rounds,).
    """
    n, actions = regrets.shape
    regrets = regrets.copy()
    strides = actions ** np.arange(n - 1, -1, -1)
    played = np.zeros(rounds, np.int64)
    for t in range(rounds):
        positive = np.maximum(regrets, 0.0)
        total = positive.sum(axis=1, keepdims=True)
        odds = np.where(total > 0, positive / np.where(total > 0, total, 1.0), 1.0 / actions)
        chosen = np.minimum((np.cumsum(odds, axis=1) <= u[t][:, None]).sum(axis=1), actions - 1)
        number = int(chosen @ strides)
        played[t] = number
        for i in range(n):
            others = number - chosen[i] * strides[i]
            row = form.payoff[others + np.arange(actions) * strides[i], i]
            regrets[i] += row - row[chosen[i]]
    return regrets, played
