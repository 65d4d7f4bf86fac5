"""Two programs timed against each other in one process: in turns, by processor time, compared by the median ratio."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

from walras.benchmarks.suite import Progress

Play = Callable[[int], int]
"""`play(episodes)` plays at least so many whole episodes (reset and steps) and returns how many it played."""


class Comparison(NamedTuple):
    """Outcome of `compare`.

    Attributes:
        ours: Episodes per CPU second, median over turns.
        peer: The same of the peer.
        ratio: Median over turns of ours / peer, each ratio of two neighbouring turns.
    """

    ours: float
    peer: float
    ratio: float


def compare(ours: Play, peer: Play, progress: Progress, *, turns: int = 7, block: float = 0.3) -> Comparison:
    """Let `ours` and `peer` play in turns.

    Args:
        ours: What is measured.
        peer: What it is held against.
        progress: Told how far the measurement is.
        turns: Turns of each, >= 1.
        block: CPU seconds of one turn, about.

    Raises:
        ValueError: If `turns` is less than 1 or `block` is not positive.
    """
    if turns < 1:
        raise ValueError(f"turns must be >= 1, got {turns}")
    if not block > 0:
        raise ValueError(f"block must be positive, got {block}")
    counts = [_count(play, block) for play in (ours, peer)]
    rates: list[tuple[float, float]] = []
    for turn in range(turns):
        progress(turn / turns, f"turn {turn + 1} of {turns}")
        rates.append((_rate(ours, counts[0]), _rate(peer, counts[1])))
    mine, theirs = zip(*rates, strict=True)
    return Comparison(statistics.median(mine), statistics.median(theirs), statistics.median(a / b for a, b in rates))


def _rate(play: Play, episodes: int) -> float:
    start = time.process_time()
    played = play(episodes)
    return played / (time.process_time() - start)


def _count(play: Play, block: float) -> int:
    """Episodes that take about `block` seconds; finding out warms caches up."""
    episodes = 1
    while True:
        start = time.process_time()
        played = play(episodes)
        spent = time.process_time() - start
        if spent >= block / 4:
            return max(1, round(played * block / spent))
        episodes = 4 * max(episodes, played)
