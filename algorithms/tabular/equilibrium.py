"""Exact equilibria of two-player games of constant sum: the linear programme over realisation plans, by HiGHS."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from walras.algorithms.tabular.evaluation import exploitability
from walras.envs.game import Array
from walras.envs.tabular.flat import FlatGame


class Equilibrium(NamedTuple):
    """What `solve` finds.

    Attributes:
        value: player 0's value of the game, in the game's units.
        strategy: (S,) both players' equilibrium strategies.
        exploitability: of the strategy, as the sweeps measure it: how exact the solution is.
    """

    value: float
    strategy: Array
    exploitability: float


def solve(game: FlatGame, *, method: str = "highs") -> Equilibrium:
    """A Nash equilibrium and the value of a two-player game of constant sum with perfect recall.

    Maximises, over player 0's realisation plans x and the multipliers q of player 1's constraints, the multiplier of
    the root, subject to F1' q <= A' x and F0 x = (1, 0, ..., 0) (Koller, Megiddo and von Stengel 1996, Games and
    Economic Behavior 14). Player 1's plan is the dual solution.

    Args:
        game: the game.
        method: of `scipy.optimize.linprog`: `"highs"`, `"highs-ds"` or `"highs-ipm"`.

    Raises:
        ValueError: if the game is not of constant sum with two players, or a player forgets what it did.
        RuntimeError: if the solver fails; the message is its own.
    """
    from scipy.optimize import linprog
    from scipy.sparse import coo_matrix, hstack

    if game.constant_sum is None:
        raise ValueError(f"game: a two-player game of constant sum is needed, {game.name} is none")
    form = game.sequence_form
    own, other, payoffs = form.constraints(0), form.constraints(1), form.matrix(0)
    free = other.shape[0]
    objective = np.zeros(own.shape[1] + free)
    objective[own.shape[1]] = -1.0
    start = np.zeros(own.shape[0])
    start[0] = 1.0
    done = linprog(
        objective,
        A_ub=hstack([-payoffs.T, other.T]).tocsc(),
        b_ub=np.zeros(other.shape[1]),
        A_eq=hstack([own, coo_matrix((own.shape[0], free))]).tocsc(),
        b_eq=start,
        bounds=[(0.0, None)] * own.shape[1] + [(None, None)] * free,
        method=method,
    )
    if not done.success:
        raise RuntimeError(f"HiGHS found no equilibrium of {game.name}: {done.message}")
    plans = (np.maximum(done.x[: own.shape[1]], 0.0), np.maximum(-done.ineqlin.marginals, 0.0))
    strategy = game.normalise(form.weights(plans))
    return Equilibrium(float(-done.fun), strategy, exploitability(game, strategy))
