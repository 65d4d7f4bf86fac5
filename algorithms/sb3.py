"""Stable-Baselines3's PPO behind walras' spaces: environment wrapper, masks, seeding, from model to policy.

Needs torch and stable-baselines3 (the extra `learn`); `walras.algorithms.ppo` imports this module when training begins.
"""

from __future__ import annotations

import contextlib
import random
from collections import deque
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecEnvWrapper, VecNormalize

from walras.agents.codec import Codec
from walras.agents.network import NetworkPolicy
from walras.envs.doors.sb3 import SeatVecEnv
from walras.envs.doors.single import SeatEnv
from walras.envs.game import Array, Game

if TYPE_CHECKING:
    from walras.algorithms.ppo import PPOSettings


class EncodedVecEnv(VecEnvWrapper):
    """An agent's lanes in the learner's spaces: observations encoded (with their masks), actions decoded."""

    def __init__(self, venv: VecEnv, codec: Codec) -> None:
        """Wrap `venv`, whose spaces are those of `codec`."""
        self.codec = codec
        seen, done = codec.learner_spaces()
        super().__init__(venv, seen, done)

    def reset(self) -> Any:
        """Begin an episode in every lane."""
        return self._encode(self.venv.reset())

    def step_async(self, actions: Array) -> None:
        """Hand on the decoded actions."""
        self.venv.step_async(self.codec.decode(actions))

    def step_wait(self) -> Any:
        """Encode what came back; last observations only where the horizon cut an episode: nothing else is read."""
        observation, rewards, dones, infos = self.venv.step_wait()
        for info in infos if dones.any() else ():
            last = info.pop("terminal_observation", None)
            if last is not None and info.get("TimeLimit.truncated"):
                batch = (
                    {key: part[None] for key, part in last.items()}
                    if isinstance(last, dict)
                    else np.asarray(last)[None]
                )
                info["terminal_observation"] = self.codec.encode(batch)[0]
        return self._encode(observation), rewards, dones, infos

    def _encode(self, observation: Any) -> Array:
        mask = None
        if self.codec.masked:
            mask = (
                self.venv.action_masks()
                if isinstance(self.venv, SeatVecEnv)
                else np.stack(self.venv.env_method("action_masks"))
            )
        return self.codec.encode(observation, mask)


class MaskedActorCriticPolicy(ActorCriticPolicy):
    """SB3's actor and critic, with the mask read off the end of the observation and illegal actions made impossible."""

    def extract_features(self, obs: Any, features_extractor: Any = None) -> Any:
        """Features as usual; the mask is kept for the distribution that is built from them."""
        self._mask = obs[:, -int(self.action_space.n) :]  # type: ignore[attr-defined]
        return super().extract_features(obs, features_extractor)

    def _get_action_dist_from_latent(self, latent_pi: torch.Tensor) -> Any:
        logits = self.action_net(latent_pi) + (self._mask - 1.0) * 1e8
        return self.action_dist.proba_distribution(action_logits=logits)


class Learner:
    """One PPO model on one seat, trained rollout by rollout."""

    def __init__(
        self,
        game: Game[Any] | str,
        agent: str,
        settings: PPOSettings,
        seed: int,
        *,
        others: Mapping[str, Any] | str | None = None,
        door: str = "native",
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        """Build lanes and model; see `walras.algorithms.ppo.train_ppo`."""
        keywords = dict(parameters or {})
        if door == "native":
            lanes: VecEnv = SeatVecEnv(game, settings.lanes, agent=agent, others=others, **keywords)
            rules, role = lanes.game, lanes.game.seat[agent][0]  # type: ignore[attr-defined]
        else:
            lanes = DummyVecEnv([lambda: _single(game, agent, others, keywords)] * settings.lanes)
            rules = lanes.envs[0].unwrapped.game  # type: ignore[attr-defined]
            role = rules.seat[agent][0]
        self.lanes = lanes
        masked = rules.legal(rules.initial(1, np.random.default_rng(0)), role.name) is not None
        self.codec = Codec(role.observation_space, role.action_space, masked)
        self.settings = settings
        self.remaining = 1.0
        """Share of the training still to come: what the schedules of the settings go by."""
        env: VecEnv = EncodedVecEnv(lanes, self.codec)
        if settings.normalize_reward:
            env = VecNormalize(env, norm_obs=False, clip_reward=np.inf, gamma=settings.discount)
        network = {
            "net_arch": list(settings.layers), "log_std_init": float(np.log(settings.spread)),
            "activation_fn": torch.nn.Tanh if settings.activation == "tanh" else torch.nn.ReLU,
        }  # fmt: skip
        self.model = PPO(
            MaskedActorCriticPolicy if masked else ActorCriticPolicy, env, learning_rate=self._rate,
            n_steps=settings.rollout, batch_size=settings.minibatch, n_epochs=settings.epochs,
            gamma=settings.discount, gae_lambda=settings.gae_lambda, clip_range=settings.clip,
            ent_coef=settings.entropy, vf_coef=settings.value_weight, max_grad_norm=settings.max_gradient,
            policy_kwargs=network, seed=seed, device="cpu", stats_window_size=settings.lanes,
        )  # fmt: skip
        if isinstance(role.action_space, gymnasium.spaces.Box):
            torch.nn.init.constant_(self.model.policy.action_net.bias, settings.start)  # type: ignore[arg-type]

    def _rate(self, _: float) -> float:
        share = self.remaining if self.settings.schedule == "linear" else 1.0
        return self.settings.learning_rate * share

    def rollout(self, remaining: float) -> float | None:
        """Collect one rollout and learn from it.

        Args:
            remaining: share of the training still to come, for the schedule of the step size.

        Returns:
            Mean return of the latest episodes, as many as there are lanes, or `None` before any has ended.
        """
        self.remaining = remaining
        first = self.model.num_timesteps == 0
        # SB3 logs to a null logger at verbosity 0; an interval that is never reached spares it the work.
        self.model.learn(self.settings.lanes * self.settings.rollout, log_interval=2**31, reset_num_timesteps=first)
        ended = [float(info["r"]) for info in self.model.ep_info_buffer or ()]
        return float(np.mean(ended)) if ended else None

    @property
    def steps(self) -> int:
        """Moves of the agent so far, all lanes together."""
        return int(self.model.num_timesteps)

    def policy(self, *, stochastic: bool = False) -> NetworkPolicy:
        """What has been learned so far."""
        net = self.model.policy
        layers = [part for part in net.mlp_extractor.policy_net if isinstance(part, torch.nn.Linear)] + [net.action_net]
        weights = tuple(_numpy(layer.weight) for layer in layers)  # type: ignore[arg-type]
        biases = tuple(_numpy(layer.bias) for layer in layers)  # type: ignore[arg-type]
        spread = _numpy(net.log_std.exp()) if hasattr(net, "log_std") else None
        return NetworkPolicy(self.codec, weights, biases, self.settings.activation, spread, stochastic)

    def snapshot(self) -> dict[str, Array]:
        """All that determines how the training goes on, but for the global generators, as plain arrays.

        Raises:
            ValueError: if the lanes are not those of the native door, which alone can be saved.
        """
        model, optimizer = self.model, self.model.policy.optimizer.state_dict()["state"]
        arrays = _named("lanes", self._native().snapshot())
        arrays |= _named("policy", {name: _numpy(value) for name, value in model.policy.state_dict().items()})
        for number, moments in optimizer.items():
            arrays |= _named(f"optimizer.{number}", {name: _numpy(value) for name, value in moments.items()})
        if isinstance(model.env, VecNormalize):
            law = model.env.ret_rms
            statistics = {"mean": law.mean, "var": law.var, "count": law.count, "returns": model.env.returns}
            arrays |= _named("reward", {name: np.array(value, np.float64) for name, value in statistics.items()})
        ended = model.ep_info_buffer or ()
        return arrays | {
            "seen.observation": np.array(model._last_obs), "seen.starts": np.array(model._last_episode_starts),
            "ended.returns": np.array([info["r"] for info in ended], np.float64),
            "ended.lengths": np.array([info["l"] for info in ended], np.int64),
            "count.moves": np.array(model.num_timesteps), "count.updates": np.array(model._n_updates),
        }  # fmt: skip

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go back to a `snapshot` of a learner with the same arguments, exactly.

        Raises:
            KeyError, RuntimeError, ValueError: if the arrays do not belong to such a learner.
        """
        model, optimizer = self.model, self.model.policy.optimizer
        self._native().restore(_under("lanes", arrays))
        model.policy.load_state_dict({name: torch.from_numpy(a) for name, a in _under("policy", arrays).items()})
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in _under("optimizer", arrays).items():
            number, _, moment = name.partition(".")
            moments.setdefault(int(number), {})[moment] = torch.from_numpy(value)
        state = dict(sorted(moments.items()))  # files order names as text
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        if isinstance(model.env, VecNormalize):
            law, rewards = model.env.ret_rms, _under("reward", arrays)
            law.mean, law.var, law.count = rewards["mean"][()], rewards["var"][()], float(rewards["count"])
            model.env.returns = rewards["returns"]
        model._last_obs, model._last_episode_starts = arrays["seen.observation"], arrays["seen.starts"]
        pairs = zip(arrays["ended.returns"].tolist(), arrays["ended.lengths"].tolist(), strict=True)
        model.ep_info_buffer = deque(({"r": r, "l": n, "t": 0.0} for r, n in pairs), maxlen=self.settings.lanes)
        model.ep_success_buffer = deque(maxlen=self.settings.lanes)
        model.num_timesteps, model._n_updates = int(arrays["count.moves"]), int(arrays["count.updates"])

    def _native(self) -> SeatVecEnv:
        if not isinstance(self.lanes, SeatVecEnv):
            raise ValueError("door: only the lanes of the native door can be saved and restored")
        return self.lanes

    def close(self) -> None:
        """Close the lanes."""
        self.model.get_env().close()  # type: ignore[union-attr]


@contextlib.contextmanager
def own_randomness() -> Iterator[None]:
    """SB3 seeds and draws from the global generators: give them back as they were; one torch thread meanwhile."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state(), torch.get_num_threads()  # noqa: NPY002
    torch.set_num_threads(1)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        torch.set_rng_state(before[2])
        torch.set_num_threads(before[3])


def random_snapshot() -> dict[str, Array]:
    """The global generators of Python, numpy and torch, as plain arrays."""
    (version, words, gauss), legacy = random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002
    mersenne = legacy["state"]
    return {
        "random.python": np.array([version, *words], np.uint64),
        "random.python.gauss": np.array([] if gauss is None else [gauss], np.float64),
        "random.numpy": np.array(mersenne["key"], np.uint32),
        "random.numpy.place": np.array([mersenne["pos"], legacy["has_gauss"]], np.int64),
        "random.numpy.gauss": np.array(legacy["gauss"], np.float64),
        "random.torch": _numpy(torch.get_rng_state()),
    }


def restore_random(arrays: Mapping[str, Array]) -> None:
    """Set the global generators to a `random_snapshot`; use within `own_randomness`.

    Raises:
        KeyError, RuntimeError, ValueError: if the arrays are not such a snapshot.
    """
    version, *words = arrays["random.python"].tolist()
    random.setstate((version, tuple(words), next(iter(arrays["random.python.gauss"].tolist()), None)))
    place, has_gauss = arrays["random.numpy.place"].tolist()
    gauss = float(arrays["random.numpy.gauss"])
    np.random.set_state(("MT19937", arrays["random.numpy"], place, has_gauss, gauss))  # noqa: NPY002
    torch.set_rng_state(torch.from_numpy(arrays["random.torch"]))


def _named(part: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {f"{part}.{name}": value for name, value in arrays.items()}


def _under(part: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays of one part; copies, for what learns on writes into them."""
    start = f"{part}."
    return {name.removeprefix(start): value.copy() for name, value in arrays.items() if name.startswith(start)}


def _numpy(tensor: torch.Tensor) -> Array:
    return tensor.detach().cpu().numpy().copy()


def _single(game: Game[Any] | str, agent: str, others: Mapping[str, Any] | str | None, keywords: dict[str, Any]) -> Any:
    """One environment as a user of Gymnasium and SB3 makes it."""
    if isinstance(game, str):
        return Monitor(gymnasium.make(game, agent=agent, others=others, **keywords))
    return Monitor(SeatEnv(game, agent=agent, others=others))
