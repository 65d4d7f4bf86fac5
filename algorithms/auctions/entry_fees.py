"""Entry fees on top of an affine maximiser, learned together with its boosts.

The final surplus of bidder i is U = max(0, u - e), with u what the affine maximiser leaves it and e its fee, a
function of the others' reports. Integration by parts (`node_kernels`) makes revenue linear in U at values inside the
box and on its faces, so that automatic differentiation of a plain average gives the gradient of revenue: no softmax.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from walras.algorithms.auctions.ama_search import orbits
from walras.algorithms.auctions.node_prices import Densities
from walras.algorithms.auctions.node_symmetry import symmetries, symmetrised
from walras.algorithms.auctions.training import GradientLearner
from walras.envs.arguments import whole
from walras.envs.auctions.entry_fees import EntryFeeAMA
from walras.envs.auctions.node_menus import barycentric
from walras.envs.auctions.priors import Prior
from walras.envs.auctions.tables import dyadic
from walras.envs.auctions.truthful import AMA
from walras.envs.game import Array


class EntryFeeLearner(GradientLearner):
    """Learns fees, affine between nodes of the others' reports, and the boosts of the affine maximiser under them.

    Attributes (after `fit`):
        mechanism_: `EntryFeeAMA`: the mean of the last third of the iterations.
        curve_: (iteration, revenue) pairs.
    """

    kind = "walras.EntryFeeLearner"

    def __init__(
        self,
        prior: Prior,
        start: AMA,
        *,
        grid: int = 8,
        iterations: int = 4_000,
        batch: int = 4096,
        rate: tuple[float, float] = (2e-3, 5e-5),
        seed: int = 0,
    ) -> None:
        """Set the training.

        Args:
            prior: independent values with bounded densities on boxes, two bidders or more.
            start: deterministic affine maximiser of all assignments, as `AffineSearch` finds it; its weights stay.
            grid: cells a side of the table of fees.
            iterations: Adam steps.
            batch: draws a step.
            rate: step size at the beginning and the end, in units of the widest box.
            seed: of all draws.

        Raises:
            ValueError: if prior and start do not fit, or a number is out of range.
        """
        laws = prior.marginals
        if laws is None or prior.bidders < 2 or not np.isfinite(prior.high).all():
            raise ValueError(f"prior: two bidders or more with independent, bounded values are needed, got {prior!r}")
        self.prior, self.start, self.rate = prior, start, rate
        self.grid, self.iterations, self.batch = (
            whole("grid", grid),
            whole("iterations", iterations),
            whole("batch", batch),
        )
        found = orbits(prior, start.demand)
        if not np.array_equal(np.array(start.allocations), found.shares):
            raise ValueError("start: an affine maximiser of all assignments, in the order of `orbits`, is needed")
        self._orbit, self._shares = found.orbit, found.shares
        boosts = np.array(start.boosts)
        self._first = np.array([boosts[found.orbit == k].mean() for k in range(1, len(found.worth))])
        self._densities = Densities(laws)
        self._scale = float((prior.high - prior.low).max())
        self._group = symmetries(laws, np.zeros((1, prior.items)), self.grid)
        nodes = (self.grid + 1) ** (prior.items * (prior.bidders - 1))
        self._sums = {"boosts": np.zeros(len(self._first)), "fees": np.zeros((prior.bidders, nodes))}
        self._summed = 0
        facts = {"prior": prior.to_dict(), "start": start.to_dict(), "grid": grid, "iterations": iterations}
        super().__init__(seed, {**facts, "batch": batch, "rate": list(rate)})

    @property
    def mechanism_(self) -> EntryFeeAMA:
        """The affine maximiser with the fees learned so far."""
        self._begin()
        if self._summed:
            parts = {name: total / self._summed for name, total in self._sums.items()}
        else:
            parts = {name: tensor.detach().numpy() for name, tensor in self._parameters.items()}
        boosts = np.concatenate(([0.0], dyadic(parts["boosts"])))[self._orbit]
        base = AMA(self.start.allocations, self.start.weights, tuple(boosts.tolist()), self.start.demand)
        fees = symmetrised(parts["fees"][..., None], self._group)[..., 0]
        return EntryFeeAMA(base, self.prior.low, self.prior.high, self.grid, dyadic(np.maximum(fees, 0.0)))

    def _planned(self) -> int:
        return self.iterations

    def _rate(self, share: float) -> float:
        return float(self._scale * self.rate[0] * (self.rate[1] / self.rate[0]) ** share)

    def _start(self, rng: np.random.Generator) -> None:
        import torch

        self._parameters = {
            "boosts": torch.tensor(self._first, dtype=torch.float64),
            "fees": torch.zeros(self._sums["fees"].shape, dtype=torch.float64),
        }

    def _step(self, share: float) -> float:
        import torch

        rng = self._random()
        n, m = self.prior.bidders, self.prior.items
        low, width = self.prior.low, self.prior.high - self.prior.low
        values = self.prior.transform(rng.random((self.batch, self.prior.draws)))
        inner = low + rng.random(values.shape) * width
        weight, density = (torch.from_numpy(part) for part in self._densities.at(inner))
        boosts = torch.cat((torch.zeros(1, dtype=torch.float64), self._parameters["boosts"]))[
            torch.from_numpy(self._orbit)
        ]
        shares, scales = torch.from_numpy(self._shares), self.start.weights
        scores = [scales[i] * torch.from_numpy(values[:, i]) @ shares[:, i].T for i in range(n)]
        revenue: Any = 0.0
        for i in range(n):
            others = sum((scores[o] for o in range(n) if o != i), start=boosts)
            without = others.amax(dim=-1)
            points = ((values - low) / width)[:, [o for o in range(n) if o != i]].reshape(self.batch, -1)
            index, place = (torch.from_numpy(part) for part in barycentric(points, self.grid))
            fee = (place * self._parameters["fees"][i][index]).sum(dim=1)

            def surplus(own: Any, i: int = i, others: Any = others, without: Any = without, fee: Any = fee) -> Any:
                return (((scales[i] * own @ shares[:, i].T + others).amax(dim=-1) - without) / scales[i] - fee).relu()

            own = torch.from_numpy(inner[:, i])
            revenue = revenue - weight[:, i] * surplus(own)
            for j in range(m):
                rest = density[:, i, [q for q in range(m) if q != j]].prod(dim=1)
                for position, jump in self._densities.faces[i, j]:
                    if jump != 0.0:
                        moved = own.clone()
                        moved[:, j] = position
                        revenue = revenue + jump * rest * surplus(moved)
        mean = revenue.mean()
        self._descend(-mean)
        with torch.no_grad():
            fees = self._parameters["fees"]
            fees.copy_(torch.from_numpy(np.maximum(symmetrised(fees.numpy()[..., None], self._group)[..., 0], 0.0)))
        if share >= 2.0 / 3.0:
            for name, tensor in self._parameters.items():
                self._sums[name] += tensor.detach().numpy()
            self._summed += 1
        return float(mean.detach())

    def _extra(self) -> dict[str, Array]:
        return {**self._sums, "summed": np.array(self._summed)}

    def _take(self, arrays: dict[str, Array]) -> None:
        self._sums = {name: arrays[name].copy() for name in self._sums}
        self._summed = int(arrays["summed"])
