"""Commons Harvest: statistics of random and scripted play, what restraint is worth, and taxes on players who learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from walras.benchmarks.suite import Case, Curve, Known, Metric, Outcome, Picture, Progress, Published, Suite, Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from walras.benchmarks.store import Record
    from walras.envs.game import Array

_MODULE = "walras.benchmarks.suites.society_harvest"
SHORT = (10, 25, 50, 100)
ARMS = ("no-tax", "best-grid", "principal")
WELFARES = (
    "utilitarian", "egalitarian", "nash", "equality", "equality-productivity", "isoelastic", "inverse-income",
)  # fmt: skip


def random_play(seed: int, progress: Progress, *, game: Mapping[str, Any], episodes: int) -> Outcome:
    """Uniformly random actions in whole episodes."""
    return _played(seed, progress, None, game, episodes)


def restraint(seed: int, progress: Progress, *, k: int, sight: str, episodes: int) -> Outcome:
    """Players who eat only apples with at least k ripe neighbours."""
    return _played(seed, progress, k, {"zap": False, "sight": sight}, episodes)


def _played(seed: int, progress: Progress, k: int | None, parameters: Mapping[str, Any], episodes: int) -> Outcome:
    from walras.agents.harvest import Restraint
    from walras.envs.arena import Arena
    from walras.envs.registry import make
    from walras.envs.seats import fill_seats
    from walras.envs.society.commons import CommonsHarvest

    game = make("walras/CommonsHarvest-v0", **parameters)
    assert isinstance(game, CommonsHarvest)
    who: Any = "random" if k is None else Restraint(k)
    arena = Arena(game, episodes, fill_seats(game, {"player": who}))
    arena.seed(seed)
    arena.deal()
    total = np.zeros((episodes, game.players))
    eaten: list[float] = [0.0]
    ripe = [float(game.ripe(arena.state).mean())]
    for t in range(game.horizon or 0):
        total += arena.step({}).rewards
        eaten.append(float(total.sum(axis=1).mean()))
        ripe.append(float(game.ripe(arena.state).mean()))
        if t % 50 == 0:
            progress(t / (game.horizon or 1), f"step {t}")
    apples = total.sum(axis=1)
    steps = list(range(len(eaten)))
    metrics = {
        "apples": float(apples.mean()),
        "error": float(apples.std(ddof=1) / episodes**0.5),
        "per_player": float(total.mean()),
        "least": float(total.min(axis=1).mean()),
        "ripe": ripe[-1],
    }
    metrics |= {f"apples_{t}": eaten[t] for t in SHORT}
    curves = {
        "eaten": Curve(steps, eaten, "step", "apples eaten"),
        "ripe_apples": Curve(steps, ripe, "step", "ripe apples"),
    }
    return Outcome(metrics, curves)


def growth(seed: int, progress: Progress) -> Outcome:
    """The largest growth, by going through the configurations of every patch, and the bound that follows."""
    from walras.envs.society.commons import REGROWTH
    from walras.envs.society.harvest_map import harvest_map
    from walras.envs.society.harvest_theory import largest_growth, most_apples

    level = harvest_map("open")
    most, bound = largest_growth(level, REGROWTH), most_apples(level, REGROWTH, 1000)
    assert most is not None and bound is not None
    return Outcome({"growth": most, "apples": bound, "per_player": bound / 7})


def taxes(seed: int, progress: Progress, *, brief: bool = False) -> Outcome:
    """Independent PPO players under no tax, the best tax of a grid, and a principal that learns; see the study."""
    from walras.algorithms import harvest_taxes

    settings = harvest_taxes.brief() if brief else harvest_taxes.HarvestTaxSettings()
    found = harvest_taxes.harvest_tax_study(seed, progress, settings=settings)
    metrics: dict[str, float] = {"cpu_seconds": found.cpu_seconds, "egalitarian_vote": float(found.weights[1])}
    for name, arm in found.arms.items():
        metrics |= {f"{name}.{welfare}": value for welfare, value in arm.welfare.items()}
        metrics |= {f"{name}.objective": arm.objective, f"{name}.apples": arm.apples, f"{name}.ripe": arm.ripe}
    arms = found.arms
    metrics["gain"] = arms["principal"].objective - arms["no-tax"].objective
    metrics["gain_over_grid"] = arms["principal"].objective - arms["best-grid"].objective
    curves = {
        f"objective.{name}": Curve(list(range(1, len(arm.curve) + 1)), arm.curve, "round", "voted objective")
        for name, arm in arms.items()
    }
    arrays = {f"policies.{name}": arm.policies for name, arm in arms.items()}
    return Outcome(metrics, curves, arrays | {"grid": found.grid, "grid_value": found.grid_value})


# -- pictures ----------------------------------------------------------------------------------------------------------


def draw_worlds(figure: Figure, results: Mapping[str, Sequence[Record]]) -> None:
    """The orchard after 60 steps of greedy and of restrained players, and what one of the latter sees."""
    from walras.envs.society.harvest_view import draw_view

    pictures: list[tuple[str, Array]] = []
    for k, title in ((0, "greedy, step 60"), (3, "restrained, step 60")):
        game, state = _after(k, 60)
        pictures.append((title, game.render_rgb(state)))
    pictures.append(("what a player sees", draw_view(game, state, 0)))
    axes = figure.subplots(1, len(pictures), width_ratios=[2.0, 2.0, 1.35])
    for axis, (title, picture) in zip(axes, pictures, strict=True):
        axis.imshow(picture, interpolation="nearest")
        axis.set_title(title, fontsize=8)
        axis.axis("off")


def _after(k: int, steps: int) -> tuple[Any, Any]:
    from walras.agents.harvest import Restraint
    from walras.envs.play import play
    from walras.envs.society.commons import CommonsHarvest

    game = CommonsHarvest(zap=False, sight="world", horizon=steps)
    return game, play(game, {"player": Restraint(k)}, batch=1, seed=4).state


def draw_restraint(figure: Figure, results: Mapping[str, Sequence[Record]]) -> None:
    """Apples eaten and ripe over an episode."""
    left, right = figure.subplots(1, 2)
    for case, records in results.items():
        for axis, name in ((left, "eaten"), (right, "ripe_apples")):
            curve = records[0].curves[name]
            axis.plot(curve.x, curve.y, label=case)
    left.set(xlabel="step", ylabel="apples eaten, all players")
    right.set(xlabel="step", ylabel="ripe apples")
    right.legend(fontsize=7)


def draw_taxes(figure: Figure, results: Mapping[str, Sequence[Record]]) -> None:
    """The voted objective while followers adapt, one line a seed, and the rates that the principal tried."""
    left, right = figure.subplots(1, 2)
    for records in results.values():
        for record in records:
            for colour, name in zip(("C3", "C0", "C2"), ARMS, strict=True):
                curve = record.curves[f"objective.{name}"]
                left.plot(curve.x, curve.y, color=colour, lw=1, label=name if record is records[0] else None)
            policies = np.array(record.arrays["policies.principal"])
            for b in range(policies.shape[1]):
                label = f"bracket {b + 1}" if record is records[0] else None
                right.plot(policies[:, b], ".", ms=3, color=f"C{b}", label=label)
    left.set(xlabel="round", ylabel="voted objective")
    right.set(xlabel="round", ylabel="rates of the learning principal")
    left.legend(fontsize=7)
    right.legend(fontsize=7)


_SPEC = "30 episodes of Melting Pot 2.4 itself, measured for the specification"
_RANDOM: dict[str, tuple[dict[str, Any], float, float | None, str, str]] = {
    "random-8": ({}, 141.3, 10.0, _SPEC, "standard error 4.8"),
    "random-7": ({"zap": False}, 178.3, None, _SPEC, "standard error 5.1"),
    "random-follow-up": (
        {"level": "open-fixed", "zap": False, "order": "last-first"}, 190.6, 6.0,
        "400 episodes of the specification's prototype", "standard error 1.7",
    ),
}  # fmt: skip
_RESTRAINT = {0: 67.5, 1: 119.0, 3: 574.2, 4: 546.2}
_TRUTH = "derived: the largest growth of every patch, by enumeration"

SUITE = Suite(
    name="society-harvest",
    title="Commons Harvest: random, scripted and taxed play",
    status="verified",
    description=(
        "Melting Pot's Commons Harvest: Open, the world of the Social Environment Design experiment. Apples "
        "that random and scripted players eat, held against Melting Pot and the specification; players who learn "
        "under taxes."
    ),
    cases=(
        *(
            Case(name, f"{_MODULE}:random_play", {"game": game, "episodes": 400},
                 description=f"Uniformly random actions, 400 episodes of 1,000 steps: {name.removeprefix('random-')}.")
            for name, (game, *_) in _RANDOM.items()
        ),
        Case("random-short", f"{_MODULE}:random_play", {"game": {"zap": False, "horizon": 100}, "episodes": 4000},
             description="Random actions without zap, 4,000 episodes of 100 steps."),
        *(
            Case(f"restraint-{k}", f"{_MODULE}:restraint", {"k": k, "sight": "world", "episodes": 100},
                 description=f"Players who know the map and eat apples with at least {k} ripe neighbours.")
            for k in _RESTRAINT
        ),
        Case("restraint-3-views", f"{_MODULE}:restraint", {"k": 3, "sight": "view", "episodes": 100},
             description="The same with k = 3, seeing their views only and wandering where they see no such apple."),
        Case("growth", f"{_MODULE}:growth", description="Upper bound on what any players can be expected to eat."),
        Case("taxes-brief", f"{_MODULE}:taxes", {"brief": True}, requires=("torch", "sklearn"),
             description="The next case cut down to seconds, to see that it runs; its numbers mean nothing."),
        Case("taxes", f"{_MODULE}:taxes", cost="minutes", seeds=3, requires=("torch", "sklearn"),
             description="Seven selfish players with a shared network, each for itself, on class views: no "
             "tax, the best of 125 bracket taxes, and a principal that learns (Gaussian process), on the objective "
             "that was voted; two to three CPU minutes a seed."),
    ),
    metrics=(
        Metric("apples", "", "none", description="Apples eaten by all players in an episode, mean."),
        Metric("error", "", "none", description="Standard error of that."),
        Metric("per_player", "", "none", description="Apples per player."),
        Metric("least", "", "higher", description="Apples of the player with fewest, mean over episodes."),
        Metric("ripe", "", "none", description="Ripe apples at the end."),
        *(Metric(f"apples_{t}", "", "none", description=f"Apples eaten in the first {t} steps.") for t in SHORT),
        Metric("growth", "", "none", description="Largest expected number of sprouts in a step."),
        *(
            Metric(f"{arm}.{name}", "", "none", description=f"{name} of apples after taxes, {arm}, players frozen.")
            for arm in ARMS
            for name in (*WELFARES, "objective", "apples", "ripe")
        ),
        Metric("gain", "", "higher", description="Voted objective: learning principal less no tax."),
        Metric("gain_over_grid", "", "higher", description="Voted objective: learning principal less best grid."),
        Metric("egalitarian_vote", "", "none", description="1 where the voters chose the least income, 0 the mean."),
        Metric("cpu_seconds", "s", "lower", "timing", "Processor time of one seed."),
    ),
    published=(
        *(Published(name, "apples", value, source, note) for name, (_, value, _, source, note) in _RANDOM.items()),
        *(
            Published("random-short", f"apples_{t}", value, "80 episodes of Melting Pot 2.4, for the specification",
                      f"standard error {error}")
            for t, value, error in zip(SHORT, (0.76, 3.09, 6.91, 16.95), (0.12, 0.33, 0.53, 0.85), strict=True)
        ),
        *(
            Published(f"restraint-{k}", "apples", value, "6 episodes of the specification's prototype")
            for k, value in _RESTRAINT.items()
        ),
    ),
    known=(
        Known("growth", "growth", 0.91, _TRUTH, "identity", 1e-9),
        *(
            Known(f"restraint-{k}", "apples", 972.18, _TRUTH, "bound")
            for k in _RESTRAINT
        ),
    ),
    targets=(
        *(
            Target(name, "apples", at_least=value - room, at_most=value + room, text=f"{value} within {room:g}")
            for name, (_, value, room, *_) in _RANDOM.items() if room is not None
        ),
        Target("random-7", "apples", at_least=168.0, at_most=196.0, text="178 to 186, within 10"),
        *(
            Target(f"restraint-{k}", "apples", at_least=0.95 * value, at_most=1.05 * value, text=f"{value} within 5 %")
            for k, value in _RESTRAINT.items()
        ),
        Target("taxes", "gain", at_least=1e-9, text="the learning principal beats no tax on the voted objective"),
        Target("taxes", "gain_over_grid", at_least=0.0, text="the aim: it beats the best tax of the grid"),
    ),
    pictures=(
        Picture("world", "The orchard, and a player's view of it", f"{_MODULE}:draw_worlds", ("growth",), (7.5, 2.2)),
        Picture("restraint", "What restraint is worth", f"{_MODULE}:draw_restraint",
                tuple(f"restraint-{k}" for k in _RESTRAINT), (7.0, 2.8)),
        Picture("taxes", "Taxes on players who learn", f"{_MODULE}:draw_taxes", ("taxes",), (7.0, 2.8)),
    ),
)  # fmt: skip
