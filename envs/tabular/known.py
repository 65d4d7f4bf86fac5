"""What is known without playing of OpenSpiel's classics: values, and Kuhn's equilibria."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from walras.envs.game import Array, Truth
from walras.envs.tabular.flat import FlatGame

_LP = "sequence-form linear program, solved by walras"
_SWEEP = "one sweep of the tree, computed by walras"
_KUHN = "Kuhn (1950), Contributions to the Theory of Games 1"

_TRUTHS: dict[tuple[str, int], tuple[Truth, ...]] = {
    ("kuhn_poker", 58): (
        Truth("player_0's value in equilibrium", -1 / 18, "equilibrium", _KUHN),
        Truth("exploitability of uniform play", 11 / 24, "identity", _SWEEP),
    ),
    ("leduc_poker", 9457): (
        Truth("player_0's value in equilibrium", -0.0856064, "equilibrium", _LP),
        Truth("exploitability of uniform play", 2.373611, "identity", _SWEEP),
    ),
    ("liars_dice", 294883): (Truth("exploitability of uniform play", 0.780842, "identity", _SWEEP),),
}


def truths(flat: FlatGame) -> tuple[Truth, ...]:
    """Numbers that are known of a game, told by its name and its number of nodes."""
    return _TRUTHS.get(_which(flat), ())


def equilibrium(flat: FlatGame) -> Array | None:
    """(S,) an equilibrium of a game, where one is known in closed form."""
    return kuhn(flat) if _which(flat) == ("kuhn_poker", 58) and flat.labels is not None else None


def kuhn(flat: FlatGame, bluff: float = 1 / 6) -> Array:
    """(S,) Kuhn's equilibrium in which player_0 opens with a bet on the jack with probability `bluff`.

    It then bets on the king three times as often, and calls with the queen with probability `bluff + 1/3`; player_1 has
    one strategy for all of them.

    Raises:
        ValueError: if `bluff` is not in [0, 1/3], or the game is not OpenSpiel's `kuhn_poker` for two.
    """
    if not 0 <= bluff <= 1 / 3:
        raise ValueError(f"bluff must lie in [0, 1/3], got {bluff!r}")
    # The card (0 jack, 1 queen, 2 king) and what was done, p for pass and b for bet -> probability to bet or call.
    bets = {
        "0": bluff, "1": 0.0, "2": 3 * bluff, "0pb": 0.0, "1pb": bluff + 1 / 3, "2pb": 1.0,
        "0p": 1 / 3, "1p": 0.0, "2p": 1.0, "0b": 0.0, "1b": 1 / 3, "2b": 1.0,
    }  # fmt: skip
    if flat.labels is None or set(flat.labels) != set(bets):
        raise ValueError(f"game: OpenSpiel's kuhn_poker for two is needed, got {flat.name}")
    chance = np.array([bets[label] for label in flat.labels])
    return np.stack([1.0 - chance, chance], axis=1).reshape(-1)


def _which(flat: FlatGame) -> tuple[str, int]:
    return flat.name.partition("(")[0], flat.n_nodes


@dataclass(frozen=True)
class TwoWay:
    """A mixed strategy where every infostate has two actions: `first` (I + 1,) is the probability of the first one.

    The last number is for players who are not to move.
    """

    first: tuple[float, ...]

    def __call__(self, observation: Array, *, rng: np.random.Generator) -> Array:
        """Positions (B,) at infostates (B,), one uniform each."""
        u = rng.random((len(observation), 1))[:, 0]
        return np.asarray(u >= np.array(self.first)[np.asarray(observation).reshape(-1)]).astype(np.int64)
