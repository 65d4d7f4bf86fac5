"""Regret matching in sealed-bid auctions of one item: every bidder learns from the bids the others have just made.

Hart and Mas-Colell (2000), "A simple adaptive procedure leading to correlated equilibrium", with a table of regrets
for each bidder, one row a cell of the own value; regret matching+ and linear averaging are those of Tammelin (2014),
arXiv 1407.5042. Full information: after a round the bidder asks the mechanism what each bid of the grid would have
brought against the others' bids. Learners are independent; nothing guarantees convergence to the equilibrium of the
auction, but in the symmetric first-price auction the averages arrive there.

Shapes: `n` bidders, `C` value cells, `G` bids, `S` sampled profiles; money in units of value.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from walras.agents.storage import load_arrays, save_arrays
from walras.agents.tabular import TabularPolicy
from walras.envs.auctions.rules import SealedBidAuction
from walras.envs.game import Array, Game

_KIND = "walras.RegretMatching"
Progress = Callable[[float, str], None]


class RegretMatching:
    """Independent regret-matching bidders; `fit` may be called again, and a saved learner goes on to the same bits.

    Attributes:
        iteration_: rounds learned so far.
        regrets_: (tables, C, G) cumulative regrets; one table a bidder, or a single one with `shared`.
        totals_: (tables, C, G) weighted sums of the strategies played.
    """

    def __init__(
        self,
        game: Game[Any],
        *,
        cells: int = 100,
        bids: int = 101,
        highest_bid: float | None = None,
        profiles: int = 128,
        plus: bool = False,
        averaging: Literal["uniform", "linear"] = "linear",
        shared: bool = False,
        seed: int = 0,
    ) -> None:
        """Prepare tables; nothing is played yet.

        Args:
            game: sealed-bid auction of one item and one round, independent values, without budgets, with any mechanism.
            cells: C, cells of the own value, equally probable (fewer for laws with few values), >= 1.
            bids: G, bids considered, evenly spaced from 0 (an auction on a grid has its own reports), >= 2.
            highest_bid: largest of them, > 0 (default: largest value; its last cell's for unbounded laws).
            profiles: S, value profiles sampled a round, >= 1.
            plus: forget negative regrets (regret matching+).
            averaging: weight of round t in the average strategy: 1 or t.
            shared: all bidders use one table, learned from the first seat (needs a symmetric auction).
            seed: of the sampled profiles and bids.

        Raises:
            ValueError: if the game does not fit or a number is out of range.
        """
        self.game = _fitting(game)
        for name, number, least in (
            ("cells", cells, 1),
            ("bids", bids, 2),
            ("profiles", profiles, 1),
            ("seed", seed, 0),
        ):
            if isinstance(number, bool) or not isinstance(number, int) or number < least:
                raise ValueError(f"{name} must be an integer of at least {least}, got {number!r}")
        if averaging not in ("uniform", "linear"):
            raise ValueError(f"averaging must be 'uniform' or 'linear', got {averaging!r}")
        laws = [row[0] for row in self.game.prior.marginals or ()]
        if shared and any(law != laws[0] for law in laws):
            raise ValueError("shared: bidders with different laws cannot share a table")
        if highest_bid is not None and not (0 < highest_bid <= float(self.game.high[0])):
            raise ValueError(f"highest_bid must lie in (0, {float(self.game.high[0])}], got {highest_bid!r}")
        self.settings: dict[str, Any] = {
            "cells": cells, "bids": bids, "highest_bid": highest_bid, "profiles": profiles, "plus": plus,
            "averaging": averaging, "shared": shared, "seed": seed,
        }  # fmt: skip
        # Middles of equally probable cells; an atom of a discrete law fills several and is kept once.
        middles = [np.unique(law.ppf((np.arange(cells) + 0.5) / cells)) for law in laws[: 1 if shared else None]]
        width = max(len(row) for row in middles)
        self.edges = tuple((row[1:] + row[:-1]) / 2 for row in middles)
        self.values = np.stack([np.append(row, np.full(width - len(row), row[-1])) for row in middles])
        """(tables, C) the value each cell stands for; a law with fewer values repeats its last."""
        if self.game.grid is not None:
            self.bids = self.game.reports[:, 0]
        else:
            top = float(self.game.prior.high.max())
            largest = highest_bid if highest_bid is not None else top if np.isfinite(top) else float(self.values.max())
            self.bids = np.linspace(0.0, largest, bids)
        self.regrets_ = np.zeros((len(middles), width, len(self.bids)))
        self.totals_ = np.zeros_like(self.regrets_)
        self.iteration_ = 0

    # -- learning
    # ------------------------------------------------------------------------------------------------------------------

    def fit(self, iterations: int, progress: Progress | None = None) -> RegretMatching:
        """Learn for so many more rounds; two halves give the same bits as the whole.

        Args:
            iterations: rounds, >= 0.
            progress: told `(fraction, text)` now and then.
        """
        if isinstance(iterations, bool) or not isinstance(iterations, int) or iterations < 0:
            raise ValueError(f"iterations must be an integer of at least 0, got {iterations!r}")
        for done in range(iterations):
            self._round()
            if progress is not None and (done % 50 == 49 or done + 1 == iterations):
                progress((done + 1) / iterations, f"round {self.iteration_}")
        return self

    def strategy(self) -> Array:
        """(tables, C, G) what is played next: in proportion to positive regret, uniform where there is none."""
        positive = np.maximum(self.regrets_, 0.0)
        total = positive.sum(axis=-1, keepdims=True)
        return np.where(total > 0, positive / np.where(total > 0, total, 1.0), 1.0 / len(self.bids))

    def counterfactual(self, chosen: Array, bidder: int) -> tuple[Array, Array]:
        """Mean chance of winning and mean payment (G,) of every bid of `bidder` against the bids `chosen` (S, n)."""
        options, count = len(self.bids), len(chosen)
        reports = np.broadcast_to(chosen, (options, *chosen.shape)).copy()
        reports[:, :, bidder] = self.bids[:, None]
        outcome = self.game.mechanism.outcome(reports.reshape(options * count, -1, 1))
        won = outcome.allocation[:, bidder, 0].reshape(options, count).mean(axis=1)
        paid = outcome.payment[:, bidder].reshape(options, count).mean(axis=1)
        return won, paid

    def _round(self) -> None:
        strategy = self.strategy()
        self.iteration_ += 1
        chosen = self._sample(strategy)
        for table in range(len(self.regrets_)):
            won, paid = self.counterfactual(chosen, table)
            utility = self.values[table][:, None] * won - paid
            self.regrets_[table] += utility - (strategy[table] * utility).sum(axis=-1, keepdims=True)
        if self.settings["plus"]:
            np.maximum(self.regrets_, 0.0, out=self.regrets_)
        self.totals_ += strategy * (self.iteration_ if self.settings["averaging"] == "linear" else 1)

    def _sample(self, strategy: Array) -> Array:
        """(S, n) bids of sampled values; seed and round alone decide them, so no generator need be saved."""
        rng = np.random.Generator(np.random.Philox(key=self.settings["seed"], counter=[0, 0, 0, self.iteration_]))
        count = self.settings["profiles"]
        values = self.game.prior.sample(rng.random((count, self.game.prior.draws)))[:, :, 0]
        u = rng.random(values.shape)
        cumulative = np.cumsum(strategy, axis=-1)
        chosen = np.empty_like(values)
        for i in range(self.game.bidders):
            table = min(i, len(strategy) - 1)
            rows = cumulative[table][np.searchsorted(self.edges[table], values[:, i], side="right")]
            chosen[:, i] = self.bids[(rows <= (u[:, i] * rows[:, -1])[:, None]).sum(axis=-1)]
        return chosen

    # -- what was learned
    # ----------------------------------------------------------------------------------------------------------

    @property
    def policies_(self) -> dict[str, TabularPolicy]:
        """Agent -> average strategy (before the first round: uniform)."""
        total = self.totals_.sum(axis=-1, keepdims=True)
        average = np.where(total > 0, self.totals_ / np.where(total > 0, total, 1.0), 1.0 / len(self.bids))
        if self.game.grid is None:
            space = self.game.roles[0].action_space
            actions = self.bids[:, None].astype(space.dtype)
        else:
            actions = np.arange(self.game.grid)
        tables = [
            TabularPolicy((edges,), actions, rows[: len(edges) + 1])
            for edges, rows in zip(self.edges, average, strict=True)
        ]
        return {agent: tables[min(i, len(tables) - 1)] for i, agent in enumerate(self.game.agents)}

    def mean_bids(self, agent: str, values: Array) -> Array:
        """(...) mean bid of the average strategy at own `values` (...), in units of value."""
        policy = self.policies_[agent]
        cell = policy.cell(np.ravel(values)[:, None])
        mean: Array = (policy.probabilities[cell] @ self.bids).reshape(np.shape(values))
        return mean

    # -- saving ------------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything that learning goes on from, as a safetensors file; an existing file is replaced."""
        facts = {"settings": self.settings, "iteration": self.iteration_, "game": _name(self.game)}
        save_arrays(path, _KIND, {"regrets": self.regrets_, "totals": self.totals_}, facts)

    @classmethod
    def load(cls, path: str | os.PathLike[str], game: Game[Any]) -> RegretMatching:
        """The learner written by `save`, to the bit, for the same game.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is not one, is damaged, or belongs to another game.
        """
        arrays, facts = load_arrays(path, _KIND)
        if facts.get("game") != _name(game):
            raise ValueError(f"game: {os.fspath(path)!r} was learned in {facts.get('game')}, got {_name(game)}")
        learner = cls(game, **facts["settings"])
        for name, own in (("regrets", learner.regrets_), ("totals", learner.totals_)):
            if name not in arrays or arrays[name].shape != own.shape or arrays[name].dtype != own.dtype:
                raise ValueError(f"path: {os.fspath(path)!r} lacks {name} of shape {own.shape}")
        learner.regrets_, learner.totals_, learner.iteration_ = (
            arrays["regrets"],
            arrays["totals"],
            int(facts["iteration"]),
        )
        return learner


def bid_distance(learner: RegretMatching, agent: str, points: int = 1000) -> float:
    """Mean absolute distance, over the law of the own value, of the mean bid from the auction's equilibrium bid.

    Args:
        learner: after `fit`.
        agent: whose bids.
        points: values compared, at the middles of so many equally probable cells, >= 1.

    Raises:
        ValueError: if the auction states no equilibrium, as on a grid.
    """
    known = learner.game.equilibrium()
    if known is None:
        raise ValueError(f"learner: no equilibrium is known for {learner.game!r}")
    law = (learner.game.prior.marginals or ())[learner.game.seat[agent][2]][0]
    values = law.ppf((np.arange(points) + 0.5) / points)
    equilibrium = np.asarray(known["bidder"](values[:, None]))[:, 0]
    return float(np.abs(learner.mean_bids(agent, values) - equilibrium).mean())


def _fitting(game: Game[Any]) -> SealedBidAuction:
    if not isinstance(game, SealedBidAuction):
        raise ValueError(f"game: regret matching learns sealed-bid auctions, got {game!r}")
    if game.items != 1 or game.rounds != 1 or game.budget is not None:
        raise ValueError(f"game: one item, one round and no budget are needed, got {game!r}")
    if game.prior.marginals is None:
        raise ValueError(f"game: values must be independent, the prior is {game.prior!r}")
    return game


def _name(game: Game[Any]) -> list[str]:
    return [repr(game), repr(getattr(game, "prior", None))]
