"""The classical games: closed forms against equilibria computed from the rules alone, beside econgym's.

Nothing here asks a game for its equilibrium: best responses are found by stepping the rules with every candidate
action, one candidate a lane.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from walras.benchmarks.suite import Case, Known, Metric, Outcome, Progress, Suite

if TYPE_CHECKING:
    from walras.envs.classical.bargaining import DiscreteBargaining
    from walras.envs.classical.stage import StageGame
    from walras.envs.game import Array

_MODULE = "walras.benchmarks.suites.classical"


# -- ours: equilibria from the rules alone -----------------------------------------------------------------------------


def _payoffs(game: StageGame, profiles: Array) -> Array:
    """Payoffs (B, n) of one round in which everybody does what `profiles` (B, n) says."""
    rng = np.random.default_rng(0)  # stage games draw nothing
    given = profiles[..., None] if game.levels is None else profiles.astype(np.int64)
    return game.step(game.initial(len(profiles), rng), {game.roles[0].name: given}, rng)[1]


def _response(game: StageGame, profile: Array, i: int) -> tuple[float, float]:
    """Best action of player `i` against `profile` (n,) and its payoff: a grid that narrows around its best point."""
    low, high = float(game.low), float(game.high)
    for _ in range(9):
        candidates = np.linspace(low, high, 101)
        profiles = np.repeat(profile[None], len(candidates), axis=0)
        profiles[:, i] = candidates
        payoffs = _payoffs(game, profiles)[:, i]
        best = int(payoffs.argmax())
        step = candidates[1] - candidates[0]
        low, high = (
            max(float(game.low), candidates[best] - 2 * step),
            min(float(game.high), candidates[best] + 2 * step),
        )
    return float(candidates[best]), float(payoffs[best])


def best_responses(seed: int, progress: Progress, *, game: str, rounds: int) -> Outcome:
    """Damped best-response iteration from random actions in a game of continuous actions."""
    from walras.envs.registry import make

    rules: Any = make(game)
    n = rules.n_agents
    profile = np.random.default_rng(seed).uniform(rules.low, rules.high, n)
    for k in range(rounds):
        responses = np.array([_response(rules, profile, i)[0] for i in range(n)])
        # Half way, and less for many players: quantities are substitutes, and whole steps would overshoot.
        profile = profile + 2.0 / (n + 1) * (responses - profile)
        progress((k + 1) / rounds, f"round {k + 1}, action {profile[0]:.6f}")
    payoffs = _payoffs(rules, profile[None])[0]
    gain = max(_response(rules, profile, i)[1] - payoffs[i] for i in range(n))
    found = {"action": float(profile.mean()), "payoff": float(payoffs.mean()), "gain": gain}
    # More digits than the search resolves would only look like a difference.
    return Outcome({name: round(value, 6) for name, value in found.items()})


def grid_equilibrium(seed: int, progress: Progress, *, game: str) -> Outcome:
    """The lowest action of a symmetric pure equilibrium of a game on a grid, found by trying all deviations."""
    from walras.envs.registry import make

    rules: Any = make(game, rounds=1)
    count = len(rules.levels)
    for action in range(count):
        progress(action / count, f"action {action}")
        profiles = np.full((count, rules.n_agents), action)
        profiles[:, 0] = np.arange(count)
        payoffs = _payoffs(rules, profiles)[:, 0]
        gain = float(payoffs.max() - payoffs[action])
        if gain <= 1e-12:
            return Outcome({"action": float(rules.levels[action]), "payoff": float(payoffs[action]), "gain": gain})
    raise ValueError(f"game: {game!r} has no symmetric pure equilibrium")


def grim_trigger(seed: int, progress: Progress, *, rounds: int) -> Outcome:
    """The discount factor from which on cooperation under a grim trigger pays, from recorded payoffs."""
    from walras.envs.play import play
    from walras.envs.registry import make

    game = make("walras/PrisonersDilemma-v0", rounds=rounds)

    def grim(observation: Array) -> Array:
        """Defect once anybody has defected (oneself included)."""
        return np.where((observation[:, 1:] > 0).any(axis=1), 1, 0)

    def defect(observation: Array) -> Array:
        return np.ones(len(observation), np.int64)

    streams = []
    for first in (grim, defect):
        episodes = play(game, {"player_0": first, "player_1": grim}, seed=seed, record=True)
        streams.append(np.array([moment.rewards[0, 0] for moment in episodes.history]))
    difference = streams[0] - streams[1]

    def loyal(patience: float) -> bool:
        """Whether loyalty pays; the last round's payoffs go on for ever."""
        powers = patience ** np.arange(rounds)
        ever_after = float(difference[-1] * powers[-1]) * patience / (1 - patience)
        return float(difference @ powers) + ever_after >= 0

    low, high = 0.0, 1.0 - 1e-9
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (low, middle) if loyal(middle) else (middle, high)
    stage = grid_equilibrium(seed, progress, game="walras/PrisonersDilemma-v0").metrics
    return Outcome({"threshold": round(high, 9), **stage})  # the search ends within 1e-12


def backward_induction(seed: int, progress: Progress, *, rounds: int, grid: int, discount: float) -> Outcome:
    """First proposer's share in bargaining over a pie in `grid - 1` pieces, from the last round back to the first."""
    from walras.envs.registry import make

    game: Any = make("walras/DiscreteBargaining-v0", rounds=rounds, grid=grid, discount=discount)
    values = np.zeros(2)  # what the players get when the last round has ended without agreement
    for now in reversed(range(rounds)):
        values = _round_values(game, now, values)
        progress(1 - now / rounds, f"round {now}")
    return Outcome({"share": float(values[0])})


def _round_values(game: DiscreteBargaining, now: int, later: Array) -> Array:
    """Values (2,) at the start of round `now`, given those of the next, both as worth at the start of the game."""
    count = int(game.grid or 0)
    proposer = now % 2
    responder = 1 - proposer
    claims = np.repeat(np.arange(count), 2)  # every claim, answered by a yes and by a no
    state = game.root(len(claims))._replace(round=np.full(len(claims), now))
    both = np.repeat(claims[:, None], 2, axis=1)
    proposed, _ = game.apply(state, {"bargainer": both})
    answers = np.where(np.arange(len(claims)) % 2 == 0, 0, count - 1)
    ended, rewards = game.apply(proposed, {"bargainer": np.repeat(answers[:, None], 2, axis=1)})
    worth = np.where(game.terminal(ended)[:, None], rewards, later)
    worth = worth.reshape(count, 2, 2)
    # A responder who gains nothing by a refusal agrees.
    refuses = worth[:, 1, responder] > worth[:, 0, responder] + 1e-12
    chosen = np.where(refuses[:, None], worth[:, 1], worth[:, 0])
    best: Array = chosen[int(chosen[:, proposer].argmax())]
    return best


def auction(
    seed: int, progress: Progress, *, game: str, bidders: int, rounds: int, profiles: int, opponents: int
) -> Outcome:
    """Share of the value bid in equilibrium, by iterated best responses on a grid of bids, and simulated revenue."""
    from walras.agents.best_response import best_response
    from walras.agents.scripted import Shade
    from walras.envs.play import play
    from walras.envs.registry import make

    rules: Any = make(game, bidders=bidders)
    values = ((np.arange(200) + 0.5) / 200)[:, None]
    share = 1.0
    for k in range(rounds):
        response = best_response(rules, "bidder_0", {"bidder": Shade(share)}, profiles=opponents, seed=seed + k)
        bids = response.reports[response.choose(values)]
        share = float((bids * values).sum() / (values * values).sum())
        progress((k + 1) / rounds / 2, f"share {share:.4f}")
    paid = 0.0
    for lane in range(0, profiles, 50_000):
        paid += play(rules, {"bidder": Shade(share)}, batch=50_000, seed=seed, lane=lane).state.payment.sum()
        progress(0.5 + lane / profiles / 2, "revenue")
    return Outcome({"bid_share": share, "revenue": float(paid) / profiles})


# -- econgym: its closed forms, and its rules at those actions ---------------------------------------------------------


def econgym_stage(seed: int, progress: Progress, *, game: str) -> Outcome:
    """Equilibrium action by econgym's closed form, and the payoff that its own rules give when all take it."""
    import econgym

    envs: dict[str, tuple[Callable[[], Any], str]] = {
        "cournot": (econgym.CournotEnv, "q_i"),
        "differentiated-bertrand": (econgym.BertrandDiffEnv, "p"),
        "public-goods": (econgym.PublicGoodsEnv, "nash_contribution"),
        "bertrand": (lambda: econgym.BertrandEnv(K=11), "nash_price"),
    }
    make, key = envs[game]
    env: Any = make()
    action = float(env.equilibrium()[key])
    env.reset(seed=seed)
    played: Any = int(np.abs(env.grid - action).argmin()) if game == "bertrand" else action
    rewards = env.step([played] * env.n)[1]
    return Outcome({"action": action, "payoff": float(np.mean(rewards))})


def econgym_threshold(seed: int, progress: Progress) -> Outcome:
    """Least discount factor of the grim trigger by econgym, default payoffs."""
    import econgym

    return Outcome({"threshold": float(econgym.RepeatedPDEnv().equilibrium()["grim_threshold"])})


def econgym_share(seed: int, progress: Progress, *, discount: float) -> Outcome:
    """The first proposer's share by econgym."""
    import econgym

    return Outcome({"share": float(econgym.RubinsteinEnv(delta=discount).equilibrium()["proposer_share"])})


def econgym_auction(seed: int, progress: Progress, *, rule: str, bidders: int, episodes: int) -> Outcome:
    """Equilibrium bid by econgym's closed form, and the revenue its own rules give when all bid it."""
    import econgym

    env: Any = {"first": econgym.FirstPriceAuctionEnv, "second": econgym.SecondPriceEnv}[rule](bidders)
    share = float(env.equilibrium()["bid_slope"])
    rng = np.random.default_rng(seed)
    revenue = 0.0
    for k in range(episodes):
        info = env.step([share * value for value in env.reset(rng=rng)])[4]
        revenue += info["price"]
        if k % 5000 == 0:
            progress(k / episodes, f"{k} auctions")
    return Outcome({"bid_share": share, "revenue": revenue / episodes})


# -- the suite ---------------------------------------------------------------------------------------------------------

_COURNOT = "Cournot (1838); Tirole (1988), sec. 5.4: (a - c) / (b (n + 1))"
_VIVES = "Singh and Vives (1984); Vives (1999), ch. 6: (A + B c) / (2 B - (n - 1) G)"
_LEDYARD = "Ledyard (1995): giving nothing is dominant"
_BERTRAND = "Bertrand (1883); Tirole (1988), sec. 5.1: price at cost"
_FOLK = "Mailath and Samuelson (2006), ch. 2: (T - R) / (T - P)"
_RUBINSTEIN = "Rubinstein (1982): 1 / (1 + d)"
_VICKREY = "Vickrey (1961); Krishna, Auction Theory, sections 2.2-2.3"
_DILEMMA = "defection is strictly dominant"


def _pair(
    name: str, run: str, params: dict[str, Any], peer: str, peer_params: dict[str, Any], text: str
) -> tuple[Case, Case]:
    """Our case, and econgym's beside it."""
    return (
        Case(name, f"{_MODULE}:{run}", params, description=text),
        Case(
            f"econgym-{name}",
            f"{_MODULE}:{peer}",
            peer_params,
            requires=("econgym",),
            peer_of=name,
            description="econgym's closed form, played by econgym's rules.",
        ),
    )


SUITE = Suite(
    name="classical-games",
    title="Classical games",
    status="verified",
    description=(
        "Equilibria computed from the rules alone (best responses by trying actions, backward induction) beside the "
        "closed forms of the literature and of the package econgym, at econgym's default parameters."
    ),
    cases=(
        *_pair(
            "cournot",
            "best_responses",
            {"game": "walras/Cournot-v0", "rounds": 40},
            "econgym_stage",
            {"game": "cournot"},
            "Three firms, price 100 - Q, unit cost 10: quantity of a firm, by best-response iteration.",
        ),
        *_pair(
            "differentiated-bertrand",
            "best_responses",
            {"game": "walras/DifferentiatedBertrand-v0", "rounds": 40},
            "econgym_stage",
            {"game": "differentiated-bertrand"},
            "Two firms, sales 10 - 2 p + q, unit cost 1: price of a firm, by best-response iteration.",
        ),
        *_pair(
            "public-goods",
            "best_responses",
            {"game": "walras/PublicGoods-v0", "rounds": 60},
            "econgym_stage",
            {"game": "public-goods"},
            "Four players, endowment 20, marginal return 0.4: contribution, by best-response iteration.",
        ),
        *_pair(
            "bertrand",
            "grid_equilibrium",
            {"game": "walras/Bertrand-v0"},
            "econgym_stage",
            {"game": "bertrand"},
            "Two firms, prices 0, 1, ..., 10, unit cost 1: lowest price of a symmetric pure equilibrium.",
        ),
        *_pair(
            "prisoners-dilemma",
            "grim_trigger",
            {"rounds": 40},
            "econgym_threshold",
            {},
            "Payoffs 5, 3, 1, 0: stage equilibrium (1 is defection), and the least patience of a grim trigger.",
        ),
        *_pair(
            "bargaining",
            "backward_induction",
            {"rounds": 100, "grid": 8001, "discount": 0.9},
            "econgym_share",
            {"discount": 0.9},
            "Rubinstein's bargaining, discount 0.9: the proposer's share, by backward induction over 100 rounds.",
        ),
        *_pair(
            "first-price",
            "auction",
            {
                "game": "walras/FirstPriceAuction-v0",
                "bidders": 2,
                "rounds": 4,
                "profiles": 1_000_000,
                "opponents": 40_000,
            },
            "econgym_auction",
            {"rule": "first", "bidders": 2, "episodes": 100_000},
            "Two bidders, U[0, 1]: share of the value bid, by iterated best responses, and revenue.",
        ),
        *_pair(
            "second-price",
            "auction",
            {
                "game": "walras/SecondPriceAuction-v0",
                "bidders": 2,
                "rounds": 4,
                "profiles": 1_000_000,
                "opponents": 40_000,
            },
            "econgym_auction",
            {"rule": "second", "bidders": 2, "episodes": 100_000},
            "Two bidders, U[0, 1]: share of the value bid, by iterated best responses, and revenue.",
        ),
    ),
    metrics=(
        Metric("action", description="What each player does in equilibrium."),
        Metric("payoff", description="What each player gets in equilibrium."),
        Metric("gain", better="lower", description="Largest gain of one player by another action."),
        Metric("threshold", description="Least discount factor at which a grim trigger holds."),
        Metric("share", description="The first proposer's share of the pie."),
        Metric("bid_share", description="Share of the value bid in equilibrium."),
        Metric("revenue", description="Mean revenue of an auction."),
    ),
    known=(
        Known("cournot", "action", 22.5, _COURNOT, "equilibrium", 1e-4),
        Known("cournot", "payoff", 506.25, _COURNOT, "equilibrium", 1e-2),
        Known("differentiated-bertrand", "action", 4.0, _VIVES, "equilibrium", 1e-4),
        Known("differentiated-bertrand", "payoff", 18.0, _VIVES, "equilibrium", 1e-3),
        Known("public-goods", "action", 0.0, _LEDYARD, "equilibrium", 1e-6),
        Known("public-goods", "payoff", 20.0, _LEDYARD, "equilibrium", 1e-6),
        Known("bertrand", "action", 1.0, _BERTRAND, "equilibrium", 1e-9),
        Known("bertrand", "payoff", 0.0, _BERTRAND, "equilibrium", 1e-9),
        Known("prisoners-dilemma", "action", 1.0, _DILEMMA, "equilibrium", 0.0),
        Known("prisoners-dilemma", "payoff", 1.0, _DILEMMA, "equilibrium", 0.0),
        Known("prisoners-dilemma", "threshold", 0.5, _FOLK, "identity", 1e-9),
        Known("bargaining", "share", 1 / 1.9, _RUBINSTEIN, "equilibrium", 1e-3),
        Known("first-price", "bid_share", 0.5, _VICKREY, "equilibrium", 0.01),
        Known("first-price", "revenue", 1 / 3, _VICKREY, "equilibrium", 5e-3),
        Known("second-price", "bid_share", 1.0, _VICKREY, "equilibrium", 0.01),
        Known("second-price", "revenue", 1 / 3, _VICKREY, "equilibrium", 5e-3),
        *(
            Known(name, "gain", 0.0, "no action is better in equilibrium", "equilibrium", 1e-4)
            for name in ("cournot", "differentiated-bertrand", "public-goods", "bertrand", "prisoners-dilemma")
        ),
    ),
)
