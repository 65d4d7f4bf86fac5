"""AMenuNet: a transformer that puts out the outcomes, weights and boosts of an affine maximiser (arXiv 2305.12162).

Bidders (with a dummy one for what stays unsold) and items are embedded by their numbers; each pair passes an MLP, then
layers of attention along the items, along the bidders, and a global mean. One head gives allocation logits (softmax
over bidders for each item and outcome), one the weights, one the boosts. Without contexts the input is constant, so
the network is evaluated once a step instead of once a profile: the same result at a fraction of the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from walras.algorithms.auctions.affine_learners import AffineLearner, AffineSettings
from walras.algorithms.auctions.training import Schedule
from walras.envs.auctions.priors import Prior


@dataclass(frozen=True)
class AMenuNetSettings(AffineSettings):
    """Settings of AMenuNet: sizes as in the authors' code, a shorter training, softmax revenue as there."""

    hard: float = 1.0
    """share of the training from which on revenue is estimated by "envelope"; 1: never, as in the paper"""
    rates: Schedule = ((0.0, 3e-5), (0.02, 3e-4), (0.8, 5e-5), (0.95, 1e-5))
    """step sizes of Adam, by share of the training done; the first is the warm-up"""
    width: int = 64
    """of embeddings, hidden layers and attention"""
    heads: int = 4
    """of attention"""
    depth: int = 3
    """layers of attention along items and along bidders"""
    sharpness: float = 50.0
    """factor of the allocation logits inside their softmax"""
    reserve: float = 0.45
    """what an item sold lowers an outcome's boost by, beside what the network says (ours; 0 in the paper): without it
    short trainings end in auctions that always sell"""


class AMenuNet(AffineLearner):
    """Learns an affine maximiser for additive bidders through a network."""

    kind = "walras.AMenuNet"

    def __init__(self, prior: Prior, settings: AMenuNetSettings | None = None, *, seed: int) -> None:
        """Only stores; arguments as those of `AffineLearner`."""
        self.sizes = AMenuNetSettings() if settings is None else settings
        super().__init__(prior, "additive", self.sizes, seed=seed)

    def _start(self, rng: np.random.Generator) -> None:
        import torch

        with torch.random.fork_rng(devices=[]):  # torch's modules draw their first weights from the global generator
            torch.manual_seed(int(rng.integers(2**62)))
            self._network = _network(self.prior.bidders, self.prior.items, self.sizes)
        self._parameters = dict(self._network.named_parameters())

    def _outcomes(self) -> tuple[Any, Any, Any]:
        logits, weights, boosts = self._network()
        shares = (self.sizes.sharpness * logits).softmax(dim=1)[:, :-1]
        # Scores are compared after their common scale is taken out: it would act as a temperature.
        return shares, weights / weights.mean(), (boosts - self.sizes.reserve * shares.sum(dim=(1, 2))) * self._unit


def _network(bidders: int, items: int, sizes: AMenuNetSettings) -> Any:
    """The module; called without arguments it gives logits (T, n + 1, m), weights (n,), boosts (T,)."""
    import torch
    from torch import nn

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows, self.columns = (
                nn.TransformerEncoderLayer(sizes.width, sizes.heads, sizes.width, dropout=0.0, batch_first=True)
                for _ in range(2)
            )
            self.mix = nn.Sequential(
                nn.Linear(3 * sizes.width, sizes.width), nn.ReLU(), nn.Linear(sizes.width, sizes.width)
            )

        def forward(self, x: Any) -> Any:
            row, column = self.rows(x), self.columns(x.transpose(0, 1)).transpose(0, 1)
            whole = x.mean(dim=(0, 1)).expand_as(x)
            return self.mix(torch.cat([row, column, whole], dim=-1))

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bidder, self.item = nn.Embedding(bidders + 1, 10), nn.Embedding(items, 10)
            self.pair = nn.Sequential(nn.Linear(20, sizes.width), nn.ReLU(), nn.Linear(sizes.width, sizes.width))
            self.layers = nn.Sequential(*(Layer() for _ in range(sizes.depth)))
            self.head = nn.Sequential(
                nn.Linear(sizes.width, sizes.width), nn.ReLU(), nn.Linear(sizes.width, 2 * sizes.menu + 1)
            )
            self.boost = nn.Sequential(nn.Linear(sizes.menu, sizes.menu), nn.ReLU(), nn.Linear(sizes.menu, sizes.menu))

        def forward(self) -> tuple[Any, Any, Any]:
            shape = (bidders + 1, items, 10)
            pairs = torch.cat([self.bidder.weight[:, None].expand(shape), self.item.weight[None].expand(shape)], dim=-1)
            out = self.head(self.layers(self.pair(pairs)))  # (n + 1, m, 2 T + 1)
            logits = out[..., : sizes.menu].permute(2, 0, 1)
            weights = out[:-1, :, -1].mean(dim=1).sigmoid()
            return logits, weights, self.boost(out[..., sizes.menu : -1].mean(dim=(0, 1)))

    return Network()
