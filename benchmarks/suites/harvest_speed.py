"""How fast the harvest worlds run: state only, with the seven views, through a door; beside a loop over Python dicts.

Figures are processor time of one thread; a step is one of all seven players. Two programs that are compared take turns
in one process, and the ratio is the median of the ratios of neighbouring turns.
"""

from __future__ import annotations

from walras.benchmarks.peers.stopwatch import compare
from walras.benchmarks.suite import Case, Metric, Outcome, Progress, Published, Suite, Target

_MODULE = "walras.benchmarks.suites.harvest_speed"


def batch(seed: int, progress: Progress, *, lanes: int, views: bool, turns: int, block: float) -> Outcome:
    """Our rules in `lanes` worlds against the dict loop."""
    from walras.benchmarks.peers import harvest_dict

    ours = harvest_dict.native(seed, lanes=lanes, views=views)
    measured = compare(ours, harvest_dict.loop(seed, views=views), progress, turns=turns, block=block)
    return Outcome({"speed": measured.ours, "peer_speed": measured.peer, "ratio": measured.ratio})


def door(seed: int, progress: Progress, *, turns: int, block: float) -> Outcome:
    """Our PettingZoo door, one world, against the dict loop with views."""
    from walras.benchmarks.peers import harvest_dict

    ours = harvest_dict.parallel_door(seed)
    measured = compare(ours, harvest_dict.loop(seed, views=True), progress, turns=turns, block=block)
    return Outcome({"speed": measured.ours, "peer_speed": measured.peer, "ratio": measured.ratio})


_TURNS = {"turns": 5, "block": 0.2}
_PEER = "Peer: a loop over dicts by agent in Python, written for this comparison."
_MELTING_POT = "Melting Pot 2.4, measured for the specification on a loaded 2-core machine"

SUITE = Suite(
    name="harvest-speed",
    title="Speed of the harvest worlds",
    status="verified",
    description=(
        "Steps of Commons Harvest per CPU second, seven players, random actions, beside a per-agent loop over Python "
        "dicts in the same process. Rows of other programs were measured or published elsewhere: see their notes."
    ),
    cases=(
        *(
            Case(
                f"{'views' if views else 'state'}-{lanes}",
                f"{_MODULE}:batch",
                {"lanes": lanes, "views": views, **_TURNS},
                description=f"{lanes:,} worlds, {'with the seven views' if views else 'state only'}. {_PEER}",
            )
            for views in (False, True)
            for lanes in (1024, 64, 1)
        ),
        Case(
            "pettingzoo",
            f"{_MODULE}:door",
            {**_TURNS},
            description=f"One world through our PettingZoo parallel door, views included. {_PEER}",
        ),
    ),
    metrics=(
        Metric("speed", "steps/s", "higher", "timing", "Our steps per CPU second; each moves seven players."),
        Metric("peer_speed", "steps/s", "none", "timing", "The dict loop's, same run."),
        Metric("ratio", "×", "higher", "timing", "Our speed over the dict loop's: median over turns."),
    ),
    published=(
        Published("views-1", "speed", 1300.0, _MELTING_POT, "1,100 to 1,500; it draws RGB, a reset takes about 0.8 s"),
        Published(
            "views-1024", "ratio", 50.0, "SocialJax, arXiv 2503.14576, abstract",
            "at least, of whole trainings on a GPU over Melting Pot's RLlib baselines: another ratio than ours",
        ),
        Published(
            "state-1024", "speed", 2_900_000.0, "WarpDrive (of the AI Economist's authors), arXiv 2108.13976, abstract",
            "another game: Tag, 2,000 worlds on a GPU; no figure of the AI Economist's own game was found",
        ),
    ),
    targets=(
        Target("state-1024", "speed", at_least=600_000, text="state only, batch 1,024: 600,000 steps a CPU-second"),
        Target("state-1024", "speed", at_least=1_500_000, text="the aim: 1,500,000"),
        Target("views-1024", "speed", at_least=100_000, text="with the seven views: 100,000"),
        Target("views-1024", "speed", at_least=300_000, text="the aim: 300,000"),
    ),
)  # fmt: skip
