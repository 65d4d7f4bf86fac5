"""How fast markets clear: batches of small ones, one large one, all profiles of a game; beside scipy in the same run.

Figures are processor time of one thread. Two programs that are compared take turns in one process, and the ratio is the
median of the ratios of neighbouring turns.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from walras.benchmarks.peers.stopwatch import Play, compare
from walras.benchmarks.suite import Case, Metric, Outcome, Progress, Suite, Target

if TYPE_CHECKING:
    from walras.envs.game import Array

_MODULE = "walras.benchmarks.suites.platform_clearing"
LANES = 2000


def _markets(seed: int, lanes: int, size: int, law: str) -> tuple[Array, Array]:
    rng = np.random.default_rng([seed, size])
    everybody = np.ones((lanes, size, size), bool)
    if law == "uniform":
        return rng.random((lanes, size, size)), everybody
    if law == "integer":
        return rng.integers(1, 101, (lanes, size, size)), everybody
    values = np.repeat(rng.integers(1, 21, (lanes, size, 1)), size, axis=2)
    return values, rng.random((lanes, size, size)) < 0.4


def _ours(values: Array, allowed: Array) -> Play:
    from walras.envs.platforms.clearing import clear

    clear(values[:2], allowed[:2])  # compiles before anything is timed

    def play(markets: int) -> int:
        done = 0
        while done < markets:
            count = min(len(values), markets - done)
            clear(values[:count], allowed[:count])
            done += count
        return done

    return play


def _scipy(values: Array, allowed: Array, prices: bool) -> Play:
    """A loop over scipy's assignment; with `prices` also one solution without each seller and with each good twice."""
    from scipy.optimize import linear_sum_assignment

    weights = np.where(allowed, values, 0).astype(np.float64)
    m = weights.shape[2]
    without = [np.array([k for k in range(m) if k != j]) for j in range(m)]
    twice = [np.append(np.arange(m), j) for j in range(m)]

    def best(w: Array) -> Any:
        rows, columns = linear_sum_assignment(w, maximize=True)
        return w[rows, columns].sum()

    def play(markets: int) -> int:
        for k in range(markets):
            w = weights[k % len(weights)]
            total = best(w)
            if prices:
                [total - best(w[:, keep]) for keep in without]
                [best(w[:, more]) - total for more in twice]
        return markets

    return play


def batch(seed: int, progress: Progress, *, size: int, law: str, peer: str, turns: int, block: float) -> Outcome:
    """Batches of small markets, both price vectors, against scipy market by market."""
    values, allowed = _markets(seed, LANES, size, law)
    measured = compare(
        _ours(values, allowed), _scipy(values, allowed, peer == "prices"), progress, turns=turns, block=block
    )
    return Outcome({"speed": measured.ours, "peer_speed": measured.peer, "ratio": measured.ratio})


def large(seed: int, progress: Progress, *, size: int, law: str, turns: int) -> Outcome:
    """One large market: our matching with both price vectors, against scipy's matching alone."""
    from scipy.optimize import linear_sum_assignment

    from walras.envs.platforms.clearing import clear, competitive_violations

    rng = np.random.default_rng([seed, size])
    allowed = np.ones((size, size), bool)
    values: Array
    if law == "uniform":
        values = rng.random((size, size))
    elif law == "integer":
        values = rng.integers(1, 101, (size, size))
    else:
        top = rng.random((size, 1)) if law == "homogeneous" else rng.integers(1, 21, (size, 1))
        values = np.repeat(top, size, axis=1)
        allowed = rng.random((size, size)) < 0.1
    weights = np.where(allowed, values, 0).astype(np.float64)
    clear(values[:300, :300], allowed[:300, :300])  # compiles
    ratios, ours, theirs = [], [], []
    for turn in range(turns):
        start = time.process_time()
        result = clear(values, allowed)
        middle = time.process_time()
        rows, columns = linear_sum_assignment(weights, maximize=True)
        end = time.process_time()
        ours.append(middle - start)
        theirs.append(end - middle)
        ratios.append(ours[-1] / theirs[-1])
        progress((turn + 1) / (turns + 1), f"turn {turn + 1} of {turns}")
    scale = float(weights.max())
    wrong = sum(
        int(competitive_violations(values, allowed, result.matching, p).found(1e-9 * scale * size)[0])
        for p in (result.price_max, result.price_min)
    )
    wrong += int(abs(float(result.welfare[0]) - weights[rows, columns].sum()) > 1e-9 * scale * size)
    return Outcome(
        {
            "cpu_seconds": statistics.median(ours),
            "peer_seconds": statistics.median(theirs),
            "slowdown": statistics.median(ratios),
            "violations": wrong,
        }
    )


def games(seed: int, progress: Progress, *, size: int, law: str, turns: int, block: float) -> Outcome:
    """All 2^m profiles of joining games, by the walk through the tree of choices against a batch of all profiles."""
    from walras.envs.platforms.clearing import clear
    from walras.envs.platforms.profiles import choices, price_profiles

    values, _ = _markets(seed, 64, size, law)
    known = np.random.default_rng([seed, 8]).random(values.shape) < 0.3
    price_profiles(values[:1], known[:1])  # compiles before anything is timed
    x = choices(size)[:, None, :] == 1

    def walk(count: int) -> int:
        done = 0
        while done < count:
            part = min(len(values), count - done)
            price_profiles(values[:part], known[:part])
            done += part
        return done

    def separate(count: int) -> int:
        for k in range(count):
            clear(values[k % 64], known[k % 64] | x)
        return count

    measured = compare(walk, separate, progress, turns=turns, block=block)
    return Outcome(
        {
            "speed": measured.ours,
            "peer_speed": measured.peer,
            "ratio": measured.ratio,
            "microseconds": 1e6 / measured.ours,
        }
    )


def torch_batch(seed: int, progress: Progress, *, size: int, lanes: int, device: str, turns: int) -> Outcome:
    """The torch form on a device (wall time, transfers left out), against the compiled kernel on one CPU thread."""
    import torch

    from walras.envs.platforms.clearing import clear
    from walras.envs.platforms.clearing_torch import clear_torch

    rng = np.random.default_rng([seed, size])
    values = rng.integers(1, 101, (lanes, size, size))
    allowed = np.ones(values.shape, bool)
    v, a = torch.tensor(values, device=device), torch.tensor(allowed, device=device)

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    clear_torch(v[:64], a[:64])
    clear(values[:64], allowed[:64])
    ours, theirs = [], []
    for turn in range(turns):
        wait()
        start = time.perf_counter()
        result = clear_torch(v, a)
        wait()
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        kernel = clear(values, allowed)
        theirs.append(time.perf_counter() - start)
        progress((turn + 1) / turns, f"turn {turn + 1} of {turns}")
    wrong = sum(
        int((getattr(kernel, name) != getattr(result, name).cpu().numpy()).sum())
        for name in ("welfare", "price_max", "price_min")
    )
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    return Outcome(
        {
            "speed": lanes / statistics.median(ours),
            "peer_speed": lanes / statistics.median(theirs),
            "ratio": statistics.median(ratios),
            "violations": wrong,
        }
    )


_TURNS = {"turns": 5, "block": 0.2}
_BRIEF = {"turns": 3, "block": 0.1}
_LARGE = ("uniform", "integer", "homogeneous", "homogeneous-integer")

SUITE = Suite(
    name="clearing-speed",
    title="Speed of market clearing",
    status="verified",
    description=(
        "Matching and both extreme competitive price vectors, beside scipy's linear_sum_assignment in one process. "
        "Processor time of one thread; ratios are medians over turns."
    ),
    cases=(
        *(
            Case(
                f"batch-{size}-{law}",
                f"{_MODULE}:batch",
                {"size": size, "law": law, "peer": "prices", **(_TURNS if size == 10 else _BRIEF)},
                description=f"{LANES:,} markets {size}x{size}, {law}. Peer: a loop over scipy's matching, solved again "
                "without each seller and with each good twice.",
            )
            for size, law in ((5, "uniform"), (10, "uniform"), (10, "integer"), (10, "homogeneous"), (20, "uniform"))
        ),
        *(
            Case(
                f"matching-{size}",
                f"{_MODULE}:batch",
                {"size": size, "law": "uniform", "peer": "matching", **_BRIEF},
                description=f"The same, {size}x{size}, beside a loop over scipy's matching alone, without prices.",
            )
            for size in (10, 50)
        ),
        *(
            Case(
                f"large-{law}",
                f"{_MODULE}:large",
                {"size": 3000, "law": law, "turns": 3},
                cost="minutes" if law == "uniform" else "seconds",
                description=f"One market 3000x3000, {law}"
                + (", a tenth of all pairs" if law.startswith("homogeneous") else "")
                + ": matching and both price vectors, beside scipy's matching alone.",
            )
            for law in _LARGE
        ),
        *(
            Case(
                f"games-{size}",
                f"{_MODULE}:games",
                {"size": size, "law": "integer", **_BRIEF},
                description=f"Joining games of {size} sellers, {size} buyers: all {2**size:,} profiles, walking from "
                "profile to profile; beside our batch kernel on every profile.",
            )
            for size in (5, 10)
        ),
        Case(
            "torch-cpu",
            f"{_MODULE}:torch_batch",
            {"size": 10, "lanes": 5000, "device": "cpu", "turns": 2},
            requires=("torch",),
            description="The torch form on the CPU, 5,000 markets 10x10, beside the compiled kernel.",
        ),
        Case(
            "torch-gpu",
            f"{_MODULE}:torch_batch",
            {"size": 10, "lanes": 1_000_000, "device": "cuda", "turns": 3},
            cost="gpu",
            requires=("torch",),
            description="The torch form on a GPU, a million markets 10x10, beside the kernel on one CPU thread.",
        ),
    ),
    metrics=(
        Metric("speed", "/s", "higher", "timing", "Markets (or games) per CPU second (torch: per second)."),
        Metric("peer_speed", "/s", "none", "timing", "The peer's, same run."),
        Metric("ratio", "×", "higher", "timing", "Our speed over the peer's."),
        Metric("cpu_seconds", "s", "lower", "timing", "Our time for one large market, matching and prices."),
        Metric("peer_seconds", "s", "none", "timing", "scipy's time for the matching alone."),
        Metric("slowdown", "×", "lower", "timing", "Our time over scipy's."),
        Metric("microseconds", "µs", "lower", "timing", "Time for one game, all profiles."),
        Metric("violations", better="lower", description="Numbers that differ, or prices that are not competitive."),
    ),
    targets=(
        Target("batch-10-uniform", "speed", at_least=100_000, text="10x10 markets, both price vectors, a CPU-second"),
        Target("batch-10-uniform", "speed", at_least=200_000, text="the aim: 200,000"),
        Target("batch-10-uniform", "ratio", at_least=20.0, text="against scipy and deletion re-solves: 20 times"),
        Target("batch-10-uniform", "ratio", at_least=50.0, text="the aim: 50 times"),
        Target("batch-10-homogeneous", "speed", at_least=100_000, text="the same with ties everywhere"),
        *(
            Target(f"large-{law}", "slowdown", at_most=3.0, text="n = m = 3000: at most 3 times scipy")
            for law in _LARGE
        ),
        *(Target(f"large-{law}", "slowdown", at_most=2.0, text="the aim: twice") for law in _LARGE),
        *(Target(f"large-{law}", "violations", at_most=0, text="and the prices are competitive") for law in _LARGE),
        Target("games-5", "microseconds", at_most=100.0, text="a game of 5 sellers in under 0.1 ms"),
        Target("torch-cpu", "violations", at_most=0, text="torch and the kernel agree on integers"),
        Target("torch-gpu", "violations", at_most=0, text="torch and the kernel agree on integers"),
    ),
)
