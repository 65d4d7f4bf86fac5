"""The test for child stationarity: what is remembered of each pair of an infostate and an action, and the verdict.

A pair's memory is a ring of ids (of the hidden state that followed, or of the reward at the end). The chi-squared test
compares the older half of it with the newer half. As long as few different ids occur, they are counted as they come, so
that a test costs next to nothing; with many, a test counts them all.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from walras.envs.game import Array
from walras.envs.tabular.world import scramble

_FAST: Any = {"error_model": "numpy", "cache": True}
_PART: Any = {**_FAST, "forceinline": True}

SLOT = np.dtype(
    [
        ("q", np.float64), ("c", np.float64), ("x", np.float64), ("regret", np.float64), ("n", np.int64),
        ("seen", np.int64), ("fresh", np.int64), ("tests", np.int64), ("expanded", np.int64), ("updated", np.int64),
        ("few", np.int32), ("verdict", np.int32),
    ]
)  # fmt: skip
"""What is kept for a slot: its value, weight in the average, last target, regret of regret matching+, updates; ids
remembered so far, overwritten ones included; the generation in which the verdict was found, tests so far; the last
iterations in which the pair was expanded and updated; how many ids are counted (-1: too many); the verdict, 1
stationary, 2 not."""

COUNT = np.dtype([("id", np.int64), ("early", np.int32), ("late", np.int32)])
"""An id, and how often it stands in the older and in the newer half of a pair's memory."""

FEW = 160
"""Different ids of a pair that are counted as they come, at most; with more, a test counts them all."""

CLOCK = np.dtype(
    [
        ("iterations", np.int64), ("nodes", np.int64), ("generation", np.int64), ("tests", np.int64),
        ("alarms", np.int64), ("marks", np.int64), ("tau", np.float64),
    ]
)  # fmt: skip
"""Iterations, nodes touched, times that verdicts were forgotten, tests, verdicts of non-stationarity, the hash table's
last mark, and the temperature."""

BLOCKS = 40
"""Blocks of tests of a pair under error control: more than 10^12 tests."""


class Memory(NamedTuple):
    """What is learned and remembered over S slots, and what the test needs. Records keep a slot's numbers together.

    Attributes:
        slots: (S,) of `SLOT`.
        counts: (S, W) of `COUNT`, W at most `FEW`.
        ring: (S, window) int64, remembered ids, a ring; (S, 1) where nothing is tested.
        clock: (1,) of `CLOCK`.
        hash: (H, 2) int64, id and mark, H a power of two: scratch space of tests of many ids.
        place: (H, 2) int32, counts in the older and in the newer half.
        used: (window,) int32, entries of the hash table in use.
        critical: (BLOCKS + 1, window) float64, critical values by block of tests and degrees of freedom.
    """

    slots: Array
    counts: Array
    ring: Array
    clock: Array
    hash: Array
    place: Array
    used: Array
    critical: Array


def memory(slots: int, window: int, level: float) -> Memory:
    """Nothing learned yet; `window` ids are remembered for each slot and tested at `level`."""
    size = 16
    while size < 2 * window:
        size *= 2
    clock = np.zeros(1, CLOCK)
    clock["generation"] = 1
    few = min(FEW, window, max(16, 2**25 // slots))  # half a gigabyte of counts, where there are very many slots
    return Memory(
        np.zeros(slots, SLOT), np.zeros((slots, few), COUNT), np.zeros((slots, window), np.int64), clock,
        np.zeros((size, 2), np.int64), np.zeros((size, 2), np.int32), np.zeros(window, np.int32),
        critical_values(max(window, 2), level),
    )  # fmt: skip


def critical_values(window: int, level: float) -> Array:
    """(BLOCKS + 1, window) the statistic at which a test with d degrees of freedom says non-stationary, row by row.

    Row 0 holds the level itself. Row j + 1 serves tests 2**j to 2**(j+1) - 1 of a pair under error control: the block
    spends level / ((j + 1) (j + 2)), evenly, so that all tests of the pair together raise a false alarm with a
    probability of at most `level`.
    """
    from scipy.special import chdtri

    levels = np.append(level, [level / ((j + 1) * (j + 2)) / 2**j for j in range(BLOCKS)])
    freedom = np.maximum(np.arange(window), 1)
    return np.asarray(chdtri(freedom[None], levels[:, None]))


@njit(**_FAST)
def remember(slots: Any, counts: Any, ring: Any, slot: int, id_: int) -> None:
    """Append an id to a pair's memory, and keep count of it in the halves that the test compares."""
    window, seen = ring.shape[1], slots[slot].seen
    slots[slot].seen = seen + 1
    if seen < window:
        half = seen // 2
        ring[slot, seen] = id_
        tally(slots, counts, slot, id_, 1, 1)
        if (seen + 1) // 2 > half:  # the oldest of the newer half goes over to the older half
            tally(slots, counts, slot, ring[slot, half], 0, 1)
            tally(slots, counts, slot, ring[slot, half], 1, -1)
        return
    at = seen % window
    middle = at + window // 2
    oldest, grows = ring[slot, at], ring[slot, middle if middle < window else middle - window]
    ring[slot, at] = id_
    if id_ != grows:
        tally(slots, counts, slot, id_, 1, 1)
        tally(slots, counts, slot, grows, 1, -1)
    if grows != oldest:
        tally(slots, counts, slot, grows, 0, 1)
        tally(slots, counts, slot, oldest, 0, -1)


@njit(**_FAST)
def tally(slots: Any, counts: Any, slot: int, id_: int, side: int, change: int) -> None:
    """Count an id up or down in one half; ids that are gone make room."""
    few = slots[slot].few
    if few < 0:
        return
    at = 0
    while at < few and counts[slot, at].id != id_:
        at += 1
    if at == few:
        if few == counts.shape[1]:
            slots[slot].few = -1
            return
        counts[slot, at].id = id_
        counts[slot, at].early = 0
        counts[slot, at].late = 0
        few += 1
        slots[slot].few = few
    if side == 0:
        counts[slot, at].early += change
    else:
        counts[slot, at].late += change
    if counts[slot, at].early == 0 and counts[slot, at].late == 0:
        counts[slot, at].id = counts[slot, few - 1].id
        counts[slot, at].early = counts[slot, few - 1].early
        counts[slot, at].late = counts[slot, few - 1].late
        slots[slot].few = few - 1


@njit(**_PART)
def divergence(early: int, late: int, share: float, yates: bool) -> float:
    """What one id adds to the statistic: counts in both halves against what `share` of them in the older half says."""
    both = early + late
    off = abs(early - both * share)
    if yates:
        off -= min(0.5, off)
    return off * off / (both * (share * (1.0 - share)))  # both halves are off by as much


@njit(**_FAST)
def statistic(memory: Any, slot: int) -> Any:
    """The chi-squared statistic of a pair's older ids against its newer ones, and its degrees of freedom.

    As `scipy.stats.chi2_contingency`: with one degree of freedom, Yates's continuity correction.
    """
    window, seen = memory.ring.shape[1], memory.slots[slot].seen
    length = min(seen, window)
    half = length // 2
    share, total = half / length, 0.0
    few = memory.slots[slot].few
    if few >= 0:
        for i in range(few):
            here = memory.counts[slot, i]
            total += divergence(here.early, here.late, share, few == 2)
        return total, few - 1
    memory.clock[0].marks += 1
    now, size = memory.clock[0].marks, np.uint64(len(memory.hash) - 1)
    start, distinct = seen % window if seen > window else 0, 0
    for i in range(length):
        at = start + i
        if at >= window:
            at -= window
        id_ = memory.ring[slot, at]
        h = np.int64(scramble(np.uint64(id_)) & size)
        while memory.hash[h, 1] == now and memory.hash[h, 0] != id_:
            h = np.int64(np.uint64(h + 1) & size)
        if memory.hash[h, 1] != now:
            memory.hash[h, 0] = id_
            memory.hash[h, 1] = now
            memory.place[h, 0] = 0
            memory.place[h, 1] = 0
            memory.used[distinct] = h
            distinct += 1
        memory.place[h, 0 if i < half else 1] += 1
    for i in range(distinct):
        h = memory.used[i]
        total += divergence(memory.place[h, 0], memory.place[h, 1], share, distinct == 2)
    return total, distinct - 1


@njit(**_PART)
def stationary(rule: Any, memory: Any, slot: int) -> bool:
    """The verdict on a pair: cached, or found by a test."""
    if rule.oracle or memory.slots[slot].fresh == memory.clock[0].generation:
        return bool(memory.slots[slot].verdict != 2)
    return bool(judge(rule.minimum, rule.spending, memory, slot))


@njit(**_FAST)
def judge(minimum: int, spending: bool, memory: Any, slot: int) -> bool:
    """Test a pair and keep the verdict."""
    verdict = 1
    if min(memory.slots[slot].seen, memory.ring.shape[1]) >= minimum:
        total, freedom = statistic(memory, slot)
        row = 0
        if spending:
            k = memory.slots[slot].tests + 1
            row = 1
            while k > 1 and row < memory.critical.shape[0] - 1:
                k >>= 1
                row += 1
        memory.slots[slot].tests += 1
        memory.clock[0].tests += 1
        if freedom > 0 and total >= memory.critical[row, freedom]:
            verdict = 2
            memory.clock[0].alarms += 1
    memory.slots[slot].verdict = verdict
    memory.slots[slot].fresh = memory.clock[0].generation
    return verdict == 1
