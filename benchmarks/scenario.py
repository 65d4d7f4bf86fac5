"""Scenarios: who plays what, in one short TOML file.

    game = "walras/SealedBidAuction-v0"
    episodes = 100000
    seeds = 3

    [parameters]
    bidders = 3

    [seats]
    bidder = "equilibrium"
    bidder_0 = { file = "trained.safetensors" }

A seat is filled by a policy's name or by a file that a learner saved; seats not mentioned play the equilibrium where
the game knows one, else uniformly at random. A scenario runs as a suite of one case, so it is stored, resumed and
tabulated like every other measurement. A file with a table `[society]` is one of `walras.benchmarks.society_scenario`.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from walras.benchmarks.runner import Chosen
from walras.benchmarks.society_scenario import SocietyScenario, from_entries
from walras.benchmarks.suite import Case, Metric, Outcome, Progress, Suite
from walras.envs.arguments import whole
from walras.envs.game import Game, Truth
from walras.envs.play import play
from walras.envs.registry import make
from walras.envs.seats import fill_seats

LANES = 4096
"""Games played side by side; a scenario's numbers do not depend on it."""

_KEYS = {"title": str, "game": str, "episodes": int, "seeds": int, "parameters": dict, "seats": dict}


@dataclass(frozen=True)
class Scenario:
    """One experiment.

    Attributes:
        name: from the file's name.
        game: registered id.
        parameters: of the game.
        seats: role or agent -> policy's name, or `{"file": path}`.
        episodes: episodes of each seed, >= 1.
        seeds: number of seeds, >= 1.
        title: one line for tables.
    """

    name: str
    game: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seats: Mapping[str, Any] = field(default_factory=dict)
    episodes: int = 10_000
    seeds: int = 1
    title: str = ""

    def __post_init__(self) -> None:
        """Check the numbers, and that the game can be made and its seats filled.

        Raises:
            ValueError: naming the entry at fault.
        """
        for name in ("episodes", "seeds"):
            whole(name, getattr(self, name))
        try:
            game = make(self.game, **self.parameters)
        except KeyError as error:
            raise ValueError(str(error.args[0])) from error
        except ModuleNotFoundError as error:
            raise ValueError(f"game: {error}") from error
        except TypeError as error:
            raise ValueError(f"parameters: {error}") from error
        fill_seats(game, _policies(self.seats))

    def truths(self) -> tuple[Truth, ...]:
        """What the game knows about itself."""
        return make(self.game, **self.parameters).truths()

    def suite(self) -> Chosen:
        """The scenario as a suite of one case, ready for `run_suites`."""
        game = make(self.game, **self.parameters)
        roles = [role.name for role in game.roles if role.count is not None]
        metrics = [Metric(f"return.{name}", better="higher") for name in (*roles, *game.agents)]
        params: dict[str, Any] = {
            "game": self.game,
            "parameters": dict(self.parameters),
            "seats": {seat: _identified(who) for seat, who in self.seats.items()},
            "episodes": self.episodes,
        }
        case = Case("play", f"{__name__}:measure", params, seeds=self.seeds, description=self.title)
        metrics += [Metric("return.all", better="higher"), Metric("steps")]
        text = self.title or f"play of {self.game}"
        suite = Suite(self.name, self.title or self.name, text, (case,), tuple(metrics))
        return Chosen(suite, json.dumps(suite.to_dict()), (case,))


def load_scenario(path: str | Path) -> Scenario | SocietyScenario:
    """Read a scenario file, of a game or (where it has a table `[society]`) of a society; nothing in it is executed.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the file and the entry at fault.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"scenario: there is no file {str(file)!r}")
    try:
        entries = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: not a TOML file: {error}") from error
    name = re.sub(r"[^A-Za-z0-9._+-]", "-", file.stem).lstrip("._+-") or "scenario"
    if "society" in entries:
        return from_entries(name, entries, file)
    for key, value in entries.items():
        if key not in _KEYS:
            raise ValueError(f"{file}: unknown entry {key!r}; known are {sorted(_KEYS)}")
        if not isinstance(value, _KEYS[key]):
            raise ValueError(f"{file}: {key} must be a {_KEYS[key].__name__}, got {value!r}")
    if "game" not in entries:
        raise ValueError(f"{file}: the entry 'game' is missing")
    entries["seats"] = {seat: _located(who, seat, file) for seat, who in entries.get("seats", {}).items()}
    try:
        return Scenario(name, **entries)
    except (ValueError, TypeError, FileNotFoundError) as error:
        raise ValueError(f"{file}: {error}") from error


def measure(
    seed: int, progress: Progress, *, game: str, parameters: Mapping[str, Any], seats: Mapping[str, Any], episodes: int
) -> Outcome:
    """Play the episodes of one seed: mean return of every agent and role, of all together, and mean length."""
    rules = make(game, **parameters)
    policies = _policies(seats)
    totals, steps = np.zeros(rules.n_agents), 0
    for start in range(0, episodes, LANES):
        lanes = min(LANES, episodes - start)
        played = play(rules, policies, batch=lanes, seed=seed, lane=start)
        totals += played.returns.sum(axis=0)
        steps += int(played.lengths.sum())
        progress((start + lanes) / episodes, f"{start + lanes} episodes")
    return Outcome({**_returns(rules, totals / episodes), "steps": steps / episodes})


def _returns(game: Game[Any], means: Any) -> dict[str, float]:
    result = {f"return.{agent}": float(means[k]) for agent, (_, _, k) in game.seat.items()}
    for role in game.roles:
        if role.count is not None:
            result[f"return.{role.name}"] = float(np.mean([means[game.seat[agent][2]] for agent in role.agents]))
    return {**result, "return.all": float(means.sum())}


def _located(who: Any, seat: str, file: Path) -> Any:
    """A seat's entry with the path of its file made absolute."""
    if isinstance(who, str):
        return who
    if isinstance(who, dict) and who.keys() == {"file"} and isinstance(who["file"], str):
        return {"file": str((file.parent / who["file"]).resolve())}
    raise ValueError(f'{file}: seats.{seat} must be a policy\'s name or {{ file = "..." }}, got {who!r}')


def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _identified(who: Any) -> Any:
    """A seat's entry with the digest of its file, so that results of an older file are not taken for its own."""
    return {**who, "sha256": _digest(who["file"])} if isinstance(who, Mapping) else who


def _policies(seats: Mapping[str, Any]) -> dict[str, Any]:
    from walras.agents.files import load_policy

    policies = {}
    for seat, who in seats.items():
        if isinstance(who, Mapping):
            if who.get("sha256") not in (None, _digest(who["file"])):
                raise ValueError(f"seats.{seat}: the file {who['file']} has changed since the run began; run it again")
            policies[seat] = load_policy(who["file"])
        else:
            policies[seat] = who
    return policies
