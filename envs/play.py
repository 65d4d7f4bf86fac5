"""`play`: one loop for every mixture of agents, batched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic

import numpy as np

from walras.envs.arena import Arena
from walras.envs.game import Array, Game, Observation, S, take
from walras.envs.seats import default_policy, fill_seats


@dataclass(frozen=True)
class Episodes(Generic[S]):
    """One finished episode for each lane.

    Attributes:
        game: the rules that were played.
        returns: (B, n) undiscounted sums of rewards, agents in the order of `game.agents`.
        lengths: (B,) number of steps.
        state: final state of every lane.
        history: with `record=True`, one entry a step: lanes stepped, the state before, the rewards.
    """

    game: Game[S]
    returns: Array
    lengths: Array
    state: S
    history: list[Moment[S]] = field(default_factory=list, repr=False)

    def mean(self, name: str) -> float:
        """Mean return of an agent, or of all agents of a role."""
        return float(self._returns(name).mean())

    def standard_error(self, name: str) -> float:
        """Standard error of `mean` over lanes (nan for a single lane)."""
        per_lane = self._returns(name).mean(axis=1)
        return float(per_lane.std(ddof=1) / np.sqrt(len(per_lane))) if len(per_lane) > 1 else float("nan")

    def observe(self, agent: str) -> Observation:
        """What an agent sees in the final state, (B, *shape)."""
        arena = Arena(self.game, len(self.lengths))
        arena.state = self.state
        return arena.observe(agent)

    def info(self, role: str) -> dict[str, Array]:
        """The game's facts about a role in the final state, name -> (B, c, ...)."""
        return self.game.info(self.state, role)

    def _returns(self, name: str) -> Array:
        columns = [k for agent, (role, _, k) in self.game.seat.items() if name in (agent, role.name)]
        if not columns:
            raise KeyError(f"{name!r} is neither a role nor an agent of this game: {list(self.game.agents)}")
        result: Array = self.returns[:, columns]
        return result


@dataclass(frozen=True)
class Moment(Generic[S]):
    """One recorded step: `lanes` (L,) that were stepped, their `state` before it, and the `rewards` (L, n) it gave."""

    lanes: Array
    state: S
    rewards: Array


def play(
    game: Game[S] | str,
    seats: Mapping[str, Any] | str | None = None,
    *,
    batch: int = 1,
    seed: int | list[int],
    lane: int = 0,
    record: bool = False,
) -> Episodes[S]:
    """Play one episode in each of `batch` lanes.

    Args:
        game: the rules, or a registered id.
        seats: role or agent -> policy: a name (`"random"`, `"equilibrium"`, `"truthful"`, ...), a callable on batched
            observations, or a Stable-Baselines3 model; one name for everybody; seats not mentioned play the equilibrium
            where the game knows one, else uniformly at random.
        batch: number of lanes `B`.
        seed: non-negative integer: lane `i` is the same game for every batch size and on every door; or a list with
            one for each lane: every lane is lane 0 of its own seed.
        lane: number of the first lane, to continue a batch: lanes 0..9 are lanes 0..4 and a second call with `lane=5`.
        record: keep every step in `Episodes.history`.

    Raises:
        ValueError: if a seat is unknown, its policy's actions do not fit, or `batch`, `seed` or `lane` is out of range.
        TypeError: if `game` is neither an id nor a game, or `seats` neither a name nor a mapping.
    """
    from walras.envs.registry import as_game

    game = as_game(game, {})
    if isinstance(seats, str):
        seats = dict.fromkeys(game.agents, seats)
    policies = fill_seats(game, {} if seats is None else seats)
    for agent in game.agents:
        if agent not in policies:
            policies[agent] = default_policy(game, agent)
    arena = Arena(game, batch, policies)
    arena.seed(seed, lane)
    arena.deal()
    returns, live, history = np.zeros((batch, game.n_agents)), np.arange(batch), []
    while len(live):
        before = take(arena.state, live) if record else None
        ended = arena.step({}, live)
        returns[live] += ended.rewards
        if before is not None:
            history.append(Moment(live, before, ended.rewards))
        live = live[~(ended.terminated | ended.truncated)]
    return Episodes(game, returns, arena.elapsed, arena.state, history)
