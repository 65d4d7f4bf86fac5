"""The rules of the joining game: who may trade, what sellers see and earn, how a market grows; for any market."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from gymnasium import spaces

from walras.envs.arguments import whole
from walras.envs.game import Array, Game, Role
from walras.envs.platforms.clearing import TOLERANCE, sellers_view
from walras.envs.platforms.joining import Stage, Terms, deviations, ideal_welfare, settle

INFORMATION = ("full", "private")


class EntryState(NamedTuple):
    """State of the joining game.

    Attributes:
        values: (B, n, m) what each buyer would give for each good.
        known: (B, n, m) bool, who knows whom in the round to come.
        before: (B, n, m) bool, who knew whom in the round last played.
        choice: (B, m) what the sellers chose in the round last played (before the first: 0).
        price: (B, m) prices of that round.
        round: (B,) rounds played.
    """

    values: Array
    known: Array
    before: Array
    choice: Array
    price: Array
    round: Array


class EntryRules(Game[EntryState]):
    """The rules that `SellerEntry` (a fixed market) and `RandomEntry` (a random one) share.

    A subclass says how the market of an episode comes about; who is present when, whether trade makes acquaintances,
    what sellers see and earn is written here.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        high: float,
        offer: Terms,
        *,
        costs: Array | None,
        rounds: int,
        information: str,
        arrivals: Sequence[Sequence[int]] | None,
        acquaint: bool,
    ) -> None:
        """Set spaces and what all rounds share; `shape` is (n, m), `high` the largest value."""
        self.buyers, self.sellers = shape
        self.offer, self.costs, self.rounds = offer, costs, whole("rounds", rounds)
        if information not in INFORMATION:
            raise ValueError(f"information must be one of {INFORMATION}, got {information!r}")
        if not isinstance(acquaint, bool):
            raise ValueError(f"acquaint must be True or False, got {acquaint!r}")
        self.information, self.acquaint = information, acquaint
        self.arrivals = None if arrivals is None else _arrivals(arrivals, shape)
        self.high = max(float(high), float(offer.fees.max()), 1e-9)
        top, n, m, platforms = np.float32(self.high), *shape, offer.platforms
        if costs is not None:
            top = max(top, np.float32(costs.max()))
        top = np.nextafter(top, np.float32(np.inf))
        market, own_costs = (2 * n * m, m) if information == "full" else (2 * n, 1)
        last = m if information == "full" else 1
        bounds = [np.full(market // 2, top), np.ones(market // 2), np.ones(platforms)]
        bounds += [] if costs is None else [np.full(own_costs, top)]
        bounds += [np.full(last, float(platforms)), np.full(last, top), np.ones(m), np.ones(1)]
        width = np.concatenate(bounds).astype(np.float32)
        self.roles = (
            Role(
                "seller", m, spaces.Box(np.zeros_like(width), width, dtype=np.float32), spaces.Discrete(platforms + 1)
            ),
        )

    # -- rules ---------------------------------------------------------------------------------------------------------

    def start(self, values: Array, known: Array) -> EntryState:
        """The state before the first round in these markets, (B, n, m) both."""
        batch, _, m = values.shape
        price = np.zeros((batch, m), values.dtype if self._exact(values) else np.float64)
        return EntryState(values, known, known, np.zeros((batch, m), np.int64), price, np.zeros(batch, np.int64))

    def apply(self, state: EntryState, actions: Mapping[str, Array]) -> tuple[EntryState, Array]:
        """Sellers choose, the market clears, everybody is paid."""
        choice = actions["seller"].astype(np.int64)
        if self.arrivals is not None:
            choice = np.where(self._here(state.round)[1], choice, 0)
        stage = self.stage(state.values, state.known, choice, state.round)
        known = state.known
        if self.acquaint:
            known = known.copy()
            lane, i = np.nonzero(stage.matching >= 0)
            known[lane, i, stage.matching[lane, i]] = True
        price = stage.price.astype(state.price.dtype)
        after = EntryState(state.values, known, state.known, choice, price, state.round + 1)
        return after, stage.payoff.astype(np.float64)

    def step(
        self, state: EntryState, actions: Mapping[str, Array], rng: np.random.Generator
    ) -> tuple[EntryState, Array]:
        """One round; nothing in it is random."""
        return self.apply(state, actions)

    def terminal(self, state: EntryState) -> Array:
        """After the last round."""
        over: Array = state.round >= self.rounds
        return over

    def legal(self, state: EntryState, role: str) -> Array | None:
        """(B, m, L + 1): sellers who have not arrived stay off; `None` where all are there from the start."""
        if self.arrivals is None:
            return None
        legal = np.broadcast_to(self._here(state.round)[1][:, :, None], (*state.choice.shape, self.offer.platforms + 1))
        legal = legal.copy()
        legal[:, :, 0] = True
        return legal

    def stage(self, values: Array, known: Array, choice: Array, at: Array) -> Stage:
        """What choices (B, m) lead to in round `at` (B,) of markets (B, n, m)."""
        return settle(values, known, choice, self.offer, self.costs, self._present(at))

    def observe(self, state: EntryState, role: str) -> Array:
        """(B, m, k), see the class docstrings."""
        batch, n, m = state.values.shape
        fees = np.broadcast_to(self.offer.fees, (batch, m, self.offer.platforms))
        one_hot = np.broadcast_to(np.eye(m), (batch, m, m))
        share = np.broadcast_to((state.round / self.rounds)[:, None, None], (batch, m, 1))
        costs = [] if self.costs is None else [np.broadcast_to(self.costs, (batch, m, m))]
        if self.information == "full":
            parts = [np.broadcast_to(a.reshape(batch, 1, -1), (batch, m, n * m)) for a in (state.values, state.known)]
            last = [np.broadcast_to(a[:, None, :], (batch, m, m)) for a in (state.choice, state.price)]
        else:
            parts = [a.transpose(0, 2, 1) for a in (state.values, state.known)]
            last = [a[:, :, None] for a in (state.choice, state.price)]
            costs = [] if self.costs is None else [np.broadcast_to(self.costs[:, None], (batch, m, 1))]
        return np.concatenate([*parts, fees, *costs, *last, one_hot, share], axis=2)

    def info(self, state: EntryState, role: str) -> dict[str, Array]:
        """Facts about the round last played (before the first: about everybody staying off)."""
        at = np.maximum(state.round - 1, 0)
        batch, m = state.choice.shape
        stage = self.stage(state.values, state.before, state.choice, at)
        other = self.counterfactual(state.values, state.before, state.choice, at)
        gain = np.where(self._choices(at), other, -np.inf).max(axis=2) - stage.payoff
        everyone = np.ones((1, m))
        settled = gain.max(axis=1) <= TOLERANCE * self.high
        return {
            "choice": state.choice,
            "buyer": sellers_view(stage.matching, m),
            "paid": stage.paid,
            "price_max": stage.price_max,
            "price_min": stage.price_min,
            "payoff": stage.payoff,
            "counterfactual": other,
            "welfare": stage.welfare[:, None] * everyone,
            "ideal_welfare": self.ideal(state.values, at)[:, None] * everyone,
            "revenue": stage.revenue.sum(axis=1)[:, None] * everyone,
            "is_equilibrium": np.broadcast_to(settled[:, None], (batch, m)),
        }

    def counterfactual(self, values: Array, known: Array, choice: Array, at: Array) -> Array:
        """(B, m, L + 1) payoff of each choice of each seller while all others keep theirs."""
        profiles = deviations(choice, self.offer.platforms)
        batch, m, options, _ = profiles.shape
        each = np.repeat(np.arange(batch), m * options)
        stage = self.stage(values[each], known[each], profiles.reshape(-1, m), at[each])
        payoff = stage.payoff.reshape(batch, m, options, m)
        own: Array = payoff[:, np.arange(m), :, np.arange(m)].transpose(1, 0, 2).astype(np.float64)
        return own

    def ideal(self, values: Array, at: Array) -> Array:
        """(B,) welfare if all who are there could trade with each other."""
        return ideal_welfare(values, self.costs, self._present(at))

    def render_text(self, state: EntryState, lane: int = 0) -> str:
        """A table of the round last played."""
        facts = {name: fact[lane] for name, fact in self.info(state, "seller").items()}
        lines = [
            f"round {int(state.round[lane])} of {self.rounds}, fee {np.array2string(self.offer.fees, precision=4)}",
            f"welfare {facts['welfare'][0]:g} of {facts['ideal_welfare'][0]:g}, revenue {facts['revenue'][0]:g}",
            f"{'seller':>8}{'platform':>10}{'buyer':>8}{'paid':>10}{'earns':>10}",
        ]
        for j in range(self.sellers):
            platform, buyer = int(facts["choice"][j]), int(facts["buyer"][j])
            lines.append(
                f"{j:>8}{platform or 'off':>10}{buyer if buyer >= 0 else '-':>8}"
                f"{facts['paid'][j]:10.4g}{facts['payoff'][j]:10.4g}"
            )
        return "\n".join(lines)

    # -- who is there --------------------------------------------------------------------------------------------------

    def _here(self, at: Array) -> tuple[Array, Array]:
        """(B, n) and (B, m) bool: buyers and sellers who have arrived by round `at`."""
        if self.arrivals is None:
            return np.ones((len(at), self.buyers), bool), np.ones((len(at), self.sellers), bool)
        return self.arrivals[0] <= at[:, None], self.arrivals[1] <= at[:, None]

    def _present(self, at: Array) -> Array | None:
        """(B, n, m) bool: pairs of which both have arrived; `None` where all are there from the start."""
        if self.arrivals is None:
            return None
        buyers, sellers = self._here(at)
        present: Array = buyers[:, :, None] & sellers[:, None, :]
        return present

    def _choices(self, at: Array) -> Array:
        """(B, m, L + 1) bool: who may choose what in round `at`."""
        open_to = np.repeat(self._here(at)[1][:, :, None], self.offer.platforms + 1, axis=2)
        open_to[:, :, 0] = True
        return open_to

    def _exact(self, values: Array) -> bool:
        """Whether prices are integers."""
        whole_costs = self.costs is None or (self.costs.dtype == np.int64 and self.offer.fee_on == "margin")
        return values.dtype == np.int64 and whole_costs and self.offer.price_rule != "mid"


def _arrivals(given: Sequence[Sequence[int]], shape: tuple[int, int]) -> tuple[Array, Array]:
    parts = [np.asarray(part) for part in given]
    sizes = [part.shape for part in parts]
    if sizes != [(shape[0],), (shape[1],)] or any(part.dtype.kind not in "iu" or part.min() < 0 for part in parts):
        raise ValueError(f"arrivals: {shape[0]} and {shape[1]} rounds from 0 on are needed, got {given!r}")
    return parts[0].astype(np.int64), parts[1].astype(np.int64)
