"""Menus for one buyer by gradient ascent on the gain from softened choices (RochetNet, arXiv 1706.03459), any good.

A menu is K options with prices beside a null option. A buyer of a drawn type takes the best one; in training it takes
option k with probability softmax(utility / temperature), so that the seller's gain has a gradient. The temperature
falls to where hard and soft choice agree; only hard choices are ever reported. Options that nobody takes are
offered anew between stages, at the price that gains most, or dropped, which makes large batches cheap just when
precision is wanted. Types are the points of
Sobol's sequence shifted at random in every step, whose means vary far less than those of independent draws.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Self, TypeVar

import numpy as np

from walras.agents.storage import load_arrays, save_arrays
from walras.algorithms.menus.goods import Good
from walras.envs.arguments import whole
from walras.envs.game import Array

if TYPE_CHECKING:
    from torch import Tensor

Progress = Callable[[float, str], None]
Kind = TypeVar("Kind", bound=Good)

_KIND = "walras.MenuLearner"
_EVALUATED = 1 << 17  # types on which hard choices are measured
_CHUNK = 1 << 14
_BETAS = (0.9, 0.99)


@dataclass(frozen=True)
class Stage:
    """One part of the training.

    Attributes:
        steps: gradient steps (Adam).
        batch: types in each.
        rate: step size at the beginning and at the end, falling geometrically.
        temperature: of the softened choice at the beginning and at the end, in units of the good's scale.
        revive: at the beginning and after every so many steps, options that nobody takes are offered anew as they were
            at the start, one after another, each at the price that gains most; 0: never.
    """

    steps: int
    batch: int
    rate: tuple[float, float]
    temperature: tuple[float, float]
    revive: int = 0


@dataclass(frozen=True)
class MenuSettings:
    """Settings of `MenuLearner`.

    Attributes:
        options: K, options beside the null one.
        stages: one after another, each with a fresh optimiser.
        keep: options that fewer types than this share take are dropped at the end of a stage.
    """

    options: int = 64
    stages: tuple[Stage, ...] = (
        Stage(1000, 1024, (1e-2, 3e-3), (1e-2, 2e-3)),
        Stage(500, 4096, (1e-3, 5e-4), (1e-3, 1e-3), revive=250),
        Stage(400, 16384, (5e-4, 5e-5), (1e-3, 5e-4)),
    )
    keep: float = 1e-4


class Hard(NamedTuple):
    """What a menu earns from buyers who take their best option (the first one at ties).

    Attributes:
        gain: mean of what the seller gains.
        shares: (K + 1,) of the types who take each option, the null option first.
    """

    gain: float
    shares: Array


@functools.lru_cache(maxsize=4)
def sobol(count: int, draws: int) -> Array:
    """The first `count` points of Sobol's sequence (count, draws) in [0, 1), float64."""
    import torch

    engine: Any = torch.quasirandom.SobolEngine  # without annotations of its own
    points: Array = engine(draws).draw(count, dtype=torch.float64).numpy()
    points.flags.writeable = False
    return points


def hard_choice(good: Good, options: Array, prices: Array, uniforms: Array) -> Hard:
    """What a menu earns from the types of `uniforms` (B, draws), in double precision.

    Args:
        good: what is sold.
        options: (K + 1, D), the null option first.
        prices: (K + 1,).
        uniforms: on [0, 1).
    """
    import torch

    offers, asked = torch.tensor(options, dtype=torch.float64), torch.tensor(prices, dtype=torch.float64)
    total, counts = 0.0, np.zeros(len(prices))
    for start in range(0, len(uniforms), _CHUNK):
        types = torch.tensor(good.types(uniforms[start : start + _CHUNK]), dtype=torch.float64)
        best = (good.value(offers, types) - asked).argmax(dim=1, keepdim=True)
        total += float(good.gain(offers, asked, types).gather(1, best).sum())
        counts += np.bincount(best[:, 0].numpy(), minlength=len(counts))
    return Hard(total / len(uniforms), counts / len(uniforms))


class MenuLearner(Generic[Kind]):
    """Learns a menu for one buyer.

    `fit` returns the learner; what was learned is in attributes that end with `_`. One seed gives one menu, whether
    training is done at once, in parts, or continued from a file.

    Attributes:
        step_: gradient steps done.
        curve_: (step, mean soft gain) every 50 steps; a soft gain may exceed what any menu earns.
    """

    def __init__(self, good: Kind, settings: MenuSettings | None = None, *, seed: int = 0) -> None:
        """Begin with the good's starting options.

        Raises:
            ValueError: if a setting is out of range.
        """
        import torch

        self.good, self.settings, self.seed = good, settings or MenuSettings(), whole("seed", seed, 0)
        whole("options", self.settings.options)
        for stage in self.settings.stages:
            whole("steps", stage.steps)
            whole("batch", stage.batch)
            if not 0 < min(*stage.rate, *stage.temperature) <= max(*stage.rate, *stage.temperature) < np.inf:
                raise ValueError(f"stages: rates and temperatures must be positive and finite, got {stage!r}")
        if not self.settings.stages or not 0.0 <= self.settings.keep < 1.0:
            raise ValueError(f"settings: need a stage, and a share to keep in [0, 1), got {self.settings!r}")
        self._rng = np.random.Generator(np.random.Philox(self.seed))
        raw, prices = good.start(self.settings.options, self._rng)
        self._null = torch.tensor(good.null()[None], dtype=torch.float32)
        self._begin(raw, prices / good.scale)
        self._start = self._raw.detach().clone()
        self.step_ = 0
        self.curve_: list[tuple[int, float]] = []
        self._final: tuple[Array, Array] | None = None

    def _begin(self, raw: Array, markup: Array) -> None:
        """A stage: these options, and a fresh optimiser."""
        import torch

        self._raw = torch.tensor(raw, dtype=torch.float32, requires_grad=True)
        self._markup = torch.tensor(markup, dtype=torch.float32, requires_grad=True)
        self._optimizer = torch.optim.Adam([self._raw, self._markup], betas=_BETAS)

    @property
    def steps(self) -> int:
        """Gradient steps of all stages."""
        return sum(stage.steps for stage in self.settings.stages)

    def fit(self, steps: int | None = None, *, progress: Progress | None = None) -> Self:
        """Take so many more steps, by default all that are left.

        Raises:
            ValueError: if `steps` is no integer of at least 0.
        """
        import torch

        target = self.steps if steps is None else min(self.steps, self.step_ + whole("steps", steps, 0))
        before = torch.get_num_threads()
        torch.set_num_threads(1)  # the same sums in the same order everywhere
        try:
            while self.step_ < target:
                self._advance(progress)
        finally:
            torch.set_num_threads(before)
        return self

    def _advance(self, progress: Progress | None) -> None:
        stage, done = self._stage()
        if stage.revive and done % stage.revive == 0 and done + stage.revive <= stage.steps:
            self._revive()
        gain = self._step(stage, done / max(stage.steps - 1, 1))
        self.step_ += 1
        self._final = None
        if done + 1 == stage.steps and self.step_ < self.steps:
            self._next()
        if self.step_ % 50 == 0 or self.step_ == self.steps:
            self.curve_.append((self.step_, gain))
            if progress is not None:
                progress(self.step_ / self.steps, f"step {self.step_}, {len(self._markup)} options")

    def _stage(self) -> tuple[Stage, int]:
        """The stage of the next step, and how many of its steps are done."""
        done = self.step_
        for stage in self.settings.stages:
            if done < stage.steps:
                return stage, done
            done -= stage.steps
        raise AssertionError("no step is left")

    def _step(self, stage: Stage, part: float) -> float:
        import torch

        rate, temperature = (first * (last / first) ** part for first, last in (stage.rate, stage.temperature))
        uniforms = (sobol(stage.batch, self.good.draws) + self._rng.random(self.good.draws)) % 1.0
        types = torch.tensor(self.good.types(uniforms), dtype=torch.float32)
        options, prices = self._offers()
        utility = self.good.value(options, types) - prices
        choice = (utility / (temperature * self.good.scale)).softmax(dim=1)
        gain = (choice * self.good.gain(options, prices, types)).sum() / len(types)
        self._optimizer.param_groups[0]["lr"] = rate
        self._optimizer.zero_grad()
        (-gain / self.good.scale).backward()
        self._optimizer.step()
        return float(gain.detach())

    def _offers(self) -> tuple[Tensor, Tensor]:
        """All options with their prices, the null option first."""
        import torch

        made = self.good.options(self._raw)
        prices = self.good.reference(made) + self.good.scale * self._markup
        return torch.cat([self._null, made]), torch.cat([prices.new_zeros(1), prices])

    def _next(self) -> None:
        """Begin the next stage; where it revives nothing, without the options that hardly anybody takes."""
        raw, markup = self._raw.detach().numpy(), self._markup.detach().numpy()
        if self._stage()[0].revive:
            return self._begin(raw, markup)
        options, prices = (part.detach().numpy().astype(np.float64) for part in self._offers())
        shares = hard_choice(self.good, options, prices, sobol(_CHUNK, self.good.draws)).shares[1:]
        kept = shares >= min(self.settings.keep, float(shares.max()))
        self._start = self._start[kept.tolist()]
        return self._begin(raw[kept], markup[kept])

    def _revive(self) -> None:
        """Offer options that nobody takes as at the start, one after another, at the price that gains most."""
        import torch

        with torch.no_grad():
            types = torch.tensor(self.good.types(sobol(_CHUNK, self.good.draws)), dtype=torch.float32)
            options, prices = self._offers()
            utility = self.good.value(options, types) - prices
            dead = torch.bincount(utility.argmax(dim=1), minlength=len(prices))[1:] == 0
            self._raw[dead] = self._start[dead]
            options, prices = self._offers()
            value = self.good.value(options, types)
            left = dead.nonzero()[:, 0] + 1
            alive = torch.cat([torch.zeros(1, dtype=torch.int64), (~dead).nonzero()[:, 0] + 1])
            utility, choice = (value[:, alive] - prices[alive]).max(dim=1)
            gain = self.good.gain(options[alive], prices[alive], types).gather(1, choice[:, None])[:, 0]
            ranks = [_CHUNK >> k for k in range(2, 11)]
            while len(left):
                # What each is worth beyond the best one: at the price of a rank so many types would take it.
                worth = value[:, left] - utility[:, None]
                asked = worth.sort(dim=0, descending=True).values[ranks] - 1e-4 * self.good.scale
                more = torch.stack([self._more(options[left], price, types, worth, gain) for price in asked])
                rank, k = divmod(int(more.argmax()), len(left))
                if not more[rank, k] > 1e-5 * self.good.scale:
                    break
                pick, price = left[k], asked[rank, k]
                takes = worth[:, k] > price
                earned = self.good.gain(options[pick][None], price[None], types)[:, 0]
                gain = torch.where(takes, earned, gain)
                utility = torch.where(takes, value[:, pick] - price, utility)
                self._markup[pick - 1] = (price - self.good.reference(options[pick][None])[0]) / self.good.scale
                left = left[left != pick]
            # The others wait just above the price at which anybody would take them.
            price = (value[:, left] - utility[:, None]).max(dim=0).values
            self._markup[left - 1] = (price - self.good.reference(options[left])) / self.good.scale

    def _more(self, options: Tensor, prices: Tensor, types: Tensor, worth: Tensor, gain: Tensor) -> Tensor:
        """What each option alone would add to the mean gain at its price."""
        earned = self.good.gain(options, prices, types)
        return ((earned - gain[:, None]) * (worth > prices)).mean(dim=0)

    @property
    def menu_(self) -> Any:
        """The menu learned so far, as the good makes it: a `PostedMenu` for items."""
        return self.good.menu(*self.offers_)

    @property
    def offers_(self) -> tuple[Array, Array]:
        """Options (K + 1, D) and prices (K + 1,) learned so far, the null option first.

        Of what the network holds, options that can be left out or made simpler without loss of gain are.
        """
        if self._final is None:
            options, prices = (part.detach().numpy().astype(np.float64) for part in self._offers())
            self._final = simplified(self.good, options, prices)
        return self._final

    def evaluate(self, draws: int = 1 << 20, *, seed: int = 1) -> Hard:
        """What the menu earns from fresh types who take their best option.

        Args:
            draws: number of types.
            seed: of the shift of Sobol's points.

        Raises:
            ValueError: if `draws` is no positive integer.
        """
        shift = np.random.Generator(np.random.Philox(seed)).random(self.good.draws)
        return hard_choice(self.good, *self.offers_, (sobol(whole("draws", draws), self.good.draws) + shift) % 1.0)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything that training goes on from to a safetensors file."""
        parts = {"raw": self._raw, "markup": self._markup, "start": self._start}
        arrays = {name: part.detach().numpy() for name, part in parts.items()}
        for name, tensor in (("raw", self._raw), ("markup", self._markup)):
            for key, part in self._optimizer.state.get(tensor, {}).items():
                arrays[f"{name}.{key}"] = np.asarray(part)
        state = json.loads(json.dumps(self._rng.bit_generator.state, default=lambda a: [int(x) for x in a]))
        facts = {"training": self._training(), "step": self.step_, "curve": self.curve_, "random": state}
        save_arrays(path, _KIND, arrays, facts)

    def load(self, path: str | os.PathLike[str]) -> Self:
        """Go on from a file of `save`, of the same good, settings and seed.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is no such file, or belongs to another training.
        """
        import torch

        arrays, facts = load_arrays(path, _KIND)
        if facts["training"] != self._training():
            raise ValueError(f"path: {os.fspath(path)!r} belongs to another training: {facts['training']!r}")
        self._begin(arrays["raw"], arrays["markup"])
        self._start = torch.tensor(arrays["start"])
        for name, tensor in (("raw", self._raw), ("markup", self._markup)):
            keys = [key for key in arrays if key.startswith(f"{name}.")]
            if keys:
                self._optimizer.state[tensor] = {
                    key.removeprefix(f"{name}."): torch.tensor(arrays[key]) for key in keys
                }
        state = facts["random"]
        state["state"] = {key: np.array(value, np.uint64) for key, value in state["state"].items()}
        state["buffer"] = np.array(state["buffer"], np.uint64)
        self._rng.bit_generator.state = state
        self.step_, self.curve_ = int(facts["step"]), [(int(k), float(gain)) for k, gain in facts["curve"]]
        self._final = None
        return self

    def _training(self) -> dict[str, Any]:
        said = {"good": self.good.describe(), "settings": asdict(self.settings), "seed": self.seed}
        told: dict[str, Any] = json.loads(json.dumps(said))
        return told


def simplified(good: Good, options: Array, prices: Array, tolerance: float = 1e-6) -> tuple[Array, Array]:
    """The menu without options, and with simpler options, where that costs no gain.

    Args:
        good: what is sold.
        options: (K + 1, D), the null option first.
        prices: (K + 1,).
        tolerance: gain that each change may lose, in units of the good's scale.
    """
    import torch

    allowed = tolerance * good.scale
    offers, asked = torch.tensor(options, dtype=torch.float64), torch.tensor(prices, dtype=torch.float64)
    types = torch.tensor(good.types(sobol(_EVALUATED, good.draws)), dtype=torch.float64)
    utility, earned = good.value(offers, types) - asked, good.gain(offers, asked, types)
    choice = utility.argmax(dim=1)
    counts = torch.bincount(choice, minlength=len(prices))
    kept = counts > 0
    kept[0] = True
    utility[:, ~kept] = -torch.inf
    for k in counts.argsort(stable=True).tolist():
        if k and kept[k]:
            # Only who takes it chooses anew.
            takers = (choice == k).nonzero()[:, 0]
            utility[takers, k] = -torch.inf
            second = utility[takers].argmax(dim=1, keepdim=True)
            lost = (earned[takers, k] - earned[takers].gather(1, second)[:, 0]).sum() / len(types)
            if float(lost) <= allowed:
                choice[takers] = second[:, 0]
                utility[:, k] = -torch.inf
                kept[k] = False
            else:
                utility[takers, k] = (good.value(offers[k : k + 1], types[takers]) - asked[k])[:, 0]
    remaining = kept.numpy()
    options, prices = options[remaining], prices[remaining]
    del utility, earned
    uniforms = sobol(_EVALUATED, good.draws)
    gain = hard_choice(good, options, prices, uniforms).gain
    simple = np.concatenate([options[:1], good.simpler(options[1:])])
    for k in np.flatnonzero((simple != options).any(axis=1)):
        changed = options.copy()
        changed[k] = simple[k]
        other = hard_choice(good, changed, prices, uniforms).gain
        if other >= gain - allowed:
            options, gain = changed, other
    return options, prices
