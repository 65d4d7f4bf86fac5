"""The command `walras`: list, play, train, solve, design, certify, bench.

Each command is a typed function; tyro turns signatures and docstrings into the command line.
Exit status: 0 success, 1 something failed, 2 wrong request, 130 after Ctrl-C; `certify` has its own verdicts.
"""

from __future__ import annotations

import dataclasses
import functools
import json as json_
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import tyro

import walras
from walras.algorithms.ppo import PPOSettings
from walras.benchmarks import cli as benches
from walras.benchmarks.cli import complain as _complain
from walras.certifying import certify
from walras.designing import design
from walras.solving import solve

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
Given = Annotated[str, tyro.conf.Positional]


def list_(*, json: Flag = False) -> int:
    """Show every game, agent, algorithm and suite, with its status.

    Args:
        json: Print one JSON object instead of tables.
    """
    from walras.agents import AGENTS
    from walras.algorithms import ALGORITHMS
    from walras.benchmarks.suites import get_suite, list_suites

    games = [dataclasses.asdict(spec) for spec in walras.specs()]
    agents = [{"name": name, **_plain(entry)} for name, entry in AGENTS.items()]
    algorithms = [{"name": name, **_plain(entry)} for name, entry in ALGORITHMS.items()]
    suites = [
        {"name": suite.name, "title": suite.title, "cases": len(suite.cases), "status": suite.status}
        for suite in map(get_suite, list_suites(hidden=False))
    ]
    tables = {"games": games, "agents": agents, "algorithms": algorithms, "suites": suites}
    if json:
        print(json_.dumps(tables, indent=2, default=str))
        return 0
    from rich.table import Table

    shown = {"games": ("id", "title", "source", "status"), "suites": ("name", "title", "cases", "status")}
    for name, rows in tables.items():
        columns = shown.get(name) or tuple(dict.fromkeys(key for row in rows for key in row if key != "entry"))
        table = Table(title=name, title_justify="left", box=None, pad_edge=False, title_style="bold")
        for k, column in enumerate(columns):
            table.add_column(column, no_wrap=k == 0)
        for row in rows:
            table.add_row(*(str(row.get(column, "")) for column in columns))
        benches.print_table(table)
        print()
    return 0


def play(scenario: Given, *, json: Flag = False, out: Path = Path("out/play"), jobs: int | None = None) -> int:
    """Run a scenario file, keep its results, and print the table; an interrupted run resumes.

    Args:
        scenario: The TOML file.
        json: Print one JSON array of rows instead of the table.
        out: Folder of the results.
        jobs: Worker processes for the seeds.
    """
    from walras.benchmarks.display import choose as choose_display
    from walras.benchmarks.runner import run_suites
    from walras.benchmarks.scenario import load_scenario
    from walras.benchmarks.scratch import kept_in
    from walras.benchmarks.society_scenario import SocietyScenario, save_picture
    from walras.benchmarks.store import Store, StoreError
    from walras.benchmarks.table import as_table, build_rows, case_records, to_json

    try:
        found = load_scenario(scenario)
        chosen = found.suite()
        with Store(out / found.name) as store, kept_in(out / found.name / "unfinished"):
            summary = run_suites([chosen], store, jobs=jobs, display=choose_display())
            (case,) = chosen.cases
            records = case_records(store, chosen.suite.name, case, seeds=found.seeds)
            rows = build_rows(chosen.suite, {case.name: records})
    except (ValueError, FileNotFoundError, StoreError) as error:
        return _complain(error)
    if json:
        print(to_json(rows))
    else:
        benches.print_table(as_table(rows))
        for truth in found.truths():
            print(f"{truth.kind}: {truth.name} = {truth.value:.6g}   ({truth.source})")
        print(f"results in {store.path}", file=sys.stderr)
    done = [record for record in records if record.status == "done"]
    remains = out / found.name / "unfinished"
    if remains.is_dir() and not any(remains.iterdir()):
        remains.rmdir()
    if isinstance(found, SocietyScenario) and done and save_picture(out / found.name / "rounds.png", done):
        print(f"rounds drawn in {out / found.name / 'rounds.png'}", file=sys.stderr)
    if summary.failed:
        print(summary.failed[0].error, file=sys.stderr)
    return 130 if summary.interrupted else 1 if summary.failed else 0


def train(
    env: Given,
    /,
    settings: Annotated[PPOSettings, tyro.conf.arg(name="")],
    *,
    algo: Literal["ppo"] = "ppo",
    agent: str | None = None,
    others: str | None = None,
    seed: int = 0,
    parameters: str = "{}",
    out: Path = Path("out/train"),
    episodes: int = 100_000,
) -> int:
    """Train one seat of a game and save the policy, with the settings that made it; an interrupted training resumes.

    Args:
        env: Registered id of the game.
        settings: Settings of the algorithm.
        algo: The algorithm.
        agent: The seat that learns; the game's first agent by default.
        others: Policy of all other seats; by default the equilibrium where known, else random.
        seed: Seed of everything.
        parameters: Parameters of the game, as a JSON object.
        out: Folder of the trained policy, and of the checkpoint while training.
        episodes: Fresh episodes on which the result is measured.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from walras.agents.storage import write_whole
    from walras.algorithms.ppo import train_ppo

    try:
        if episodes < 1:
            raise ValueError(f"episodes must be at least 1, got {episodes}")
        if out.exists() and not out.is_dir():
            raise ValueError(f"out: {out} is a file; a folder is needed")
        given = json_.loads(parameters)
        if not isinstance(given, dict):
            raise ValueError(f"parameters: a JSON object is needed, got {parameters!r}")
        game = walras.make(env, **given)
        stem = f"{env.rpartition('/')[2]}-{game.agents[0] if agent is None else agent}-{algo}-seed{seed}"
        checkpoint = out / f"{stem}.checkpoint"
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task("training", total=1.0)
            trained = train_ppo(
                game, agent, settings, seed=seed, others=others, checkpoint=checkpoint,
                progress=lambda fraction, text: bar.update(task, completed=fraction, description=text),
            )  # fmt: skip
    except json_.JSONDecodeError as error:
        return _complain(ValueError(f"parameters: not JSON: {error}"))
    except (KeyError, TypeError, ValueError, ImportError) as error:
        return _complain(error)
    except OSError as error:
        print(f"walras: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        kept = checkpoint.exists()
        rest = f"run the same command again to go on from {checkpoint}" if kept else "nothing was saved yet"
        print(f"walras: interrupted; {rest}", file=sys.stderr)
        return 130
    path = out / f"{stem}.safetensors"
    trained.policy.save(path)
    seats: dict[str, Any] = {} if others is None else dict.fromkeys(game.agents, others)
    try:
        measured = walras.play(game, {**seats, trained.agent: trained}, batch=episodes, seed=seed + 1_000_003)
    except KeyboardInterrupt:
        print(f"walras: interrupted; the policy is in {path}, but was not measured", file=sys.stderr)
        return 130
    facts = {
        "env": env, "parameters": given, "agent": trained.agent, "others": others, "algo": algo, "seed": seed,
        "settings": dataclasses.asdict(settings), "steps": trained.steps, "cpu_seconds": trained.cpu_seconds,
        "episodes": episodes, "mean_return": measured.mean(trained.agent),
        "standard_error": measured.standard_error(trained.agent), "version": walras.__version__,
    }  # fmt: skip
    write_whole(out / f"{stem}.json", lambda file: _write(file, json_.dumps(facts, indent=2) + "\n"))
    mean, deviation = measured.mean(trained.agent), measured.standard_error(trained.agent)
    print(f"{trained.agent}: mean return {mean:.6g} +- {deviation:.2g} over {episodes} episodes")
    for truth in game.truths():
        print(f"{truth.kind}: {truth.name} = {truth.value:.6g}   ({truth.source})")
    print(path)
    return 0


def _write(file: IO[bytes], text: str) -> None:
    file.write(text.encode())


def _plain(entry: Any) -> dict[str, Any]:
    return dataclasses.asdict(entry) if dataclasses.is_dataclass(entry) else dict(entry)  # type: ignore[arg-type]


def bench() -> int:
    """List, run and report benchmark suites; `walras bench --help` says how."""
    return benches.main(["--help"])


COMMANDS: dict[str, Callable[..., int]] = {
    "list": list_,
    "play": play,
    "train": train,
    "solve": solve,
    "design": design,
    "certify": certify,
    "bench": bench,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given == ["--version"]:
        print(f"walras {walras.__version__}")
        return 0
    if given[:1] == ["bench"]:
        return benches.main(given[1:])
    about = "Environments, learners and measurements for economic design."
    # tyro only builds the call: an error in a setting is the user's, an error in the call is ours.
    calls = {name: _deferred(command) for name, command in COMMANDS.items()}
    try:
        try:
            call: Callable[[], int] = tyro.extras.subcommand_cli_from_dict(
                calls, prog="walras", description=about, args=given
            )
        except ValueError as error:
            return _complain(error)
        return call()
    except BrokenPipeError:  # the reader, `head` for example, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _deferred(command: Callable[..., int]) -> Callable[..., Callable[[], int]]:
    """The command, with its arguments, for later."""

    @functools.wraps(command)
    def bind(*arguments: Any, **keywords: Any) -> Callable[[], int]:
        return functools.partial(command, *arguments, **keywords)

    return bind
