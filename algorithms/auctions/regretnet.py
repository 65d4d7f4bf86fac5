"""RegretNet: a direct mechanism learned under a penalty on what misreports gain (arXiv 1706.03459).

Each step lets the bidders of a batch of profiles search better reports by gradient (their last ones are kept from
visit to visit), and descends -revenue + penalty(regret). The penalty is an augmented Lagrangian, as in the paper, or a
budget: a weight on the regret that rises while the regret exceeds a share of the revenue, and falls below it (Ivanov
et al. 2022, arXiv 2202.13110, "Optimal-er auctions through attention", with which the share is brought down during
the training). What is learned is truthful only approximately; `walras.envs.auctions.misreports` says how far from it.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from walras.agents.regretnet import RegretNetMechanism, network_outcome
from walras.algorithms.auctions.training import GradientLearner
from walras.envs.arguments import whole
from walras.envs.auctions.mechanism import DEMANDS, value
from walras.envs.auctions.priors import Prior
from walras.envs.game import Array


@dataclass(frozen=True)
class RegretNetSettings:
    """Settings of RegretNet; the defaults are those of the paper for two bidders and two items."""

    iterations: int = 400_000
    """steps of Adam"""
    batch: int = 128
    """profiles a step"""
    profiles: int = 640_000
    """profiles drawn once, visited in turn; each keeps the misreports found for it"""
    rate: float = 1e-3
    """step size of Adam"""
    layers: tuple[int, ...] = (100, 100)
    """widths of the hidden layers, of the allocation and of the payment network"""
    misreport_steps: int = 25
    """steps of the search for better reports, each visit"""
    misreport_rate: float = 0.1
    """their step size, in units of the largest value"""
    penalty: Literal["lagrangian", "budget"] = "lagrangian"
    """how regret is kept small"""
    multiplier: float = 5.0
    """Lagrangian: first multiplier of each bidder's regret"""
    multiplier_every: int = 100
    """Lagrangian: iterations from one update of the multipliers to the next"""
    rho: float = 1.0
    """Lagrangian: first weight of the squared regret, and rate of the multipliers' update"""
    rho_step: float = 5.0
    """Lagrangian: what is added to `rho`"""
    rho_every: int = 10_000
    """Lagrangian: iterations from one such addition to the next"""
    budget: tuple[float, float] = (0.01, 0.001)
    """budget: share of the revenue that the regret may reach, at the start and from two thirds of the training on"""

    def __post_init__(self) -> None:
        """Check the numbers."""
        counts = (
            "iterations", "batch", "profiles", "misreport_steps", "multiplier_every", "rho_every"
        )  # fmt: skip
        for name in counts:
            whole(name, getattr(self, name))
        for name in ("rate", "misreport_rate", "multiplier", "rho"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)!r}")
        if not 0 <= self.rho_step < float("inf"):
            raise ValueError(f"rho_step must be nonnegative and finite, got {self.rho_step!r}")
        if self.profiles % self.batch:
            raise ValueError(f"profiles must be a multiple of batch={self.batch}, got {self.profiles}")
        if not self.layers or any(isinstance(width, bool) or width < 1 for width in self.layers):
            raise ValueError(f"layers must be positive integers, got {self.layers!r}")
        if self.penalty not in ("lagrangian", "budget"):
            raise ValueError(f"penalty must be 'lagrangian' or 'budget', got {self.penalty!r}")
        if not 0 < self.budget[1] <= self.budget[0]:
            raise ValueError(f"budget must be two positive shares, the second not above the first, got {self.budget!r}")


class RegretNet(GradientLearner):
    """Learns a `RegretNetMechanism`.

    Attributes (after `fit`, beside those of `GradientLearner`, whose curve shows the revenue):
        mechanism_: the mechanism.
        regret_: (iteration, mean regret that training finds) pairs; `misreports` finds more.
    """

    kind = "walras.RegretNet"

    def __init__(
        self, prior: Prior, demand: str = "additive", settings: RegretNetSettings | None = None, *, seed: int
    ) -> None:
        """Only stores.

        Raises:
            ValueError: if `demand` is unknown.
        """
        if demand not in DEMANDS:
            raise ValueError(f"demand must be one of {DEMANDS}, got {demand!r}")
        self.prior, self.demand = prior, demand
        self.settings = RegretNetSettings() if settings is None else settings
        self.regret_: list[tuple[int, float]] = []
        super().__init__(seed, {"prior": prior.to_dict(), "demand": demand, "settings": asdict(self.settings)})

    @property
    def mechanism_(self) -> RegretNetMechanism:
        """The mechanism of the current weights."""
        self._begin()

        def net(name: str) -> tuple[tuple[Array, Array], ...]:
            return tuple(
                (weight.detach().numpy().astype(np.float64), bias.detach().numpy().astype(np.float64))
                for weight, bias in self._layers(name)
            )

        n, m = self.prior.bidders, self.prior.items
        return RegretNetMechanism(net("allocation"), net("payment"), n, m, self.demand, self._scale)

    def _planned(self) -> int:
        return self.settings.iterations

    def _rate(self, share: float) -> float:
        return self.settings.rate

    def _start(self, rng: np.random.Generator) -> None:
        import torch

        n, m, given = self.prior.bidders, self.prior.items, self.settings
        sample = self.prior.sample(rng.random((given.profiles, self.prior.draws)))
        self._values = torch.from_numpy(sample).float()
        self._low = torch.from_numpy(self.prior.low).float()
        self._high = torch.from_numpy(np.minimum(self.prior.high, sample.max(axis=0))).float()
        self._scale = float(self._high.max())
        start = self._low + torch.from_numpy(rng.random(sample.shape)).float() * (self._high - self._low)
        self._misreports = start
        self._multipliers = torch.full((n,), given.multiplier)
        self._rho = given.rho if given.penalty == "lagrangian" else 1.0
        self._parameters = {}
        logits = (n + 1) * (m + 1) * (2 if self.demand == "unit" else 1)
        for name, last in (("allocation", logits), ("payment", n)):
            widths = [n * m, *given.layers, last]
            for k, (before, after) in enumerate(itertools.pairwise(widths)):
                bound = np.sqrt(6.0 / (before + after))  # Glorot and Bengio 2010
                matrix = rng.uniform(-bound, bound, (after, before))
                self._parameters[f"{name}.{k}.weight"] = torch.from_numpy(matrix).float()
                self._parameters[f"{name}.{k}.bias"] = torch.zeros(after)

    def _layers(self, name: str) -> list[tuple[Any, Any]]:
        given = self._parameters
        return [(given[f"{name}.{k}.weight"], given[f"{name}.{k}.bias"]) for k in range(len(self.settings.layers) + 1)]

    def _outcome(self, bids: Any) -> Any:
        return network_outcome(
            bids, self._layers("allocation"), self._layers("payment"), demand=self.demand, scale=self._scale
        )

    def _gained(self, values: Any, reports: Any) -> Any:
        """Utility (n, B) of each bidder that alone deviates from `values` (B, n, m) to its row of `reports`."""
        import torch

        n = values.shape[1]
        # Bidder i's profiles hold everybody's truth and its own report.
        own = torch.eye(n)[:, None, :, None]
        bids = own * reports + (1.0 - own) * values
        outcome = self._outcome(bids.reshape(-1, *values.shape[1:]))
        true = values.expand(n, *values.shape).reshape(-1, *values.shape[1:])
        utility = (value(true, outcome.allocation, self.demand) - outcome.payment).reshape(n, len(values), n)
        return torch.stack([utility[i, :, i] for i in range(n)])

    def _step(self, share: float) -> float:
        import torch

        given = self.settings
        start = self.iteration_ * given.batch % given.profiles
        rows = slice(start, start + given.batch)
        values, reports = self._values[rows], self._misreports[rows].clone()
        mean, square = torch.zeros_like(reports), torch.zeros_like(reports)
        for k in range(1, given.misreport_steps + 1):  # Adam, anew for each batch
            reports.requires_grad_()
            (slope,) = torch.autograd.grad(self._gained(values, reports).sum(), reports)
            with torch.no_grad():
                mean = 0.9 * mean + 0.1 * slope
                square = 0.999 * square + 0.001 * slope * slope
                rise = mean / (1.0 - 0.9**k) / ((square / (1.0 - 0.999**k)).sqrt() + 1e-8)
                reports = torch.minimum(
                    torch.maximum(reports + given.misreport_rate * self._scale * rise, self._low), self._high
                )
        self._misreports[rows] = reports
        honest = self._outcome(values)
        utility = value(values, honest.allocation, self.demand) - honest.payment
        regret = (self._gained(values, reports) - utility.T).clamp(min=0.0).mean(dim=1)
        revenue = honest.payment.sum(dim=1).mean()
        if given.penalty == "lagrangian":
            penalty = (self._multipliers * regret).sum() + 0.5 * self._rho * (regret * regret).sum()
        else:
            penalty = self._rho * regret.sum()
        self._descend(penalty - revenue)
        self._update(share, regret.detach(), float(revenue.detach()))
        return float(revenue.detach())

    def _update(self, share: float, regret: Any, revenue: float) -> None:
        """Multipliers, weights of the penalty, and the record of the regret."""
        given, k = self.settings, self.iteration_ + 1
        if given.penalty == "lagrangian":
            if k % given.multiplier_every == 0:
                self._multipliers = self._multipliers + self._rho * regret
            if k % given.rho_every == 0:
                self._rho += given.rho_step
        else:
            first, last = given.budget
            target = first * (last / first) ** min(1.0, 1.5 * share)
            ratio = float(regret.mean()) / max(revenue, 1e-6)
            self._rho = max(0.01, self._rho + 0.5 * (np.log(max(ratio, 1e-9)) - np.log(target)))
        if k % 100 == 0:
            self.regret_.append((k, float(regret.mean())))

    def _extra(self) -> dict[str, Array]:
        return {
            "misreports": self._misreports.numpy(), "multipliers": self._multipliers.numpy(),
            "rho": np.array(self._rho), "regret": np.array(self.regret_, np.float64).reshape(-1, 2),
        }  # fmt: skip

    def _take(self, arrays: dict[str, Array]) -> None:
        import torch

        self._misreports = torch.from_numpy(arrays["misreports"].copy())
        self._multipliers = torch.from_numpy(arrays["multipliers"].copy())
        self._rho = float(arrays["rho"])
        self.regret_ = [(int(k), float(x)) for k, x in arrays["regret"]]
