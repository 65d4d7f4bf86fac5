"""External-sampling Monte Carlo CFR on flat games: every action of one player, one sampled action of all others.

Lanctot, Waugh, Zinkevich and Bowling (2009), "Monte Carlo Sampling for Regret Minimization in Extensive
Games", NIPS 22.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import numpy as np

from walras.algorithms.tabular.learner import Progress, TabularLearner, as_flat, averaging_of, count, sliced
from walras.envs.arguments import whole
from walras.envs.game import Array
from walras.envs.tabular.flat import FlatGame

_FOREVER = np.iinfo(np.int64).max


class ExternalSampling(TabularLearner):
    """External sampling with regret matching, or with Hedge at rate 1 as arXiv 2402.11835 runs it.

    Attributes:
        regret_: (S,) cumulative sampled regrets; with Hedge cumulative values.
    """

    kind: ClassVar[str] = "walras.ExternalSampling"

    def __init__(
        self,
        game: Any,
        *,
        rule: Literal["matching", "hedge"] = "matching",
        averaging: Literal["opponent", "published"] | None = None,
        seed: int = 0,
    ) -> None:
        """Prepare an empty table.

        Args:
            game: a `FlatGame` with perfect recall, or anything that `compile_game` takes.
            rule: regret matching, or softmax of cumulative values.
            averaging: `"opponent"`, the standard ("simple averaging") and the default: strategies enter the average
                where the others move, with the weight that the sampling gives them; `"published"`: at the player's
                own visits, as it must be where there is one player only.
            seed: of all random numbers.

        Raises:
            ValueError: if an argument is out of range, or a player forgets what it did.
        """
        from walras.algorithms.tabular.sampling import board

        if rule not in ("matching", "hedge"):
            raise ValueError(f"rule must be 'matching' or 'hedge', got {rule!r}")
        self._game = as_flat(game)
        self._game.sequence_form  # noqa: B018 (refuses games without perfect recall)
        where = averaging_of(averaging, "opponent", self._game.n_players)
        self.settings = {"rule": rule, "averaging": where, "seed": whole("seed", seed, 0)}
        self._board = board(self._game)
        self.regret_ = np.zeros(self._game.n_slots)
        self._total = np.zeros(self._game.n_slots)
        longest, widest = self._game.n_nodes, int(self._game.n_actions.max(initial=1))
        self._work = (
            np.zeros(longest, np.int32), np.zeros(longest, np.int32), np.zeros(longest), np.zeros(widest)
        )  # fmt: skip
        self._rng = np.random.Generator(np.random.PCG64(seed))
        self._clock = np.zeros(2, np.int64)

    @property
    def game(self) -> FlatGame:
        """The flat game that is learned."""
        return self._game

    @property
    def iteration_(self) -> int:
        """Iterations done: one traversal a player."""
        return int(self._clock[0])

    @property
    def nodes_(self) -> int:
        """Nodes touched: own actions that were followed."""
        return int(self._clock[1])

    def fit(
        self, iterations: int | None = None, *, nodes: float | None = None, progress: Progress | None = None
    ) -> Self:
        """Learn for so many more iterations (one traversal a player), or until so many more nodes are touched.

        Every own action that is followed touches a node. Two halves give the same bits as the whole.

        Raises:
            ValueError: unless exactly one of the numbers is given, whole and at least 0.
        """
        if (nodes is None) == (iterations is None):
            raise ValueError("nodes, iterations: exactly one of them is needed")
        if nodes is not None:
            target = self.nodes_ + count("nodes", nodes)
            sliced(self.nodes_, target, lambda until: self._run(_FOREVER, until)[1], progress, "nodes")
        else:
            target = self.iteration_ + count("iterations", iterations)
            sliced(self.iteration_, target, lambda until: self._run(until, _FOREVER)[0], progress, "iterations")
        return self

    def _run(self, iterations: int, nodes: int) -> tuple[int, int]:
        from walras.algorithms.tabular.sampling import external

        hedge, opponent = self.settings["rule"] == "hedge", self.settings["averaging"] == "opponent"
        external(
            self._board, self.regret_, self._total, self._work, self._clock, iterations, self._game.n_players, hedge,
            opponent, nodes, self._rng,
        )  # fmt: skip
        return self.iteration_, self.nodes_

    @property
    def average_(self) -> Array:
        """(S,) the average strategy, uniform where nothing was learned."""
        return self._game.normalise(self._total)

    def _arrays(self) -> dict[str, Array]:
        return {"regret": self.regret_, "total": self._total, "clock": self._clock}

    def _facts(self) -> dict[str, Any]:
        return {"rng": self._rng.bit_generator.state}

    def _resume(self, facts: dict[str, Any]) -> None:
        self._rng.bit_generator.state = facts["rng"]

    def _identity(self) -> str:
        return self._game.fingerprint
