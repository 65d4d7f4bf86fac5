"""Scenarios of societies: game, population, levers, vote, principal, followers, rounds, seeds, in one short TOML file.

    title = "A median voter sets the tax"
    seeds = 3
    lanes = 4
    ballots = "sincere"

    [society]
    game = "walras/LabourTax-v0"
    rounds = 20
    vote = { rule = "median", over = "policy" }

    [principal]
    method = "gaussian-process"

    [followers]
    rule = "scripted"

The table `[society]` holds an id and parameters: of `Society`, put over that game, or of the game itself where it is a
society already. A scenario runs as a suite of one case, so it is stored, tabulated and drawn like every other
measurement; its rounds are kept while it runs, so that an interrupted run resumes in the middle of a seed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from walras.benchmarks.runner import Chosen
from walras.benchmarks.scratch import standing
from walras.benchmarks.store import Record, code_version, fingerprint
from walras.benchmarks.suite import Case, Curve, Metric, Outcome, Picture, Progress, Suite
from walras.envs.arguments import whole
from walras.envs.game import Truth
from walras.envs.registry import make
from walras.envs.society.layer import Society

if TYPE_CHECKING:
    from walras.algorithms.society.followers import Followers

NETWORKS = ("ppo", "dual-rl")
"""Principals that are networks: trained first, then frozen in their seat."""


@dataclass(frozen=True)
class SocietyScenario:
    """One experiment with a society.

    Attributes:
        name: from the file's name.
        society: `game`, and parameters (see the module).
        principal: `method` and its settings, as in `principals.as_principal`, or `{"method": "ppo" | "dual-rl", ...}`
            with `steps` (of PPO) or `iterations`, `warm` (of both levels); empty: `fixed`, or none for a vote over the
            policy.
        followers: `rule` and its settings, as in `followers.as_followers`; seats by name or `{"file": path}`.
        ballots: how citizens vote.
        lanes: societies side by side.
        seeds: number of seeds.
        title: one line for tables.
    """

    name: str
    society: Mapping[str, Any]
    principal: Mapping[str, Any] = field(default_factory=dict)
    followers: Mapping[str, Any] = field(default_factory=dict)
    ballots: str = "sincere"
    lanes: int = 1
    seeds: int = 1
    title: str = ""

    def __post_init__(self) -> None:
        """Check the numbers, and that everything can be made.

        Raises:
            ValueError: naming the entry at fault.
        """
        from walras.algorithms.society.voters import BALLOTS, Voters

        for name in ("lanes", "seeds"):
            whole(name, getattr(self, name))
        made = society_of(self.society)
        ruler, led = _principal_of(self.principal, made), _followers_of(self.followers, made, 0)
        if ruler == "ppo" and not led.policies():
            raise ValueError("principal 'ppo': followers in seats are needed, those of this rule look at tables")
        if ruler == "dual-rl" and self.followers:
            raise ValueError("followers: 'dual-rl' trains its own, set by principal.follower")
        if self.ballots not in BALLOTS:
            raise ValueError(f"ballots must be one of {list(BALLOTS)}, got {self.ballots!r}")
        if made.rule is not None:
            Voters(made, self.ballots)

    def truths(self) -> tuple[Truth, ...]:
        """What is known about the society without playing it."""
        return society_of(self.society).truths()

    def suite(self) -> Chosen:
        """The scenario as a suite of one case, ready for `run_suites`."""
        made = society_of(self.society)
        params: dict[str, Any] = {
            "society": dict(self.society), "principal": dict(self.principal), "followers": _identified(self.followers),
            "ballots": self.ballots, "lanes": self.lanes,
        }  # fmt: skip
        case = Case("rounds", f"{__name__}:measure", params, cost="minutes", seeds=self.seeds, description=self.title)
        metrics = [Metric(name, better="higher" if name == "objective" else "none") for name in _names(made)]
        picture = Picture("rounds", self.title or self.name, f"{__name__}:draw_rounds", ("rounds",), (9.0, 6.0))
        text = self.title or f"a society over {self.society['game']}"
        suite = Suite(self.name, self.title or self.name, text, (case,), tuple(metrics), pictures=(picture,))
        return Chosen(suite, json.dumps(suite.to_dict()), (case,))


KEYS = {
    "title": str, "seeds": int, "lanes": int, "ballots": str, "society": dict, "principal": dict, "followers": dict,
}  # fmt: skip
"""Entries of a file, and their types."""


def from_entries(name: str, entries: Mapping[str, Any], file: Path) -> SocietyScenario:
    """A scenario from the entries of its file.

    Raises:
        ValueError: naming the file and the entry at fault.
    """
    for key, value in entries.items():
        if key not in KEYS:
            raise ValueError(f"{file}: unknown entry {key!r}; known are {sorted(KEYS)}")
        if not isinstance(value, KEYS[key]):
            raise ValueError(f"{file}: {key} must be a {KEYS[key].__name__}, got {value!r}")
    rest = dict(entries)
    followers = dict(rest.get("followers", {}))
    seats = followers.get("seats", {})
    if not isinstance(seats, Mapping):
        raise ValueError(f"{file}: followers.seats must be a table, got {seats!r}")
    if seats:
        followers["seats"] = {
            seat: {**who, "file": str((file.parent / who["file"]).resolve())}
            if isinstance(who, Mapping) and isinstance(who.get("file"), str)
            else who
            for seat, who in seats.items()
        }
    principal = dict(rest.get("principal", {}))
    if isinstance(principal.get("transcript"), str):
        principal["transcript"] = str((file.parent / principal["transcript"]).resolve())
    try:
        return SocietyScenario(name, **{**rest, "followers": followers, "principal": principal})
    except (ValueError, TypeError, KeyError, FileNotFoundError, ImportError) as error:
        text = error.args[0] if isinstance(error, KeyError) else error
        raise ValueError(f"{file}: {text}") from error


def measure(
    seed: int, progress: Progress, *, society: Mapping[str, Any], principal: Mapping[str, Any],
    followers: Mapping[str, Any], ballots: str, lanes: int,
) -> Outcome:  # fmt: skip
    """Live through the rounds of one seed: means over the last tenth of them, and everything over the rounds."""
    from walras.algorithms.society.principals import Principal
    from walras.algorithms.society.rounds import live

    made = society_of(society)
    params = {
        "society": society, "principal": principal, "followers": followers, "ballots": ballots, "lanes": lanes,
    }  # fmt: skip
    mark = hashlib.sha256(f"{fingerprint('measure', params)} {code_version()} {seed}".encode()).hexdigest()[:24]
    led = _followers_of(followers, made, seed)
    ruler = _principal_of(principal, made)
    share = 0.0
    if isinstance(ruler, str):
        share = 0.5
        ruler, led = _trained(
            ruler, dict(principal), made, led, seed, lambda f, text: progress(0.5 * f, f"training: {text}"), mark
        )
    lived = live(
        made, ruler, led, ballots=ballots, lanes=lanes, seed=seed,
        progress=lambda f, text: progress(share + (1 - share) * f, text), checkpoint=standing(f"{mark}.rounds"),
    )  # fmt: skip
    history = lived.history
    tail = max(1, len(history) // 10)
    columns = {
        "objective": history.served(),
        **{f"welfare.{name}": values for name, values in history.welfare.items()},
        "revenue": history.revenue,
        **{f"policy.{_word(label)}": history.policy[:, i] for i, label in enumerate(made.labels)},
        **{f"measure.{_word(name)}": history.measures[:, i] for i, name in enumerate(made.objectives)},
        **{f"vote.{_word(name)}": history.weights[:, i] for i, name in enumerate(made.objectives)},
        **{f"told.{_word(name)}": values for name, values in history.facts.items()},
        **{f"utility.{name}": history.utility[:, i] for i, name in enumerate(made.citizens)},
    }
    if isinstance(ruler, Principal) and lived.best is not None:
        best = {f"best.{_word(label)}": float(lived.best[i]) for i, label in enumerate(made.labels)}
    else:
        best = {}
    x = np.arange(1, len(history) + 1)
    curves = {name: Curve(x, values, "round", name) for name, values in columns.items()}
    return Outcome({**{name: float(values[-tail:].mean()) for name, values in columns.items()}, **best}, curves)


def draw_rounds(figure: Any, results: Mapping[str, Sequence[Record]]) -> None:
    """Four charts over the rounds: welfare and equality, policies, votes and revenue, utilities; mean of the seeds."""
    records = results.get("rounds", ())
    axes = figure.subplots(2, 2, sharex=True)
    groups: tuple[tuple[str, list[str], list[str]], ...] = (
        ("welfare", ["objective", "welfare.utilitarian", "welfare.egalitarian", "welfare.nash"], []),
        ("policy", [], ["policy."]),
        ("objective voted, and equality", ["welfare.equality"], ["vote."]),
        ("citizens' utilities, revenue", ["revenue"], ["utility."]),
    )
    for ax, (title, names, prefixes) in zip(axes.ravel(), groups, strict=True):
        present = dict.fromkeys(name for record in records for name in record.curves)
        shown = [n for n in names if n in present] + [n for n in present if any(n.startswith(p) for p in prefixes)]
        for name in shown:
            rows = [np.asarray(record.curves[name].y, float) for record in records if name in record.curves]
            x = np.asarray(next(record.curves[name].x for record in records if name in record.curves), float)
            line = ax.plot(x, np.mean(rows, axis=0), label=name.partition(".")[2] or name, linewidth=1.2)[0]
            if len(rows) > 1:
                ax.fill_between(x, np.min(rows, axis=0), np.max(rows, axis=0), color=line.get_color(), alpha=0.15)
        ax.set_title(title, fontsize=9)
        ax.tick_params(labelsize=7)
        if shown and len(shown) <= 12:
            ax.legend(fontsize=6, frameon=False)
    for ax in axes[1]:
        ax.set_xlabel("round", fontsize=8)


def save_picture(path: Path, records: Sequence[Record]) -> bool:
    """Write `draw_rounds` as a PNG file; `False` where matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(9.0, 6.0), layout="constrained")
    FigureCanvasAgg(figure)
    draw_rounds(figure, {"rounds": records})
    figure.savefig(path, dpi=120)
    return True


def society_of(entries: Mapping[str, Any]) -> Society:
    """The society that a table describes.

    Raises:
        ValueError: if the game is unknown or a parameter does not fit.
    """
    rest = dict(entries)
    id = rest.pop("game", None)
    if not isinstance(rest.get("parameters", {}), Mapping):
        raise ValueError(f"society.parameters must be a table, got {rest['parameters']!r}")
    if not isinstance(id, str):
        raise ValueError(f"society.game must be a registered id, got {id!r}")
    try:
        from walras.envs.registry import spec

        entry = spec(id)
        kind = _kind(entry.entry_point)
        if issubclass(kind, Society):
            made = make(id, **rest)
        else:
            made = Society(id, rest.pop("parameters", None), **rest)
    except KeyError as error:
        raise ValueError(f"society.game: {error.args[0]}") from error
    except TypeError as error:
        raise ValueError(f"society: {error}") from error
    except ModuleNotFoundError as error:
        raise ValueError(f"society.game: {error}") from error
    assert isinstance(made, Society)
    return made


def _kind(entry_point: str) -> type:
    import importlib

    module, _, name = entry_point.partition(":")
    kind: type = getattr(importlib.import_module(module), name)
    return kind


def _principal_of(given: Mapping[str, Any], society: Society) -> Any:
    """A principal, the name of a network that is to be trained, or `None` where the vote is over the policy."""
    from walras.algorithms.society.principals import Proposals, as_principal

    if society.over == "policy":
        if given:
            raise ValueError("principal: the vote is over the policy itself; there is none")
        return None
    method = given.get("method", "fixed")
    if method in NETWORKS:
        _network_settings(method, given)
        return method
    made = as_principal({"method": "fixed", **given})
    if isinstance(made, Proposals):
        if made.transcript is None or not Path(made.transcript).is_file():
            raise ValueError(f"principal.transcript: an existing file is needed, got {made.transcript!r}")
    else:  # whether it fits the policy shows at its first proposal
        made.propose(_bounds(society), society.weights, np.random.default_rng(0))
    return made


def _network_settings(method: str, given: Mapping[str, Any]) -> Any:
    """Settings of a network in the principal's seat: of PPO, or of both levels.

    Raises:
        ValueError: if one is unknown or out of range.
    """
    from dataclasses import replace

    from walras.algorithms.shared_ppo import SharedPPOSettings
    from walras.algorithms.society.neural import PRINCIPAL_SETTINGS, DualSettings

    settings = {name: value for name, value in given.items() if name != "method"}
    known = ["steps"] if method == "ppo" else ["iterations", "warm", "phase_in", "follower"]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ValueError(f"principal {method!r}: unknown settings {unknown}; known are {known}")
    if method == "ppo":
        return replace(PRINCIPAL_SETTINGS, steps=whole("steps", settings.get("steps", PRINCIPAL_SETTINGS.steps)))
    try:
        SharedPPOSettings(**settings.get("follower", {}))
    except TypeError as error:
        raise ValueError(f"principal.follower: {error}") from error
    return DualSettings(**settings)


def _bounds(society: Society) -> Any:
    from walras.algorithms.society.principals import Record as Tried

    return Tried.empty(society.low, society.high, len(society.objectives), len(society.citizens))


def _followers_of(given: Mapping[str, Any], society: Society, seed: int) -> Followers:
    from walras.algorithms.society.followers import as_followers

    settings = dict(given)
    seats = settings.get("seats")
    if seats:
        settings["seats"] = {seat: _seated(who, seat, society) for seat, who in seats.items()}
    return as_followers(settings, society, seed)


def _seated(who: Any, seat: str, society: Society) -> Any:
    if not isinstance(who, Mapping):
        return who
    settings = dict(who)
    if "file" in settings:
        from walras.agents.files import load_policy

        if settings.get("sha256") not in (None, _digest(settings["file"])):
            raise ValueError(f"followers.seats.{seat}: the file has changed since the run began; run it again")
        return load_policy(settings["file"])
    raise ValueError(f'followers.seats.{seat}: a policy\'s name or {{ file = "..." }} is needed, got {who!r}')


def _trained(
    method: str,
    settings: dict[str, Any],
    society: Society,
    followers: Followers,
    seed: int,
    progress: Progress,
    mark: str,
) -> tuple[Any, Followers]:
    """A network in the principal's seat, and the followers it rules."""
    from walras.algorithms.society import neural
    from walras.algorithms.society.followers import Seats

    chosen = _network_settings(method, settings)
    if method == "ppo":
        trained = neural.train_principal(
            society, followers, chosen, seed=seed, progress=progress, checkpoint=standing(f"{mark}.ppo")
        )
        return trained.policy, followers
    both = neural.DualRL(society, chosen, seed=seed).fit(progress)
    return both.principal(), Seats(society, both.follower_policies())


def _names(society: Society) -> list[str]:
    """Metrics of a society's rounds."""
    kinds = [f"welfare.{name}" for name in society.welfare_functions]
    labels = [_word(label) for label in society.labels]
    goals = [_word(name) for name in society.objectives]
    told = [f"told.{_word(fact)}" for fact in society.told]
    return [
        "objective", *kinds, "revenue",
        *(f"policy.{label}" for label in labels), *(f"best.{label}" for label in labels),
        *(f"measure.{name}" for name in goals), *(f"vote.{name}" for name in goals), *told,
        *(f"utility.{name}" for name in society.citizens),
    ]  # fmt: skip


def _word(label: str) -> str:
    """A label as part of a metric's name."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", label).strip("-")


def _identified(followers: Mapping[str, Any]) -> dict[str, Any]:
    """Followers with the digests of their files, so that results of an older file are not taken for their own."""
    seats = followers.get("seats")
    if not seats:
        return dict(followers)
    named = {
        seat: {**who, "sha256": _digest(who["file"])} if isinstance(who, Mapping) and "file" in who else who
        for seat, who in seats.items()
    }
    return {**followers, "seats": named}


def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
