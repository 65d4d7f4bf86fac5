"""Stable-Baselines3's PPO behind walras' spaces: environment wrapper, masks, seeding, from model to policy.

Needs torch and stable-baselines3 (the extra `learn`); `walras.algorithms.ppo` imports this module when training begins.
"""

from __future__ import annotations

import contextlib
import random
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


def _numpy(tensor: torch.Tensor) -> Array:
    return tensor.detach().cpu().numpy().copy()


def _single(game: Game[Any] | str, agent: str, others: Mapping[str, Any] | str | None, keywords: dict[str, Any]) -> Any:
    """One environment as a user of Gymnasium and SB3 makes it."""
    if isinstance(game, str):
        return Monitor(gymnasium.make(game, agent=agent, others=others, **keywords))
    return Monitor(SeatEnv(game, agent=agent, others=others))
