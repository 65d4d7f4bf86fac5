"""The command `walras solve`: learn or solve a finite game in tables, keep the strategy, say how good it is."""

from __future__ import annotations

import json as json_
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

Method = Literal["cfr", "cfr+", "dcfr", "external-sampling", "outcome-sampling", "abcs", "max-cfr", "boltzmann-q", "lp"]


def solve(
    game: Annotated[str, tyro.conf.Positional],
    /,
    *,
    method: Method = "cfr+",
    iterations: int | None = None,
    nodes: float | None = None,
    seed: int = 0,
    parameters: str = "{}",
    out: Path = Path("out/solve"),
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Solve a finite game in tables and save the strategy; an interrupted run resumes.

    Args:
        game: Registered id of a finite game, or OpenSpiel's text for one ("leduc_poker").
        method: How; "lp" is the exact linear programme for two players and constant sum.
        iterations: Iterations of the method (1000, unless nodes are given).
        nodes: Nodes to touch instead, for methods that sample.
        seed: Of methods that sample.
        parameters: Of the game, as a JSON object.
        out: Folder of the strategy, and of the checkpoint after an interruption.
        json: Print one JSON object instead of text.
    """
    from walras.agents.storage import write_whole
    from walras.agents.strategy import TabularStrategy
    from walras.algorithms.tabular import expected_returns, gains
    from walras.benchmarks.cli import complain
    from walras.envs.tabular import compile_game

    try:
        given = json_.loads(parameters)
        if not isinstance(given, dict):
            raise ValueError(f"parameters: a JSON object is needed, got {parameters!r}")
        if iterations is not None and nodes is not None:
            raise ValueError("iterations, nodes: one of them can be given, not both")
        if out.exists() and not out.is_dir():
            raise ValueError(f"out: {out} is a file; a folder is needed")
        flat = compile_game(game, **given)
        named = "".join(f"-{name}={value}" for name, value in given.items())
        stem = f"{_stem(game.rpartition('/')[2] + named)}-{method}-seed{seed}"
        checkpoint = out / f"{stem}.checkpoint"
        out.mkdir(parents=True, exist_ok=True)
        budget = {"nodes": nodes} if nodes is not None else {"iterations": 1000 if iterations is None else iterations}
        slots, spent = _run(flat, method, budget, seed, checkpoint)
    except json_.JSONDecodeError as error:
        return complain(ValueError(f"parameters: not JSON: {error}"))
    except (KeyError, TypeError, ValueError, ImportError) as error:
        return complain(error)
    except OSError as error:
        print(f"walras: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        rest = f"run the same command again to go on from {checkpoint}" if checkpoint.exists() else "nothing was saved"
        print(f"walras: interrupted; {rest}", file=sys.stderr)
        return 130
    path = out / f"{stem}.safetensors"
    TabularStrategy.of(flat, slots).save(path)
    gained, returns = gains(flat, slots), expected_returns(flat, slots)
    facts: dict[str, Any] = {
        "game": flat.name, "method": method, "seed": seed, **spent, "nash_conv": float(gained.sum()),
        "gains": dict(zip(flat.players, gained.tolist(), strict=True)),
        "returns": dict(zip(flat.players, returns.tolist(), strict=True)), "strategy": str(path),
    }  # fmt: skip
    text = json_.dumps(facts, indent=2) + "\n"
    write_whole(out / f"{stem}.json", lambda file: _write(file, text))
    checkpoint.unlink(missing_ok=True)
    if json:
        print(text, end="")
        return 0
    print(f"{flat.name}: {flat.n_nodes:,} nodes, {flat.n_infostates:,} infostates, {flat.n_slots:,} slots")
    for player, value, gain in zip(flat.players, returns, gained, strict=True):
        print(f"{player}: expected return {value:.6g}, a best response gains {gain:.3g}")
    print(f"NashConv {gained.sum():.6g}")
    print(path)
    return 0


def _run(flat: Any, method: Method, budget: dict[str, Any], seed: int, checkpoint: Path) -> tuple[Any, dict[str, Any]]:
    """The strategy (S,), and how much was done for it."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from walras.algorithms import tabular
    from walras.algorithms.tabular.learner import count

    if method == "lp":
        return tabular.solve(flat).strategy, {}
    kind: Any
    options: dict[str, Any]
    if method in ("cfr", "cfr+", "dcfr"):
        if "nodes" in budget:
            raise ValueError(f"nodes: {method} sweeps the whole game; give iterations")
        kind, options = tabular.CFR, {"variant": method}
    else:
        kinds = {
            "external-sampling": tabular.ExternalSampling, "outcome-sampling": tabular.OutcomeSampling,
            "abcs": tabular.ABCs, "max-cfr": tabular.MaxCFR, "boltzmann-q": tabular.BoltzmannQ,
        }  # fmt: skip
        kind, options = kinds[method], {"seed": seed}
    learner = kind.load(checkpoint, flat) if checkpoint.exists() else kind(flat, **options)
    ((unit, amount),) = budget.items()
    rest = max(0, count(unit, amount) - (learner.iteration_ if unit == "iterations" else learner.nodes_))
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(method, total=1.0)
        try:
            learner.fit(
                **{unit: rest}, progress=lambda share, text: bar.update(task, completed=share, description=text)
            )
        except KeyboardInterrupt:
            learner.save(checkpoint)
            raise
    return learner.average_, {"iterations": learner.iteration_, "nodes": learner.nodes_}


def _stem(name: str) -> str:
    """A game's text as part of a file's name."""
    kept = "".join(letter if letter.isalnum() or letter in "-_=." else "-" for letter in name)
    return kept.strip("-")[:80]


def _write(file: Any, text: str) -> None:
    file.write(text.encode())
