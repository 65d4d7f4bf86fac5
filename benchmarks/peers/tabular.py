"""Solvers of finite games side by side: OpenSpiel's in C++ and Python, LiteEFG, and ours; one call is some iterations.

OpenSpiel 2.0 (arXiv 1908.09453); LiteEFG 1.0 (arXiv 2407.20351).
"""

from __future__ import annotations

import contextlib
import importlib
import io

from walras.benchmarks.peers.stopwatch import Play


def ours_cfr(game: str, form: str) -> Play:
    """Our CFR; a call goes on where the last one ended."""
    from walras.algorithms.tabular import CFR
    from walras.envs.tabular import cached_game

    learner = CFR(cached_game(game), form=form)  # type: ignore[arg-type]

    def play(iterations: int) -> int:
        # Straight to the sweeps: `fit` looks at the clock now and then, which only short calls would notice.
        learner._sweep.run(learner._clock, learner.iteration_ + iterations, *learner._options)
        return iterations

    play(1)  # compiles
    return play


def openspiel_cfr(game: str) -> Play:
    """`pyspiel.CFRSolver`, in C++."""
    import pyspiel

    solver = pyspiel.CFRSolver(pyspiel.load_game(game))

    def play(iterations: int) -> int:
        for _ in range(iterations):
            solver.evaluate_and_update_policy()
        return iterations

    return play


def python_cfr(game: str) -> Play:
    """`open_spiel.python.algorithms.cfr.CFRSolver`."""
    import pyspiel
    from open_spiel.python.algorithms import cfr

    solver = cfr.CFRSolver(pyspiel.load_game(game))

    def play(iterations: int) -> int:
        for _ in range(iterations):
            solver.evaluate_and_update_policy()
        return iterations

    return play


def liteefg_cfr(game: str) -> Play:
    """LiteEFG's CFR, on the game it makes from OpenSpiel's."""
    import pyspiel

    library, baseline = (importlib.import_module(name) for name in ("LiteEFG", "LiteEFG.baselines.CFR"))
    with contextlib.redirect_stdout(io.StringIO()):
        rule = baseline.graph()
        env = library.OpenSpielEnv(pyspiel.load_game(game), traverse_type="Enumerate", regenerate=True)
        env.set_graph(rule)

    def play(iterations: int) -> int:
        for _ in range(iterations):
            rule.update_graph(env)
            env.update_strategy(rule.current_strategy())
        return iterations

    return play


def ours_external(game: str, seed: int) -> Play:
    """Our external sampling with regret matching and simple averaging."""
    from walras.algorithms.tabular import ExternalSampling
    from walras.envs.tabular import cached_game

    learner = ExternalSampling(cached_game(game), seed=seed)

    def play(iterations: int) -> int:
        learner._run(learner.iteration_ + iterations, 2**62)
        return iterations

    play(1)  # compiles
    return play


def openspiel_external(game: str, seed: int) -> Play:
    """`pyspiel.ExternalSamplingMCCFRSolver` with simple averaging, in C++."""
    import pyspiel

    kind = pyspiel.MCCFRAverageType.SIMPLE
    solver = pyspiel.ExternalSamplingMCCFRSolver(pyspiel.load_game(game), seed=seed, avg_type=kind)

    def play(iterations: int) -> int:
        for _ in range(iterations):
            solver.run_iteration()
        return iterations

    return play


def ours_exploitability(game: str) -> Play:
    """Our exploitability of the uniform strategy."""
    from walras.algorithms.tabular import exploitability
    from walras.envs.tabular import cached_game

    flat = cached_game(game)
    strategy = flat.uniform()

    def play(evaluations: int) -> int:
        for _ in range(evaluations):
            exploitability(flat, strategy)
        return evaluations

    play(1)  # compiles
    return play


def openspiel_exploitability(game: str) -> Play:
    """`pyspiel.exploitability` of the uniform policy, in C++."""
    import pyspiel

    loaded = pyspiel.load_game(game)
    policy = pyspiel.UniformRandomPolicy(loaded)

    def play(evaluations: int) -> int:
        for _ in range(evaluations):
            pyspiel.exploitability(loaded, policy)
        return evaluations

    return play
