"""Voters over rounds: ballots from types, from what one has lived through, from strategy, or from learning.

Shapes: `B` lanes, `n` voters, `K` objectives, `k` numbers of the policy.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from walras.algorithms.society.principals import Record
from walras.envs.game import Array
from walras.envs.society.ballots import sincere, strategic
from walras.envs.society.layer import Society, SocietyState
from walras.envs.society.voting import lean

BALLOTS = ("sincere", "experienced", "retrospective", "strategic", "learned")
"""How voters vote, by the name that scenarios use."""


class Voters:
    """The ballots of all citizens, round after round.

    - `sincere`: two objectives: by type, the lean b to the second one. Over the policy: the own favourite, of the known
      equilibrium or else of all policies lived through.
    - `experienced`: scores in proportion to what one had under the policy that served each objective best so far; until
      there is experience, by type.
    - `retrospective`: two objectives: who had less than the mean in the last round wants the second, else the first.
    - `strategic`: best responses to each other's ballots by enumeration, beginning at `experienced` ones (n <= 7).
    - `learned`: each voter learns by exponential weights which of K ballots, all for one objective, paid best (Auer et
      al. 2002, EXP3); lanes share what is learned.
    """

    def __init__(self, society: Society, how: str = "sincere", *, rate: float = 0.2) -> None:
        """For one society.

        Args:
            society: whose citizens vote.
            how: one of `BALLOTS`.
            rate: step of the learned ballots, > 0.

        Raises:
            ValueError: if `how` is unknown or does not fit the number of objectives.
        """
        if how not in BALLOTS:
            raise ValueError(f"ballots must be one of {list(BALLOTS)}, got {how!r}")
        count = len(society.objectives)
        if society.over == "objective" and how in ("sincere", "retrospective") and count != 2:
            raise ValueError(f"ballots: {how!r} needs two objectives, the society has {count}")
        if society.over == "policy" and how != "sincere":
            raise ValueError(f"ballots: a vote over the policy is 'sincere', got {how!r}")
        if not 0 < rate < np.inf:
            raise ValueError(f"rate must be positive and finite, got {rate!r}")
        self.society, self.how, self.rate = society, how, rate
        n = len(society.citizens)
        self.log_weights = np.zeros((n, count))
        self._cast = np.zeros((0, n), np.int64)

    def cast(self, state: SocietyState, record: Record, rng: np.random.Generator) -> Array:
        """Ballots (B, n, K), or (B, n, k) over the policy."""
        society = self.society
        batch, n = len(state.phase), len(society.citizens)
        if society.over == "policy":
            return np.broadcast_to(self.favourites(record), (batch, n, len(society.low)))
        if self.how == "learned":
            odds = self._odds()
            u = rng.random((batch, n, 1))
            self._cast = np.minimum((np.cumsum(odds, axis=1) <= u).sum(axis=2), odds.shape[1] - 1)
            return np.eye(odds.shape[1])[self._cast]
        by_type = self._by_type(state)
        if self.how == "sincere":
            return by_type
        if self.how == "retrospective":
            poor = state.last_utility < state.last_utility.mean(axis=1, keepdims=True) - 1e-12
            return np.where((state.round > 0)[:, None, None], lean(poor), by_type)
        if not len(record):
            return by_type
        known = self.prospects(record)
        ballots = sincere(known)
        if self.how == "strategic":
            ballots = strategic(str(society.rule), known, ballots)
        return np.broadcast_to(ballots, (batch, *ballots.shape))

    def paid(self, utility: Array) -> None:
        """Learn from the utilities (B, n) of the round."""
        if self.how != "learned" or self.society.over == "policy":
            return
        low, high = float(utility.min()), float(utility.max())
        gain = (utility - low) / (high - low) if high > low else np.zeros_like(utility)
        odds = self._odds()
        for lane in range(len(utility)):
            for i, ballot in enumerate(self._cast[lane]):
                self.log_weights[i, ballot] += self.rate * gain[lane, i] / odds[i, ballot] / len(utility)
        self.log_weights -= self.log_weights.max(axis=1, keepdims=True)

    def prospects(self, record: Record) -> Array:
        """(n, K) what each citizen had, on the mean, under the policy that served each objective best so far."""
        columns = []
        for weights in np.eye(len(self.society.objectives)):
            arms, mean, _ = record.arms(weights)
            best = (record.policy == arms[int(np.argmax(mean))]).all(axis=1)
            columns.append(record.utility[best].mean(axis=0))
        return np.stack(columns, axis=1)

    def favourites(self, record: Record) -> Array:
        """(n, k) the policy that each citizen wants."""
        known = self.society.equilibrium() or {}
        n = len(self.society.citizens)
        if all(f"voter_{i}" in known for i in range(n)):
            nothing = np.zeros((1, 1))
            return np.stack([np.asarray(known[f"voter_{i}"](nothing))[0] for i in range(n)])
        if not len(record):
            return np.broadcast_to(self.society.start, (n, len(self.society.low)))
        arms, which = np.unique(record.policy, axis=0, return_inverse=True)
        which = which.reshape(-1)
        means = np.stack([record.utility[which == a].mean(axis=0) for a in range(len(arms))])
        wanted: Array = arms[means.argmax(axis=0)]
        return wanted

    def _by_type(self, state: SocietyState) -> Array:
        b = state.types[..., 0]
        if len(self.society.objectives) == 2:
            return lean(b)
        return np.full((*b.shape, len(self.society.objectives)), 0.5)

    def _odds(self) -> Array:
        powers = np.exp(self.log_weights)
        count = powers.shape[1]
        explore = 0.1
        return np.asarray((1 - explore) * powers / powers.sum(axis=1, keepdims=True) + explore / count)

    def snapshot(self) -> dict[str, Array]:
        """What was learned, as plain arrays."""
        return {"log_weights": self.log_weights.copy()}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go back to a `snapshot`."""
        self.log_weights = np.array(arrays["log_weights"])
