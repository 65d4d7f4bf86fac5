"""Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347) for any seat of any game, by Stable-Baselines3.

The settings are one dataclass: command-line help, defaults and documentation are one text. Training goes through
the native batch of lanes; what comes back is a `NetworkPolicy` that needs no torch. torch and stable-baselines3 (the
extra `learn`) are imported when training begins.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from walras.agents.network import NetworkPolicy
from walras.algorithms.checkpoint import Checkpoint, Standing, describe
from walras.envs.game import Array, Game, Observation
from walras.envs.registry import as_game

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class PPOSettings:
    """Settings of PPO; the defaults suit economic games of one or few moves."""

    steps: int = 500_000
    """moves of the learning agent in all, rounded up to whole rollouts"""
    lanes: int = 512
    """games played side by side"""
    rollout: int = 4
    """moves in each lane between updates; a game of many moves wants more"""
    minibatch: int = 512
    """moves in one gradient step; must divide lanes x rollout"""
    epochs: int = 5
    """passes over each rollout"""
    learning_rate: float = 3e-3
    """step size of Adam at the start"""
    schedule: Literal["linear", "constant"] = "linear"
    """how the step size goes on: down to nothing, or not at all"""
    discount: float = 1.0
    """worth of the next move's reward; 0 where moves do not touch each other"""
    gae_lambda: float = 0.95
    """weight of long against short returns in the advantage (generalised advantage estimation)"""
    clip: float = 0.2
    """largest change of an action's probability ratio that still counts"""
    entropy: float = 0.0
    """reward for randomness"""
    value_weight: float = 0.5
    """weight of the critic's loss"""
    max_gradient: float = 0.5
    """norm at which gradients are clipped"""
    normalize_reward: bool = True
    """divide rewards by a running standard deviation of returns"""
    start: float = 0.0
    """first mean of Box actions, in half-widths from the middle of the space, in [-1, 1]"""
    spread: float = 0.3
    """first standard deviation of Box actions, in half-widths of the space"""
    layers: tuple[int, ...] = (64, 64)
    """widths of the hidden layers of actor and critic"""
    activation: Literal["tanh", "relu"] = "tanh"
    """between the layers"""

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("steps", "lanes", "rollout", "minibatch", "epochs"):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ValueError(f"{name} must be an integer of at least 1, got {number!r}")
        batch = self.lanes * self.rollout
        if batch < 2 or batch % self.minibatch:
            raise ValueError(f"minibatch must divide lanes x rollout = {batch} (at least 2), got {self.minibatch}")
        for name in ("learning_rate", "spread", "clip", "max_gradient"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)!r}")
        for name in ("discount", "gae_lambda"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)!r}")
        for name in ("entropy", "value_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be nonnegative and finite, got {getattr(self, name)!r}")
        if not -1 <= self.start <= 1:
            raise ValueError(f"start must lie in [-1, 1], got {self.start!r}")
        if any(isinstance(width, bool) or not isinstance(width, int) or width < 1 for width in self.layers):
            raise ValueError(f"layers must be positive integers, got {self.layers!r}")
        for name, known in (("schedule", ("linear", "constant")), ("activation", ("tanh", "relu"))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {known}, got {getattr(self, name)!r}")

    @property
    def rollouts(self) -> int:
        """Number of rollouts that `steps` come to."""
        return math.ceil(self.steps / (self.lanes * self.rollout))


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training run leaves; it can sit in a seat itself.

    Attributes:
        policy: the learned policy, acting by its mean or likeliest action.
        agent: the seat it was trained in.
        steps: moves made.
        curve_steps: (R,) moves made after each rollout.
        curve_returns: (R,) mean return, in the game's units and of the exploring policy, of each lane's latest episode.
        cpu_seconds: processor time of the training, building included; of a resumed one, all that led to it.
        wall_seconds: time on the clock, likewise.
        model: the Stable-Baselines3 model, in the scaled spaces of `policy.codec`.
    """

    policy: NetworkPolicy
    agent: str
    steps: int
    curve_steps: Array
    curve_returns: Array
    cpu_seconds: float
    wall_seconds: float
    model: Any

    def __call__(
        self, observation: Observation, *, mask: Array | None = None, rng: np.random.Generator | None = None
    ) -> Array:
        """Actions (B, *shape)."""
        return self.policy(observation, mask=mask, rng=rng)


def train_ppo(
    game: Game[Any] | str,
    agent: str | None = None,
    settings: PPOSettings | None = None,
    *,
    seed: int,
    others: Mapping[str, Any] | str | None = None,
    door: Literal["native", "dummy"] = "native",
    progress: Progress | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    every: int = 10,
    **parameters: Any,
) -> Trained:
    """Train one seat while the others keep their policies.

    With a `checkpoint`, an interrupted training goes on when the same call is made again, and ends in the same bits
    as one that was never interrupted (on the same machine and libraries, rivals without a memory of their own).

    Args:
        game: the rules, or a registered id.
        agent: the seat that learns (default: the game's first agent).
        settings: of PPO.
        seed: of the lanes, of the network's first weights and of the exploration.
        others: role or agent -> policy, or one policy name for all; default: the equilibrium where known, else random.
        door: `"native"` steps all lanes by one call of the rules; `"dummy"` steps SB3's `DummyVecEnv` over single
            Gymnasium environments (made by `gymnasium.make` when `game` is an id), for comparison.
        progress: told `(fraction, text)` after each rollout, and at once when a checkpoint is gone on from.
        checkpoint: file that keeps the whole state of the training, native door only: gone on from where it exists,
            replaced as a whole now and then, removed when the training is finished. Its folder is made if missing.
        every: rollouts from one such replacement to the next, >= 1.
        parameters: of the game, when an id is given.

    Raises:
        ImportError: if torch or stable-baselines3 is missing.
        KeyError: if the id is unknown.
        ValueError: if the agent, a seat or the door is unknown, a space has no network output, or the checkpoint is
            damaged or belongs to another training (the message says what differs).
    """
    start = time.process_time(), time.perf_counter()
    settings = PPOSettings() if settings is None else settings
    if door not in ("native", "dummy"):
        raise ValueError(f"door must be 'native' or 'dummy', got {door!r}")
    if checkpoint is not None and door != "native":
        raise ValueError(f"checkpoint: only a training through the door 'native' can be saved, got {door!r}")
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise ValueError(f"every must be an integer of at least 1, got {every!r}")
    rules = as_game(game, parameters)
    agent = _agent(rules, agent)
    store = None if checkpoint is None else Checkpoint(checkpoint, describe(rules, agent, settings, seed, others))
    found = None if store is None else store.load()
    sb3 = _sb3()
    done, curve = 0, list[tuple[int, float]]()
    with sb3.own_randomness():
        learner = sb3.Learner(game, agent, settings, seed, others=others, door=door, parameters=parameters)
        if store is not None:
            store.prepare()
            if found is not None:
                _go_on(store, learner, found.arrays)
                done, curve = found.rollouts, found.curve
                start = start[0] - found.seconds[0], start[1] - found.seconds[1]
                if progress is not None:
                    progress(done / settings.rollouts, f"going on after {learner.steps} moves")
        for k in range(done, settings.rollouts):
            mean = learner.rollout(1.0 - k / settings.rollouts)
            if mean is not None:
                curve.append((learner.steps, mean))
            if store is not None and (k + 1) % every == 0 and k + 1 < settings.rollouts:
                arrays = learner.snapshot() | sb3.random_snapshot()
                store.save(Standing(k + 1, curve, _since(start), arrays))
            if progress is not None:
                progress(
                    (k + 1) / settings.rollouts,
                    f"{learner.steps} moves" + ("" if mean is None else f", return {mean:.4g}"),
                )
        learner.close()
    if store is not None:
        store.remove()
    return _trained(learner, agent, curve, start)


def train_self_play(
    game: Game[Any] | str,
    role: str | None = None,
    settings: PPOSettings | None = None,
    *,
    seed: int,
    shared: bool = False,
    updates: Literal["simultaneous", "alternate"] = "simultaneous",
    others: Mapping[str, Any] | str | None = None,
    progress: Progress | None = None,
    **parameters: Any,
) -> dict[str, Trained]:
    """Train all agents of a role against each other.

    Every learner has lanes of its own, in which its rivals play their current networks without exploring.

    Args:
        game: the rules, or a registered id.
        role: whose agents learn (default: the game's first role).
        settings: of PPO, for each learner.
        seed: of everything; learner `i` uses `seed + i`.
        shared: one network for all agents, trained in the first one's seat.
        updates: rivals change after every learner has had its rollout (`"simultaneous"`), or each right after its
            own (`"alternate"`).
        others: policies of the other roles, as in `train_ppo`.
        progress: told `(fraction, text)` after each rollout of all.
        parameters: of the game, when an id is given.

    Returns:
        Agent -> result; with `shared` the same one for all. `cpu_seconds` and `wall_seconds` are those of the whole
        training.
    """
    start = time.process_time(), time.perf_counter()
    settings = PPOSettings() if settings is None else settings
    if updates not in ("simultaneous", "alternate"):
        raise ValueError(f"updates must be 'simultaneous' or 'alternate', got {updates!r}")
    rules = as_game(game, parameters)
    agents = rules.role(rules.roles[0].name if role is None else role).agents
    if isinstance(others, str):
        others = {part.name: others for part in rules.roles}
    sb3 = _sb3()
    with sb3.own_randomness():
        learners, mirrors, curves = (
            {},
            {name: Mirror() for name in agents},
            {name: list[tuple[int, float]]() for name in agents},
        )
        for i, name in enumerate(agents[: 1 if shared else None]):
            rivals = {**(others or {}), **{rival: mirrors[rival] for rival in agents if rival != name}}
            learners[name] = sb3.Learner(rules, name, settings, seed + i, others=rivals)
            _show(mirrors, name, learners[name], shared)
        for k in range(settings.rollouts):
            for name, learner in learners.items():
                mean = learner.rollout(1.0 - k / settings.rollouts)
                if mean is not None:
                    curves[name].append((learner.steps, mean))
                if updates == "alternate":
                    _show(mirrors, name, learner, shared)
            if updates == "simultaneous":
                for name, learner in learners.items():
                    _show(mirrors, name, learner, shared)
            if progress is not None:
                progress((k + 1) / settings.rollouts, f"{learner.steps} moves of each learner")
        for learner in learners.values():
            learner.close()
    done = {name: _trained(learner, name, curves[name], start) for name, learner in learners.items()}
    return {name: done.get(name, done[agents[0]]) for name in agents}


class Mirror:
    """A seat whose policy is replaced while others learn against it."""

    policy: NetworkPolicy

    def __call__(
        self, observation: Observation, *, mask: Array | None = None, rng: np.random.Generator | None = None
    ) -> Array:
        """Actions (B, *shape) of the policy shown last."""
        return self.policy(observation, mask=mask, rng=rng)


def _show(mirrors: Mapping[str, Mirror], name: str, learner: Any, shared: bool) -> None:
    for mirror in mirrors.values() if shared else (mirrors[name],):
        mirror.policy = learner.policy()


def _trained(learner: Any, agent: str, curve: list[tuple[int, float]], start: tuple[float, float]) -> Trained:
    steps, returns = np.array([step for step, _ in curve], np.int64), np.array([mean for _, mean in curve])
    return Trained(learner.policy(), agent, learner.steps, steps, returns, *_since(start), learner.model)


def _since(start: tuple[float, float]) -> tuple[float, float]:
    return time.process_time() - start[0], time.perf_counter() - start[1]


def _go_on(store: Checkpoint, learner: Any, arrays: Mapping[str, Array]) -> None:
    try:
        learner.restore(arrays)
        _sb3().restore_random(arrays)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise store.unfit(error) from error


def _agent(game: Game[Any], agent: str | None) -> str:
    agent = game.agents[0] if agent is None else agent
    if agent not in game.seat:
        raise ValueError(f"agent: {agent!r} is not one of {list(game.agents)}")
    return agent


def _sb3() -> Any:
    try:
        from walras.algorithms import sb3
    except ImportError as error:
        raise ImportError("training needs torch and stable-baselines3: pip install 'walras[learn]'") from error
    return sb3
