"""Taxes on a common orchard, with players who learn: no tax, the best tax of a grid, and a principal that learns.

The tax experiment of Social Environment Design (arXiv 2402.14090; section 3.3 of its code) on class views: seven
selfish players with one network, each for itself, and a bracket tax on every player's apples of a period, given back in
equal parts. Brackets and strength are ours: apples beyond what the orchard bears are taxed, and a rate counts fourfold,
as in the follow-up (arXiv 2410.08345); with rates up to one a redistributed tax leaves a seventh of every apple to who
picks it, and nothing changes.

Voters choose the objective (`mean-threshold` over ballots drawn once, as in the authors' code). All arms begin with the
same followers, brought up under random policies; they see the rates, their income of the period, and what is left of
the next apple after the tax. Then each arm has as many rounds, in which followers go on learning. At the end everything
is frozen and measured under the arm's policy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from gymnasium import spaces

from walras.agents.class_network import ClassPolicy
from walras.algorithms.shared_ppo import SharedPPO, SharedPPOSettings
from walras.algorithms.society.principals import GaussianProcess, Principal, Record
from walras.envs.game import Array, Observation
from walras.envs.play import play
from walras.envs.society.citizens import Citizens, Law
from walras.envs.society.commons import CommonsHarvest
from walras.envs.society.layer import Society, SocietyState
from walras.envs.society.levers import PeriodTax
from walras.envs.society.taxes import bracket_of
from walras.envs.society.voting import vote
from walras.envs.society.welfare import WELFARE, as_welfare, measures

Progress = Callable[[float, str], None]

OBJECTIVES = ("utilitarian", "egalitarian")
"""What is voted on: the mean and the least of the players' apples after taxes."""
REPORTED = tuple(WELFARE)
"""Welfare functions that are reported (utilities below zero count as zero where a function needs that)."""


@dataclass(frozen=True)
class HarvestTaxSettings:
    """Settings of the study; the defaults take two to three CPU minutes a seed."""

    steps: int = 500
    """steps of a round; each begins with a full orchard"""
    edges: tuple[float, ...] = (2.0, 5.0)
    """apples of a period that separate the brackets"""
    period: int = 50
    """steps of a tax period"""
    factor: float = 4.0
    """how many times a rate counts"""
    upbringing: int = 28
    """rounds (of every lane) under random policies, a quarter of them without tax"""
    rounds: int = 16
    """rounds of each arm in which followers adapt"""
    finalists: int = 4
    """policies of the grid that are tried side by side while followers adapt, before one is kept"""
    trying: int = 6
    """rounds in which they are"""
    settling: int = 4
    """last rounds of the learning principal, in which it tries nothing new"""
    levels: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    """rates of the grid, for each bracket"""
    grid_episodes: int = 4
    """rounds by which each policy of the grid is judged"""
    episodes: int = 20
    """rounds of the last measurement, followers frozen"""
    ppo: SharedPPOSettings = field(
        default_factory=lambda: SharedPPOSettings(lanes=16, rollout=125, layers=(64, 64), schedule="constant")
    )
    """of the followers; `steps` is not read"""

    def __post_init__(self) -> None:
        """Check what must fit together (ValueError otherwise)."""
        if self.steps % self.ppo.rollout:
            raise ValueError(f"ppo.rollout must divide steps = {self.steps}, got {self.ppo.rollout}")
        if not 0 <= self.settling < self.rounds:
            raise ValueError(f"settling must lie in [0, rounds), got {self.settling} of {self.rounds}")
        if not 1 <= self.trying <= self.rounds:
            raise ValueError(f"trying must lie in [1, rounds], got {self.trying} of {self.rounds}")
        if not 1 <= self.finalists <= min(self.ppo.lanes, len(self.levels) ** (len(self.edges) + 1)):
            raise ValueError(f"finalists must be at least 1 and at most lanes and policies, got {self.finalists}")


class Arm(NamedTuple):
    """What one arm came to, players frozen.

    Attributes:
        policy: (k,) rates.
        welfare: welfare function -> mean over rounds, of apples after taxes.
        error: welfare function -> standard error of that.
        apples: picked in a round, by all.
        ripe: apples left at the end of a round.
        objective: the voted objective.
        curve: (rounds,) the voted objective in every round of adaptation, under the policy taken for best.
        policies: (rounds, k) rates that were tried in them.
    """

    policy: Array
    welfare: dict[str, float]
    error: dict[str, float]
    apples: float
    ripe: float
    objective: float
    curve: Array
    policies: Array


class HarvestTaxResult(NamedTuple):
    """Outcome of the study for one seed.

    Attributes:
        weights: (2,) of utilitarian and egalitarian: what the voters chose.
        arms: `no-tax`, `best-grid`, `principal` -> what it came to.
        grid: (G, k) policies of the grid.
        grid_value: (G,) the voted objective under them, followers as brought up.
        followers: the principal's followers at the end.
        cpu_seconds: of everything.
    """

    weights: Array
    arms: dict[str, Arm]
    grid: Array
    grid_value: Array
    followers: ClassPolicy
    cpu_seconds: float


class TaxedPlayers(Citizens):
    """Players who also see `worth` (1,): what is left to them of the next apple, once the period's tax is settled."""

    def __init__(self, society: Society, policy: Law | Array | None = None) -> None:
        """As `Citizens`, of a society whose only lever is a `PeriodTax`."""
        super().__init__(society, policy)
        (tax,) = society.levers
        assert isinstance(tax, PeriodTax)
        kept = 1.0 / len(society.citizens) if tax.redistribute else 0.0
        self._edges, self._taken = np.array(tax.edges), tax.factor * (1.0 - kept)
        (role,) = self.roles
        assert isinstance(role.observation_space, spaces.Dict)
        worth = spaces.Box(1.0 - self._taken, 1.0, (1,), np.float32)
        self.roles = (replace(role, observation_space=spaces.Dict({**role.observation_space.spaces, "worth": worth})),)

    def observe(self, state: SocietyState, role: str) -> Observation:
        """As in the society, and `worth`."""
        seen = super().observe(state, role)
        assert isinstance(seen, dict)
        rate = np.take_along_axis(state.policy, bracket_of(state.earned, self._edges), axis=1)
        return {**seen, "worth": (1.0 - self._taken * rate)[..., None]}


class Held:
    """A law that gives every lane the policy that holds now (k,), or each its own (B, k)."""

    def __init__(self, policy: Array) -> None:
        self.policy = policy

    def __call__(self, u: Array) -> Array:
        """(B, k)."""
        return np.broadcast_to(self.policy[: len(u)] if self.policy.ndim == 2 else self.policy, u.shape)


def mixed_law(u: Array) -> Array:
    """No tax in a quarter of the lanes, uniform rates in the others."""
    share = u[:, :1]
    rest = np.concatenate([(share - 0.25) / 0.75, u[:, 1:]], axis=1)
    return np.where(share < 0.25, 0.0, rest)


def tax_society(settings: HarvestTaxSettings) -> Society:
    """Harvest under the tax: selfish players without beams, who see the rates, their income and the period's phase."""
    tax = {
        "lever": "period-tax", "edges": list(settings.edges), "period": settings.period, "factor": settings.factor,
    }  # fmt: skip
    return Society(CommonsHarvest(zap=False), levers=[tax], steps=settings.steps, objectives=OBJECTIVES)


def harvest_tax_study(
    seed: int,
    progress: Progress | None = None,
    *,
    settings: HarvestTaxSettings | None = None,
    principal: Principal | None = None,
) -> HarvestTaxResult:
    """Run all arms for one seed.

    Args:
        seed: of followers, worlds, ballots and the principal.
        progress: told `(fraction, text)`.
        settings: of the study.
        principal: who learns to set the rates; default: a Gaussian process with expected improvement.

    Raises:
        ImportError: without torch, or, for the default principal, without scikit-learn.
    """
    start = time.process_time()
    chosen = HarvestTaxSettings() if settings is None else settings
    study = _Study(seed, chosen, progress or (lambda fraction, text: None))
    brought_up = study.bring_up()
    judged = study.judge_grid(brought_up)
    arms: dict[str, Arm] = {}
    arms["no-tax"], _ = study.fixed("no-tax", brought_up, np.zeros((1, len(chosen.edges) + 1)))
    value = judged @ study.weights
    finalists = study.grid[np.argsort(-value, kind="stable")[: chosen.finalists]]
    arms["best-grid"], _ = study.fixed("best-grid", brought_up, finalists)
    who = GaussianProcess() if principal is None else principal
    arms["principal"], followers = study.learning(brought_up, judged, who)
    return HarvestTaxResult(study.weights, arms, study.grid, value, followers, time.process_time() - start)


class _Study:
    """The parts of one run, in order; keeps count of how far it is."""

    def __init__(self, seed: int, settings: HarvestTaxSettings, progress: Progress) -> None:
        self.seed, self.settings, self.progress = seed, settings, progress
        self.society = tax_society(settings)
        ballots = np.random.default_rng([seed, 3]).random(7)
        two = np.stack([1.0 - ballots, ballots], axis=1)  # a lean towards the egalitarian objective
        self.weights: Array = vote("mean-threshold", two[None], np.zeros(1))[0]
        levels = np.array(settings.levels)
        self.grid = np.stack(np.meshgrid(*[levels] * len(self.society.low), indexing="ij"), axis=-1).reshape(
            -1, len(self.society.low)
        )
        self.total = settings.upbringing + 3 * settings.rounds + 10
        self.done = 0

    def tell(self, text: str, rounds: int = 1) -> None:
        self.done += rounds
        self.progress(min(self.done / self.total, 1.0), text)

    def learner(self, law: Law, *, stagger: bool = False) -> SharedPPO:
        game = TaxedPlayers(self.society, law)
        return SharedPPO(game, "player", self.settings.ppo, seed=self.seed, stagger=stagger)

    def bring_up(self) -> dict[str, Array]:
        """Followers after rounds under random policies; lanes begin their rounds at different steps."""
        learner = self.learner(mixed_law, stagger=True)
        for k in range(self.settings.upbringing):
            mean = float(np.mean([learner.rollout() for _ in range(self._rollouts)]))
            self.tell(f"upbringing {k + 1}: {mean * 7 * self.settings.steps:.1f} apples a round")
        return {name: value for name, value in learner.snapshot().items() if not name.startswith("lanes.")}

    @property
    def _rollouts(self) -> int:
        return self.settings.steps // self.settings.ppo.rollout

    def judge_grid(self, brought_up: Mapping[str, Array]) -> Array:
        """(G, 2) the objectives under every policy of the grid, followers as brought up."""
        policy = self._continue(Held(self.grid[0]), brought_up).policy()
        lanes = np.repeat(self.grid, self.settings.grid_episodes, axis=0)
        found = []
        for part in np.array_split(lanes, max(1, len(lanes) // 100)):
            found.append(measures(self._play(policy, Held(part), len(part), 1)[0], OBJECTIVES))
            self.tell(f"grid: {sum(map(len, found))} of {len(lanes)} rounds", 0)
        self.tell("grid judged", 10)
        judged: Array = np.concatenate(found).reshape(len(self.grid), -1, len(OBJECTIVES)).mean(axis=1)
        return judged

    def fixed(self, name: str, brought_up: Mapping[str, Array], finalists: Array) -> tuple[Arm, ClassPolicy]:
        """Adapt under a fixed policy, then measure.

        Of several finalists (m, k) each holds in its share of the lanes at first; the one with the best objective in
        the second half of these rounds is kept. So none is taken for what it led to before followers knew it.
        """
        share = np.arange(self.settings.ppo.lanes) % len(finalists)
        held = Held(finalists[share])
        learner = self._continue(held, brought_up)
        trying = self.settings.trying if len(finalists) > 1 else 0
        worth, curve, policies = np.zeros(len(finalists)), [], []
        for k in range(self.settings.rounds):
            if k == trying:
                held.policy = finalists[int(worth.argmax())]
            value = self._round(learner, k) @ self.weights
            if k < trying:
                means = np.bincount(share, value) / np.bincount(share)
                worth += means if 2 * k + 1 >= trying else 0.0
                curve.append(float(means.max()))
            else:
                curve.append(float(value.mean()))
            policies.append(finalists[int(worth.argmax())])
            self.tell(f"{name} {k + 1}: objective {curve[-1]:.2f}, rates {policies[-1].tolist()}")
        final = finalists[int(worth.argmax())]
        return self._measured(learner.policy(), final, np.array(curve), np.array(policies)), learner.policy()

    def learning(self, brought_up: Mapping[str, Array], judged: Array, who: Principal) -> tuple[Arm, ClassPolicy]:
        """Adapt under a principal that learns, then measure.

        It begins with what the grid is judged by, and tries a policy in half of the lanes, while the others live under
        what it takes for best.
        """
        lanes = self.settings.ppo.lanes
        first = lanes - lanes // 2
        held = Held(np.zeros(len(self.society.low)))
        learner = self._continue(held, brought_up)
        rng = np.random.default_rng([self.seed, 4])
        record = Record.empty(self.society.low, self.society.high, len(OBJECTIVES), len(self.society.citizens))
        for policy, found in zip(self.grid, judged, strict=True):
            record.add(policy, found)
        curve, policies = [], []
        for k in range(self.settings.rounds):
            best = trial = who.best(record, self.weights)
            if k < self.settings.rounds - self.settings.settling:
                trial = who.propose(record, self.weights, rng)
            held.policy = np.repeat([best, trial], [first, lanes - first], axis=0)
            found = self._round(learner, k)
            record.add(best, found[:first].mean(axis=0))
            record.add(trial, found[first:].mean(axis=0))
            curve.append(float((found[:first] @ self.weights).mean()))
            policies.append(np.array(trial))
            self.tell(f"principal {k + 1}: objective {curve[-1]:.2f}, best {np.round(best, 2).tolist()}")
        final = who.best(record, self.weights)
        return self._measured(learner.policy(), final, np.array(curve), np.array(policies)), learner.policy()

    def _round(self, learner: SharedPPO, k: int) -> Array:
        """(B, 2) the objectives in every lane of a round, the k-th of an arm, in which followers adapt."""
        learner.restart()
        for _ in range(self._rollouts):
            learner.rollout(1.0 - 0.8 * k / self.settings.rounds)
        state, over = learner.ended[-1]
        assert over.all()
        found: Array = measures(state.last_utility, OBJECTIVES)
        return found

    def _measured(self, policy: ClassPolicy, rates: Array, curve: Array, policies: Array) -> Arm:
        incomes, ripe = self._play(policy, rates, self.settings.episodes, 2)
        names = list(REPORTED)
        each = np.stack([as_welfare(name, cut=True)(incomes) for name in names], axis=1)
        mean = dict(zip(names, each.mean(axis=0).tolist(), strict=True))
        error = dict(zip(names, (each.std(axis=0, ddof=1) / len(each) ** 0.5).tolist(), strict=True))
        objective = float((measures(incomes, OBJECTIVES) @ self.weights).mean())
        total = float(incomes.sum(axis=1).mean())  # the tax is given back: what is left is what was picked
        return Arm(np.array(rates), mean, error, total, float(ripe.mean()), objective, curve, policies)

    def _play(self, policy: ClassPolicy, law: Law | Array, lanes: int, stream: int) -> tuple[Array, Array]:
        """(B, n) utilities of a round of each lane and (B,) apples left, players frozen."""
        played = play(
            TaxedPlayers(self.society, law), {"player": policy}, batch=lanes, seed=1_000_003 * stream + self.seed
        )
        game = self.society.game
        assert isinstance(game, CommonsHarvest)
        return played.state.last_utility, game.ripe(played.state.inner)

    def _continue(self, law: Law, brought_up: Mapping[str, Array]) -> SharedPPO:
        """A learner with the followers as brought up, on new lanes."""
        learner = self.learner(law)
        lanes = {f"lanes.{name}": value for name, value in learner.env.snapshot().items()}
        learner.restore({**lanes, **brought_up})
        return learner


def brief(settings: HarvestTaxSettings | None = None) -> HarvestTaxSettings:
    """The same study cut down to seconds, to see that it runs; its numbers mean nothing."""
    chosen = HarvestTaxSettings() if settings is None else settings
    return replace(
        chosen, steps=100, upbringing=2, rounds=3, trying=2, settling=1, levels=(0.0, 1.0), grid_episodes=1,
        episodes=3, ppo=replace(chosen.ppo, lanes=4, rollout=50),
    )  # fmt: skip
