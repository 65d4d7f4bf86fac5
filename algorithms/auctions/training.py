"""What gradient learners of auctions share: parameters, Adam, a schedule, and a state that goes on to the same bits.

Random numbers of iteration k come from a Philox generator keyed by (seed, k): a resumed training draws what an
uninterrupted one draws, and nothing of the generator has to be kept.
"""

from __future__ import annotations

import abc
import os
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np

from walras.agents.storage import load_arrays, save_arrays
from walras.envs.arguments import whole
from walras.envs.game import Array

Progress = Callable[[float, str], None]

Schedule = tuple[tuple[float, float], ...]


def at_share(schedule: Schedule, share: float) -> float:
    """The number of the last pair (start, number) whose start is at most `share`."""
    return [number for start, number in schedule if start <= share][-1]


def check_schedule(name: str, schedule: Schedule) -> None:
    """Check pairs (start, positive number) with increasing starts, the first 0.

    Raises:
        ValueError: naming `name`.
    """
    starts = [start for start, _ in schedule]
    if not schedule or starts[0] != 0 or starts != sorted(set(starts)) or min(x for _, x in schedule) <= 0:
        raise ValueError(
            f"{name} must be pairs (share of the training, positive number) from share 0 on, got {schedule!r}"
        )


class GradientLearner(abc.ABC):
    """A learner that descends a loss by Adam, one fresh batch an iteration.

    A subclass makes `self._parameters` (name -> tensor) in `_start`, and says in `_step` what one iteration does.

    Attributes (after `fit`):
        iteration_: iterations done.
        curve_: (iteration, measure) pairs, the mean of some iterations each.
    """

    kind: str
    """What its checkpoint says it holds."""
    iteration_: int
    curve_: list[tuple[int, float]]
    _parameters: dict[str, Any]

    def __init__(self, seed: int, facts: Mapping[str, Any]) -> None:
        """Store the seed and the JSON-able `facts` that tell this training from others."""
        self.seed = whole("seed", seed, 0)
        self._facts = {**facts, "seed": self.seed}
        self.iteration_, self.curve_ = 0, []
        self._optimiser: Any = None

    def fit(self, iterations: int | None = None, progress: Progress | None = None) -> Self:
        """Do so many iterations, by default all that are left; a second call goes on.

        Args:
            iterations: how many, >= 0.
            progress: told `(fraction of the whole training, text)` now and then.
        """
        import torch

        left = self._planned() - self.iteration_
        count = left if iterations is None else min(left, whole("iterations", iterations, 0))
        before = torch.get_num_threads()
        torch.set_num_threads(1)  # one thread: the same sums in the same order everywhere, and batches are small
        try:
            self._begin()
            recent: list[float] = []
            for _ in range(count):
                share = self.iteration_ / self._planned()
                for group in self._optimiser.param_groups:
                    group["lr"] = self._rate(share)
                recent.append(self._step(share))
                self.iteration_ += 1
                if self.iteration_ % 100 == 0:
                    self.curve_.append((self.iteration_, float(np.mean(recent[-100:]))))
                    if progress is not None:
                        progress(self.iteration_ / self._planned(), f"{self.iteration_}: {self.curve_[-1][1]:.5g}")
        finally:
            torch.set_num_threads(before)
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state of the training; `load` goes on from it."""
        self._begin()
        arrays = {f"parameter.{name}": tensor.detach().numpy() for name, tensor in self._parameters.items()}
        for name, tensor in self._parameters.items():
            for part, moment in self._optimiser.state.get(tensor, {}).items():
                arrays[f"adam.{part}.{name}"] = np.asarray(moment)
        arrays |= {f"extra.{name}": np.asarray(array) for name, array in self._extra().items()}
        facts = {"training": self._facts, "iteration": self.iteration_, "curve": self.curve_}
        save_arrays(path, self.kind, arrays, facts)

    def load(self, path: str | os.PathLike[str]) -> Self:
        """Take over the state that `save` wrote, for a learner made with the same arguments.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is not such a one, is damaged, or belongs to another training.
        """
        import torch

        arrays, facts = load_arrays(path, self.kind)
        there = facts.get("training")
        if there != _plain(self._facts):
            raise ValueError(f"path: {os.fspath(path)!r} belongs to another training: {there!r}, not {self._facts!r}")
        self._begin()
        try:
            for name, tensor in self._parameters.items():
                with torch.no_grad():
                    tensor.copy_(torch.from_numpy(arrays[f"parameter.{name}"]))
                kept = {part: arrays.get(f"adam.{part}.{name}") for part in ("step", "exp_avg", "exp_avg_sq")}
                moments = {part: torch.from_numpy(array.copy()) for part, array in kept.items() if array is not None}
                if moments:
                    self._optimiser.state[tensor] = moments
            self._take({key[6:]: array for key, array in arrays.items() if key.startswith("extra.")})
            self.iteration_ = int(facts["iteration"])
            self.curve_ = [(int(k), float(x)) for k, x in facts["curve"]]
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"path: {os.fspath(path)!r} does not fit this training: {error}") from error
        return self

    def _begin(self) -> None:
        """Make the first parameters, once."""
        if self._optimiser is not None:
            return
        try:
            import torch
        except ImportError as error:
            raise ImportError("training needs torch: pip install 'walras[learn]'") from error
        self._start(np.random.Generator(np.random.Philox([self.seed, 2**63])))
        for tensor in self._parameters.values():
            tensor.requires_grad_()
        self._optimiser = torch.optim.Adam(list(self._parameters.values()), lr=self._rate(0.0))

    def _random(self) -> np.random.Generator:
        """The random numbers of this iteration."""
        return np.random.Generator(np.random.Philox([self.seed, self.iteration_]))

    def _descend(self, loss: Any) -> None:
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self._optimiser.step()

    def _extra(self) -> dict[str, Array]:
        """Arrays beside the parameters that determine how the training goes on."""
        return {}

    def _take(self, arrays: dict[str, Array]) -> None:
        """Take them over; a learner without any refuses those of another."""
        if arrays:
            raise KeyError(f"unknown arrays {sorted(arrays)}")

    @abc.abstractmethod
    def _planned(self) -> int:
        """Iterations of the whole training."""

    @abc.abstractmethod
    def _rate(self, share: float) -> float:
        """Step size of Adam when this share of the training is done."""

    @abc.abstractmethod
    def _start(self, rng: np.random.Generator) -> None:
        """Make `self._parameters`, leaf tensors of float32, from random numbers."""

    @abc.abstractmethod
    def _step(self, share: float) -> float:
        """One iteration (which calls `_descend`); returns what the curve shows."""


def _plain(facts: Mapping[str, Any]) -> Any:
    import json

    return json.loads(json.dumps(dict(facts)))
