"""How people vote: from what they want to the ballots they cast.

Shapes: `n` voters, `K` candidates; ballots are rows of scores in [0, 1] (see `walras.envs.society.voting`). A
`learned` ballot needs nothing here: in `Society` every voter has a seat, and any policy may fill it.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from walras.envs.game import Array
from walras.envs.society.voting import find_rule

MOST_VOTERS = 7
"""Voters whose joint manipulations are still enumerated one by one."""


def sincere(utility: Array) -> Array:
    """(..., n, K): utilities (..., n, K) of the candidates brought to [0, 1] voter by voter (indifferent ones: 1/2)."""
    low, high = utility.min(axis=-1, keepdims=True), utility.max(axis=-1, keepdims=True)
    span = high - low
    return np.where(span > 0, (utility - low) / np.where(span > 0, span, 1.0), 0.5)


def possible_ballots(rule: str, candidates: int) -> Array:
    """(M, K) the ballots that make a difference under a rule: extreme scores, or all strict rankings."""
    if rule in ("mean-threshold", "median", "linear-mix", "score", "approval"):
        return np.array(list(itertools.product((0.0, 1.0), repeat=candidates)))
    steps = np.linspace(1.0, 0.0, candidates)
    return np.array([steps[np.argsort(order)] for order in itertools.permutations(range(candidates))])


class Manipulation(NamedTuple):
    """A lie that pays.

    Attributes:
        voter: who lies.
        ballot: (K,) what this voter reports.
        gain: expected utility gained, by the weights that the rule gives.
    """

    voter: int
    ballot: Array
    gain: float


def best_lie(rule: str, ballots: Array, utility: Array, voter: int, u: float = 0.0) -> Manipulation:
    """What one voter would best report against the others' ballots.

    Args:
        rule: of `voting.rules()`.
        ballots: (n, K) all ballots, the voter's own included.
        utility: (n, K) what candidates are worth to voters; a mixture is worth its mean.
        voter: whose lie.
        u: the uniform of rules that draw.

    Returns:
        The best report; the voter's own ballot with gain 0 where no lie pays.
    """
    options = possible_ballots(rule, ballots.shape[1])
    trials = np.repeat(ballots[None], len(options) + 1, axis=0)
    trials[1:, voter] = options
    worth = find_rule(rule, ballots.shape[1])(trials, np.full(len(trials), u)) @ utility[voter]
    best = int(np.argmax(np.where(worth > worth[0] + 1e-12, worth, -np.inf))) if (worth > worth[0] + 1e-12).any() else 0
    return Manipulation(voter, trials[best, voter].copy(), float(worth[best] - worth[0]))


def manipulations(rule: str, utility: Array, ballots: Array | None = None, u: float = 0.0) -> list[Manipulation]:
    """Every voter's best lie that pays, against sincere ballots (or those given)."""
    honest = sincere(utility) if ballots is None else ballots
    found = [best_lie(rule, honest, utility, voter, u) for voter in range(len(honest))]
    return [lie for lie in found if lie.gain > 0]


def strategic(rule: str, utility: Array, ballots: Array | None = None, u: float = 0.0, rounds: int = 20) -> Array:
    """(n, K) ballots after voters have answered each other, one after the other, until no lie pays or `rounds` is up.

    Best response by enumeration, which is why there may be at most seven voters. Sincere ballots are where it begins;
    a voter for whom no lie pays keeps the ballot.

    Raises:
        ValueError: if there are more than seven voters.
    """
    if len(utility) > MOST_VOTERS:
        raise ValueError(f"utility: strategic ballots are enumerated for at most {MOST_VOTERS} voters")
    cast = np.array(sincere(utility) if ballots is None else ballots, np.float64)
    for _ in range(rounds):
        moved = False
        for voter in range(len(cast)):
            lie = best_lie(rule, cast, utility, voter, u)
            if lie.gain > 0:
                cast[voter], moved = lie.ballot, True
        if not moved:
            break
    return cast
