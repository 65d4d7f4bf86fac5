"""Followers: how the citizens of a society answer a policy, and whether they learn on from round to round.

Every rule is explicit, because the principal's problem is not defined without it: scripted seats, best response (with
its tie-break), no-regret learning, shared-parameter PPO. A follower acts in a running `Arena`, in all lanes at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from walras.algorithms.society.normal_form import NormalForm, choices_of, normal_form, regret_matching
from walras.envs.arena import Arena
from walras.envs.arguments import whole
from walras.envs.game import Array, Policy, take
from walras.envs.seats import default_policy, fill_seats
from walras.envs.society.layer import Society, SocietyState

TieBreak = Literal["optimistic", "pessimistic"]


class Followers:
    """How citizens (and all others of the game below) play."""

    def __init__(self, society: Society) -> None:
        """For one society."""
        self.society = society

    def policies(self) -> dict[str, Policy]:
        """Agent -> policy, for all agents of the game below."""
        return {}

    def adapt(self, state: SocietyState, seed: list[int]) -> None:
        """A policy is set and play is about to begin: learn, or find an answer.

        Args:
            state: all lanes.
            seed: numbers that tell this occasion from all others, for random numbers.
        """

    def actions(self, state: SocietyState) -> dict[str, Array] | None:
        """Agent -> actions (B,) that are taken in place of the policies', or `None`."""
        return None

    def snapshot(self) -> dict[str, Array]:
        """What they have learned, as plain arrays."""
        return {}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go back to a `snapshot`."""


class Seats(Followers):
    """Fixed policies: scripted, in equilibrium, or trained before and frozen."""

    def __init__(self, society: Society, seats: Mapping[str, Any] | None = None) -> None:
        """Fill the seats.

        Args:
            society: whose.
            seats: role or agent of the game below -> policy, by name or as it is. A name, and `adapt(...)` of any
                policy, is one of the game below and does not see the policy; seats that are left answer the policy
                where the society knows how (`Society.answers`), else play as in the game below by default.

        Raises:
            ValueError: if a key is unknown or a name is none.
        """
        super().__init__(society)
        known = society.answers()
        below = {role.name for role in society.game.roles} | set(society.game.agents)
        given = dict(seats or {})
        for name in given:
            if name not in below:
                raise ValueError(f"seats: {name!r} is neither a role nor an agent of the game below: {sorted(below)}")
        self._policies: dict[str, Policy] = {}
        for agent in society.game.agents:
            role = society.game.seat[agent][0].name
            who = given.get(agent, given.get(role))
            if who is None and (agent in known or role in known):
                self._policies[agent] = fill_seats(society, {agent: known.get(agent, known.get(role))})[agent]
            elif who is None:
                found = default_policy(society.game, agent)
                self._policies[agent] = society.adapt(found, agent)
            elif isinstance(who, str):
                self._policies[agent] = society.adapt(who, agent)
            else:
                self._policies[agent] = fill_seats(society, {agent: who})[agent]

    def policies(self) -> dict[str, Policy]:
        """As filled."""
        return dict(self._policies)


class _Tables(Followers):
    """Followers who look at the round as a table; lanes that begin alike share it."""

    def __init__(self, society: Society) -> None:
        super().__init__(society)
        self._actions = choices_of(society)
        self._chosen = np.zeros((0, len(society.citizens)), np.int64)
        self._forms: dict[bytes, NormalForm] = {}

    def groups(self, state: SocietyState) -> list[tuple[Array, NormalForm]]:
        """Lanes that begin alike, with their common table."""
        below = self.society.game.snapshot(state.inner)
        parts = [np.asarray(field, np.float64).reshape(len(state.phase), -1) for field in below.values()]
        parts.append(state.policy)
        if self.society.types not in ("selfish", "tax-blind"):  # else types differ by the ballot only
            parts.append(state.types.reshape(len(state.phase), -1))
        annealing = max(getattr(lever, "annealing", 0) for lever in self.society.levers)
        if annealing:  # the same policy is another one while it is phased in
            parts.append(np.minimum(state.round, annealing)[:, None].astype(np.float64))
        keys = np.concatenate(parts, axis=1)
        rows, which = np.unique(keys, axis=0, return_inverse=True)
        result = []
        for i in range(len(rows)):
            lanes = np.flatnonzero(which.reshape(-1) == i)
            key = rows[i].tobytes()
            if key not in self._forms:
                if len(self._forms) >= 64:  # policies change for ever: keep what is in use
                    self._forms.clear()
                self._forms[key] = normal_form(self.society, take(state, lanes[:1]), state.policy[lanes[0]])
            result.append((lanes, self._forms[key]))
        return result

    def actions(self, state: SocietyState) -> dict[str, Array]:
        """What was chosen for the round."""
        return {agent: self._chosen[:, i] for i, agent in enumerate(self.society.citizens)}

    def snapshot(self) -> dict[str, Array]:
        """The choice that holds."""
        return {"chosen": self._chosen.copy()}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go back to it."""
        self._chosen = np.array(arrays["chosen"])


class BestResponse(_Tables):
    """A pure Nash equilibrium of the round, chosen by a stated tie-break.

    Optimistic: of the equilibria the one with the largest objective; pessimistic: the smallest; of equals the first
    profile. Where there is none, citizens answer each other in turn from where they stood, as long as `patience` lasts.
    """

    def __init__(self, society: Society, tie_break: TieBreak = "optimistic", patience: int = 100) -> None:
        """For a society that fits into a table.

        Raises:
            ValueError: if the tie-break is unknown, or the society is too large.
        """
        super().__init__(society)
        if tie_break not in ("optimistic", "pessimistic"):
            raise ValueError(f"tie_break must be 'optimistic' or 'pessimistic', got {tie_break!r}")
        self.tie_break, self.patience = tie_break, whole("patience", patience)

    def adapt(self, state: SocietyState, seed: list[int]) -> None:
        """Find the equilibrium."""
        self._chosen = np.zeros((len(state.phase), len(self.society.citizens)), np.int64)
        for lanes, form in self.groups(state):
            found = form.equilibria()
            if not len(found):
                self._chosen[lanes] = form.profiles[self._in_turn(form)]
                continue
            worth = state.weights[lanes] @ form.measures[found].T  # lanes that are alike may serve different objectives
            best = worth.argmax(axis=1) if self.tie_break == "optimistic" else worth.argmin(axis=1)
            self._chosen[lanes] = form.profiles[found[best]]

    def _in_turn(self, form: NormalForm) -> int:
        number, n = 0, form.profiles.shape[1]
        strides = form.actions ** np.arange(n - 1, -1, -1)
        for turn in range(self.patience):
            i = turn % n
            base = number - form.profiles[number, i] * strides[i]
            options = base + np.arange(form.actions) * strides[i]
            number = int(options[int(np.argmax(form.payoff[options, i]))])
        return number


class NoRegret(_Tables):
    """Independent regret matching, each citizen for itself; what is played is a draw from the last rounds of it."""

    def __init__(self, society: Society, rounds: int = 200, adapting: bool = True) -> None:
        """For a society that fits into a table.

        Args:
            society: whose.
            rounds: of regret matching before each round of play, >= 1.
            adapting: learn on from the regrets of the round before; else from nothing.

        Raises:
            ValueError: if a number is out of range, or the society is too large.
        """
        super().__init__(society)
        self.rounds, self.adapting = whole("rounds", rounds), bool(adapting)
        self.regrets = np.zeros((0, len(society.citizens), self._actions))

    def adapt(self, state: SocietyState, seed: list[int]) -> None:
        """Learn, lane by lane."""
        lanes, n = len(state.phase), len(self.society.citizens)
        if len(self.regrets) != lanes or not self.adapting:
            self.regrets = np.zeros((lanes, n, self._actions))
        self._chosen = np.zeros((lanes, n), np.int64)
        rng = np.random.default_rng(seed)
        u = rng.random((lanes, self.rounds, n))
        pick = rng.random(lanes)
        for members, form in self.groups(state):
            for lane in members:
                self.regrets[lane], played = regret_matching(form, self.rounds, self.regrets[lane], u[lane])
                late = played[self.rounds // 2 :]
                self._chosen[lane] = form.profiles[late[int(pick[lane] * len(late))]]

    def snapshot(self) -> dict[str, Array]:
        """Regrets too."""
        return super().snapshot() | {"regrets": self.regrets.copy()}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go back to them."""
        super().restore(arrays)
        self.regrets = np.array(arrays["regrets"])


class SharedLearners(Followers):
    """One network for all citizens of a role, by PPO on their own views; it sees the policy, and may learn on.

    Before the first round it is trained under policies drawn uniformly within the bounds (`warm` rollouts); when
    `adapting`, a few more rollouts follow each time a policy is set, under that policy. With `anew` they begin each
    time where the warm-up ended, so that every policy meets the same people (arXiv 2410.08345, its code).
    """

    def __init__(
        self, society: Society, *, seed: int, warm: int = 20, rollouts: int = 1, adapting: bool = True,
        anew: bool = False, settings: Mapping[str, Any] | None = None, seats: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """Prepare the learner; nothing is played yet.

        Args:
            society: whose; one role of the game below, the first of the citizens', learns.
            seed: of everything.
            warm: rollouts before the first round, >= 0.
            rollouts: rollouts at every change of policy, >= 1.
            adapting: whether they learn on; else they are frozen after the warm-up.
            anew: forget what was learned under earlier policies.
            settings: of `SharedPPOSettings`.
            seats: the other roles, as in `Seats`.

        Raises:
            ImportError: if torch is missing.
            ValueError: if a setting is out of range, or the society does not show the policy.
        """
        super().__init__(society)
        from walras.algorithms.shared_ppo import SharedPPO, SharedPPOSettings
        from walras.envs.society.citizens import Citizens

        if not society.informed:
            raise ValueError("society: learners need to see the policy (informed=True)")
        self.role = society.game.seat[society.citizens[0]][0].name
        self.warm, self.rollouts, self.adapting = whole("warm", warm, 0), whole("rollouts", rollouts), bool(adapting)
        self.anew, self._brought_up = bool(anew), dict[str, Array]()
        self._law = _Law(society)
        # The law has no state that a game prints: which policies hold is told before each rollout.
        self._learner = SharedPPO(
            Citizens(society, self._law), self.role, SharedPPOSettings(**dict(settings or {})), seed=seed
        )
        self._others = Seats(society, seats)
        self._warmed = False

    def policies(self) -> dict[str, Policy]:
        """The network in its role's seats."""
        own = self._learner.policy(stochastic=True)
        return {**self._others.policies(), **dict.fromkeys(self.society.game.role(self.role).agents, own)}

    def adapt(self, state: SocietyState, seed: list[int]) -> None:
        """Learn under the policies that hold."""
        if not self._warmed:
            self._law.policies = None
            for _ in range(self.warm):
                self._learner.rollout()
            self._warmed = True
            if self.anew:
                self._brought_up = self._learner.snapshot()
        elif self.anew:
            self._learner.restore(self._brought_up)
        self._law.policies = np.unique(state.policy, axis=0)
        for _ in range(self.rollouts if self.adapting else 0):
            self._learner.rollout()
        self._law.policies = None

    def snapshot(self) -> dict[str, Array]:
        """Weights, optimiser, and whether it has been warmed up."""
        early = {f"brought-up.{name}": value for name, value in self._brought_up.items()}
        return {**self._learner.snapshot(), **early, "warmed": np.array(self._warmed)}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go back to them."""
        rest = dict(arrays)
        self._warmed = bool(rest.pop("warmed"))
        early = [name for name in rest if name.startswith("brought-up.")]
        self._brought_up = {name.removeprefix("brought-up."): np.array(rest.pop(name)) for name in early}
        self._learner.restore(rest)


class _Law:
    """From uniforms to policies: uniform within the bounds, or one of those that are set."""

    def __init__(self, society: Society) -> None:
        self.low, self.high = society.low, society.high
        self.policies: Array | None = None

    def __repr__(self) -> str:
        return "the policies that hold, else uniform"

    def __call__(self, u: Array) -> Array:
        """(B, k)."""
        if self.policies is None:
            return np.asarray(self.low + u * (self.high - self.low))
        which = np.minimum((u[:, 0] * len(self.policies)).astype(np.int64), len(self.policies) - 1)
        return np.asarray(self.policies[which])


FOLLOWERS = ("scripted", "best-response", "no-regret", "shared-ppo")
"""Rules by the name that scenarios use."""


def as_followers(given: str | Mapping[str, Any] | None, society: Society, seed: int) -> Followers:
    """Followers from a rule's name, or from `{"rule": name, ...}` with its settings.

    Raises:
        ValueError: if the rule or a setting is unknown or does not fit the society.
    """
    settings = {"rule": given} if isinstance(given, str) else dict(given or {})
    rule = settings.pop("rule", "scripted")
    makers: dict[str, Any] = {
        "scripted": Seats, "best-response": BestResponse, "no-regret": NoRegret,
        "shared-ppo": lambda society, **rest: SharedLearners(society, seed=seed, **rest),
    }  # fmt: skip
    if rule not in makers:
        raise ValueError(f"followers: rule must be one of {list(FOLLOWERS)}, got {rule!r}")
    try:
        made: Followers = makers[rule](society, **settings)
    except TypeError as error:
        raise ValueError(f"followers {rule!r}: {error}") from error
    return made


def sit_down(arena: Arena[Any], followers: Followers) -> None:
    """Let the followers' policies act in a running arena."""
    arena.policies.update(fill_seats(arena.game, followers.policies()))
