"""Independent PPO with shared parameters: every agent of a role learns from its own view, with one network for all.

Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347) as the Social Environment Design experiment uses
it for its players (arXiv 2402.14090; there on pixels, here on classes). Agents are independent: each has its own
return and advantage, nobody sees the others' rewards or actions. One network is fed by all of them, so a step of `B`
lanes with `c` agents gives B c samples. Acting is compiled (`ClassPolicy`), learning is torch on one thread.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium
import numpy as np

from walras.agents.class_network import ClassCodec, ClassPolicy, choose, forward
from walras.algorithms.checkpoint import Checkpoint, Standing, describe
from walras.envs.doors.role import RoleVectorEnv
from walras.envs.game import Array, Game, Observation
from walras.envs.registry import as_game

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class SharedPPOSettings:
    """Settings of shared-parameter PPO; the defaults suit the harvest worlds."""

    steps: int = 1_000_000
    """steps of the game in all, every lane counted, rounded up to whole rollouts"""
    lanes: int = 32
    """games played side by side"""
    rollout: int = 125
    """steps in each lane between updates"""
    minibatches: int = 8
    """gradient steps in a pass over the rollout; must divide lanes x rollout x agents"""
    epochs: int = 2
    """passes over each rollout"""
    learning_rate: float = 1e-3
    """step size of Adam at the start"""
    schedule: Literal["linear", "constant"] = "linear"
    """how the step size goes on: down to nothing, or not at all"""
    discount: float = 0.99
    """worth of the next step's reward"""
    gae_lambda: float = 0.95
    """weight of long against short returns in the advantage"""
    clip: float = 0.2
    """largest change of an action's probability ratio that still counts"""
    entropy: float = 0.01
    """reward for randomness"""
    value_weight: float = 0.5
    """weight of the critic's loss"""
    max_gradient: float = 0.5
    """norm at which gradients are clipped"""
    reward_scale: float = 0.2
    """rewards are multiplied by it, so that values are of the order of one"""
    layers: tuple[int, ...] = (128, 128)
    """widths of the hidden layers, shared by actor and critic"""

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("steps", "lanes", "rollout", "minibatches", "epochs"):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ValueError(f"{name} must be an integer of at least 1, got {number!r}")
        for name in ("learning_rate", "clip", "max_gradient", "reward_scale"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)!r}")
        for name in ("discount", "gae_lambda"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)!r}")
        for name in ("entropy", "value_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be nonnegative and finite, got {getattr(self, name)!r}")
        if self.schedule not in ("linear", "constant"):
            raise ValueError(f"schedule must be 'linear' or 'constant', got {self.schedule!r}")
        if not self.layers or any(
            isinstance(width, bool) or not isinstance(width, int) or width < 1 for width in self.layers
        ):
            raise ValueError(f"layers must be positive integers, got {self.layers!r}")

    @property
    def rollouts(self) -> int:
        """Number of rollouts that `steps` come to."""
        return math.ceil(self.steps / (self.lanes * self.rollout))


@dataclass(frozen=True, eq=False)
class SharedTrained:
    """What a training leaves.

    Attributes:
        policy: of every agent of the role; draws its actions as in training.
        role: whose.
        steps: steps of the game made, all lanes together.
        curve_steps: (R,) steps made after each rollout.
        curve_rewards: (R,) mean reward of a step over lanes and agents, unscaled, in each rollout.
        cpu_seconds: processor time of the training; of a resumed one, all that led to it.
        wall_seconds: time on the clock, likewise.
    """

    policy: ClassPolicy
    role: str
    steps: int
    curve_steps: Array
    curve_rewards: Array
    cpu_seconds: float
    wall_seconds: float


class SharedPPO:
    """The learner, rollout by rollout; `train_shared` is the loop around it.

    The lanes go on from rollout to rollout. Where the horizon cuts an episode the value of its last state is added;
    the lanes' first episodes are cut at different steps, so that not all of them begin anew at once.
    """

    def __init__(
        self,
        game: Game[Any] | str,
        role: str | None = None,
        settings: SharedPPOSettings | None = None,
        *,
        seed: int,
        others: Mapping[str, Any] | str | None = None,
        stagger: bool = True,
        **parameters: Any,
    ) -> None:
        """Build lanes and network.

        Args:
            game: the rules, or a registered id; all agents of the role move at once, with Discrete actions.
            role: who learns (default: the game's first role).
            settings: of PPO.
            seed: of the lanes, the first weights, and the exploration.
            others: policies of the other roles, as in `RoleVectorEnv`.
            stagger: let the first episodes end at different steps (games with a horizon).
            parameters: of the game, when an id is given.

        Raises:
            ImportError: if torch is missing.
            TypeError: if the role's actions are not Discrete, or its observations no Box, Discrete or Dict of these.
            ValueError: if the minibatches do not divide a rollout, or the lanes cannot be made.
        """
        torch = _torch()
        self.settings = settings = SharedPPOSettings() if settings is None else settings
        self.env = RoleVectorEnv(game, num_envs=settings.lanes, role=role, others=others, **parameters)
        part = self.env.role
        if not isinstance(part.action_space, gymnasium.spaces.Discrete):
            raise TypeError(f"role {part.name!r}: Discrete actions are needed, got {part.action_space}")
        self.batch = settings.lanes * settings.rollout * part.size
        if self.batch % settings.minibatches:
            raise ValueError(
                f"minibatches must divide lanes x rollout x agents = {self.batch}, got {settings.minibatches}"
            )
        self.codec = ClassCodec.of(part.observation_space)
        self.start, self.outputs = int(part.action_space.start), int(part.action_space.n)
        self.seed, self.rollouts = seed, 0
        self.ended: list[tuple[Any, Array]] = []
        """Of the last rollout: states in which episodes ended, and (B,) which lanes' did."""
        generator = torch.Generator().manual_seed(seed)
        self.network = _Network(self.codec.width, settings.layers, self.outputs, generator)
        self.optimizer = torch.optim.Adam(self.network.parameters, lr=settings.learning_rate, eps=1e-5)
        self._seen: Observation = self.env.reset(seed=seed)[0]
        horizon = self.env.arena.horizon
        if stagger and horizon is not None:
            self.env.arena.elapsed[:] = np.arange(settings.lanes) * horizon // settings.lanes

    @property
    def steps(self) -> int:
        """Steps of the game so far, all lanes together."""
        return self.rollouts * self.settings.lanes * self.settings.rollout

    def policy(self, *, stochastic: bool = True) -> ClassPolicy:
        """What has been learned so far."""
        weights, biases = self._layers()
        actor = np.ascontiguousarray(weights[-1][:, : self.outputs])  # without the value
        bias = biases[-1][: self.outputs].copy()
        return ClassPolicy(self.codec, (*weights[:-1], actor), (*biases[:-1], bias), self.start, stochastic)

    def restart(self) -> None:
        """Begin a new episode in every lane, at once."""
        self._seen = self.env.reset()[0]

    def rollout(self, remaining: float = 1.0) -> float:
        """Play one rollout and learn from it.

        Args:
            remaining: share of the training still to come, for a linear step size.

        Returns:
            Mean reward of a step over lanes and agents, unscaled.
        """
        classes, numbers, actions, logs, values, rewards, goes_on = self._collect()
        advantages = _advantages(rewards, values, goes_on, self.settings.discount, self.settings.gae_lambda)
        mean = float(self._mean)
        self._learn(classes, numbers, actions, logs, values[:-1], advantages, remaining)
        self.rollouts += 1
        return mean

    def _collect(self) -> tuple[Array, ...]:
        chosen = self.settings
        lanes, agents = chosen.lanes, self.env.role.size
        people = lanes * agents
        rng = np.random.default_rng([self.seed, 1, self.rollouts])
        weights, biases = self._layers()
        starts = self.codec.starts
        length = chosen.rollout
        first_classes, first_numbers = self._encode(self._seen)
        classes = np.empty((length, people, first_classes.shape[1]), np.int8)
        numbers = np.empty((length, people, first_numbers.shape[1]), np.float32)
        actions, logs = np.empty((length, people), np.int64), np.empty((length, people), np.float32)
        values, rewards = np.empty((length + 1, people), np.float32), np.empty((length, people), np.float32)
        goes_on = np.ones((length, people), np.float32)
        total = 0.0
        self.ended = []
        seen = first_classes, first_numbers
        for t in range(length):
            classes[t], numbers[t] = seen
            output = forward(starts, *seen, weights, biases)
            logits, values[t] = output[:, :-1], output[:, -1]
            action = choose(logits, rng.random(people))
            actions[t] = action
            logs[t] = (logits - _log_sum(logits))[np.arange(people), action]
            self._seen, reward, terminated, truncated, info = self.env.step(
                (action + self.start).reshape(lanes, agents)
            )
            total += float(reward.sum())
            rewards[t] = reward.reshape(-1) * chosen.reward_scale
            seen = self._encode(self._seen)
            over = terminated | truncated
            if over.any():
                goes_on[t] = np.repeat(~over, agents)
                self.ended.append((info["final_state"], over))
                cut = np.flatnonzero(truncated)
                if len(cut):
                    last = _lanes(info["final_obs"], cut)
                    worth = forward(starts, *self._encode(last), weights, biases)[:, -1]
                    rewards[t].reshape(lanes, agents)[cut] += chosen.discount * worth.reshape(len(cut), agents)
        values[length] = forward(starts, *seen, weights, biases)[:, -1]
        self._mean = total / (length * people)
        return classes, numbers, actions, logs, values, rewards, goes_on

    def _learn(
        self, classes: Array, numbers: Array, actions: Array, logs: Array, values: Array, advantages: Array,
        remaining: float,
    ) -> None:  # fmt: skip
        torch = _torch()
        chosen = self.settings
        rate = chosen.learning_rate * (remaining if chosen.schedule == "linear" else 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        flat = [torch.from_numpy(np.ascontiguousarray(a.reshape(self.batch, *a.shape[2:]))) for a in (
            classes, numbers, actions, logs, advantages, advantages + values,
        )]  # fmt: skip
        rng = np.random.default_rng([self.seed, 2, self.rollouts])
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for _ in range(chosen.epochs):
                order = torch.from_numpy(rng.permutation(self.batch))
                for index in order.chunk(chosen.minibatches):
                    kinds, floats, action, log, advantage, target = (part[index] for part in flat)
                    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
                    output = self.network(self._inputs(kinds, floats))
                    logps = torch.log_softmax(output[:, :-1], dim=1)
                    ratio = (logps.gather(1, action[:, None])[:, 0] - log).exp()
                    gain = torch.minimum(
                        ratio * advantage, ratio.clamp(1 - chosen.clip, 1 + chosen.clip) * advantage
                    ).mean()
                    randomness = -(logps.exp() * logps).sum(dim=1).mean()
                    error = 0.5 * ((output[:, -1] - target) ** 2).mean()
                    loss = chosen.value_weight * error - gain - chosen.entropy * randomness
                    self.optimizer.zero_grad(set_to_none=True)
                    loss.backward()
                    torch.nn.utils.clip_grad_norm_(self.network.parameters, chosen.max_gradient)
                    self.optimizer.step()
        finally:
            torch.set_num_threads(threads)

    def _inputs(self, kinds: Any, floats: Any) -> Any:
        """(b, width) float32: the indicators of all classes but the first, and the numbers."""
        torch = _torch()
        parts, at = [], 0
        for part in self.codec.parts:
            if part.classes:
                own = kinds[:, at : at + part.size]
                levels = torch.arange(1, part.classes, dtype=torch.int8)
                parts.append((own[:, :, None] == levels).reshape(len(own), -1).float())
                at += part.size
        return torch.cat([*parts, floats], dim=1)

    def _encode(self, observation: Observation) -> tuple[Array, Array]:
        """Of observations (B, c, ...): as if B c agents stood in a row."""
        if isinstance(observation, dict):
            return self.codec.encode({key: part.reshape(-1, *part.shape[2:]) for key, part in observation.items()})
        return self.codec.encode(observation.reshape(-1, *observation.shape[2:]))

    def _layers(self) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Copies: matrices (in, out) and vectors of all layers; the last has the logits and then the value."""
        return (
            tuple(w.detach().numpy().copy() for w in self.network.weights),
            tuple(b.detach().numpy().copy() for b in self.network.biases),
        )

    # -- saving --------------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Array]:
        """Everything that determines how the training goes on, as plain arrays."""
        arrays = {f"lanes.{name}": value for name, value in self.env.snapshot().items()}
        state = self.optimizer.state_dict()["state"]
        for k, parameter in enumerate(self.network.parameters):
            arrays[f"network.{k}"] = parameter.detach().numpy().copy()
            for name, moment in state.get(k, {}).items():
                arrays[f"optimizer.{k}.{name}"] = moment.detach().numpy().copy()
        return arrays | {"rollouts": np.array(self.rollouts, np.int64)}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go back to a `snapshot` of a learner with the same arguments, exactly.

        Raises:
            KeyError, ValueError: if the arrays do not belong to such a learner.
        """
        torch = _torch()
        seen = self.env.restore({k.removeprefix("lanes."): v for k, v in arrays.items() if k.startswith("lanes.")})
        state: dict[int, dict[str, Any]] = {}
        for k, parameter in enumerate(self.network.parameters):
            given = arrays[f"network.{k}"]
            if given.shape != tuple(parameter.shape):
                raise ValueError(f"arrays['network.{k}']: shape {given.shape} given, {tuple(parameter.shape)} needed")
            with torch.no_grad():
                parameter.copy_(torch.from_numpy(np.array(given)))
            start = f"optimizer.{k}."
            moments = {name.removeprefix(start): value for name, value in arrays.items() if name.startswith(start)}
            if moments:
                state[k] = {name: torch.from_numpy(np.array(value)) for name, value in moments.items()}
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})
        self._seen, self.rollouts = seen, int(arrays["rollouts"])


def train_shared(
    game: Game[Any] | str,
    role: str | None = None,
    settings: SharedPPOSettings | None = None,
    *,
    seed: int,
    others: Mapping[str, Any] | str | None = None,
    progress: Progress | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    every: int = 10,
    **parameters: Any,
) -> SharedTrained:
    """Train all agents of a role, each for itself, with one network.

    With a `checkpoint`, an interrupted training goes on when the same call is made again, and ends in the same bits as
    one that was never interrupted (on the same machine and libraries).

    Args:
        game: the rules, or a registered id.
        role: who learns (default: the game's first role).
        settings: of PPO.
        seed: of everything.
        others: policies of the other roles, by role or agent, or one policy name.
        progress: told `(fraction, text)` after each rollout.
        checkpoint: file that keeps the whole state of the training: gone on from where it exists, replaced as a whole
            now and then, removed when the training is finished.
        every: rollouts from one such replacement to the next, >= 1.
        parameters: of the game, when an id is given.

    Raises:
        ImportError: if torch is missing.
        TypeError, ValueError: as `SharedPPO`; ValueError if the checkpoint is damaged or belongs to another training.
    """
    start = time.process_time(), time.perf_counter()
    settings = SharedPPOSettings() if settings is None else settings
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise ValueError(f"every must be an integer of at least 1, got {every!r}")
    rules = as_game(game, parameters)
    learner = SharedPPO(rules, role, settings, seed=seed, others=others)
    name = learner.env.role.name
    store = None if checkpoint is None else Checkpoint(checkpoint, describe(rules, name, settings, seed, others))
    curve = list[tuple[int, float]]()
    if store is not None:
        found = store.load()
        store.prepare()
        if found is not None:
            try:
                learner.restore(found.arrays)
            except (KeyError, ValueError) as error:
                raise store.unfit(error) from error
            curve = found.curve
            start = start[0] - found.seconds[0], start[1] - found.seconds[1]
            if progress is not None:
                progress(learner.rollouts / settings.rollouts, f"going on after {learner.steps} steps")
    while learner.rollouts < settings.rollouts:
        mean = learner.rollout(1.0 - learner.rollouts / settings.rollouts)
        curve.append((learner.steps, mean))
        if store is not None and learner.rollouts % every == 0 and learner.rollouts < settings.rollouts:
            spent = time.process_time() - start[0], time.perf_counter() - start[1]
            store.save(Standing(learner.rollouts, curve, spent, learner.snapshot()))
        if progress is not None:
            progress(learner.rollouts / settings.rollouts, f"{learner.steps} steps, reward {mean:.4g} a step")
    if store is not None:
        store.remove()
    steps, rewards = np.array([s for s, _ in curve], np.int64), np.array([r for _, r in curve])
    spent = time.process_time() - start[0], time.perf_counter() - start[1]
    return SharedTrained(learner.policy(), name, learner.steps, steps, rewards, *spent)


class _Network:
    """Layers with ReLU between; the last has the logits and then the value. Orthogonal first weights."""

    def __init__(self, width: int, layers: tuple[int, ...], outputs: int, generator: Any) -> None:
        torch = _torch()
        self.weights, self.biases = [], []
        for k, out in enumerate([*layers, outputs + 1]):
            matrix = torch.empty(width, out)
            if k < len(layers):
                torch.nn.init.orthogonal_(matrix, math.sqrt(2.0), generator=generator)
            else:  # nearly uniform actions, a value of the order of its features
                torch.nn.init.orthogonal_(matrix[:, :outputs], 0.01, generator=generator)
                torch.nn.init.orthogonal_(matrix[:, outputs:], 1.0, generator=generator)
            self.weights.append(matrix.requires_grad_())
            self.biases.append(torch.zeros(out, requires_grad=True))
            width = out
        self.parameters = [*self.weights, *self.biases]

    def __call__(self, x: Any) -> Any:
        torch = _torch()
        for k, (matrix, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.addmm(bias, x.relu() if k else x, matrix)
        return x


def _advantages(rewards: Array, values: Array, goes_on: Array, discount: float, weight: float) -> Array:
    """(T, N) generalised advantage estimates (Schulman et al. 2015, arXiv 1506.02438)."""
    advantages = np.empty_like(rewards)
    running = np.zeros(rewards.shape[1], np.float32)
    for t in range(len(rewards) - 1, -1, -1):
        change = rewards[t] + discount * values[t + 1] * goes_on[t] - values[t]
        running = change + discount * weight * goes_on[t] * running
        advantages[t] = running
    return advantages


def _log_sum(logits: Array) -> Array:
    top = logits.max(axis=1, keepdims=True)
    total: Array = top + np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
    return total


def _lanes(observation: Observation, index: Array) -> Observation:
    if isinstance(observation, dict):
        return {key: part[index] for key, part in observation.items()}
    return observation[index]


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise ImportError("training needs torch: pip install 'walras[learn]'") from error
    return torch
