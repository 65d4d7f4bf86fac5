"""How fast episodes run through each door, beside other programs in the same run, and what importing walras costs.

Every figure is processor time. Two programs that are compared play in turns in one process, and the ratio is the
median of the ratios of neighbouring turns, so that a busy machine slows both alike.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from walras.benchmarks.peers.stopwatch import Comparison, compare
from walras.benchmarks.suite import Case, Metric, Outcome, Progress, Suite, Target

_MODULE = "walras.benchmarks.suites.speed"
HEAVY = ("torch", "stable_baselines3", "pyspiel", "open_spiel", "matplotlib", "ray")
"""What neither `import walras` nor `walras --help` may load."""


def native_econgym(seed: int, progress: Progress, *, bidders: int, lanes: int, turns: int, block: float) -> Outcome:
    """Our vector door against econgym's bare loop."""
    from walras.benchmarks.peers import econgym_loop, gymnasium_sync

    ours = gymnasium_sync.native(seed, bidders=bidders, lanes=lanes)
    return _outcome(compare(ours, econgym_loop.loop(seed, bidders=bidders), progress, turns=turns, block=block))


def single_econgym(
    seed: int, progress: Progress, *, bidders: int, wrapped: bool, shared: bool, turns: int, block: float
) -> Outcome:
    """Our single door, bare or as `gymnasium.make` wraps it, against econgym's bare loop."""
    from walras.benchmarks.peers import econgym_loop, gymnasium_sync

    ours = gymnasium_sync.single(seed, bidders=bidders, wrapped=wrapped)
    peer = econgym_loop.loop(seed, bidders=bidders, shared=shared)
    return _outcome(compare(ours, peer, progress, turns=turns, block=block))


def native_sync(seed: int, progress: Progress, *, bidders: int, lanes: int, turns: int, block: float) -> Outcome:
    """Our vector door against Gymnasium's `SyncVectorEnv` around our single door, with as many lanes."""
    from walras.benchmarks.peers import gymnasium_sync

    ours, peer = (make(seed, bidders=bidders, lanes=lanes) for make in (gymnasium_sync.native, gymnasium_sync.sync))
    return _outcome(compare(ours, peer, progress, turns=turns, block=block))


def native_openspiel(
    seed: int, progress: Progress, *, bidders: int, values: int, lanes: int, turns: int, block: float
) -> Outcome:
    """Our finite auction on the native batch against OpenSpiel's Python API."""
    from walras.benchmarks.peers import openspiel_auction

    ours = openspiel_auction.native(seed, bidders=bidders, values=values, lanes=lanes)
    peer = openspiel_auction.loop(seed, bidders=bidders, values=values)
    return _outcome(compare(ours, peer, progress, turns=turns, block=block))


def native_dummy(seed: int, progress: Progress, *, bidders: int, lanes: int, turns: int, block: float) -> Outcome:
    """Our SB3 door against SB3's `DummyVecEnv` around our single door, with as many lanes."""
    from walras.benchmarks.peers import sb3_dummy

    ours, peer = (make(seed, bidders=bidders, lanes=lanes) for make in (sb3_dummy.native, sb3_dummy.dummy))
    return _outcome(compare(ours, peer, progress, turns=turns, block=block))


def _outcome(measured: Comparison) -> Outcome:
    return Outcome({"speed": measured.ours, "peer_speed": measured.peer, "ratio": measured.ratio})


_IMPORT = "import walras"
_HELP = """
import contextlib, io
from walras.cli import main
with contextlib.redirect_stdout(io.StringIO()):
    try:
        main(["--help"])
    except SystemExit as end:
        assert not end.code, end.code
"""
_PROBE = """
import json, sys, time
exec({text!r}, {{}})
print(json.dumps([time.process_time(), [name for name in {heavy!r} if name in sys.modules]]))
"""


def fresh_process(seed: int, progress: Progress, *, what: str, repeats: int) -> Outcome:
    """CPU seconds of fresh processes that run `import walras` or `walras --help`, and the heavy modules they load.

    Raises:
        ValueError: If `what` is neither `"import"` nor `"help"`.
        RuntimeError: If a process fails.
    """
    if what not in ("import", "help"):
        raise ValueError(f"what must be 'import' or 'help', got {what!r}")
    probe = _PROBE.format(text=_IMPORT if what == "import" else _HELP, heavy=HEAVY)
    seconds: list[float] = []
    loaded: set[str] = set()
    for turn in range(repeats + 1):  # the first one may have to write byte code
        progress(turn / (repeats + 1), f"process {turn + 1} of {repeats + 1}")
        done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"the fresh process ended with status {done.returncode}:\n{done.stderr}")
        spent, heavy = json.loads(done.stdout)
        seconds.append(spent)
        loaded.update(heavy)
    return Outcome({"cpu_seconds": statistics.median(seconds[1:] or seconds), "heavy_modules": len(loaded)})


_TURNS = {"turns": 7, "block": 0.2}
_ISSUE = "First-price auction, 3 bidders, U[0, 1] values, whole episodes."

SUITE = Suite(
    name="doors-speed",
    title="Speed of the doors",
    status="verified",
    description=(
        "Whole episodes (reset and step) per second of processor time, beside other programs that play the same game "
        "in turns in the same process; the ratio is the median over turns. And what importing walras costs."
    ),
    cases=(
        Case(
            "vector-4096",
            f"{_MODULE}:native_econgym",
            {"bidders": 3, "lanes": 4096, **_TURNS},
            requires=("econgym",),
            description=f"{_ISSUE} Our vector door, 4,096 lanes; peer: econgym's fastest bare loop.",
        ),
        Case(
            "single",
            f"{_MODULE}:single_econgym",
            {"bidders": 3, "wrapped": False, "shared": False, **_TURNS},
            requires=("econgym",),
            description=f"{_ISSUE} Our single Gymnasium door, unwrapped; peer: econgym's loop of `reset()` and step.",
        ),
        Case(
            "single-shared",
            f"{_MODULE}:single_econgym",
            {"bidders": 3, "wrapped": False, "shared": True, **_TURNS},
            requires=("econgym",),
            description=f"{_ISSUE} The same door; peer: econgym's fastest loop, `reset(rng=...)` with one generator.",
        ),
        Case(
            "single-made",
            f"{_MODULE}:single_econgym",
            {"bidders": 3, "wrapped": True, "shared": False, **_TURNS},
            requires=("econgym",),
            description=f"{_ISSUE} With the wrappers of gymnasium.make; peer: econgym's loop of `reset()` and step.",
        ),
        *(
            Case(
                f"vector-{lanes}-sync",
                f"{_MODULE}:native_sync",
                {"bidders": 3, "lanes": lanes, **_TURNS},
                description=f"{_ISSUE} Our vector door, {lanes} lanes; peer: Gymnasium's SyncVectorEnv around as many "
                "of our single environments.",
            )
            for lanes in (16, 256)
        ),
        Case(
            "sb3-256",
            f"{_MODULE}:native_dummy",
            {"bidders": 3, "lanes": 256, **_TURNS},
            requires=("stable_baselines3",),
            description=f"{_ISSUE} Our SB3 VecEnv, 256 lanes, stepped without a learner; peer: SB3's "
            "DummyVecEnv around as many of our single environments.",
        ),
        Case(
            "discrete-4096",
            f"{_MODULE}:native_openspiel",
            {"bidders": 3, "values": 10, "lanes": 4096, **_TURNS},
            requires=("pyspiel",),
            description="Finite first-price auction, 3 bidders, values 1 to 10. Our vector door, 4,096 lanes; peer: "
            "OpenSpiel's first_sealed_auction by its Python API.",
        ),
        Case(
            "import",
            f"{_MODULE}:fresh_process",
            {"what": "import", "repeats": 5},
            description="import walras in a fresh process: median of five.",
        ),
        Case(
            "help",
            f"{_MODULE}:fresh_process",
            {"what": "help", "repeats": 3},
            description="walras --help in a fresh process: median of three.",
        ),
    ),
    metrics=(
        Metric("speed", "episodes/s", "higher", "timing", "Our whole episodes per CPU second."),
        Metric("peer_speed", "episodes/s", "none", "timing", "The peer's whole episodes per CPU second, same run."),
        Metric("ratio", "×", "higher", "timing", "Our speed over the peer's: median over turns."),
        Metric(
            "cpu_seconds", "s", "lower", "timing", "CPU seconds of the whole process, the start of Python included."
        ),
        Metric("heavy_modules", "", "lower", "value", f"How many of {', '.join(HEAVY)} were loaded."),
    ),
    targets=(
        Target("vector-4096", "ratio", at_least=100.0, text="vector door at batch 4,096 at least 100 times econgym"),
        Target("single", "ratio", at_least=0.3, text="single Gymnasium door at least 0.3 of econgym's bare loop"),
        Target("single-shared", "ratio", at_least=0.3, text="the same against econgym's fastest loop"),
        Target("import", "cpu_seconds", at_most=0.6, text="import walras within 0.6 CPU seconds"),
        Target("import", "heavy_modules", at_most=0, text="import walras loads no heavy library"),
        Target("help", "heavy_modules", at_most=0, text="walras --help loads no heavy library"),
    ),
)
