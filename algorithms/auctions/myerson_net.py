"""MyersonNet: the optimal auction of one item by gradient, as increasing virtual values (arXiv 1706.03459, section 4).

Each bidder's virtual value is a monotonic network min_k max_j (e^a_kj v + b_kj). A bidder's price is its own inverse
at the best virtual value of the others and of the seller, 0. In training it buys with the probability
sigmoid(temperature (value - price)). The paper softens the comparison of virtual values instead; then flat functions
earn more than any auction, since losers pay above their values, and long-tailed values lead training there.
What comes out is a `MonotoneAuction`: truthful whatever was learned, and Myerson's where learning found the optimum.
Where virtual values must be ironed that takes functions that are flat, which gradients do not find: training then ends
at the best auction that ranks bidders by value.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from walras.algorithms.auctions.training import GradientLearner, Schedule, at_share, check_schedule
from walras.envs.arguments import whole
from walras.envs.auctions.monotone import MonotoneAuction
from walras.envs.auctions.priors import Prior


@dataclass(frozen=True)
class MyersonSettings:
    """Settings of `MyersonNet`."""

    groups: int = 6
    """K, terms of the minimum"""
    units: int = 6
    """J, terms of each maximum"""
    iterations: int = 1500
    """steps of Adam"""
    batch: int = 1024
    """fresh value profiles a step"""
    alike: bool = True
    """one function for all bidders, where they have the same law"""
    rates: Schedule = ((0.0, 1e-2), (0.6, 3e-3), (0.8, 1e-3), (0.9, 3e-4))
    """step sizes of Adam, by share of the training done"""
    temperatures: Schedule = ((0.0, 30.0), (0.3, 100.0), (0.6, 300.0), (0.8, 1000.0))
    """of the softened purchase, in units of one over the scale of the values, by share of the training done"""

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("groups", "units", "iterations", "batch"):
            whole(name, getattr(self, name))
        check_schedule("rates", self.rates)
        check_schedule("temperatures", self.temperatures)


class MyersonNet(GradientLearner):
    """Learns an auction of one item for bidders with independent values."""

    kind = "walras.MyersonNet"

    def __init__(self, prior: Prior, settings: MyersonSettings | None = None, *, seed: int) -> None:
        """Only stores.

        Args:
            prior: law of the values of n bidders for one item.
            settings: of the training.
            seed: of the first parameters and of the profiles.

        Raises:
            ValueError: if there are several items, or values are not independent.
        """
        if prior.items != 1 or prior.marginals is None:
            raise ValueError(f"prior: independent values for one item are needed, got {prior!r}")
        self.prior, self.settings = prior, MyersonSettings() if settings is None else settings
        laws = [row[0] for row in prior.marginals]
        self._alike = self.settings.alike and all(law == laws[0] for law in laws)
        self._unit = max(float(law.ppf(0.9)) for law in laws)  # values are measured in it
        super().__init__(seed, {"prior": prior.to_dict(), "settings": asdict(self.settings)})

    @property
    def mechanism_(self) -> MonotoneAuction:
        """The auction learned so far."""
        import torch

        self._begin()
        with torch.no_grad():
            slopes = self._parameters["slopes"].double().exp().numpy()
            offsets = self._unit * self._parameters["offsets"].double().numpy()
        return MonotoneAuction(slopes.tolist(), offsets.tolist(), self.prior.bidders)

    def _planned(self) -> int:
        return self.settings.iterations

    def _rate(self, share: float) -> float:
        return at_share(self.settings.rates, share)

    def _start(self, rng: np.random.Generator) -> None:
        import torch

        shape = (1 if self._alike else self.prior.bidders, self.settings.groups, self.settings.units)
        self._parameters = {
            "slopes": torch.from_numpy(rng.uniform(0.0, 1.0, shape)).float(),
            "offsets": torch.from_numpy(rng.uniform(-1.0, 0.0, shape)).float(),
        }

    def _step(self, share: float) -> float:
        import torch

        u = self._random().random((self.settings.batch, self.prior.draws))
        values = torch.from_numpy(self.prior.transform(u)[:, :, 0] / self._unit).float()
        slopes, offsets = self._parameters["slopes"].exp(), self._parameters["offsets"]
        virtual = (slopes * values[:, :, None, None] + offsets).amax(dim=3).amin(dim=2)
        n = virtual.shape[1]
        # Row i: the best virtual value of the others, or that of the seller.
        others = virtual[:, None].masked_fill(torch.eye(n, dtype=torch.bool), 0.0).clamp_min(0.0).amax(dim=2)
        price = ((others[:, :, None, None] - offsets) / slopes).amin(dim=3).amax(dim=2)
        wins = (at_share(self.settings.temperatures, share) * (values - price)).sigmoid()
        revenue = (wins * price).sum(dim=1).mean()
        self._descend(-revenue)
        return self._unit * float(revenue.detach())
