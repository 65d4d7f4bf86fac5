"""GemNet's menu networks: from the others' reports to a bidder's menu, trained to earn and not to conflict.

One network for each bidder, or one for all where bidders are alike, maps the others' values to K options with prices;
a null option is always there. The loss is minus soft revenue plus a weight times the expected amount of items
promised more than once (arXiv 2406.07428). The network never sees the bidder's own report, so its menus are
strategy-proof from the first step on; what training reduces and never removes is conflict. `NetworkMenus` is frozen
on cells and transformed (`walras.algorithms.auctions.cell_transform`) to remove it.

The weights of the paper's network were not to be found; those here are ours.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from walras.algorithms.auctions.training import GradientLearner
from walras.envs.arguments import whole
from walras.envs.auctions.mechanism import DEMANDS, Array, Menu, MenuMechanism
from walras.envs.auctions.priors import Prior

if TYPE_CHECKING:
    from torch import Tensor

_SHARP = 4.0  # allocations are sigmoid(4 logit), so that they come near 0 and 1
_LEAVE = 0.5  # first guess of a price for each unit of probability, in units of the largest value


@dataclasses.dataclass(frozen=True, eq=False)
class NetworkMenus(MenuMechanism):
    """Menus computed by networks from the others' reports; they may promise an item more than once.

    Attributes:
        weights: for each network its layers (W, b), the last with the heads; one network serves all bidders.
        low: (n, m) lower ends of the values.
        high: (n, m) upper ends.
        options: K, options beside the null option.
        demand: "additive" or "unit".
    """

    weights: tuple[tuple[tuple[Any, Any], ...], ...]
    low: Any
    high: Any
    options: int
    demand: str = "additive"

    truthful = True
    individually_rational = True
    deterministic = False

    def check_size(self, bidders: int, items: int) -> None:
        """The networks fix both numbers."""
        if (bidders, items) != self.low.shape:
            raise ValueError(f"bids: the networks are for {self.low.shape} bidders and items, got {bidders}, {items}")

    def menus(self, bids: Array) -> Menu:
        """Menus for numpy `bids` (B, n, m); reports outside the box are read as the bound."""
        batch, n, m = bids.shape
        unit = np.clip((bids - self.low) / (self.high - self.low), 0.0, 1.0)
        scale = float(self.high.max())
        items, prices = np.zeros((batch, n, self.options + 1, m)), np.zeros((batch, n, self.options + 1))
        for i in range(n):
            layers = self.weights[i if len(self.weights) > 1 else 0]
            signal = 2.0 * np.delete(unit, i, axis=1).reshape(batch, -1) - 1.0
            for weight, bias in layers[:-1]:
                signal = np.tanh(signal @ weight.T + bias)
            raw = signal @ layers[-1][0].T + layers[-1][1]
            items[:, i, 1:], prices[:, i, 1:] = _heads(np, raw, self.options, m, self.demand, scale)
        return Menu(items, prices)


def _heads(xp: Any, raw: Any, options: int, items: int, demand: str, scale: float) -> tuple[Any, Any]:
    """Options (B, K, m) and prices (B, K) from the network's last layer."""
    width = items + (demand == "unit")
    logits = _SHARP * raw[:, : options * width].reshape((-1, options, width))
    if demand == "unit":
        power = xp.exp(logits - (logits.max(axis=-1, keepdims=True) if xp is np else logits.amax(-1, keepdim=True)))
        share = (power / power.sum(axis=-1)[..., None])[..., :items]
    else:
        share = 1.0 / (1.0 + xp.exp(-logits.clip(-40.0, 40.0)))
    return share, scale * (raw[:, options * width :] + _LEAVE * share.sum(axis=-1))


class MenuNetworkLearner(GradientLearner):
    """Trains menu networks for a prior of bounded values.

    Attributes (after `fit`):
        mechanism_: `NetworkMenus`, not yet compatible.
        curve_: (iteration, soft revenue) pairs.
    """

    kind = "walras.MenuNetworkLearner"

    def __init__(
        self,
        prior: Prior,
        demand: str = "additive",
        *,
        options: int = 8,
        shared: bool | None = None,
        layers: Sequence[int] = (128, 128, 128),
        iterations: int = 4000,
        batch: int = 2048,
        rates: tuple[float, float, float] = (1e-3, 3e-4, 1e-4),
        temperature: tuple[float, float] = (20.0, 400.0),
        penalty: tuple[float, float] = (0.5, 3.5),
        room: float = 0.0,
        room_weight: float = 4.0,
        seed: int = 0,
    ) -> None:
        """Set the training.

        Args:
            prior: values in a box, two bidders or more.
            demand: `"additive"` or `"unit"`.
            options: K, options of every menu beside the null option.
            shared: one network for all bidders; by default where all have the same laws.
            layers: widths of the hidden layers (tanh).
            iterations: Adam steps.
            batch: value profiles in each.
            rates: step sizes until 60 %, until 85 %, and to the end.
            temperature: inverse temperature of the soft choice at the beginning and the end (it grows
                geometrically), in units of one over the largest value.
            penalty: weight of the amount promised more than once, at the beginning and the end, in the same units.
            room: distance, in units of the largest value, that an item's second bidder should keep from taking it, so
                that the transform has room; 0: no such penalty.
            room_weight: weight of that penalty.
            seed: of the first weights and all draws.

        Raises:
            ValueError: an argument is out of range.
        """
        if prior.bidders < 2 or not np.isfinite(prior.high).all():
            raise ValueError(f"prior: two bidders or more with bounded values are needed, got {prior!r}")
        if demand not in DEMANDS:
            raise ValueError(f"demand: must be one of {DEMANDS}, got {demand!r}")
        rows = prior.marginals
        alike = rows is not None and all(row == rows[0] for row in rows)
        self.prior, self.demand, self.options = prior, demand, whole("options", options)
        self.shared = alike if shared is None else bool(shared)
        self.layers = tuple(whole("layers", width) for width in layers)
        self.iterations, self.batch = whole("iterations", iterations), whole("batch", batch)
        if min(*rates, *temperature, *penalty) <= 0.0 or room < 0.0 or room_weight < 0.0:
            raise ValueError("rates, temperature and penalty must be positive, room and room_weight nonnegative")
        self.rates, self.temperature, self.penalty = rates, temperature, penalty
        self.room, self.room_weight = float(room), float(room_weight)
        facts: Mapping[str, Any] = {
            "prior": prior.to_dict(), "demand": demand, "options": self.options, "shared": self.shared,
            "layers": list(self.layers), "iterations": self.iterations, "batch": self.batch, "rates": list(rates),
            "temperature": list(temperature), "penalty": list(penalty),
            "room": self.room, "room_weight": self.room_weight,
        }  # fmt: skip
        super().__init__(seed, facts)

    @property
    def mechanism_(self) -> NetworkMenus:
        """The networks as they are now."""
        self._begin()
        weights = tuple(
            tuple(
                (weight.detach().numpy().astype(np.float64), bias.detach().numpy().astype(np.float64))
                for weight, bias in self._network(k)
            )
            for k in range(1 if self.shared else self.prior.bidders)
        )
        return NetworkMenus(weights, self.prior.low, self.prior.high, self.options, self.demand)

    def _planned(self) -> int:
        return self.iterations

    def _rate(self, share: float) -> float:
        return self.rates[0 if share < 0.6 else 1 if share < 0.85 else 2]

    def _network(self, k: int) -> list[tuple[Tensor, Tensor]]:
        names = range(len(self.layers) + 1)
        return [(self._parameters[f"{k}.{x}.weight"], self._parameters[f"{k}.{x}.bias"]) for x in names]

    def _start(self, rng: np.random.Generator) -> None:
        import torch

        n, m = self.prior.bidders, self.prior.items
        out = self.options * (m + (self.demand == "unit") + 1)
        sizes = [m * (n - 1), *self.layers, out]
        self._parameters = {}
        for k in range(1 if self.shared else n):
            for x, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
                bound = fan_in**-0.5
                for name, shape in (("weight", (fan_out, fan_in)), ("bias", (fan_out,))):
                    first = rng.uniform(-bound, bound, shape).astype(np.float32)
                    self._parameters[f"{k}.{x}.{name}"] = torch.from_numpy(first)

    def _menus(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Options (B, n, K + 1, m) and prices (B, n, K + 1) in units of the largest value, the null option first."""
        import torch

        batch, n, m = values.shape
        low = torch.as_tensor(self.prior.low, dtype=torch.float32)
        high = torch.as_tensor(self.prior.high, dtype=torch.float32)
        unit = 2.0 * (values - low) / (high - low) - 1.0
        inputs = [torch.cat((unit[:, :i], unit[:, i + 1 :]), dim=1).reshape(batch, -1) for i in range(n)]
        if self.shared:
            raws = self._forward(0, torch.cat(inputs)).reshape(n, batch, -1)
        else:
            raws = torch.stack([self._forward(i, own) for i, own in enumerate(inputs)])
        share, price = _heads(torch, raws.reshape(n * batch, -1), self.options, m, self.demand, 1.0)
        share = share.reshape(n, batch, self.options, m).transpose(0, 1)
        price = price.reshape(n, batch, self.options).transpose(0, 1)
        return (
            torch.cat((torch.zeros_like(share[:, :, :1]), share), dim=2),
            torch.cat((torch.zeros_like(price[:, :, :1]), price), dim=2),
        )

    def _forward(self, k: int, signal: Tensor) -> Tensor:
        import torch

        *hidden, (weight, bias) = self._network(k)
        for w, b in hidden:
            signal = torch.tanh(torch.nn.functional.linear(signal, w, b))
        return torch.nn.functional.linear(signal, weight, bias)

    def _step(self, share: float) -> float:
        import torch

        rng = self._random()
        scale = float(self.prior.high.max())
        drawn = self.prior.transform(rng.random((self.batch, self.prior.draws)))
        values = torch.from_numpy(drawn.astype(np.float32))
        options, prices = self._menus(values)
        utility = (options * (values / scale)[:, :, None, :]).sum(dim=-1) - prices
        start, end = self.temperature
        chance = torch.softmax(start * (end / start) ** share * utility, dim=-1)
        revenue = (chance * prices).sum(dim=(1, 2)).mean()
        given = (chance[..., None] * options).sum(dim=2)
        conflict = torch.relu(given.sum(dim=1) - 1.0).sum(dim=1).mean()
        weight = self.penalty[0] + share * (self.penalty[1] - self.penalty[0])
        loss = weight * conflict - revenue
        if self.room > 0.0:
            loss = loss + self.room_weight * self._crowding(utility, options)
        self._descend(loss)
        return scale * float(revenue.detach())

    def _crowding(self, utility: Tensor, options: Tensor) -> Tensor:
        """How much closer than `room` the second bidder of an item is to taking it, too, on average."""
        import torch

        with_item = torch.where(options > 0.5, utility[..., None], -torch.inf).amax(dim=2)
        without = torch.where(options > 0.5, -torch.inf, utility[..., None]).amax(dim=2)
        lead = torch.where(torch.isfinite(with_item), with_item - without, -torch.ones_like(without))
        second = lead.topk(2, dim=1).values[:, 1]
        return torch.relu(second + self.room).sum(dim=1).mean()
