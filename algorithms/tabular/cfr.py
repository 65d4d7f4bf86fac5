"""Counterfactual regret minimisation over all of a game: CFR, CFR+, discounted CFR.

Zinkevich et al. (2007), NIPS 20; CFR+: Tammelin (2014), arXiv 1407.5042; discounting: Brown and Sandholm (2019), arXiv
1809.04040. The same iterates by two ways of sweeping: `form="sequence"` is products of a sparse payoff matrix and loops
over the treeplexes, `form="tree"` two loops over the nodes.

Shapes: `S` slots, `Q` sequences of a player, `N` players.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal, Self

import numpy as np

from walras.algorithms.tabular.learner import Progress, TabularLearner, as_flat, count, sliced
from walras.envs.game import Array
from walras.envs.tabular.flat import FlatGame

_VARIANTS: dict[str, tuple[bool, float, float, float]] = {
    # regret matching+, power of the averaging weight, exponents of positive and negative regrets
    "cfr": (False, 0.0, math.inf, math.inf),
    "cfr+": (True, 1.0, math.inf, math.inf),
    "dcfr": (False, 2.0, 1.5, 0.0),
}


class CFR(TabularLearner):
    """Every player answers the others' whole strategies in every iteration.

    In two-player zero-sum games the average strategy converges to equilibrium; elsewhere it is a heuristic whose
    NashConv can be measured.

    Attributes:
        regret_: (S,) cumulative regrets, by slot.
    """

    kind: ClassVar[str] = "walras.CFR"

    def __init__(
        self,
        game: Any,
        *,
        variant: Literal["cfr", "cfr+", "dcfr"] = "cfr",
        form: Literal["sequence", "tree"] = "sequence",
        alternating: bool = True,
        averaging: float | None = None,
    ) -> None:
        """Prepare; nothing is swept yet.

        Args:
            game: a `FlatGame` with perfect recall, or anything that `compile_game` takes.
            variant: `"cfr"`, `"cfr+"` (negative regrets are forgotten, iteration t enters the average with weight t) or
                `"dcfr"` (discounts with alpha 3/2, beta 0, gamma 2).
            form: `"sequence"` (fastest for two players) or `"tree"`.
            alternating: players answer one after another, seeing the strategies just changed.
            averaging: exponent of t in the weight of iteration t, >= 0; the variant's by default.

        Raises:
            ValueError: if an argument is out of range, or a player forgets what it did.
        """
        if variant not in _VARIANTS:
            raise ValueError(f"variant must be one of {list(_VARIANTS)}, got {variant!r}")
        if form not in ("sequence", "tree"):
            raise ValueError(f"form must be 'sequence' or 'tree', got {form!r}")
        plus, power, alpha, beta = _VARIANTS[variant]
        if averaging is not None:
            if not (isinstance(averaging, int | float) and 0 <= averaging < math.inf):
                raise ValueError(f"averaging must be a finite number of at least 0, got {averaging!r}")
            power = float(averaging)
        self._game = as_flat(game)
        self.settings = {"variant": variant, "form": form, "alternating": bool(alternating), "averaging": averaging}
        self._options = (plus, power, (alpha, beta), bool(alternating))
        self._sweep: _Sequences | _Nodes = _Sequences(self._game) if form == "sequence" else _Nodes(self._game)
        self._clock = np.zeros(1, np.int64)

    @property
    def game(self) -> FlatGame:
        """The flat game that is solved."""
        return self._game

    @property
    def iteration_(self) -> int:
        """Iterations done."""
        return int(self._clock[0])

    @property
    def nodes_(self) -> int:
        """Nodes touched: a full sweep touches every node once for each player."""
        return self.iteration_ * self._game.n_nodes * self._game.n_players

    def fit(self, iterations: int, progress: Progress | None = None) -> Self:
        """Do so many more iterations; two halves give the same bits as the whole.

        Raises:
            ValueError: if the number is negative or not whole.
        """
        target = self.iteration_ + count("iterations", iterations)

        def run(until: int) -> int:
            self._sweep.run(self._clock, until, *self._options)
            return self.iteration_

        sliced(self.iteration_, target, run, progress, "iterations")
        return self

    @property
    def average_(self) -> Array:
        """(S,) the average strategy; before the first iteration, and where it never came, uniform."""
        return self._game.normalise(np.maximum(self._sweep.total(), 0.0))

    @property
    def current_(self) -> Array:
        """(S,) what is played next."""
        return self._sweep.current()

    @property
    def regret_(self) -> Array:
        """(S,) cumulative regrets."""
        return self._sweep.regret()

    def _arrays(self) -> dict[str, Array]:
        return self._sweep.arrays() | {"clock": self._clock}

    def _facts(self) -> dict[str, Any]:
        return {}

    def _resume(self, facts: dict[str, Any]) -> None:
        pass  # all of it stands in the arrays

    def _identity(self) -> str:
        return self._game.fingerprint


class _Sequences:
    """Sweeps in sequence form: per player strategy, regrets, plan, sum of plans, gradient, and scratch space."""

    def __init__(self, game: FlatGame) -> None:
        self.game, self.form = game, game.sequence_form
        uniform, self.players = game.uniform(), []
        sizes = [len(plex.slot) for plex in self.form.treeplexes]
        self.base = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        self.plans = np.zeros(sum(sizes))  # all players' plans, neighbours for `collect`
        for player, plex in enumerate(self.form.treeplexes):
            first, size = self.base[player], sizes[player]
            plan = self.plans[first : first + size]
            plan[:] = self.form.plan(player, uniform)
            sigma = np.append(1.0, uniform[plex.slot[1:]])
            widest = int(plex.groups[:, 1].max(initial=1))
            self.players.append((sigma, np.zeros(size), plan, np.zeros(size), np.zeros(size), np.zeros(widest)))
        self.utility = tuple(
            np.ascontiguousarray(game.returns[self.form.leaves, player]) for player in range(game.n_players)
        )

    def run(self, clock: Array, end: int, plus: bool, power: float, discount: Any, alternating: bool) -> None:
        from walras.algorithms.tabular.sweeps import iterate_leaves, iterate_pairs

        options = (clock, end, plus, power, discount, alternating)
        plexes, players = self.form.treeplexes, tuple(self.players)
        if self.form.payoffs is not None:
            iterate_pairs(plexes, self.form.payoffs, players, *options)
            return
        iterate_leaves(plexes, self.form.last, self.form.chance, self.utility, self.plans, self.base, players, *options)

    def _by_slot(self, which: int) -> Array:
        return self.form.weights(tuple(player[which] for player in self.players))

    def current(self) -> Array:
        return self._by_slot(0)

    def regret(self) -> Array:
        return self._by_slot(1)

    def total(self) -> Array:
        return self._by_slot(3)

    def arrays(self) -> dict[str, Array]:
        names = ("sigma", "regret", "plan", "total")
        return {f"{name}.{i}": player[k] for i, player in enumerate(self.players) for k, name in enumerate(names)}


class _Nodes:
    """Sweeps over the tree."""

    def __init__(self, game: FlatGame) -> None:
        from walras.algorithms.tabular.tree import prepare

        self.game = game
        self.tree, self.probability, self.value = prepare(game)
        uniform, form = game.uniform(), game.sequence_form
        self.plan = form.weights(tuple(form.plan(player, uniform) for player in range(game.n_players)))
        self.reach, self.gradient = np.zeros(len(self.tree.node)), np.zeros(game.n_slots)
        self.regrets, self.totals = np.zeros(game.n_slots), np.zeros(game.n_slots)

    def run(self, clock: Array, end: int, *options: Any) -> None:
        from walras.algorithms.tabular.tree import iterate

        iterate(
            self.tree, self.probability, self.value, self.reach, self.gradient, self.regrets, self.plan, self.totals,
            clock, end, *options,
        )  # fmt: skip

    def current(self) -> Array:
        return self.probability[: self.game.n_slots].copy()

    def regret(self) -> Array:
        return self.regrets.copy()

    def total(self) -> Array:
        return self.totals.copy()

    def arrays(self) -> dict[str, Array]:
        return {"probability": self.probability, "regret": self.regrets, "plan": self.plan, "total": self.totals}
