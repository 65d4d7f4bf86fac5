"""Voting rules: from ballots to the weights of the candidates, batched over elections.

Shapes: `B` elections, `n` voters, `K` candidates (objectives, or alternatives of any kind). A ballot is a row of
scores in [0, 1], one a candidate; each rule reads from it what it asks for: the best candidate (plurality), the
ranking (Borda, Copeland, ...), the scores above one half (approval), the scores themselves. Equal scores rank the
earlier candidate higher, and so are ties between candidates broken. A rule gives weights (B, K), nonnegative with
sum 1: one winner, or a mixture.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable

import numpy as np

from walras.envs.game import Array

Rule = Callable[[Array, Array], Array]


def vote(rule: str, ballots: Array, u: Array) -> Array:
    """The outcome of elections.

    Args:
        rule: a name of `rules()`, or `"pref_voting:<method>"`.
        ballots: (B, n, K) scores in [0, 1].
        u: (B,) uniforms in [0, 1), for rules that draw.

    Returns:
        (B, K) weights.

    Raises:
        ValueError: if the rule is unknown, is one for two candidates and there are more, or a ballot is no such row.
        ImportError: if the rule needs a package that is not installed.
    """
    ballots = np.asarray(ballots, np.float64)
    if ballots.ndim != 3 or not ((ballots >= 0) & (ballots <= 1)).all():
        raise ValueError(f"ballots must be scores (B, n, K) in [0, 1], got shape {ballots.shape}")
    return find_rule(rule, ballots.shape[2])(ballots, np.asarray(u))


def find_rule(rule: str, candidates: int) -> Rule:
    """The function behind a rule's name, checked for so many candidates.

    Raises:
        ValueError: if the rule is unknown or does not fit.
        ImportError: if the rule needs a package that is not installed.
    """
    if rule in TWO and candidates != 2:
        raise ValueError(f"rule: {rule!r} decides between two candidates, got {candidates}")
    if rule in RULES:
        return RULES[rule]
    if rule in SPIEL:
        _need("pyspiel", "games", rule)
        return functools.partial(_spiel, rule)
    if isinstance(rule, str) and rule.startswith("pref_voting:"):
        _need("pref_voting", "voting", rule)
        return functools.partial(_pref_voting, rule.partition(":")[2])
    raise ValueError(f"rule must be one of {list(rules())} or 'pref_voting:<method>', got {rule!r}")


def rules() -> tuple[str, ...]:
    """Names of all rules but those of `pref_voting`."""
    return (*RULES, *SPIEL)


def ranking(ballots: Array) -> Array:
    """(B, n, K) candidates from best to worst; of equal scores the earlier candidate first."""
    return np.argsort(-ballots, axis=-1, kind="stable")


def pairwise(ballots: Array) -> Array:
    """(B, K, K): how many voters rank candidate i above candidate j."""
    place = np.argsort(ranking(ballots), axis=-1)
    return np.asarray((place[..., :, None] < place[..., None, :]).sum(axis=1))


def second_share(ballots: Array) -> Array:
    """(B, n) in [0, 1]: how far each of two-candidate ballots leans to the second one, `s_1 / (s_0 + s_1)`."""
    total = ballots.sum(axis=-1)
    return np.where(total > 0, ballots[..., 1] / np.where(total > 0, total, 1.0), 0.5)


def lean(b: Array) -> Array:
    """(..., 2): the two-candidate ballot that leans to the second candidate by b in [0, 1]."""
    b = np.asarray(b, np.float64)
    return np.stack([1.0 - b, b], axis=-1)


# -- rules of one text -------------------------------------------------------------------------------------------------


def mean_threshold(ballots: Array, u: Array) -> Array:
    """The second of two candidates if the mean lean exceeds 1/2, else the first (the SED authors' code)."""
    return lean(second_share(ballots).mean(axis=1) > 0.5)


def median(ballots: Array, u: Array) -> Array:
    """The second of two candidates if the median lean exceeds 1/2: nobody on the winning side can gain by a lie."""
    return lean(np.median(second_share(ballots), axis=1) > 0.5)


def majority(ballots: Array, u: Array) -> Array:
    """Of two candidates the one that more voters rank first; a tie goes to the first."""
    return plurality(ballots, u)


def linear_mix(ballots: Array, u: Array) -> Array:
    """Not a winner but the mean of all ballots, each brought to sum 1 (a ballot of zeros counts for all alike)."""
    total = ballots.sum(axis=-1, keepdims=True)
    shares = np.where(total > 0, ballots / np.where(total > 0, total, 1.0), 1.0 / ballots.shape[-1])
    return np.asarray(shares.mean(axis=1))


def random_dictator(ballots: Array, u: Array) -> Array:
    """The favourite of a voter drawn uniformly."""
    n = ballots.shape[1]
    dictator = np.minimum((u * n).astype(np.int64), n - 1)
    return _winner(ballots[np.arange(len(ballots)), dictator])


def plurality(ballots: Array, u: Array) -> Array:
    """Most first places."""
    return _winner(_tops(ballots, np.ones(ballots.shape[::2], bool)))


def approval(ballots: Array, u: Array) -> Array:
    """Most scores above 1/2."""
    return _winner((ballots > 0.5).sum(axis=1))


def score(ballots: Array, u: Array) -> Array:
    """Largest sum of scores."""
    return _winner(np.round(ballots.sum(axis=1), 12))


def borda(ballots: Array, u: Array) -> Array:
    """Largest sum of `K - 1 - place`, places from 0."""
    return _winner(pairwise(ballots).sum(axis=2))


def copeland(ballots: Array, u: Array) -> Array:
    """Most pairwise majorities won, a tie counting half."""
    wins = pairwise(ballots)
    margin = wins - wins.transpose(0, 2, 1)
    won = (margin > 0) + 0.5 * (margin == 0)
    return _winner(won.sum(axis=2) - 0.5)


def instant_runoff(ballots: Array, u: Array) -> Array:
    """The candidate with fewest first places drops out (of equals the later one), until one is left."""
    alive = np.ones(ballots.shape[::2], bool)
    lane = np.arange(len(ballots))
    for _ in range(ballots.shape[2] - 1):
        tops = np.where(alive, _tops(ballots, alive), np.iinfo(np.int64).max)
        last = tops.shape[1] - 1 - np.argmin(tops[:, ::-1], axis=1)
        alive[lane, last] = False
    return alive.astype(np.float64)


RULES: dict[str, Rule] = {
    "mean-threshold": mean_threshold, "median": median, "majority": majority, "linear-mix": linear_mix,
    "random-dictator": random_dictator, "plurality": plurality, "approval": approval, "score": score,
    "borda": borda, "copeland": copeland, "instant-runoff": instant_runoff,
}  # fmt: skip
"""Rules that decide whole batches at once."""

TWO = frozenset({"mean-threshold", "median", "majority"})
"""Rules for two candidates."""

SPIEL = {
    "kemeny-young": "kemeny_young:KemenyYoungVoting",
    "ranked-pairs": "ranked_pairs:RankedPairsVoting",
    "schulze": "schulze:SchulzeVoting",
    "single-transferable-vote": "stv:STVVoting",
}
"""Rules of OpenSpiel's `python.voting`, one election at a time."""


def _winner(points: Array) -> Array:
    """(B, K) one-hot of the largest points, of equals the first."""
    return np.asarray(np.eye(points.shape[1])[np.argmax(points, axis=1)])


def _tops(ballots: Array, alive: Array) -> Array:
    """(B, K): first places among the candidates alive (B, K)."""
    best = np.argmax(np.where(alive[:, None], ballots, -1.0), axis=2)
    return np.asarray((best[..., None] == np.arange(ballots.shape[2])).sum(axis=1))


def _spiel(rule: str, ballots: Array, u: Array) -> Array:
    from open_spiel.python.voting import base

    module, _, name = SPIEL[rule].partition(":")
    method = getattr(importlib.import_module(f"open_spiel.python.voting.{module}"), name)()
    candidates = list(range(ballots.shape[2]))
    result = np.zeros((len(ballots), len(candidates)))
    for lane, rows in enumerate(ranking(ballots)):
        profile = base.PreferenceProfile(votes=rows.tolist(), alternatives=candidates)
        result[lane, method.run_election(profile).ranking[0]] = 1.0
    return result


def _pref_voting(method: str, ballots: Array, u: Array) -> Array:
    from pref_voting import voting_methods
    from pref_voting.profiles import Profile

    function = getattr(voting_methods, method, None)
    if not callable(function):
        raise ValueError(f"rule: pref_voting has no voting method {method!r}")
    rows = [function(Profile(ranks.tolist())) for ranks in ranking(ballots)]
    # A set of winners: the earliest wins.
    return np.eye(ballots.shape[2])[[min(winners) for winners in rows]]


def _need(module: str, extra: str, rule: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise ImportError(f"rule: {rule!r} needs {module}: pip install 'walras[{extra}]'")
