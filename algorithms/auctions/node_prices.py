"""Node prices learned directly: menus of all bundles whose prices are affine between grid nodes.

No network: the parameters are the prices at the nodes of the others' reports (`SimplexMenus`), which is all that a
menu network is evaluated to before it is transformed. Revenue is differentiated exactly, conflicts by draws that fall
where they are (`node_kernels`). What comes out is nearly compatible: `transform` makes it so everywhere.

Source: menus with an incompatibility penalty, arXiv 2406.07428; direct node prices, this package.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from walras.algorithms.auctions.node_symmetry import symmetries, symmetrised
from walras.algorithms.auctions.training import GradientLearner, Progress
from walras.envs.arguments import whole
from walras.envs.auctions import theory
from walras.envs.auctions.laws import Law, Uniform
from walras.envs.auctions.node_menus import barycentric, bundles
from walras.envs.auctions.piecewise import PiecewiseUniform
from walras.envs.auctions.priors import Prior
from walras.envs.auctions.simplex_menus import SimplexMenus
from walras.envs.auctions.tables import dyadic
from walras.envs.game import Array

_TABLE = 1024  # steps of the tables of densities
_STREAMS = 64  # seeds that one training of several stages may use


class Stage(NamedTuple):
    """One stretch of a training.

    Attributes:
        grid: cells a side of the table of prices.
        iterations: Adam steps.
        weight: of the conflict penalty; above the revenue at stake the penalty is exact.
        rate: step size at the beginning and the end, in units of the widest box.
        band: width of the penalty's ramp at the beginning and the end, in the same units.
        batch: draws a step.
    """

    grid: int
    iterations: int
    weight: float
    rate: tuple[float, float]
    band: tuple[float, float]
    batch: int = 8192


STAGES: tuple[Stage, ...] = (
    Stage(4, 2_000, 1.0, (5e-3, 1e-3), (0.1, 0.02)),
    Stage(8, 5_000, 1.5, (2e-3, 5e-4), (0.03, 0.005)),
    Stage(16, 10_000, 2.0, (8e-4, 1e-4), (0.006, 0.0005)),
    Stage(32, 10_000, 6.0, (2e-4, 1e-5), (0.0005, 0.00005)),
)
"""For two bidders and two items."""


class NodePriceLearner(GradientLearner):
    """Learns the node prices of one stage.

    Attributes (after `fit`):
        mechanism_: `SimplexMenus` without surcharges; not yet compatible.
        curve_: (iteration, penalty) pairs.
        revenue_: mean revenue of the draws of the last hundred iterations, promises beyond one included.
        conflicts_: share of profiles with an item promised twice among them.
    """

    kind = "walras.NodePriceLearner"

    def __init__(
        self,
        prior: Prior,
        demand: str = "additive",
        stage: Stage = STAGES[0],
        *,
        start: SimplexMenus | None = None,
        seed: int = 0,
        bits: int = 24,
    ) -> None:
        """Set the training.

        Args:
            prior: independent values with bounded densities on boxes, two bidders or more.
            demand: `"additive"` or `"unit"`.
            stage: grid, length, penalty.
            start: mechanism whose prices to start from, on a grid that divides the stage's; by default every item
                costs the highest value of the others, or the reserve price.
            seed: of all draws.
            bits: prices are rounded to multiples of 2^-bits.

        Raises:
            ValueError: if the prior does not fit, or a number is out of range.
        """
        laws = prior.marginals
        if laws is None or prior.bidders < 2 or not np.isfinite(prior.high).all():
            raise ValueError(f"prior: two bidders or more with independent, bounded values are needed, got {prior!r}")
        self.prior, self.demand, self.bits = prior, demand, whole("bits", bits)
        self.stage = Stage(*stage)
        for name in ("grid", "iterations", "batch"):
            whole(f"stage.{name}", getattr(self.stage, name))
        if min(self.stage.weight, *self.stage.rate, *self.stage.band) <= 0:
            raise ValueError(f"stage: weight, rate and band must be positive, got {self.stage!r}")
        n, m = prior.bidders, prior.items
        self.options = np.concatenate((np.zeros((1, m)), bundles(m, demand)))
        self.low, self.width = prior.low.copy(), prior.high - prior.low
        self._scale = float(self.width.max())
        self._densities = Densities(laws)
        self._group = symmetries(laws, self.options, self.stage.grid)
        self._first = _second_prices(laws, self.options, self.stage.grid) if start is None else _refined(start, self)
        super().__init__(
            seed,
            {
                "prior": prior.to_dict(),
                "demand": demand,
                "stage": list(self.stage),
                "bits": bits,
                "start": None if start is None else hash_of(start),
            },
        )
        self.revenue_ = self.conflicts_ = float("nan")
        self._sum, self._summed = np.zeros((n, self._first.shape[1], len(self.options) - 1)), 0

    @property
    def mechanism_(self) -> SimplexMenus:
        """The learned menus: the mean of the last fifth of the iterations, or the prices now before that."""
        self._begin()
        now = self._parameters["prices"].detach().numpy() if not self._summed else self._sum / self._summed
        prices = np.concatenate((np.zeros_like(now[..., :1]), now), axis=-1)
        return SimplexMenus(
            dyadic(self.low, self.bits),
            dyadic(self.low + self.width, self.bits),
            self.options,
            dyadic(symmetrised(prices, self._group), self.bits),
            self.stage.grid,
            demand=self.demand,
            bits=self.bits,
        )

    def _planned(self) -> int:
        return self.stage.iterations

    def _rate(self, share: float) -> float:
        return self._scale * _between(self.stage.rate, share)

    def _start(self, rng: np.random.Generator) -> None:
        import torch

        self._parameters = {"prices": torch.tensor(self._first[..., 1:], dtype=torch.float64)}

    def _begin(self) -> None:
        fresh = self._optimiser is None
        super()._begin()
        if fresh:
            for group in self._optimiser.param_groups:
                group.update(betas=(0.9, 0.99), eps=1e-6)

    def _step(self, share: float) -> float:
        import torch

        from walras.algorithms.auctions.node_kernels import node_gradients

        rng = self._random()
        n, m = self.prior.bidders, self.prior.items
        batch, band = self.stage.batch, self._scale * _between(self.stage.band, share)
        parameter = self._parameters["prices"]
        now = parameter.detach().numpy()
        prices = np.concatenate((np.zeros_like(now[..., :1]), now), axis=-1)
        values = self.prior.transform(rng.random((batch, self.prior.draws)))
        inner = self.low + rng.random((batch, n, m)) * self.width
        weight, density = self._densities.at(inner)
        revenue, conflict = np.zeros_like(prices), np.zeros_like(prices)
        earned, conflicts, penalty = node_gradients(
            values,
            inner,
            weight,
            density,
            self._densities.faces,
            rng.random((batch, m, 2)),
            self._densities.tables,
            self.low,
            self.width,
            self.options,
            prices,
            self.stage.grid,
            band,
            revenue,
            conflict,
        )
        gradient = symmetrised(self.stage.weight * conflict - revenue, self._group)[..., 1:] / batch
        parameter.grad = torch.from_numpy(np.ascontiguousarray(gradient))
        self._optimiser.step()
        if share >= 0.8:
            self._sum += parameter.detach().numpy()
            self._summed += 1
        self._recent.append((earned / batch, conflicts / batch))
        self.revenue_, self.conflicts_ = (float(x) for x in np.mean(self._recent[-100:], axis=0))
        del self._recent[:-100]
        return float(penalty / batch)

    @property
    def _recent(self) -> list[tuple[float, float]]:
        return self.__dict__.setdefault("_measured", [])  # type: ignore[no-any-return]

    def _extra(self) -> dict[str, Array]:
        return {"sum": self._sum, "summed": np.array(self._summed), "measured": np.reshape(self._recent, (-1, 2))}

    def _take(self, arrays: dict[str, Array]) -> None:
        self._sum, self._summed = arrays["sum"].copy(), int(arrays["summed"])
        self._recent[:] = [tuple(row) for row in arrays["measured"].tolist()]
        if self._recent:
            self.revenue_, self.conflicts_ = (float(x) for x in np.mean(self._recent, axis=0))


def learn_node_prices(
    prior: Prior,
    demand: str = "additive",
    stages: Sequence[Stage] = STAGES,
    *,
    seed: int = 0,
    bits: int = 24,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> SimplexMenus:
    """Train stage after stage, each from the prices of the one before on a finer grid.

    Args:
        prior: as in `NodePriceLearner`.
        demand: `"additive"` or `"unit"`.
        stages: grids that divide one another.
        seed: of all draws.
        bits: prices are rounded to multiples of 2^-bits.
        checkpoint: folder that keeps the state of each stage; a second call with the same arguments goes on from
            there, to the same bits.
        progress: told `(fraction, text)` now and then.

    Returns:
        The learned menus, not yet compatible.

    Raises:
        ValueError: if an argument is out of range, or the checkpoint belongs to another training.
    """
    mechanism: SimplexMenus | None = None
    total = sum(stage.iterations for stage in stages)
    done = 0
    for number, stage in enumerate(stages):
        learner = NodePriceLearner(prior, demand, stage, start=mechanism, seed=_STREAMS * seed + number, bits=bits)
        path = None if checkpoint is None else Path(checkpoint) / f"stage_{number}.safetensors"
        if path is not None and path.exists():
            learner.load(path)
        while learner.iteration_ < stage.iterations:
            learner.fit(250)
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                learner.save(path)
            if progress is not None:
                progress(
                    (done + learner.iteration_) / total,
                    f"grid {stage.grid}: revenue {learner.revenue_:.5f}, conflicts {learner.conflicts_:.1e}",
                )
        done += stage.iterations
        mechanism = learner.mechanism_
    if mechanism is None:
        raise ValueError("stages: at least one is needed")
    return mechanism


def hash_of(mechanism: SimplexMenus) -> str:
    """A digest of the tables, the same in every process."""
    import hashlib

    digest = hashlib.sha256()
    arrays, facts = mechanism.to_arrays()
    for name in sorted(arrays):
        digest.update(name.encode() + arrays[name].tobytes())
    return digest.hexdigest() + repr(sorted(facts.items()))


class Densities:
    """What integration by parts needs of the laws (n x m), each relative to the uniform law on its box.

    Attributes:
        faces: (n, m, F, 2) places where a density jumps, and place * (density on the left - on the right).
        tables: (n, m, P) densities on equal steps of the boxes.
    """

    def __init__(self, laws: Sequence[Sequence[Law]]) -> None:
        self.laws = laws
        found = [[_faces(law) for law in row] for row in laws]
        most = max(len(faces) for row in found for faces in row)
        self.faces = np.array(
            [[faces + [(0.0, 0.0)] * (most - len(faces)) for faces in row] for row in found]
        )  # (n, m, F, 2)
        steps = np.arange(_TABLE + 1) / _TABLE
        self.tables = np.array([[law.pdf(law.low + steps * (law.high - law.low)) for law in row] for row in laws])
        if not np.isfinite(self.tables).all():
            raise ValueError(f"prior: densities must be bounded, got {laws!r}")

    def at(self, values: Array) -> tuple[Array, Array]:
        """Weights (B, n) and densities (B, n, m) at `values` (B, n, m)."""
        m = values.shape[2]
        if all(isinstance(law, Uniform) for row in self.laws for law in row):
            return np.full(values.shape[:2], m + 1.0), np.ones_like(values)
        density, slope = np.empty_like(values), np.empty_like(values)
        for i, row in enumerate(self.laws):
            for j, law in enumerate(row):
                width = law.high - law.low
                v = values[:, i, j]
                density[:, i, j] = law.pdf(v) * width
                if isinstance(law, Uniform | PiecewiseUniform):
                    slope[:, i, j] = 0.0
                    continue
                step = 1e-6 * width
                above, below = np.minimum(v + step, law.high), np.maximum(v - step, law.low)
                slope[:, i, j] = v * width * (law.pdf(above) - law.pdf(below)) / (above - below)
        weight = (m + 1) * density.prod(axis=2)
        for j in range(m):
            weight += slope[:, :, j] * np.delete(density, j, axis=2).prod(axis=2)
        return weight, density


def _faces(law: Law) -> list[tuple[float, float]]:
    """Where the density jumps, and place * (density on the left - on the right)."""
    edges = list(law.edges) if isinstance(law, PiecewiseUniform) else [law.low, law.high]
    inner = list(law.densities) if isinstance(law, PiecewiseUniform) else None
    faces = []
    for k, edge in enumerate(edges):
        if inner is not None:
            left, right = ([0.0, *inner, 0.0][k + s] for s in (0, 1))
        else:
            left, right = (0.0, float(law.pdf(edge))) if k == 0 else (float(law.pdf(edge)), 0.0)
        faces.append((float(edge), float(edge * (left - right))))
    return faces


def _second_prices(laws: Sequence[Sequence[Law]], options: Array, grid: int) -> Array:
    """Prices (n, N, K): the sum over items of the reserve or the highest value of the others."""
    n, m = len(laws), len(laws[0])
    tables = []
    for i in range(n):
        others = [o for o in range(n) if o != i]
        axes = [np.linspace(laws[o][j].low, laws[o][j].high, grid + 1) for o in others for j in range(m)]
        nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, n - 1, m)
        reserve = np.array([theory.myerson_reserve(law) for law in laws[i]])
        tables.append(np.maximum(nodes.max(axis=1), reserve) @ options.T)
    return np.array(tables)


def _refined(start: SimplexMenus, learner: NodePriceLearner) -> Array:
    """The node prices of `start` at the nodes of the learner's grid."""
    grid = learner.stage.grid
    if grid % start.grid or not np.array_equal(start.options, learner.options) or start.demand != learner.demand:
        raise ValueError(
            f"start: same options and a grid that divides {grid} are needed, got grid {start.grid}, {start.demand}"
        )
    if start.low.shape != learner.low.shape or any(start.surcharges):
        raise ValueError("start: menus of the same size without surcharges are needed")
    axes = [np.arange(grid + 1) / grid] * start.dimension
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, start.dimension)
    index, weight = barycentric(points, start.grid)
    refined: Array = np.einsum("pv,npvk->npk", weight, start.prices[:, index])
    return refined


def _between(ends: tuple[float, float], share: float) -> float:
    """The geometric mean of the two ends, weighted by `share`."""
    return float(ends[0] * (ends[1] / ends[0]) ** share)
