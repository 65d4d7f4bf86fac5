"""Affine maximisers learned by gradient: Lottery AMA, free boosts of all assignments, VVCA.

An affine maximiser chooses the outcome t of largest S_t = sum_i w_i v_i . x_i^t + boost_t, and bidder i pays
(1 / w_i) [max_t S_t^-i - S_t*^-i] (Roberts 1979). It is truthful whatever its numbers are, so they can be learned by
plain descent of minus the revenue. Two estimates of the revenue are offered:

- `"softmax"`: softmax(temperature S) in place of both choices (Curry, Sandholm and Dickerson 2023, "Differentiable
  economics for randomized affine maximizer auctions"; Duan et al. 2023, arXiv 2305.12162);
- `"envelope"`, for uniform values: by the divergence theorem the mean payment of a bidder is a mean of its utilities
  inside and on the upper faces of the box (`walras.algorithms.auctions.affine_kernels.affine_surplus`). Utilities are
  maxima, so the choices can stay hard and the gradient is that of the true revenue, without bias.

What comes out is an `AMA` of short dyadic numbers, exactly feasible and truthful.
"""

from __future__ import annotations

import abc
import itertools
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from walras.algorithms.auctions.ama_search import LISTED
from walras.algorithms.auctions.training import GradientLearner, Schedule, at_share, check_schedule
from walras.envs.arguments import whole
from walras.envs.auctions.mechanism import DEMANDS
from walras.envs.auctions.priors import Prior, Uniform
from walras.envs.auctions.truthful import AMA
from walras.envs.game import Array

_START, _SURE = 2.0, 5.0  # spread of the first logits, and logit of what an assignment gives for sure


@dataclass(frozen=True)
class AffineSettings:
    """Settings of the gradient learners of affine maximisers."""

    menu: int = 32
    """outcomes that start as random lotteries, where outcomes are learned"""
    assignments: bool = True
    """let learned outcomes start with all assignments as well; lotteries alone end in worse local optima"""
    iterations: int = 6000
    """steps of Adam"""
    batch: int = 2048
    """fresh value profiles a step"""
    rates: Schedule = ((0.0, 1e-2), (0.5, 3e-3), (0.8, 1e-3), (0.95, 3e-4))
    """step sizes of Adam, by share of the training done"""
    hard: float = 0.0
    """share of the training from which on revenue is estimated by "envelope"; 1 for values that are not uniform"""
    temperatures: Schedule = ((0.0, 500.0),)
    """of the softmax, in units of one over the largest value, by share of the training done"""
    weights: bool = True
    """learn the weights of the bidders, instead of keeping them equal"""
    bits: int = 20
    """the auction is rounded to multiples of 2^-bits"""

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("menu", "iterations", "batch", "bits"):
            whole(name, getattr(self, name))
        check_schedule("rates", self.rates)
        check_schedule("temperatures", self.temperatures)
        if not 0 <= self.hard <= 1:
            raise ValueError(f"hard must lie in [0, 1], got {self.hard!r}")


class AffineLearner(GradientLearner, abc.ABC):
    """What learners of affine maximisers share; a subclass says where outcomes, weights and boosts come from."""

    def __init__(
        self, prior: Prior, demand: str = "additive", settings: AffineSettings | None = None, *, seed: int
    ) -> None:
        """Only stores.

        Args:
            prior: law of the values.
            demand: `"additive"` or `"unit"`.
            settings: of the training.
            seed: of the first parameters and of the profiles.

        Raises:
            ValueError: if `demand` is unknown, or revenue by `"envelope"` is asked for values that are not uniform.
        """
        self.settings = AffineSettings() if settings is None else settings
        if demand not in DEMANDS:
            raise ValueError(f"demand must be one of {DEMANDS}, got {demand!r}")
        laws = prior.marginals
        uniform = laws is not None and all(isinstance(law, Uniform) for row in laws for law in row)
        if self.settings.hard < 1 and not uniform:
            raise ValueError(f"settings: hard must be 1 where values are not independent and uniform, got {prior!r}")
        self.prior, self.demand = prior, demand
        top = prior.sample(np.full((1, prior.draws), 0.999))[0]
        self._unit = float(np.max(np.where(np.isfinite(prior.high), prior.high, top)))
        super().__init__(seed, {"prior": prior.to_dict(), "demand": demand, "settings": asdict(self.settings)})

    @property
    def mechanism_(self) -> AMA:
        """The auction learned so far: rounded, without outcomes that never matter."""
        import torch

        self._begin()
        with torch.no_grad():
            shares, weights, boosts = (part.detach().double().numpy() for part in self._outcomes())
        unit = 2.0**-self.settings.bits
        shares = _feasible(np.round(shares / unit) * unit, self.demand, unit)
        weights = np.maximum(np.round(weights / unit), 1.0) * unit
        boosts = np.round(boosts / unit) * unit
        shares = np.concatenate([np.zeros_like(shares[:1]), shares])
        boosts = np.concatenate([[0.0], boosts])
        u = np.random.Generator(np.random.Philox([self.seed, 2**62])).random((2**15, self.prior.draws))
        kept = _matter(self.prior.sample(u), shares, weights, boosts)
        outcomes = tuple(tuple(tuple(row) for row in outcome) for outcome in shares[kept].tolist())
        return AMA(outcomes, tuple(weights.tolist()), tuple(boosts[kept].tolist()), self.demand)

    @abc.abstractmethod
    def _outcomes(self) -> tuple[Any, Any, Any]:
        """Outcomes (T, n, m) beside selling nothing, weights (n,), boosts (T,) as tensors of the parameters."""

    def _planned(self) -> int:
        return self.settings.iterations

    def _rate(self, share: float) -> float:
        return at_share(self.settings.rates, share)

    def _step(self, share: float) -> float:
        import torch

        u = self._random().random((self.settings.batch, self.prior.draws))
        values = torch.from_numpy(self.prior.transform(u)).float()
        shares, weights, boosts = self._outcomes()
        shares = torch.cat([torch.zeros_like(shares[:1]), shares])
        boosts = torch.cat([torch.zeros_like(boosts[:1]), boosts])
        if share >= self.settings.hard:
            low, high = (torch.from_numpy(end).float() for end in (self.prior.low, self.prior.high))
            revenue = envelope_revenue(values, low, high, shares, weights, boosts)
        else:
            temperature = at_share(self.settings.temperatures, share) / self._unit
            revenue = soft_revenue(values, shares, weights, boosts, temperature)
        mean = revenue.mean()
        self._descend(-mean)
        return float(mean.detach())


def soft_revenue(values: Any, shares: Any, weights: Any, boosts: Any, temperature: float) -> Any:
    """Revenue (B,) of an affine maximiser with softmax in place of its choices.

    Args:
        values: (B, n, m) tensor.
        shares: outcomes (T, n, m).
        weights: (n,).
        boosts: (T,).
        temperature: factor of the scores inside the softmax.
    """
    own, total = _scores(values, shares, weights, boosts)
    chosen = (temperature * total).softmax(dim=-1)
    revenue = 0.0
    for i, part in enumerate(own):
        others = total - part
        without = (others * (temperature * others).softmax(dim=-1)).sum(dim=-1)
        revenue = revenue + (without - (others * chosen).sum(dim=-1)) / weights[i]
    return revenue


def envelope_revenue(values: Any, low: Any, high: Any, shares: Any, weights: Any, boosts: Any) -> Any:
    """Numbers (B,) with the mean and gradient of the revenue under uniform values between `low` and `high` (n, m).

    Other arguments as in `soft_revenue`; the formula is that of `affine_surplus`.
    """
    own, total = _scores(values, shares, weights, boosts)
    best, items = total.amax(dim=-1), values.shape[-1]
    revenue = 0.0
    for i, part in enumerate(own):
        without = (total - part).amax(dim=-1)
        paid = -(items + 1) * (best - without)
        for j in range(items):
            width = float(high[i, j] - low[i, j])
            for end, sign in ((high, 1.0), (low, -1.0)):
                if float(end[i, j]) != 0.0:
                    moved = total + (weights[i] * (end[i, j] - values[:, i, j]))[:, None] * shares[:, i, j]
                    paid = paid + sign * float(end[i, j]) / width * (moved.amax(dim=-1) - without)
        revenue = revenue + paid / weights[i]
    return revenue


def _scores(values: Any, shares: Any, weights: Any, boosts: Any) -> tuple[list[Any], Any]:
    own = [weights[i] * (values[:, i] @ shares[:, i].T) for i in range(values.shape[1])]
    return own, sum(own[1:], start=own[0] + boosts)


def _feasible(shares: Array, demand: str, unit: float) -> Array:
    """`shares` (T, n, m), multiples of `unit`, with sums over bidders (and items) of at most 1 again."""
    shares = np.clip(shares, 0.0, 1.0)
    for axis in (1, 2) if demand == "unit" else (1,):
        for _ in range(shares.shape[axis]):
            over = np.maximum(shares.sum(axis=axis, keepdims=True) - 1.0, 0.0)
            if not over.any():
                break
            largest = np.argmax(shares, axis=axis, keepdims=True)
            np.put_along_axis(shares, largest, np.maximum(np.take_along_axis(shares, largest, axis) - over, 0.0), axis)
    return shares


def _matter(values: Array, shares: Array, weights: Array, boosts: Array) -> Array:
    """Outcomes (sorted numbers) that are chosen, or set a payment, for some of `values`; selling nothing is one."""
    own = np.einsum("i,bij,tij->ibt", weights, values, shares)
    total = own.sum(axis=0) + boosts
    picks = [total.argmax(axis=-1), *((total - part).argmax(axis=-1) for part in own), np.zeros(1, np.int64)]
    return np.unique(np.concatenate(picks))


class LotteryAMA(AffineLearner):
    """Outcomes, weights and boosts are free parameters (Curry, Sandholm and Dickerson 2023).

    Shares are a softmax over bidders and nobody for each item; under unit demand the smaller of that and a softmax
    over items and nothing for each bidder.
    """

    kind = "walras.LotteryAMA"

    def _start(self, rng: np.random.Generator) -> None:
        import torch

        n, m, count = self.prior.bidders, self.prior.items, self.settings.menu
        starts = {"bidders": _START * rng.standard_normal((count, n + 1, m))}
        if self.demand == "unit":
            starts["items"] = _START * rng.standard_normal((count, n, m + 1))
        if self.settings.assignments:
            shares = _assignments(n, m, self.demand)
            nobody, nothing = 1.0 - shares.sum(axis=1, keepdims=True), 1.0 - shares.sum(axis=2, keepdims=True)
            sure = {"bidders": np.concatenate([shares, nobody], axis=1), "items": np.concatenate([shares, nothing], 2)}
            starts = {name: np.concatenate([_SURE * sure[name], array]) for name, array in starts.items()}
        starts["weights"] = np.zeros(n)
        self._parameters = {name: torch.from_numpy(array).float() for name, array in starts.items()}
        self._parameters["boosts"] = torch.zeros(len(starts["bidders"]))
        sold = self._outcomes()[0].sum(dim=(1, 2))
        noise = torch.from_numpy(rng.standard_normal(len(sold))).float()
        self._parameters["boosts"] = -0.45 * sold + 0.02 * noise  # near half of the value of what is sold

    def _outcomes(self) -> tuple[Any, Any, Any]:
        import torch

        given, n, m = self._parameters, self.prior.bidders, self.prior.items
        shares = given["bidders"].softmax(dim=1)[:, :n]
        if "items" in given:
            shares = torch.minimum(shares, given["items"].softmax(dim=2)[:, :, :m])
        return shares, self._weights(), given["boosts"] * self._unit

    def _weights(self) -> Any:
        weights = self._parameters["weights"]
        # Their scale is fixed: it would act as a temperature, and soft choices can promise more than any auction earns.
        return ((weights - weights.mean()) if self.settings.weights else 0.0 * weights).exp()


class AssignmentAMA(LotteryAMA):
    """All assignments with a free boost each: no symmetry is imposed."""

    kind = "walras.AssignmentAMA"

    def _start(self, rng: np.random.Generator) -> None:
        import torch

        shares = _assignments(self.prior.bidders, self.prior.items, self.demand)
        self._shares = torch.from_numpy(shares).float()
        boosts = -0.45 * shares.sum(axis=(1, 2)) + 0.02 * rng.standard_normal(len(shares))
        draws = {"weights": np.zeros(self.prior.bidders), "boosts": boosts}
        self._parameters = {name: torch.from_numpy(array).float() for name, array in draws.items()}

    def _outcomes(self) -> tuple[Any, Any, Any]:
        return self._shares, self._weights(), self._parameters["boosts"] * self._unit


class VVCA(LotteryAMA):
    """Virtual valuations combinatorial auction: each bidder's own boost for each bundle it may receive.

    The boost of an assignment is the sum over bidders (Likhodedov and Sandholm 2004, 2005, "Approximating
    revenue-maximizing combinatorial auctions").
    """

    kind = "walras.VVCA"

    def _start(self, rng: np.random.Generator) -> None:
        import torch

        n, m = self.prior.bidders, self.prior.items
        shares = _assignments(n, m, self.demand)
        self._shares = torch.from_numpy(shares).float()
        self._bundles = torch.from_numpy((shares @ 2.0 ** np.arange(m)).astype(np.int64))  # (T, n)
        sizes = np.array([bundle.bit_count() for bundle in range(1, 2**m)])
        boosts = -0.45 * sizes + 0.02 * rng.standard_normal((n, 2**m - 1))
        draws = {"weights": np.zeros(n), "boosts": boosts}
        self._parameters = {name: torch.from_numpy(array).float() for name, array in draws.items()}

    def _outcomes(self) -> tuple[Any, Any, Any]:
        import torch

        boosts = torch.nn.functional.pad(self._parameters["boosts"], (1, 0))
        total = sum(boosts[i][self._bundles[:, i]] for i in range(self.prior.bidders))
        return self._shares, self._weights(), total * self._unit


def _assignments(bidders: int, items: int, demand: str) -> Array:
    """Assignments (T, n, m) of items to bidders or nobody, without the one that sells nothing."""
    if (bidders + 1) ** items > LISTED:
        raise ValueError(f"prior: {(bidders + 1) ** items} assignments exceed {LISTED}")
    owners = [
        row
        for row in itertools.product(range(-1, bidders), repeat=items)
        if demand == "additive" or all(row.count(i) <= 1 for i in range(bidders))
    ]
    return np.array([[[float(owner == i) for owner in row] for i in range(bidders)] for row in owners[1:]])
