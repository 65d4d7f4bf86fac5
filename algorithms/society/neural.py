"""Principals that are networks: PPO in the principal's seat, and two-level learning in the way of the AI Economist.

`train_principal` is single-agent PPO (Stable-Baselines3) against followers that stand still or answer by a formula.
`DualRL` lets both levels learn at once (Zheng et al., "The AI Economist", arXiv 2004.13332, 2108.02755): followers by
shared-parameter PPO under the policies that the principal draws, the principal by PPO against the followers as they
are, the followers alone first, and the levers phased in. Non-decision steps never enter the principal's batch: its
seat is only asked when it is to move.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from walras.agents.network import NetworkPolicy
from walras.algorithms.ppo import PPOSettings, Trained, train_ppo
from walras.algorithms.society.followers import Followers, Seats
from walras.envs.arguments import whole
from walras.envs.game import Array, Policy
from walras.envs.lanes import LaneRandom, clock
from walras.envs.society.layer import Society

Progress = Callable[[float, str], None]

PRINCIPAL_SETTINGS = PPOSettings(
    steps=16_384, lanes=64, rollout=8, minibatch=128, epochs=8, learning_rate=3e-3, discount=0.0, spread=0.3
)
"""PPO for a principal whose rounds do not touch each other."""


def train_principal(
    society: Society,
    followers: Followers | None = None,
    settings: PPOSettings | None = None,
    *,
    seed: int,
    voters: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
) -> Trained:
    """PPO in the principal's seat; followers keep their policies.

    Args:
        society: with a principal.
        followers: who have policies (`Seats`, frozen `SharedLearners`); default: `Seats(society)`.
        settings: of PPO; default `PRINCIPAL_SETTINGS`.
        seed: of everything.
        voters: voter or role -> policy; default: random ballots.
        progress: as in `train_ppo`.
        checkpoint: as in `train_ppo`.

    Raises:
        ImportError: if torch or stable-baselines3 is missing.
        ValueError: if the society has no principal, or the followers have no policies.
    """
    _has_principal(society)
    policies = (Seats(society) if followers is None else followers).policies()
    if not policies:
        raise ValueError("followers: policies are needed in their seats; followers that look at tables have none")
    others = {**policies, **(voters or {})}
    chosen = PRINCIPAL_SETTINGS if settings is None else settings
    return train_ppo(society, "principal", chosen, seed=seed, others=others, progress=progress, checkpoint=checkpoint)


DUAL_PRINCIPAL = PPOSettings(
    steps=64 * 4 * 60, lanes=64, rollout=4, minibatch=128, epochs=4, learning_rate=3e-3, discount=0.0, entropy=0.02
)
"""PPO for a principal whose followers learn meanwhile."""


@dataclass(frozen=True)
class DualSettings:
    """Settings of two-level learning."""

    iterations: int = 60
    """turns of both levels after the warm-up"""
    warm: int = 20
    """rollouts of the followers alone, without a policy (every lever at its least)"""
    phase_in: int = 20
    """turns over which the largest policy drawn for the followers grows to the bounds"""
    follower_rollouts: int = 2
    """rollouts of the followers a turn"""
    principal: PPOSettings = DUAL_PRINCIPAL
    """of the principal's PPO; `steps` is set by `iterations`"""
    follower: Mapping[str, Any] | None = None
    """of the followers' `SharedPPOSettings`"""

    def __post_init__(self) -> None:
        """Check the numbers (ValueError otherwise)."""
        for name, least in (("iterations", 1), ("warm", 0), ("phase_in", 0), ("follower_rollouts", 1)):
            whole(name, getattr(self, name), least)


class DualRL:
    """Both levels learn at once; `turn` is one rollout of each.

    The followers' lanes hold policies drawn from the principal's current network, each lane its own, so followers learn
    what the policy they see means.
    """

    def __init__(self, society: Society, settings: DualSettings | None = None, *, seed: int = 0) -> None:
        """Prepare both learners; nothing is played yet.

        Args:
            society: with a principal, discrete actions of followers, and players who see the policy.
            settings: of both.
            seed: of everything.

        Raises:
            ImportError: if torch or stable-baselines3 is missing.
            ValueError: if the society does not fit.
        """
        _has_principal(society)
        if not society.informed:
            raise ValueError("society: followers need to see the policy (informed=True)")
        from walras.algorithms.ppo import Mirror
        from walras.algorithms.shared_ppo import SharedPPO, SharedPPOSettings
        from walras.envs.society.citizens import Citizens

        self.society, self.settings, self.seed = society, settings or DualSettings(), seed
        self.role = society.game.seat[society.citizens[0]][0].name
        self._law = _Drawn(society, seed)
        chosen = SharedPPOSettings(**dict(self.settings.follower or {}))
        self.followers = SharedPPO(Citizens(society, self._law), self.role, chosen, seed=seed)
        self._mirror = Mirror()
        self._learner: Any = None
        self.turns = 0
        self.curve: list[float] = []
        """Mean return of the principal after each turn."""

    def warm_up(self) -> None:
        """Followers learn alone, without a policy."""
        self._law.most = 0.0
        for _ in range(self.settings.warm):
            self.followers.rollout()

    def turn(self) -> None:
        """Followers, then principal."""
        from walras.algorithms.ppo import _sb3

        sb3 = _sb3()
        if self._learner is None:
            role = self.society.game.role(self.role)
            self._mirror.policy = self.followers.policy(stochastic=True)  # type: ignore[assignment]
            settings = replace(
                self.settings.principal,
                steps=self.settings.iterations * self.settings.principal.lanes * self.settings.principal.rollout,
            )
            seats = dict.fromkeys(role.agents, self._mirror)
            self._learner = sb3.Learner(self.society, "principal", settings, self.seed, others=seats)
        done = self.turns / max(self.settings.iterations, 1)
        self._law.most = min(1.0, (self.turns + 1) / max(self.settings.phase_in, 1))
        self._law.network = self._learner.policy(stochastic=True)
        for _ in range(self.settings.follower_rollouts):
            self.followers.rollout()
        self._mirror.policy = self.followers.policy(stochastic=True)  # type: ignore[assignment]
        mean = self._learner.rollout(1.0 - done)
        self.curve.append(float("nan") if mean is None else float(mean))
        self.turns += 1

    def fit(self, progress: Progress | None = None) -> DualRL:
        """Warm up and take all turns."""
        from walras.algorithms.ppo import _sb3

        with _sb3().own_randomness():
            if not self.turns:
                self.warm_up()
            while self.turns < self.settings.iterations:
                self.turn()
                if progress is not None:
                    progress(self.turns / self.settings.iterations, f"turn {self.turns}, return {self.curve[-1]:.4g}")
        return self

    def principal(self) -> NetworkPolicy:
        """The principal as it stands, acting by its mean or likeliest policy."""
        if self._learner is None:
            raise ValueError("principal: nothing was learned yet")
        found: NetworkPolicy = self._learner.policy()
        return found

    def follower_policies(self) -> dict[str, Policy]:
        """Agent -> the followers' network."""
        policy = self.followers.policy(stochastic=True)
        return dict.fromkeys(self.society.game.role(self.role).agents, policy)


class _Drawn:
    """From uniforms to policies as the principal's network would set them at the start of a round."""

    def __init__(self, society: Society, seed: int) -> None:
        self.society = society
        self.network: NetworkPolicy | None = None
        self.most = 1.0
        self._start = society.initial(1, LaneRandom(clock(seed, 1)))

    def __repr__(self) -> str:
        return "policies of the learning principal"

    def __call__(self, u: Array) -> Array:
        """(B, k), within `most` of the bounds."""
        society = self.society
        low, span = society.low, society.high - society.low
        if self.network is None:
            return np.asarray(low + self.most * u * span)
        seen = np.asarray(society.observe(self._start, "principal"))[:, 0]
        seen = np.repeat(seen, len(u), axis=0).astype(np.float32)
        output = self.network.output(seen).astype(np.float64)
        if society.levels is None:
            assert self.network.spread is not None
            from scipy.special import ndtri

            mean = output + self.network.spread * ndtri(np.clip(u, 1e-12, 1 - 1e-12))
            chosen = low + (np.clip(mean, -1.0, 1.0) + 1.0) / 2.0 * span
        else:
            size = len(society.levels) + 1
            logits = output.reshape(len(u), len(low), size)
            odds = np.exp(logits - logits.max(axis=2, keepdims=True))
            odds /= odds.sum(axis=2, keepdims=True)
            number = np.minimum((np.cumsum(odds, axis=2) <= u[..., None]).sum(axis=2), size - 1)
            held = np.minimum(number, size - 2)
            chosen = np.where(number == size - 1, society.start, society.levels[held, np.arange(len(low))])
        return np.asarray(low + np.minimum(chosen - low, self.most * span))


def _has_principal(society: Society) -> None:
    if "principal" not in society.seat:
        raise ValueError("society: it has no principal, the vote is over the policy itself")
