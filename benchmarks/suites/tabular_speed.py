"""The tabular engine beside OpenSpiel (C++ and Python) and LiteEFG in the same run, and as games grow.

Every figure is processor time of one thread. Two programs that are compared run in turns in one process, and the ratio
is the median of the ratios of neighbouring turns. Our kernels are compiled before the clock starts.
"""

from __future__ import annotations

from typing import Any

from walras.benchmarks.peers.stopwatch import compare
from walras.benchmarks.suite import Case, Known, Metric, Outcome, Progress, Published, Suite, Target

_MODULE = "walras.benchmarks.suites.tabular_speed"


def cfr(seed: int, progress: Progress, *, game: str, form: str, peer: str, turns: int, block: float) -> Outcome:
    """Iterations of CFR a second, ours against a peer's (`"c++"`, `"python"` or `"liteefg"`)."""
    from walras.benchmarks.peers import tabular

    peers = {"c++": tabular.openspiel_cfr, "python": tabular.python_cfr, "liteefg": tabular.liteefg_cfr}
    return _outcome(compare(tabular.ours_cfr(game, form), peers[peer](game), progress, turns=turns, block=block))


def external(seed: int, progress: Progress, *, game: str, turns: int, block: float) -> Outcome:
    """Iterations of external sampling a second (a traversal for each player), ours against OpenSpiel's C++."""
    from walras.benchmarks.peers import tabular

    ours, peer = tabular.ours_external(game, seed), tabular.openspiel_external(game, seed)
    return _outcome(compare(ours, peer, progress, turns=turns, block=block))


def evaluations(seed: int, progress: Progress, *, game: str, turns: int, block: float) -> Outcome:
    """Evaluations of exploitability a second, ours against OpenSpiel's C++."""
    from walras.benchmarks.peers import tabular

    ours, peer = tabular.ours_exploitability(game), tabular.openspiel_exploitability(game)
    return _outcome(compare(ours, peer, progress, turns=turns, block=block))


def _outcome(measured: Any) -> Outcome:
    return Outcome({"speed": measured.ours, "peer_speed": measured.peer, "ratio": measured.ratio})


def same_strategy(seed: int, progress: Progress, *, game: str, iterations: int) -> Outcome:
    """The largest difference between our average strategy and that of OpenSpiel's C++ solver, and its worth."""
    import numpy as np
    import pyspiel

    from walras.algorithms.tabular import CFR, exploitability, from_openspiel_policy
    from walras.envs.tabular import cached_game

    flat = cached_game(game)
    solver = pyspiel.CFRSolver(pyspiel.load_game(game))
    for i in range(iterations):
        solver.evaluate_and_update_policy()
        if i % max(1, iterations // 20) == 0:
            progress(i / iterations, f"{i} iterations")
    theirs = from_openspiel_policy(flat, solver.average_policy()).probabilities
    found = {form: CFR(flat, form=form).fit(iterations).average_ for form in ("sequence", "tree")}
    off = max(float(np.abs(strategy - theirs).max()) for strategy in found.values())
    return Outcome({"difference": off, "exploitability": exploitability(flat, found["sequence"])})


def abcs_nodes(seed: int, progress: Progress, *, game: str, profile: str, nodes: int) -> Outcome:
    """Nodes touched a second by ABCs, detection included."""
    import time

    from walras.algorithms.tabular import ABCs
    from walras.envs.tabular import cached_game

    learner = ABCs(cached_game(game), profile=profile, seed=seed).fit(nodes=nodes // 10)  # type: ignore[arg-type]
    start, before = time.process_time(), learner.nodes_
    learner.fit(nodes=nodes)
    return Outcome({"speed": (learner.nodes_ - before) / (time.process_time() - start)})


def grow(seed: int, progress: Progress, *, game: str, parameters: dict[str, Any], seconds: float) -> Outcome:
    """Compile a game, then sweep it with CFR in both forms: costs per node."""
    import resource
    import time

    from walras.algorithms.tabular import CFR
    from walras.envs.tabular import compile_game

    CFR(compile_game("walras/WeightedRPS-v0")).fit(1)
    CFR(compile_game("walras/WeightedRPS-v0"), form="tree").fit(1)  # compiles the kernels
    start = time.process_time()
    flat = compile_game(game, progress=lambda share, text: progress(0.4 * share, text), **parameters)
    metrics = {"nodes": float(flat.n_nodes), "compile_seconds": time.process_time() - start}
    start = time.process_time()
    _ = flat.sequence_form
    metrics["sequence_seconds"] = time.process_time() - start
    for form in ("sequence", "tree"):
        learner = CFR(flat, form=form).fit(1)
        done, start = 0, time.process_time()
        while done == 0 or time.process_time() - start < seconds:
            step = max(1, done)
            learner.fit(step)
            done += step
        spent = time.process_time() - start
        metrics[f"{form}_speed"] = done / spent
        metrics[f"{form}_nanoseconds"] = 1e9 * spent / done / flat.n_nodes
        progress(0.7 if form == "sequence" else 1.0, f"{form} form measured")
    metrics["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return Outcome(metrics)


_GAMES = {"kuhn": "kuhn_poker", "leduc": "leduc_poker", "liars-dice": "liars_dice"}
_WORDS = {"kuhn": "Kuhn poker", "leduc": "Leduc poker", "liars-dice": "Liar's Dice, one die of six sides"}
_TURNS = {"turns": 7, "block": 0.2}


def _versus(kind: str, game: str, words: str, **params: Any) -> Case:
    peer = params.get("peer", "c++")
    # One iteration of a slow peer is longer than a turn should be: fewer turns then.
    turns = {**_TURNS, "turns": 3} if game == "liars-dice" or peer in ("python", "liteefg") else _TURNS
    requires = ("pyspiel", "LiteEFG") if peer == "liteefg" else ("pyspiel",)
    function = {"cfr-sequence": "cfr", "cfr-tree": "cfr", "external": "external", "exploitability": "evaluations"}[kind]
    return Case(
        f"{kind}-{game}" + ("" if peer == "c++" else f"-{peer}"),
        f"{_MODULE}:{function}",
        {"game": _GAMES[game], **turns, **params},
        cost="minutes" if game == "liars-dice" or peer != "c++" else "seconds",
        requires=requires,
        description=f"{_WORDS[game]}: {words}",
    )


_AUCTION = "walras/DiscreteAuction-v0"
_GROWTH: dict[str, tuple[str, dict[str, Any], str]] = {
    "grow-1e2": ("kuhn_poker", {}, "seconds"),
    "grow-1e4": ("leduc_poker", {}, "seconds"),
    "grow-3e5": ("liars_dice", {}, "seconds"),
    "grow-auction-1e4": (_AUCTION, {"values": 14}, "seconds"),
    "grow-auction-1e6": (_AUCTION, {"values": 44}, "minutes"),
    "grow-auction-1e7": (_AUCTION, {"values": 79}, "minutes"),
    "grow-dice-8e6": ("liars_dice", {"dice_sides": 8}, "minutes"),
}

SUITE = Suite(
    name="tabular-speed",
    title="Speed of the tabular engine",
    status="verified",
    description=(
        "Iterations per second of processor time on one thread, beside other programs that do the same in the same "
        "process. An iteration of CFR updates every player once; one of external sampling traverses once for each. "
        "`compile` and `grow` rows say what a game costs before and while it is swept."
    ),
    cases=(
        *(
            _versus(
                "cfr-sequence",
                game,
                "CFR in sequence form against OpenSpiel's C++ solver.",
                form="sequence",
                peer="c++",
            )
            for game in _GAMES
        ),
        *(
            _versus("cfr-tree", game, "CFR on the flat tree against OpenSpiel's C++ solver.", form="tree", peer="c++")
            for game in _GAMES
        ),
        *(
            _versus(
                "cfr-sequence",
                game,
                "CFR in sequence form against OpenSpiel's Python solver.",
                form="sequence",
                peer="python",
            )
            for game in ("kuhn", "leduc")
        ),
        *(
            _versus(
                "cfr-sequence",
                game,
                "CFR in sequence form against LiteEFG.",
                form="sequence",
                peer="liteefg",
            )
            for game in ("kuhn", "leduc")
        ),
        *(
            _versus(
                "external",
                game,
                "external sampling, regret matching, simple averaging, against OpenSpiel's C++ solver.",
            )
            for game in _GAMES
        ),
        *(
            _versus("exploitability", game, "exploitability of a strategy, against `pyspiel.exploitability`.")
            for game in _GAMES
        ),
        *(
            Case(
                f"same-{game}",
                f"{_MODULE}:same_strategy",
                {"game": _GAMES[game], "iterations": iterations},
                requires=("pyspiel",),
                description=f"{_WORDS[game]}: our average strategy, both forms, against that of OpenSpiel's C++ solver "
                f"after {iterations} iterations.",
            )
            for game, iterations in (("kuhn", 1000), ("leduc", 100), ("liars-dice", 5))
        ),
        *(
            Case(
                f"abcs-leduc-{profile}",
                f"{_MODULE}:abcs_nodes",
                {"game": "leduc_poker", "profile": profile, "nodes": 2_000_000},
                requires=("pyspiel",),
                description=f"Leduc poker: ABCs, {profile} profile, detection included.",
            )
            for profile in ("published", "corrected")
        ),
        *(
            Case(
                name,
                f"{_MODULE}:grow",
                {"game": game, "parameters": parameters, "seconds": 1.0},
                cost=cost,  # type: ignore[arg-type]
                requires=() if game == _AUCTION else ("pyspiel",),
                description="A game compiled and swept: "
                + (
                    f"first-price auction, {parameters['values']} values"
                    if game == _AUCTION
                    else f"{game} {parameters or ''}".strip()
                )
                + ".",
            )
            for name, (game, parameters, cost) in _GROWTH.items()
        ),
    ),
    metrics=(
        Metric("speed", "/s", "higher", "timing", "Ours, per second of processor time."),
        Metric("peer_speed", "/s", "higher", "timing", "The peer's."),
        Metric("ratio", "×", "higher", "timing", "Median over turns of ours over the peer's."),
        Metric("difference", "", "lower", "value", "Largest difference between average strategies."),
        Metric("exploitability", "", "lower", "value", "Of our average strategy."),
        Metric("nodes", "", "none", "value", "Nodes of the tree."),
        Metric("compile_seconds", "s", "lower", "timing", "From the game to flat arrays."),
        Metric("sequence_seconds", "s", "lower", "timing", "From flat arrays to the sequence form."),
        Metric("sequence_speed", "/s", "higher", "timing", "Iterations of CFR in sequence form."),
        Metric("tree_speed", "/s", "higher", "timing", "Iterations of CFR on the tree."),
        Metric("sequence_nanoseconds", "ns", "lower", "timing", "Per node and iteration, sequence form."),
        Metric("tree_nanoseconds", "ns", "lower", "timing", "Per node and iteration, tree."),
        Metric("memory", "GiB", "lower", "timing", "Peak memory of the process."),
    ),
    known=(
        Known("same-kuhn", "exploitability", 0.000937617, "OpenSpiel's CFRSolver, 1000 iterations", "identity", 5e-9),
        Known("same-leduc", "exploitability", 0.0957164, "OpenSpiel's CFRSolver, 100 iterations", "identity", 5e-7),
        Known("same-liars-dice", "exploitability", 0.310689, "OpenSpiel's CFRSolver, 5 iterations", "identity", 5e-6),
    ),
    published=(
        *(
            Published("abcs-leduc-published", "speed", value, "the authors' Python, measured by us", note)
            for value, note in ((3300.0, "about, on another machine"),)
        ),
    ),
    targets=(
        *(
            Target(
                f"cfr-sequence-{game}",
                "ratio",
                at_least=least,
                text=f"sequence form, {_WORDS[game]}: {least:g} times C++",
            )
            for game, least in (("leduc", 150), ("leduc", 400), ("liars-dice", 80), ("kuhn", 50))
        ),
        *(
            Target(f"cfr-tree-{game}", "ratio", at_least=least, text=f"flat tree, {_WORDS[game]}: {least:g} times C++")
            for game, least in (("leduc", 40), ("leduc", 100), ("liars-dice", 20))
        ),
        Target("external-leduc", "ratio", at_least=4, text="external sampling, Leduc: 4 times C++"),
        Target("external-leduc", "ratio", at_least=10, text="external sampling, Leduc: 10 times C++ (one core)"),
        Target("exploitability-leduc", "ratio", at_least=100, text="exploitability, Leduc: 100 times C++"),
        Target("exploitability-leduc", "ratio", at_least=400, text="exploitability, Leduc: 400 times C++"),
        Target("cfr-sequence-leduc-liteefg", "ratio", at_least=50, text="CFR, Leduc: 50 times LiteEFG"),
        Target("cfr-sequence-leduc-liteefg", "ratio", at_least=200, text="CFR, Leduc: 200 times LiteEFG"),
        *(
            Target(f"same-{game}", "difference", at_most=1e-12, text=f"{_WORDS[game]}: OpenSpiel's strategy to 1e-12")
            for game in _GAMES
        ),
        Target("abcs-leduc-published", "speed", at_least=300_000, text="ABCs, Leduc: 300,000 nodes a second"),
        Target("abcs-leduc-published", "speed", at_least=1_000_000, text="ABCs, Leduc: 1,000,000 nodes a second"),
        Target("grow-3e5", "compile_seconds", at_most=5.0, text="Liar's Dice 1x6 compiled in 5 s"),
        Target("grow-auction-1e7", "nodes", at_least=1e7, text="a game of 10^7 nodes"),
        Target("grow-auction-1e7", "memory", at_most=24.0, text="a game of 10^7 nodes in 24 GiB"),
    ),
)
