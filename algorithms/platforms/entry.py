"""Sellers who learn whether to join: independent regret matching in any fixed market, every choice's payoff known.

Hart and Mas-Colell (2000), "A simple adaptive procedure leading to correlated equilibrium". After each round a seller
knows what each of her choices would have earned against the others' (the `counterfactual` of `SellerEntry`), so average
regrets vanish and the shares of joint choices approach the set of coarse correlated equilibria. Several independent
runs learn side by side.

Shapes: `R` runs, `m` sellers, `A` choices of a seller (L + 1), `P = A**m` joint choices.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from walras.agents.storage import load_arrays, save_arrays
from walras.agents.tabular import TabularPolicy
from walras.envs.arguments import whole
from walras.envs.game import Array
from walras.envs.platforms.entry import SellerEntry
from walras.envs.platforms.followers import regret_matching
from walras.envs.platforms.profiles import choices

_KIND = "walras.EntryRegret"
_BLOCK = 1000
Progress = Callable[[float, str], None]


class EntryRegret:
    """Regret-matching sellers; `fit` may be called again, and a saved learner goes on to the same bits.

    Attributes:
        iteration_: rounds played so far.
        regrets_: (R, m, A) cumulative regrets.
        counts_: (R, P) how often each joint choice was played.
    """

    def __init__(self, game: SellerEntry, *, runs: int = 1, seed: int = 0) -> None:
        """Prepare the tables; nothing is played yet.

        Args:
            game: a market that does not change from round to round, with at most a million joint choices.
            runs: R >= 1, independent runs side by side.
            seed: of the sellers' coins, >= 0.

        Raises:
            TypeError: if the game is none.
            ValueError: if the market changes, or a number is out of range.
        """
        if not isinstance(game, SellerEntry):
            raise TypeError(f"game: a SellerEntry is needed, got {game!r}")
        if not game.static:
            raise ValueError(f"game: a market that stays the same is needed (no arrivals, no acquaint), got {game!r}")
        self.game, self.runs, self.seed = game, whole("runs", runs), whole("seed", seed, 0)
        self.options = game.offer.platforms + 1
        payoff = game.payoffs()
        self._payoff = np.broadcast_to(payoff, (self.runs, *payoff.shape))
        self.regrets_ = np.zeros((self.runs, game.sellers, self.options))
        self.counts_ = np.zeros((self.runs, len(payoff)), np.int64)
        self.iteration_ = 0

    def fit(self, iterations: int, progress: Progress | None = None) -> EntryRegret:
        """Play so many more rounds; two halves give the same bits as the whole.

        Args:
            iterations: rounds, >= 0.
            progress: told `(fraction, text)` now and then.
        """
        left = whole("iterations", iterations, 0)
        while left > 0:
            # Coins come in blocks that belong to fixed rounds, so that it does not matter where a call ends.
            inside = self.iteration_ % _BLOCK
            count = min(left, _BLOCK - inside)
            rng = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, self.iteration_ // _BLOCK]))
            u = rng.random((_BLOCK, self.runs, self.game.sellers))[inside : inside + count].swapaxes(0, 1)
            regret_matching(self._payoff, np.ascontiguousarray(u), self.options, self.regrets_, self.counts_)
            self.iteration_ += count
            left -= count
            if progress is not None:
                progress(1 - left / iterations, f"round {self.iteration_}")
        return self

    @property
    def frequency_(self) -> Array:
        """(R, P) share of rounds in which each joint choice was played (before the first: uniform)."""
        if not self.iteration_:
            return np.full(self.counts_.shape, 1.0 / self.counts_.shape[1])
        share: Array = self.counts_ / self.iteration_
        return share

    def mean(self, per_profile: Array) -> Array:
        """(R,) mean over all rounds of a number (P,) that each joint choice has, such as its welfare."""
        mean: Array = self.frequency_ @ per_profile
        return mean

    def regret(self) -> Array:
        """(R, m) how much more each seller would have earned a round by one fixed choice, at best."""
        gain: Array = np.maximum(self.regrets_.max(axis=2), 0.0) / max(self.iteration_, 1)
        return gain

    @property
    def policies_(self) -> dict[str, TabularPolicy]:
        """Agent -> its own average play in the first run, as a policy that ignores what it sees."""
        joint = choices(self.game.sellers, self.options)
        edges = (np.array([-1.0]),)  # what is observed is nonnegative: one cell that matters
        result = {}
        for j, agent in enumerate(self.game.agents):
            shares = np.array([self.frequency_[0, joint[:, j] == a].sum() for a in range(self.options)])
            result[agent] = TabularPolicy(edges, np.arange(self.options), np.tile(shares / shares.sum(), (2, 1)))
        return result

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything that learning goes on from, as a numpy archive (no pickle); an existing file is replaced."""
        facts = {"runs": self.runs, "seed": self.seed, "iteration": self.iteration_, "game": repr(self.game)}
        save_arrays(path, _KIND, {"regrets": self.regrets_, "counts": self.counts_}, facts)

    @classmethod
    def load(cls, path: str | os.PathLike[str], game: SellerEntry) -> EntryRegret:
        """The learner written by `save`, to the bit, for the same game.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is not one, is damaged, or belongs to another game.
        """
        arrays, facts = load_arrays(path, _KIND)
        if facts.get("game") != repr(game):
            raise ValueError(f"game: {os.fspath(path)!r} was learned in {facts.get('game')}, got {game!r}")
        learner = cls(game, runs=int(facts["runs"]), seed=int(facts["seed"]))
        own: dict[str, Any] = {"regrets": learner.regrets_, "counts": learner.counts_}
        for name, array in own.items():
            if name not in arrays or arrays[name].shape != array.shape or arrays[name].dtype != array.dtype:
                raise ValueError(f"path: {os.fspath(path)!r} lacks {name} of shape {array.shape}")
        learner.regrets_, learner.counts_ = arrays["regrets"], arrays["counts"]
        learner.iteration_ = int(facts["iteration"])
        return learner
