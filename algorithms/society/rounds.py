"""Rounds of a society: vote, design, answer, play, carry over; interrupted anywhere, resumed to the same bits.

All lanes are societies of their own that go through the rounds together. The principal is one and the same for all; it
learns from what each of its policies led to, on the mean over the lanes in which it held. Shapes: `B` lanes, `n`
citizens, `k` numbers of the policy, `K` objectives, `R` rounds.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from walras.agents.storage import load_arrays, save_arrays
from walras.algorithms.society.followers import Followers, sit_down
from walras.algorithms.society.principals import Principal, Record, Saez
from walras.algorithms.society.voters import Voters
from walras.envs.arena import Arena
from walras.envs.game import Array, Policy
from walras.envs.seats import as_policy
from walras.envs.society.layer import DESIGN, PLAY, VOTE, Society, SocietyState

Progress = Callable[[float, str], None]
_KIND = "walras.SocietyRounds"


@dataclass
class History:
    """Rounds as they went, means over lanes.

    Attributes:
        policy: (R, k) the policy that held at the end of the round.
        weights: (R, K) the objective.
        measures: (R, K) the objectives reached.
        utility: (R, n) citizens' utilities.
        income: (R, n) their incomes before tax.
        revenue: (R,) the treasury.
        welfare: name -> (R,) every welfare function of the utilities.
        ballots: (R, ballot's numbers) mean ballot; (R, 0) without votes.
        facts: name -> (R,) means of the facts the principal is told, at the round's end.
    """

    policy: Array
    weights: Array
    measures: Array
    utility: Array
    income: Array
    revenue: Array
    welfare: dict[str, Array]
    ballots: Array
    facts: dict[str, Array]

    def __len__(self) -> int:
        """R."""
        return len(self.policy)

    def served(self) -> Array:
        """(R,) the value of the objective that held in each round."""
        return np.asarray((self.weights * self.measures).sum(axis=1))


@dataclass(frozen=True)
class Lived:
    """What a run leaves.

    Attributes:
        history: of its rounds.
        record: what the principal knows.
        state: of all lanes at the end.
        best: (k,) what the principal would settle on under the last objective; `None` without such a principal.
    """

    history: History
    record: Record
    state: SocietyState
    best: Array | None


class Rounds:
    """A run: one round a call of `round`, everything that determines the rest in `snapshot`."""

    def __init__(
        self, society: Society, principal: Principal | Policy | None, followers: Followers, *,
        ballots: str = "sincere", lanes: int = 1, seed: int = 0,
    ) -> None:  # fmt: skip
        """Begin; nothing is played yet.

        Args:
            society: whose `rounds` are played.
            principal: learns from the record, or is a policy in the principal's seat (a network); `None` where the
                vote is over the policy itself.
            followers: of that society.
            ballots: how citizens vote, see `Voters`.
            lanes: B >= 1.
            seed: of everything.

        Raises:
            ValueError: if a principal is missing or has no seat, or ballots do not fit.
        """
        self.society, self.followers, self.seed = society, followers, seed
        if (principal is None) != (society.over == "policy"):
            raise ValueError("principal: one is needed exactly where the vote is not over the policy itself")
        if isinstance(principal, Saez):
            principal = dataclasses.replace(principal, worth=self._worth)
        self.principal = principal
        self._seat: Policy | None = None
        if principal is not None and not isinstance(principal, Principal):
            self._seat = as_policy(principal, society, "principal")
        self.voters = Voters(society, ballots) if society.rule is not None else None
        self.record = Record.empty(society.low, society.high, len(society.objectives), len(society.citizens))
        self.arena: Arena[SocietyState] = Arena(society, lanes)
        self.arena.seed(seed)
        self.arena.deal()
        self.done = 0
        self._rows: list[dict[str, Array]] = []

    @property
    def over(self) -> bool:
        """Whether all rounds are played."""
        return self.done >= self.society.rounds

    def round(self) -> None:
        """Vote, design, play; what it came to is recorded."""
        society, arena = self.society, self.arena
        if self.over:
            raise ValueError("round: all rounds are over")
        ballots = None
        if self.voters is not None:
            assert (arena.state.phase == VOTE).all()
            ballots = self.voters.cast(arena.state, self.record, self._rng(0))
            fits = society.roles[0].action_space
            cast = np.clip(ballots, fits.low, fits.high).astype(np.float32)  # type: ignore[attr-defined]
            arena.step({f"voter_{i}": cast[:, i] for i in range(len(society.citizens))})
        proposed = arena.state.policy
        if self.principal is not None:
            assert (arena.state.phase == DESIGN).all()
            proposed = self._design(first=True)
        self.followers.adapt(arena.state, [self.seed, 2, self.done])
        sit_down(arena, self.followers)
        while True:
            state = arena.state
            playing = np.flatnonzero((state.round == self.done) & (state.phase == PLAY))
            designing = np.flatnonzero((state.round == self.done) & (state.phase == DESIGN))
            if not len(playing) and not len(designing):
                break
            if len(designing):
                self._design(first=False, index=designing)
            if len(playing):
                given = self.followers.actions(state) or {}
                arena.step({agent: chosen[playing] for agent, chosen in given.items()}, playing)
        self._note(proposed, ballots)
        self.done += 1

    def _design(self, *, first: bool, index: Array | None = None) -> Array:
        """The principal's move in the lanes `index` (all): what was proposed, (B, k)."""
        society, arena = self.society, self.arena
        state = arena.state
        space = society.role("principal").action_space
        if self._seat is not None:
            arena.policies["principal"] = self._seat
            arena.step({}, index)
            return arena.state.policy
        if not first:  # within a round the policy stands
            lanes = np.arange(len(state.phase)) if index is None else index
            arena.step({"principal": self._action(state.policy[lanes], space, keep=True)}, index)
            return arena.state.policy
        assert isinstance(self.principal, Principal)
        proposed = np.zeros_like(state.policy)
        objectives, which = np.unique(state.weights, axis=0, return_inverse=True)
        for i, weights in enumerate(objectives):
            rows = which.reshape(-1) == i
            proposed[rows] = self.principal.propose(self.record, weights, self._rng(1, i))
        arena.step({"principal": self._action(proposed, space)}, index)
        # What was proposed is recorded: on a grid the nearest point holds, and a bandit must know its own arms.
        return proposed

    def _action(self, policy: Array, space: Any, keep: bool = False) -> Array:
        levels = self.society.levels
        if levels is None:
            return np.clip(policy.astype(np.float32), space.low, space.high)
        if keep:
            return np.full(policy.shape, len(levels), np.int64)
        distance = np.abs(policy[:, None, :] - levels[None])
        return np.asarray(distance.argmin(axis=1))

    def _note(self, proposed: Array, ballots: Array | None) -> None:
        """Into the record go the policies of the round, into the history its means."""
        society, state = self.society, self.arena.state
        if self.voters is not None:
            self.voters.paid(state.last_utility)
        policies, which = np.unique(proposed, axis=0, return_inverse=True)
        for i, policy in enumerate(policies):
            rows = which.reshape(-1) == i
            self.record.add(
                policy, state.last_measures[rows].mean(axis=0), state.last_utility[rows].mean(axis=0),
                state.last_income[rows].mean(axis=0),
            )  # fmt: skip
        row = {
            "policy": state.policy.mean(axis=0), "weights": state.weights.mean(axis=0),
            "measures": state.last_measures.mean(axis=0), "utility": state.last_utility.mean(axis=0),
            "income": state.last_income.mean(axis=0), "revenue": np.array(state.last_revenue.mean()),
            "ballots": np.zeros(0) if ballots is None else np.asarray(ballots, np.float64).mean(axis=(0, 1)),
        }  # fmt: skip
        for name, welfare in society.welfare_functions.items():
            row[f"welfare.{name}"] = np.array(welfare(state.last_utility).mean())
        for fact, at in society.told_at.items():
            value = state.last_told[:, at]
            if value.shape[1] == 1:
                row[f"facts.{fact}"] = np.array(value.mean())
        self._rows.append({name: np.asarray(value, np.float64) for name, value in row.items()})

    def _worth(self, utility: Array, weights: Array) -> Array:
        """(n,) the gradient of the objective at utilities, by central differences."""
        step = 1e-5 * max(1.0, float(np.abs(utility).max()))
        n = len(utility)
        points = np.concatenate([utility + step * np.eye(n), utility - step * np.eye(n)])
        state = self.arena.state
        blank = state._replace(
            revenue=np.zeros(2 * n), facts=np.zeros((2 * n, state.facts.shape[1])), episodes=np.ones(2 * n, np.int64)
        )
        values = self.society.measured(blank, points) @ weights
        gradient: Array = (values[:n] - values[n:]) / (2 * step)
        return gradient

    def _rng(self, *what: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.done, *what])

    # -- results and standing ------------------------------------------------------------------------------------------

    def history(self) -> History:
        """The rounds so far."""
        if not self._rows:
            raise ValueError("history: no round was played yet")
        columns = {name: np.stack([row[name] for row in self._rows]) for name in self._rows[0]}
        return History(
            columns["policy"], columns["weights"], columns["measures"], columns["utility"], columns["income"],
            columns["revenue"], {n[8:]: c for n, c in columns.items() if n.startswith("welfare.")}, columns["ballots"],
            {n[6:]: c for n, c in columns.items() if n.startswith("facts.")},
        )  # fmt: skip

    def lived(self) -> Lived:
        """The result."""
        best = None
        if isinstance(self.principal, Principal):
            best = self.principal.best(self.record, self.history().weights[-1])
        return Lived(self.history(), self.record, self.arena.state, best)

    def snapshot(self) -> dict[str, Array]:
        """Everything that determines the rest, as plain arrays."""
        parts = {
            "arena": self.arena.snapshot(),
            "record": self.record.snapshot(),
            "followers": self.followers.snapshot(),
        }
        if self.voters is not None:
            parts["voters"] = self.voters.snapshot()
        arrays = {f"{part}/{name}": value for part, values in parts.items() for name, value in values.items()}
        for name in self._rows[0] if self._rows else ():
            arrays[f"rows/{name}"] = np.stack([row[name] for row in self._rows])
        return arrays | {"done": np.array(self.done)}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go back to a `snapshot` of a run with the same arguments, exactly.

        Raises:
            KeyError, ValueError: if the arrays are not such a snapshot.
        """

        def of(part: str) -> dict[str, Array]:
            return {name.partition("/")[2]: value for name, value in arrays.items() if name.startswith(f"{part}/")}

        self.arena.restore(of("arena"))
        self.record.restore(of("record"))
        self.followers.restore(of("followers"))
        if self.voters is not None:
            self.voters.restore(of("voters"))
        self.done = int(arrays["done"])
        rows = of("rows")
        self._rows = [{name: np.array(values[r]) for name, values in rows.items()} for r in range(self.done)]


def live(
    society: Society, principal: Principal | Policy | None, followers: Followers, *, ballots: str = "sincere",
    lanes: int = 1, seed: int = 0, progress: Progress | None = None, checkpoint: str | os.PathLike[str] | None = None,
    every: int = 1,
) -> Lived:  # fmt: skip
    """Play all rounds of a society.

    With a `checkpoint`, an interrupted run goes on when the same call is made again, and ends in the same bits as one
    that was never interrupted.

    Args:
        society: whose rounds.
        principal: as in `Rounds`.
        followers: as in `Rounds`.
        ballots: as in `Rounds`.
        lanes: societies side by side.
        seed: of everything.
        progress: told `(fraction, text)` after each round.
        checkpoint: file of the standing: gone on from where it exists, replaced as a whole, removed at the end.
        every: rounds from one such replacement to the next, >= 1.

    Raises:
        ValueError: if an argument does not fit, or the checkpoint is damaged or belongs to another run.
    """
    run = Rounds(society, principal, followers, ballots=ballots, lanes=lanes, seed=seed)
    identity = _identity(run, ballots, lanes)
    if checkpoint is not None and os.path.exists(checkpoint):
        arrays, facts = load_arrays(checkpoint, _KIND)
        if facts != identity:
            differing = sorted(name for name in {*facts, *identity} if facts.get(name) != identity.get(name))
            raise ValueError(
                f"checkpoint: {os.fspath(checkpoint)!r} belongs to another run ({', '.join(differing)} differ); remove "
                "it to begin anew"
            )
        run.restore(arrays)
    while not run.over:
        run.round()
        if checkpoint is not None and run.done % every == 0 and not run.over:
            save_arrays(checkpoint, _KIND, run.snapshot(), identity)
        if progress is not None:
            served = float(run.history().served()[-1])
            progress(run.done / society.rounds, f"round {run.done}, objective {served:.4g}")
    if checkpoint is not None and os.path.exists(checkpoint):
        os.remove(checkpoint)
    return run.lived()


def _identity(run: Rounds, ballots: str, lanes: int) -> dict[str, Any]:
    """What must agree for one run to go on from another's file."""
    own = {name: value for name, value in vars(run.followers).items() if isinstance(value, bool | int | float | str)}
    return {
        "society": repr(run.society), "principal": repr(run.principal), "ballots": ballots, "lanes": lanes,
        "followers": {"kind": type(run.followers).__name__, **own}, "seed": run.seed,
    }  # fmt: skip
