"""Random numbers that do not depend on how many games run side by side.

A batch of games is a set of *lanes*. The numbers a lane receives are a pure function of

    (seed, stream, lane, episode, step, call, position)

computed by the counter-based generator Philox4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
SC 2011), the one behind `numpy.random.Philox`. Lane `i` therefore plays the same game whether it runs alone, beside
4095 others, in a subset of live lanes, or after a restore; and it does so on every door.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

WORLD = 0
"""Stream of the rules themselves; the policy in seat `k` draws from stream `k + 1`."""


class Clock(NamedTuple):
    """Where each lane stands: the part of the counter that belongs to the lanes, not to the call.

    Attributes:
        key: (B, 2) uint64, the Philox key of the lane's seed.
        lane: (B,) uint64, the lane's number under that seed.
        episode: (B,) uint64, how many episodes the lane has begun since seeding, minus one.
        step: (B,) uint64, 0 while the episode is dealt, `t` during its `t`-th step (counted from 1).
    """

    key: Words
    lane: Words
    episode: Words
    step: Words


def clock(seed: int | list[int], batch: int, lane: int = 0) -> Clock:
    """Clock of `batch` fresh lanes.

    Args:
        seed: one non-negative integer: lanes `lane, lane + 1, ...` of that seed; or a list with one integer for each
            lane: every lane is lane 0 of its own seed.
        batch: number of lanes, at least 1.
        lane: number of the first lane (used with one seed only).

    Raises:
        ValueError: if `batch < 1`, a seed or `lane` is negative, the list's length is not `batch`, or a `lane` goes
            with a list.
    """
    if not _whole(batch) or batch < 1:
        raise ValueError(f"batch must be an integer of at least 1, got {batch!r}")
    if not _whole(lane) or not 0 <= lane < 2**32 - batch:
        raise ValueError(f"lane must be an integer in [0, 2**32 - batch), got {lane!r}")
    if isinstance(seed, list):
        if lane != 0:
            raise ValueError(f"lane must be 0 where every lane has its own seed, got {lane!r}")
        if len(seed) != batch:
            raise ValueError(f"seed: a list must hold one seed for each of the {batch} lanes, got {len(seed)}")
        key = np.stack([_key(s) for s in seed])
        lanes = np.zeros(batch, np.uint64)
    else:
        key = np.repeat(_key(seed)[None], batch, axis=0)
        lanes = np.arange(lane, lane + batch, dtype=np.uint64)
    return Clock(key, lanes, np.zeros(batch, np.uint64), np.zeros(batch, np.uint64))


def _whole(number: Any) -> bool:
    return isinstance(number, int | np.integer) and not isinstance(number, bool)


def _key(seed: int) -> Words:
    if not _whole(seed) or seed < 0:
        raise ValueError(f"seed must be a non-negative integer, got {seed!r}")
    key: Words = np.random.SeedSequence(int(seed)).generate_state(2, np.uint64).astype(np.uint64, copy=False)
    return key


class LaneRandom(np.random.Generator):
    """A `numpy.random.Generator` whose uniforms belong to lanes.

    Only `random` is available, and its first axis must be the lanes: `rng.random((B, ...))`. Everything else
    follows by inverse CDF, which uses a fixed count of numbers; the rejection samplers behind `normal`, `integers`,
    `choice`, ... would make one lane's numbers depend on its neighbours', so they raise `TypeError`.
    `numpy.random.Philox(key=key[i], counter=[0, call + stream * 2**32, step[i], lane[i] + episode[i] * 2**32])`
    gives row `i` of a call.
    """

    def __init__(self, at: Clock, stream: int = WORLD) -> None:
        """Generator for the lanes of `at`; `stream` separates the world from each seat's policy."""
        super().__init__(_placeholder())
        self.stream = stream
        self.at(at)

    def at(self, clock: Clock) -> LaneRandom:
        """Move to another moment (or to other lanes) and start counting calls anew; returns self."""
        self._clock = clock
        self._call = 0
        return self

    def random(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        """Uniform numbers in [0, 1), shape `size = (B, ...)`, float64.

        Raises:
            ValueError: if the first axis is not the number of lanes.
            TypeError: if another dtype or an output array is asked for.
        """
        if out is not None or np.dtype(dtype) != np.float64:
            raise TypeError("random: lanes are filled with float64 and without `out`")
        shape = (size,) if isinstance(size, int) else tuple(size or ())
        lanes = self._clock.lane.shape[0]
        if not shape or shape[0] != lanes:
            raise ValueError(f"size: the first axis must be the {lanes} lanes of this batch, got {size!r}")
        result = np.empty(shape)
        _fill_kernel()(result.reshape(lanes, -1), *self._clock, np.uint64(self._call + (self.stream << 32)))
        self._call += 1
        return result

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles keep the lanes, the stream and the number of calls made."""
        return _restore, (tuple(self._clock), self.stream, self._call)


def part(rng: np.random.Generator, index: Any = None, fork: int = 0) -> np.random.Generator:
    """A generator for some lanes of `rng`, with numbers of its own: for games that step another game inside.

    Args:
        rng: a `LaneRandom`; any other generator, which knows no lanes, is given back as it is.
        index: the lanes; `None`: all.
        fork: which of the generators beside `rng` itself, in [0, 2**12): calls of one do not move another's.
    """
    if not isinstance(rng, LaneRandom):
        return rng
    at = rng._clock if index is None else Clock(*(word[index] for word in rng._clock))
    return LaneRandom(at, rng.stream + ((fork + 1) << 20))


def _restore(words: tuple[Words, Words, Words, Words], stream: int, call: int) -> LaneRandom:
    rng = LaneRandom(Clock(*words), stream)
    rng._call = call
    return rng


def _refuse(name: str) -> Callable[..., Any]:
    def refused(self: LaneRandom, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            f"rng.{name} uses a varying count of random numbers, so one game would depend on its neighbours in "
            "the batch; draw rng.random((batch, ...)) and apply an inverse CDF"
        )

    return refused


for _name in dir(np.random.Generator):
    if not _name.startswith("_") and _name not in {"random", "bit_generator", "spawn"}:
        setattr(LaneRandom, _name, _refuse(_name))


_shared: list[Any] = []


def _placeholder() -> np.random.BitGenerator:
    """The bit generator that `numpy.random.Generator` insists on; never drawn from."""
    if not _shared:
        _shared.append(np.random.Philox(0))
    bits: np.random.BitGenerator = _shared[0]
    return bits


def _fill_kernel() -> Callable[..., None]:
    """The compiled kernel, imported at the first draw so that `import walras` stays light."""
    if len(_shared) < 2:
        _placeholder()
        from walras.envs.philox import fill

        _shared.append(fill)
    kernel: Callable[..., None] = _shared[1]
    return kernel
