"""ABCs and the learners it is compared with: MAX-CFR, Boltzmann Q-learning, outcome and external sampling with Hedge.

D'Amico-Wong, Zhang, Lanctot and Parkes (2024), "Easy as ABCs: Unifying Boltzmann Q-Learning and Counterfactual Regret
Minimization", arXiv 2402.11835. Two profiles: `"published"` follows the authors' code in every particular, known faults
included, so that their figures can be reproduced; `"corrected"`, the default, is what one should use. They differ in

- correction: how a non-stationary pair's target uses what its child has just learned: by the child's greedy action and
  with a residue of order 1 / n (published), or by the child's policy, which makes ABCs exactly external sampling where
  everything is non-stationary (corrected);
- averaging: at the traverser's own visits with weight 1 (published), which lacks the weight by own reach that the
  theory needs, or where the others move, whose sampling supplies it (corrected);
- detection: CartPole's exact states (published), all different, so that nothing is ever found to be non-stationary, or
  its bins (corrected);
- fairness of the baselines: Q-learning looks beyond the end of CartPole, and outcome sampling drops all rewards but the
  last (published).

Shapes: `S` slots of the world, `I` infostates; those of a process come before those of the game.
"""

from __future__ import annotations

import json
import math
from typing import Any, ClassVar, Literal, Self

import numpy as np

from walras.agents.strategy import TabularStrategy
from walras.algorithms.tabular.learner import Progress, TabularLearner, as_flat, averaging_of, count, sliced
from walras.envs.arguments import whole
from walras.envs.game import Array
from walras.envs.tabular.flat import FlatGame
from walras.envs.tabular.mdp import MDP, CartPole, as_process

Profile = Literal["corrected", "published"]
Averaging = Literal["opponent", "published"]

_PROFILES = {
    "corrected": {"correction": "policy", "averaging": "opponent", "detection": "bins"},
    "published": {"correction": "published", "averaging": "published", "detection": "raw"},
}
_CHOICES = {
    "correction": ("published", "greedy", "policy"),
    "detection": ("bins", "raw"),
}
_FOREVER = np.iinfo(np.int64).max


class WorldLearner(TabularLearner):
    """A learner over a game tree, a decision process, or both stacked; made by its subclasses."""

    _policy: ClassVar[int]
    _sweep: ClassVar[str]
    _cooling: ClassVar[tuple[float, float, int]] = (1.0, 1.0, 1)
    """Temperature at the start, its decay, and how many iterations pass between two decays."""

    def _prepare(
        self, game: Any, process: Any, *, profile: str, seed: int, end: float | None, limit: int | None, **rest: Any
    ) -> None:
        """Check the arguments, settle what the profile decides, and make the tables; `rest` is the learner's own."""
        from walras.algorithms.tabular import branching, detection
        from walras.envs.tabular.world import build

        if profile not in _PROFILES:
            raise ValueError(f"profile must be one of {list(_PROFILES)}, got {profile!r}")
        for name in rest.keys() & _CHOICES.keys():
            rest[name] = _PROFILES[profile][name] if rest[name] is None else rest[name]
            if rest[name] not in _CHOICES[name]:
                raise ValueError(f"{name} must be one of {_CHOICES[name]}, got {rest[name]!r}")
        if type(game).__name__ == "Stacked":
            if process is not None:
                raise TypeError(f"process: {game!r} has one already")
            end, limit = game.end if end is None else end, game.limit if limit is None else limit
            game, process = game.game.flat, game.process
        self._flat = None if game is None else as_flat(game)
        players = 0 if self._flat is None else self._flat.n_players
        rest["averaging"] = averaging_of(rest["averaging"], _PROFILES[profile]["averaging"], players)
        self.process = process = None if process is None else as_process(process)
        if end is None:
            end = 0.0 if not isinstance(process, CartPole) else 0.005 if self._flat is None else 0.01
        if not 0.0 <= end < 1.0:
            raise ValueError(f"end must lie in [0, 1), got {end!r}")
        seed, limit = whole("seed", seed, 0), whole("limit", 500 if limit is None else limit)
        self.settings = {"profile": profile, "seed": seed, "end": float(end), "limit": limit, **rest}
        self.world = build(process, self._flat, raw=rest.get("detection") == "raw")
        self._rng = np.random.Generator(np.random.PCG64(seed))
        tau, decay, every = self._cooling
        known = rest.get("oracle") is not None
        self._rule = branching.Rule(
            policy=self._policy,
            correction=_CHOICES["correction"].index(rest.get("correction", "policy")),
            opponent=rest["averaging"] == "opponent",
            expand_all=self._policy == branching.CUMULATIVE,
            oracle=known,
            spending=rest.get("error_control", False),
            matching=rest.get("matching", False),
            minimum=rest.get("minimum", 2),
            clearing=rest.get("clearing", 0.0),
            decay=decay,
            every=every,
            end=float(end),
            limit=limit,
            explore=rest.get("explore", 0.0),
            late=profile == "published",
        )
        window = 1 if known else rest.get("window", 1)  # nothing is remembered where nothing is tested
        self.memory_ = detection.memory(int(self.world.info_offset[-1]), window, rest.get("level", 0.05))
        self.memory_.clock["tau"] = tau
        depth = 2 + (limit if process is not None else 0)
        depth += 0 if self._flat is None else int(self._flat.depth.max())
        self._frames = branching.frames(self.world, depth)

    @property
    def game(self) -> FlatGame:
        """The flat game, without the process.

        Raises:
            ValueError: if there is only a process.
        """
        if self._flat is None:
            raise ValueError("game: there is only a process; policy_ is what was learned")
        return self._flat

    @property
    def iteration_(self) -> int:
        """Iterations done: one visit a player."""
        return int(self.memory_.clock["iterations"][0])

    @property
    def nodes_(self) -> int:
        """Nodes touched: actions applied in search of their consequences, sampled or queried."""
        return int(self.memory_.clock["nodes"][0])

    def fit(
        self, *, nodes: float | None = None, iterations: int | None = None, progress: Progress | None = None
    ) -> Self:
        """Learn until so many more nodes are touched, or for so many more iterations.

        An iteration that is begun is finished. Two calls whose goals an uninterrupted one passes between iterations
        give the same bits as that one.

        Raises:
            ValueError: unless exactly one of `nodes` and `iterations` is given, a whole number of at least 0.
        """
        from walras.algorithms.tabular import branching

        if (nodes is None) == (iterations is None):
            raise ValueError("nodes, iterations: exactly one of them is needed")
        kernel = getattr(branching, self._sweep)
        if nodes is not None:
            target = self.nodes_ + count("nodes", nodes)

            def touch(until: int) -> int:
                kernel(self._rule, self.world, self.memory_, self._frames, until, _FOREVER, self._rng)
                return self.nodes_

            sliced(self.nodes_, target, touch, progress, "nodes")
            return self
        target = self.iteration_ + count("iterations", iterations)

        def repeat(until: int) -> int:
            kernel(self._rule, self.world, self.memory_, self._frames, _FOREVER, until, self._rng)
            return self.iteration_

        sliced(self.iteration_, target, repeat, progress, "iterations")
        return self

    def _tree(self, values: Array) -> Array:
        """The game's part of numbers over the world's slots."""
        return values[len(values) - self.game.n_slots :]

    @property
    def average_(self) -> Array:
        """(S of the game,) the average strategy of all players, uniform where nothing was learned."""
        return self.game.normalise(self._tree(self.memory_.slots["c"]))

    def _normalise(self, weights: Array) -> Array:
        offset = self.world.info_offset
        holder = np.repeat(np.arange(len(offset) - 1), np.diff(offset))
        total = np.add.reduceat(weights, offset[:-1])[holder]
        return np.where(total > 0, weights / np.where(total > 0, total, 1.0), 1.0 / np.diff(offset)[holder])

    @property
    def policy_(self) -> Array:
        """(S of the world,) the current policy by which a decision process is played: softmax(Q N)."""
        offset = self.world.info_offset
        holder = np.repeat(np.arange(len(offset) - 1), np.diff(offset))
        scaled = self._scores(offset, holder)
        top = np.maximum.reduceat(scaled, offset[:-1])[holder]
        return self._normalise(np.exp(scaled - top))

    def _scores(self, offset: Array, holder: Array) -> Array:
        most = np.maximum.reduceat(self.memory_.slots["n"], offset[:-1])[holder]
        return self.memory_.slots["q"] * most

    @property
    def strategy_(self) -> TabularStrategy:
        """An agent for every seat of the world: the process by `policy_`, the game by `average_`."""
        if self.process is None:
            return TabularStrategy.of(self.game, self.average_)
        probabilities = self.policy_
        if self._flat is not None:
            probabilities[len(probabilities) - self._flat.n_slots :] = self.average_
        names = [self.process.name] + ([] if self._flat is None else [self._flat.name])
        return TabularStrategy(self.world.info_offset, probabilities, " before ".join(names), self._identity())

    def process_return(self, episodes: int = 10, *, limit: int = 200, seed: int = 0) -> float:
        """Mean return of the process under `policy_`, over simulated episodes without random end.

        Args:
            episodes: how many.
            limit: largest number of steps.
            seed: of the episodes.

        Raises:
            ValueError: if there is no process, or a number is out of range.
        """
        from walras.algorithms.tabular.branching import rollouts
        from walras.envs.tabular.world import BODY

        if self.process is None:
            raise ValueError("process: there is none, only a game")
        rng = np.random.Generator(np.random.PCG64(whole("seed", seed, 0)))
        episodes, limit = whole("episodes", episodes), whole("limit", limit)
        return float(rollouts(self.world, self.policy_, episodes, limit, rng, np.zeros(BODY), np.zeros(4)))

    def _arrays(self) -> dict[str, Array]:
        memory = self.memory_
        arrays = {f"slots.{name}": memory.slots[name] for name in memory.slots.dtype.names or ()}
        return arrays | {f"clock.{name}": memory.clock[name] for name in memory.clock.dtype.names or ()}

    def _used(self) -> tuple[Array, Array]:
        """Which entries of the ring (S, window) and of the counts (S, W) are in use."""
        slots, counts, ring = self.memory_.slots, self.memory_.counts, self.memory_.ring
        return (
            np.arange(ring.shape[1]) < slots["seen"][:, None],
            np.arange(counts.shape[1]) < slots["few"][:, None],
        )

    def _pack(self) -> dict[str, Array]:
        """Only what is in use: most pairs remember little."""
        ring, counts = self._used()
        packed = {f"counts.{name}": self.memory_.counts[name][counts] for name in self.memory_.counts.dtype.names or ()}
        return super()._pack() | packed | {"ring": self.memory_.ring[ring]}

    def _unpack(self, arrays: dict[str, Array]) -> None:
        packed = {name: arrays.pop(name) for name in list(arrays) if name == "ring" or name.startswith("counts.")}
        super()._unpack(arrays)
        ring, counts = self._used()
        self.memory_.ring[ring] = packed["ring"]
        for name in self.memory_.counts.dtype.names or ():
            self.memory_.counts[name][counts] = packed[f"counts.{name}"]

    def _facts(self) -> dict[str, Any]:
        return {"rng": self._rng.bit_generator.state}

    def _resume(self, facts: dict[str, Any]) -> None:
        self._rng.bit_generator.state = facts["rng"]

    def _identity(self) -> str:
        parts = [None if self._flat is None else self._flat.fingerprint]
        parts.append(None if self.process is None else self.process.fingerprint)
        return json.dumps(parts)


class ABCs(WorldLearner):
    """Adaptive branching through child stationarity.

    At every infostate it visits, it looks one step ahead along all actions, and goes on along one sampled action and
    along every action whose outcome a chi-squared test finds to be non-stationary. So it is Boltzmann Q-learning where
    the world stands still and counterfactual regret minimisation where it answers back.

    Attributes:
        memory_: all that was learned and remembered, see `walras.algorithms.tabular.detection.Memory`.
    """

    kind: ClassVar[str] = "walras.ABCs"
    _policy, _sweep, _cooling = 0, "branch", (1.0, 0.99, 20)

    def __init__(
        self,
        game: Any = None,
        *,
        process: Any = None,
        profile: Profile = "corrected",
        seed: int = 0,
        correction: Literal["policy", "greedy", "published"] | None = None,
        averaging: Averaging | None = None,
        detection: Literal["bins", "raw"] | None = None,
        oracle: Any = None,
        level: float = 0.05,
        window: int = 1000,
        minimum: int = 10,
        clearing: float = 0.05,
        error_control: bool = False,
        matching: bool = False,
        end: float | None = None,
        limit: int | None = None,
    ) -> None:
        """Prepare an empty table.

        Args:
            game: a `FlatGame`, or anything that `compile_game` takes; a `Stacked` game; `None` for a process alone.
            process: what player 0 goes through before the game, or alone: anything that `as_process` takes.
            profile: `"corrected"` or `"published"`; decides what the next three arguments leave open.
            seed: of all random numbers.
            correction: `"policy"`, `"greedy"` or `"published"` (section 4.3).
            averaging: `"opponent"` or `"published"` (section 4.4); in games of one player always `"published"`.
            detection: what CartPole's states are told apart by.
            oracle: (S of the world,) bool, which pairs are stationary, in place of the test; or `"tree"`: what follows
                from the structure (see `stationarity`).
            level: of the test.
            window: ids that are remembered for a pair, at least 2.
            minimum: ids without which a pair counts as stationary, at least 2 and at most `window`.
            clearing: probability that all verdicts are forgotten at the start of an iteration.
            error_control: ours, not the paper's: spend the level over all tests of a pair, so that the chance that a
                stationary pair is ever called non-stationary is at most `level`.
            matching: ours: regret matching+ in place of Hedge at non-stationary infostates.
            end: probability that a step of the process ends it while learning (default for CartPole 1/200, before a
                game 1/100; else 0).
            limit: steps after which the process ends while learning (default 500; of a `Stacked` game its own).

        Raises:
            ValueError: if an argument is out of range.
            TypeError: if the game is not finite or the process is none.
        """
        if not (isinstance(level, int | float) and 0 < level < 1 and 0 <= clearing <= 1):
            raise ValueError(f"level must lie in (0, 1) and clearing in [0, 1], got {level!r} and {clearing!r}")
        if whole("minimum", minimum, 2) > whole("window", window, 2):
            raise ValueError(f"minimum must be at most window ({window}), or nothing would be tested; got {minimum!r}")
        if isinstance(oracle, str) and oracle != "tree":
            raise ValueError(f"oracle must be 'tree' or an array of bool, got {oracle!r}")
        known = oracle if oracle is None or isinstance(oracle, str) else np.asarray(oracle, bool).tolist()
        self._prepare(
            game, process, profile=profile, seed=seed, end=end, limit=limit, correction=correction,
            averaging=averaging, detection=detection, oracle=known, level=float(level),
            window=int(window), minimum=int(minimum), clearing=float(clearing), error_control=bool(error_control),
            matching=bool(matching),
        )  # fmt: skip
        if oracle is not None:
            calm = stationarity(self._flat, process) if isinstance(oracle, str) else np.asarray(oracle, bool)
            if calm.shape != self.memory_.slots.shape:
                raise ValueError(f"oracle: shape {calm.shape} given, {self.memory_.slots.shape} needed (slots)")
            self.memory_.slots["verdict"][:] = np.where(calm, 1, 2)

    @property
    def alarm_rate_(self) -> float:
        """The share of the tests made so far that said non-stationary (NaN before the first)."""
        tests = int(self.memory_.clock["tests"][0])
        return int(self.memory_.clock["alarms"][0]) / tests if tests else math.nan


class MaxCFR(WorldLearner):
    """MAX-CFR: ABCs with every pair taken to be non-stationary; a child is worth its greedy action (section 4.5)."""

    kind: ClassVar[str] = "walras.MaxCFR"
    _policy, _sweep, _cooling = 1, "branch", (10.0, 0.995, 10)

    def __init__(
        self,
        game: Any = None,
        *,
        process: Any = None,
        profile: Profile = "corrected",
        seed: int = 0,
        correction: Literal["policy", "greedy", "published"] | None = None,
        averaging: Averaging | None = None,
        end: float | None = None,
        limit: int | None = None,
    ) -> None:
        """Prepare an empty table; arguments as for `ABCs`. The corrected profile values the child greedily here."""
        if correction is None and profile == "corrected":
            correction = "greedy"
        self._prepare(
            game, process, profile=profile, seed=seed, end=end, limit=limit, correction=correction, averaging=averaging
        )


class BoltzmannQ(WorldLearner):
    """Boltzmann Q-learning: one trajectory, softmax(Q / max(tau, 1 / N)), targets r + max Q (section 4.5)."""

    kind: ClassVar[str] = "walras.BoltzmannQ"
    _policy, _sweep, _cooling = 2, "follow", (1.0, 0.995, 20)

    def __init__(
        self,
        game: Any = None,
        *,
        process: Any = None,
        profile: Profile = "corrected",
        seed: int = 0,
        averaging: Averaging | None = None,
        end: float | None = None,
        limit: int | None = None,
    ) -> None:
        """Prepare an empty table; arguments as for `ABCs`. Published: CartPole's last step looks beyond the end."""
        self._prepare(game, process, profile=profile, seed=seed, end=end, limit=limit, averaging=averaging)

    def _scores(self, offset: Array, holder: Array) -> Array:
        return np.asarray(self.memory_.slots["q"] * np.minimum.reduceat(self.memory_.slots["n"], offset[:-1])[holder])


class OutcomeSampling(WorldLearner):
    """Outcome-sampling MCCFR with Hedge at rate 1: one trajectory, valued by importance weights (section 4.5)."""

    kind: ClassVar[str] = "walras.OutcomeSampling"
    _policy, _sweep = 3, "outcome"

    def __init__(
        self,
        game: Any = None,
        *,
        process: Any = None,
        profile: Profile = "corrected",
        seed: int = 0,
        averaging: Averaging | None = None,
        explore: float = 0.6,
        end: float | None = None,
        limit: int | None = None,
    ) -> None:
        """Prepare an empty table; arguments as for `ABCs`. Published: only the last reward is passed on.

        `explore` is the share of uniform play in what is followed, in (0, 1].
        """
        if not (isinstance(explore, int | float) and 0 < explore <= 1):
            raise ValueError(f"explore must lie in (0, 1], got {explore!r}")
        self._prepare(
            game, process, profile=profile, seed=seed, end=end, limit=limit, averaging=averaging, explore=float(explore)
        )

    def _scores(self, offset: Array, holder: Array) -> Array:
        return self.memory_.slots["q"]


def stationarity(game: FlatGame | None, process: MDP | None = None) -> Array:
    """(S of the world,) bool: pairs that are child-stationary whatever the players do (section 4.6).

    In the tree a pair is not, if somebody else decides between it and its player's next decision, or if the hidden
    states of its infostate differ in what somebody decided before: then their law moves with the strategies. Moves
    without a choice decide nothing. Every pair of a process counts as stationary, as in the paper, though that is true
    only where no two states share an infostate.
    """
    if isinstance(process, CartPole):
        first = np.ones(2 * process.bins**4, bool)
    else:
        first = np.ones(0 if process is None else int(process.n_actions.sum()), bool)
    if game is None:
        return first
    mover = np.append(game.info_player, -1)[game.info]
    owner = np.where(np.append(game.n_actions > 1, False)[game.info], mover, -1)
    last = np.full((game.n_nodes, game.n_players), -1, np.int32)  # what each player last chose on the way here
    for start, end in game.generations():
        last[start:end] = last[game.parent[start:end]]
        chosen = start + np.flatnonzero(owner[game.parent[start:end]] >= 0)
        last[chosen, owner[game.parent[chosen]]] = game.edge_slot[chosen]
    nodes = np.flatnonzero(game.info >= 0)
    example = np.empty((game.n_infostates, game.n_players), np.int32)
    example[game.info[nodes]] = last[nodes]
    moved = np.zeros(game.n_infostates, bool)
    moved[game.info[nodes[(last[nodes] != example[game.info[nodes]]).any(axis=1)]]] = True
    # At a node or below: does anybody else choose before the player decides again?
    answered = (owner[:, None] >= 0) & (owner[:, None] != np.arange(game.n_players))
    for start, end in [*game.generations()][::-1]:
        above = game.parent[start:end]
        for player in range(game.n_players):
            answered[above[answered[start:end, player] & (mover[above] != player)], player] = True
    calm = ~moved[game.slot_info]
    edges = np.flatnonzero(game.edge_slot >= 0)
    calm[game.edge_slot[edges[answered[edges, mover[game.parent[edges]]]]]] = False
    return np.concatenate([first, calm])
