"""The classical games against independent computations, against econgym, and against deviations of every player."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import econgym
import gymnasium
import numpy as np
import pettingzoo
import pytest
from econgym.solvers import closed_form
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import minimize_scalar, nnls

import walras
from walras.envs.check import CHECKS
from walras.envs.classical.bargaining import Bargaining, BargainingState, DiscreteBargaining
from walras.envs.classical.bertrand import Bertrand
from walras.envs.classical.cournot import Cournot
from walras.envs.classical.differentiated_bertrand import DifferentiatedBertrand
from walras.envs.classical.prisoners_dilemma import PrisonersDilemma
from walras.envs.classical.public_goods import PublicGoods
from walras.envs.classical.stage import Deterministic, StageGame, StageState

IDS = (
    "walras/FirstPriceAuction-v0",
    "walras/SecondPriceAuction-v0",
    "walras/Bertrand-v0",
    "walras/DifferentiatedBertrand-v0",
    "walras/Cournot-v0",
    "walras/PublicGoods-v0",
    "walras/PrisonersDilemma-v0",
    "walras/Bargaining-v0",
    "walras/DiscreteBargaining-v0",
)


def truths(game: walras.Game[Any]) -> dict[str, float]:
    """Name -> value."""
    return {truth.name: truth.value for truth in game.truths()}


def payoffs(game: StageGame, actions: Any) -> np.ndarray:
    """Payoffs (B, n) of one round with actions (B, n) in the game's units."""
    return game.outcome(np.asarray(actions, float))[0]


def best(worth: Callable[[float], float], game: StageGame) -> tuple[float, float]:
    """The action in [low, high] of the largest worth, and that worth: a coarse grid, then a bounded search."""
    grid = np.linspace(game.low, game.high, 41)
    k = int(np.argmax([worth(x) for x in grid]))
    bounds = grid[max(k - 1, 0)], grid[min(k + 1, 40)]
    found = minimize_scalar(lambda x: -worth(x), bounds=bounds, method="bounded", options={"xatol": 1e-10})
    return float(found.x), -float(found.fun)


def everybodys(game: StageGame) -> float:
    """What all players do in the stated equilibrium, in the game's units."""
    known = game.equilibrium()
    assert known is not None
    (policy,) = known.values()
    action = policy(np.zeros((1, 1)))[0]
    return float(action[0] if game.levels is None else game.levels[action])


# -- parameters, drawn by hypothesis --------------------------------------------------------------------------------

NO_GRID = st.none()
GRIDS = NO_GRID | st.integers(2, 30)


@st.composite
def cournots(draw: st.DrawFn, grids: Any = NO_GRID) -> Cournot:
    intercept = draw(st.floats(1.0, 200.0))
    cost = draw(st.floats(0.0, 0.95)) * intercept
    slope = draw(st.floats(0.1, 5.0))
    firms = draw(st.integers(1, 6))
    return Cournot(firms, intercept=intercept, slope=slope, cost=cost, rounds=draw(st.integers(1, 3)), grid=draw(grids))


@st.composite
def differentiated(draw: st.DrawFn, grids: Any = NO_GRID) -> DifferentiatedBertrand:
    firms, own = draw(st.integers(2, 5)), draw(st.floats(0.5, 5.0))
    cross = draw(st.floats(0.02, 0.9)) * own / (firms - 1)
    intercept = draw(st.floats(1.0, 100.0))
    cost = draw(st.floats(0.0, 0.9)) * intercept / (own - (firms - 1) * cross)
    return DifferentiatedBertrand(
        firms,
        intercept=intercept,
        own_slope=own,
        cross_slope=cross,
        cost=cost,
        rounds=draw(st.integers(1, 3)),
        grid=draw(grids),
    )


@st.composite
def bertrands(draw: st.DrawFn) -> Bertrand:
    low = draw(st.floats(0.0, 3.0))
    high = low + draw(st.floats(1.0, 20.0))
    cost = low + draw(st.floats(0.0, 0.95)) * (high - low)
    firms, grid, rounds = draw(st.integers(2, 4)), draw(st.integers(2, 30)), draw(st.integers(1, 3))
    gap = np.abs(np.linspace(low, high, grid) - cost).min()
    assume(gap == 0 or gap > 1e-6)  # a cost within a rounding error of a price counts as that price
    return Bertrand(firms, cost=cost, low=low, high=high, grid=grid, rounds=rounds)


@st.composite
def public_goods(draw: st.DrawFn, grids: Any = NO_GRID) -> PublicGoods:
    players = draw(st.integers(2, 6))
    marginal = 1 / players + draw(st.floats(0.02, 0.98)) * (1 - 1 / players)
    endowment, rounds = draw(st.floats(0.5, 50.0)), draw(st.integers(1, 3))
    return PublicGoods(players, endowment=endowment, marginal_return=marginal, rounds=rounds, grid=draw(grids))


@st.composite
def dilemmas(draw: st.DrawFn) -> PrisonersDilemma:
    sucker = draw(st.floats(-5.0, 5.0))
    punishment = sucker + draw(st.floats(0.1, 5.0))
    reward = punishment + draw(st.floats(0.1, 5.0))
    temptation = reward + draw(st.floats(0.02, 0.95)) * (reward - sucker)
    rounds = draw(st.integers(1, 6))
    return PrisonersDilemma(rounds, temptation=temptation, reward=reward, punishment=punishment, sucker=sucker)


@st.composite
def bargainings(draw: st.DrawFn, grids: Any = NO_GRID) -> Bargaining:
    return Bargaining(draw(st.integers(1, 12)), discount=draw(st.floats(0.0, 0.99)), grid=draw(grids))


MARKETS = st.one_of(cournots(), differentiated(), bertrands(), public_goods(), dilemmas())
ANY = st.one_of(
    cournots(GRIDS), differentiated(GRIDS), bertrands(), public_goods(GRIDS), dilemmas(), bargainings(GRIDS)
)


# -- equilibria -----------------------------------------------------------------------------------------------------


@given(MARKETS, st.integers(0, 2**31))
@settings(max_examples=150, deadline=None)
def test_no_player_gains_by_leaving_the_equilibrium_of_a_round(game: StageGame, seed: int) -> None:
    stay = np.full((1, game.n_agents), everybodys(game))
    options = np.linspace(game.low, game.high, 2001) if game.levels is None else game.levels
    options = np.append(options, stay[0, 0] + 1e-3 * (game.high - game.low) * np.linspace(-1, 1, 21))
    options = options[(options >= game.low) & (options <= game.high)] if game.levels is None else game.levels
    scale = 1e-6 * (1 + np.abs(payoffs(game, stay)).max())
    for player in range(game.n_agents):
        leave = np.repeat(stay, len(options), axis=0)
        leave[:, player] = options
        assert payoffs(game, leave)[:, player].max() <= payoffs(game, stay)[0, player] + scale


@given(MARKETS)
@settings(max_examples=60, deadline=None)
def test_equilibrium_play_earns_what_the_truths_say_in_every_round(game: StageGame) -> None:
    known = truths(game)
    per_round = known.get("firm's profit in equilibrium", known.get("payoff in equilibrium"))
    episodes = walras.play(game, "equilibrium", batch=2, seed=0)
    assert episodes.returns == pytest.approx(np.full((2, game.n_agents), game.rounds * per_round), rel=1e-5, abs=1e-5)
    assert (episodes.lengths == game.rounds).all()


@given(st.one_of(cournots(), differentiated()))
@settings(max_examples=40, deadline=None)
def test_damped_numerical_best_responses_lead_to_the_stated_equilibrium(game: StageGame) -> None:
    n, action = game.n_agents, 0.0
    for _ in range(60):
        others = np.full(n - 1, action)
        answer, _ = best(lambda own, rest=others: payoffs(game, [[own, *rest]])[0, 0], game)
        action += 1.5 * (answer - action) / n
    assert action == pytest.approx(everybodys(game), rel=1e-4)


@given(st.one_of(cournots(), differentiated(), public_goods()))
@settings(max_examples=60, deadline=None)
def test_largest_joint_payoff_is_that_of_a_numerical_optimum(game: StageGame) -> None:
    known, n = truths(game), game.n_agents
    action, joint = best(lambda x: payoffs(game, np.full((1, n), x)).sum(), game)
    stated = known.get("all firms' largest joint profit", n * known.get("payoff when all give all", 0.0))
    assert joint == pytest.approx(stated, rel=1e-5)
    if "price of the largest joint profit" in known:
        assert action == pytest.approx(known["price of the largest joint profit"], rel=1e-4)
    if "contribution of the largest total payoff" in known:
        assert action == pytest.approx(known["contribution of the largest total payoff"], rel=1e-4)
    asymmetric = np.random.default_rng(0).uniform(game.low, game.high, (5000, n))
    assert payoffs(game, asymmetric).sum(axis=1).max() <= stated * (1 + 1e-9)


@given(cournots())
@settings(max_examples=30, deadline=None)
def test_cournot_surplus_is_the_area_between_demand_and_cost(game: Cournot) -> None:
    area, _ = quad(lambda total: game.intercept - game.slope * total - game.cost, 0.0, game.high)
    assert truths(game)["largest total surplus"] == pytest.approx(area, rel=1e-6)


@given(differentiated())
@settings(max_examples=30, deadline=None)
def test_differentiated_surplus_is_the_area_under_demand_down_to_the_cost(game: DifferentiatedBertrand) -> None:
    def sales(price: float) -> float:
        facts = game.outcome(np.full((1, game.firms), price))[1]
        return float(facts["quantity"].sum())

    area, _ = quad(sales, game.cost, game.high)
    assert truths(game)["largest total surplus"] == pytest.approx(area, rel=1e-6)


@given(differentiated(), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_differentiated_sales_are_the_purchases_that_maximise_a_quadratic_utility(
    game: DifferentiatedBertrand, seed: int
) -> None:
    n = game.firms
    slopes = (game.own_slope + game.cross_slope) * np.eye(n) - game.cross_slope * np.ones((n, n))
    root = np.linalg.cholesky(np.linalg.inv(slopes)).T
    for price in np.random.default_rng(seed).uniform(0, game.high, (10, n)):
        unbounded = game.intercept - slopes @ price
        bought, _ = nnls(root, root @ unbounded)
        assert game.sales(price[None])[0] == pytest.approx(bought, rel=1e-6, abs=1e-8 * game.intercept)


@given(bertrands())
@settings(max_examples=50, deadline=None)
def test_bertrand_price_is_the_lowest_common_price_that_a_search_finds_in_equilibrium(game: Bertrand) -> None:
    def holds(price: float) -> bool:
        leave = np.full((len(game.levels), game.firms), price)
        leave[:, 0] = game.levels
        return bool(payoffs(game, leave)[:, 0].max() <= payoffs(game, [[price] * game.firms])[0, 0] + 1e-12)

    stable = [price for price in game.levels if holds(price) and price >= game.cost - 1e-9]
    assert min(stable) == truths(game)["price in equilibrium"] == everybodys(game)
    # In every equilibrium the cheapest price lies within a step of the one stated.
    step = (game.high - game.low) / (game.grid - 1)
    assert game.firms < 3 or max(stable) <= min(stable) + step * (1 + 1e-9)


@given(dilemmas())
@settings(max_examples=30, deadline=None)
def test_defection_dominates_and_mutual_cooperation_is_the_best_sum(game: PrisonersDilemma) -> None:
    table = {(a, b): payoffs(game, [[a, b]])[0] for a, b in itertools.product((0, 1), repeat=2)}
    assert all(table[1, b][0] > table[0, b][0] and table[b, 1][1] > table[b, 0][1] for b in (0, 1))
    assert max(table, key=lambda pair: table[pair].sum()) == (0, 0)
    assert table[0, 0].tolist() == [truths(game)["payoff when both cooperate"]] * 2
    assert table[1, 1].tolist() == [truths(game)["payoff in equilibrium"]] * 2


def grim(seen: np.ndarray) -> np.ndarray:
    """Cooperate until somebody has defected (own defection follows the other's, so one round of memory will do)."""
    return (seen[:, 1:].max(axis=1) > 0).astype(np.int64)


@given(dilemmas())
@settings(max_examples=20, deadline=None)
def test_grim_trigger_holds_just_above_the_stated_patience_and_fails_just_below(game: PrisonersDilemma) -> None:
    numbers = {
        "temptation": game.temptation,
        "reward": game.reward,
        "punishment": game.punishment,
        "sucker": game.sucker,
    }
    long = PrisonersDilemma(6, **numbers)

    def stream(first: Any) -> np.ndarray:
        history = walras.play(long, {"player_0": first, "player_1": grim}, batch=1, seed=0, record=True).history
        return np.array([moment.rewards[0, 0] for moment in history])

    def worth(rewards: np.ndarray, patience: float) -> float:  # the last reward goes on for ever
        return float(rewards[:-1] @ patience ** np.arange(5) + rewards[-1] * patience**5 / (1 - patience))

    loyal, traitor = stream(grim), stream(lambda seen: np.ones(len(seen), np.int64))
    threshold = truths(game)["least discount factor of grim trigger without end"]
    above, below = threshold + 0.01 * (1 - threshold), threshold * 0.99
    assert worth(loyal, above) > worth(traitor, above)
    assert worth(loyal, below) < worth(traitor, below)


# -- bargaining -----------------------------------------------------------------------------------------------------


def standing(game: Bargaining, now: int, claim: np.ndarray | float = -1.0) -> BargainingState:
    """States in round `now` with these standing claims."""
    claim = np.atleast_1d(np.asarray(claim, float))
    return BargainingState(np.full(len(claim), now), claim, np.zeros((len(claim), 2)))


def follow(game: Bargaining, state: BargainingState, first: np.ndarray | None = None) -> np.ndarray:
    """Payoffs (B, 2) when the mover of `state` acts as told once and both then play the equilibrium."""
    policy = game.equilibrium()["bargainer"]
    total, live = np.zeros((len(state.round), 2)), ~game.terminal(state)
    while live.any():
        seen = game.observe(state, "bargainer").astype(np.float32)
        act = np.stack([policy(seen[:, i]) for i in range(2)], axis=1)
        if first is not None:
            act = np.stack([first, first], axis=1).astype(act.dtype)
            act = act if game.grid else act[..., None]
        after, rewards = game.apply(state, {"bargainer": act})
        total += np.where(live[:, None], rewards, 0.0)
        state, first = after, None
        live &= ~game.terminal(state)
    return total


@given(bargainings())
@settings(max_examples=60, deadline=None)
def test_no_single_deviation_gains_in_any_round_of_bargaining(game: Bargaining) -> None:
    options = np.linspace(0, 1, 401)
    for now in range(game.rounds):
        proposer = now % 2
        obey = follow(game, standing(game, now))[0, proposer]
        leave = follow(game, standing(game, now, np.full(401, -1.0)), options)[:, proposer]
        assert leave.max() <= obey + 1e-5
        claims = np.linspace(0, 1, 41)
        obey_all = follow(game, standing(game, now, claims))[:, 1 - proposer]
        for answer in (0.0, 0.3, 1.0):
            leave = follow(game, standing(game, now, claims), np.full(41, answer))[:, 1 - proposer]
            assert (leave <= obey_all + 1e-5).all()


@given(bargainings())
@settings(max_examples=60, deadline=None)
def test_bargainers_agree_at_once_on_the_stated_shares(game: Bargaining) -> None:
    episodes = walras.play(game, "equilibrium", batch=3, seed=0)
    known = truths(game)
    assert (episodes.lengths == 2).all()
    shares = [known["first proposer's share"], known["first responder's share"]]
    assert episodes.returns == pytest.approx(np.tile(shares, (3, 1)), abs=1e-6)


@pytest.mark.parametrize("discount", [0.0, 0.3, 0.5, 0.9, 0.99])
def test_many_rounds_lead_to_rubinsteins_shares(discount: float) -> None:
    known = truths(Bargaining(2001, discount=discount))
    limit = closed_form.rubinstein_split(discount)
    assert known["first proposer's share without end"] == pytest.approx(limit["proposer_share"], abs=1e-12)
    assert known["first proposer's share"] == pytest.approx(limit["proposer_share"], abs=1e-8)
    assert known["first responder's share"] == pytest.approx(limit["responder_share"], abs=1e-8)


@given(st.integers(1, 6), st.floats(0.01, 0.97), st.integers(2, 14))
@settings(max_examples=60, deadline=None)
def test_discrete_bargaining_agrees_with_a_search_of_the_tree_from_every_round(
    rounds: int, discount: float, grid: int
) -> None:
    game = DiscreteBargaining(rounds, discount=discount, grid=grid)
    claims = np.arange(grid)

    @functools.cache
    def solve(now: int, claim: float) -> tuple[float, float]:
        """Payoffs under optimal play, found through the rules; a tie goes to the lowest claim, which is agreement."""
        state = standing(game, now, claim)
        if game.terminal(state)[0]:
            return 0.0, 0.0
        mover = int(game.movers(state)[0].argmax())
        lanes = standing(game, now, np.full(grid, claim))
        after, rewards = game.apply(lanes, {"bargainer": np.stack([claims, claims], axis=1)})
        over = game.terminal(after)
        values = [
            rewards[k] if over[k] else rewards[k] + solve(int(after.round[k]), float(after.claim[k])) for k in claims
        ]
        best = max(value[mover] for value in values)
        chosen = next(value for value in values if value[mover] >= best - 1e-9 * discount**now)
        return float(chosen[0]), float(chosen[1])

    for now in range(rounds):
        assert follow(game, standing(game, now))[0] == pytest.approx(solve(now, -1.0), abs=1e-8 * discount**now)


@given(bargainings(GRIDS), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_shares_of_the_pie_never_exceed_it_and_payoffs_are_discounted_shares(game: Bargaining, seed: int) -> None:
    episodes = walras.play(game, "random", batch=50, seed=seed)
    facts = episodes.info("bargainer")
    share, delay = facts["share"], facts["rejections"]
    assert (share >= 0).all() and (share.sum(axis=1) <= 1 + 1e-12).all()
    assert share.sum(axis=1) == pytest.approx(facts["agreed"][:, 0], abs=1e-12)
    assert episodes.returns == pytest.approx(share * game.discount**delay, abs=1e-12)


# -- accounting and robustness --------------------------------------------------------------------------------------


@given(public_goods(GRIDS), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_public_goods_payoffs_add_up_to_endowments_and_the_return_on_gifts(game: PublicGoods, seed: int) -> None:
    actions = np.random.default_rng(seed).uniform(0, game.endowment, (20, game.players))
    total = payoffs(game, actions).sum(axis=1)
    expected = game.players * game.endowment + (game.players * game.marginal_return - 1) * actions.sum(axis=1)
    assert total == pytest.approx(expected, rel=1e-12)


@given(cournots(GRIDS), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_firms_sales_and_profits_add_up_to_what_buyers_pay(game: Cournot, seed: int) -> None:
    episodes = walras.play(game, "random", batch=20, seed=seed)
    facts = episodes.info("firm")
    paid = facts["price"][:, 0] * facts["quantity"].sum(axis=1)
    cost = game.cost * facts["quantity"].sum(axis=1)
    assert facts["profit"].sum(axis=1) == pytest.approx(paid - cost, rel=1e-9, abs=1e-9)


@given(bertrands(), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_bertrand_firms_sell_one_unit_together_at_the_lowest_price(game: Bertrand, seed: int) -> None:
    facts = walras.play(game, "random", batch=20, seed=seed).info("firm")
    assert facts["quantity"].sum(axis=1) == pytest.approx(np.ones(20))
    assert (facts["price"] == facts["price"].min(axis=1, keepdims=True))[facts["quantity"] > 0].all()


@given(ANY, st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_random_play_stays_finite_and_inside_the_spaces(game: walras.Game[Any], seed: int) -> None:
    episodes = walras.play(game, "random", batch=8, seed=seed)
    assert np.isfinite(episodes.returns).all()
    for agent, (role, _, _) in game.seat.items():
        assert all(role.observation_space.contains(row) for row in episodes.observe(agent))
    assert all(np.isfinite(fact).all() for fact in episodes.info(game.roles[0].name).values())
    assert game.render_text(episodes.state, 7) != game.render_text(game.initial(8, np.random.default_rng(0)), 7)


@dataclass(frozen=True)
class Remember:
    """Acts at random and keeps what it saw."""

    space: gymnasium.Space[Any]
    seen: list[np.ndarray]

    def __call__(self, observation: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
        self.seen.append(observation.copy())
        return np.full((len(observation), 1), 1 + len(self.seen), np.float32)


def test_repeated_games_show_progress_and_the_last_actions_with_the_own_one_first() -> None:
    game = PublicGoods(3, rounds=2)
    memory = Remember(game.roles[0].action_space, [])
    others = {"contributor_1": lambda seen: seen[:, :1] * 0 + 5, "contributor_2": lambda seen: seen[:, :1] * 0 + 7}
    walras.play(game, {"contributor_0": memory, **others}, batch=1, seed=0)
    assert memory.seen[0].tolist() == [[0, 0, 0, 0]] and memory.seen[1].tolist() == [[0.5, 2, 5, 7]]
    state = game.initial(1, np.random.default_rng(0))
    state, _ = game.step(state, {"contributor": np.array([[[2.0], [5.0], [7.0]]])}, np.random.default_rng(0))
    assert game.observe(state, "contributor")[0].tolist() == [[0.5, 2, 5, 7], [0.5, 5, 2, 7], [0.5, 7, 2, 5]]


# -- econgym --------------------------------------------------------------------------------------------------------


@given(cournots())
@settings(max_examples=30, deadline=None)
def test_cournot_agrees_with_econgym(game: Cournot) -> None:
    theirs = closed_form.cournot_nash(game.intercept, game.slope, game.cost, game.firms)
    known = truths(game)
    ours = ["firm's quantity in equilibrium", "price in equilibrium", "firm's profit in equilibrium"]
    expected = [theirs["q_i"], theirs["P"], theirs["profit_i"]]
    assert [known[name] for name in ours] == pytest.approx(expected, rel=1e-9)


@given(differentiated())
@settings(max_examples=30, deadline=None)
def test_differentiated_bertrand_agrees_with_econgym(game: DifferentiatedBertrand) -> None:
    theirs = closed_form.bertrand_diff_nash(game.intercept, game.own_slope, game.cross_slope, game.cost, game.firms)
    known = truths(game)
    ours = ["firm's price in equilibrium", "firm's quantity in equilibrium", "firm's profit in equilibrium"]
    expected = [theirs["p"], theirs["q_i"], theirs["profit_i"]]
    assert [known[name] for name in ours] == pytest.approx(expected, rel=1e-6)


@given(bertrands())
@settings(max_examples=30, deadline=None)
def test_bertrand_agrees_with_econgym(game: Bertrand) -> None:
    env = econgym.make("Bertrand-v0", n=game.firms, K=game.grid, c=game.cost, p_min=game.low, p_max=game.high)
    theirs, known = env.equilibrium(), truths(game)
    assert known["price in equilibrium"] == pytest.approx(theirs["nash_price"])
    assert known["firm's profit in equilibrium"] == pytest.approx(theirs["nash_profit_per_firm"])
    assert known["all firms' largest joint profit"] == pytest.approx(game.firms * theirs["monopoly_profit_per_firm"])


@given(public_goods())
@settings(max_examples=30, deadline=None)
def test_public_goods_agree_with_econgym(game: PublicGoods) -> None:
    theirs, known = closed_form.public_goods_nash(game.endowment, game.marginal_return, game.players), truths(game)
    assert known["contribution in equilibrium"] == theirs["nash_contribution"]
    assert known["payoff in equilibrium"] == pytest.approx(theirs["nash_payoff"])
    assert known["contribution of the largest total payoff"] == pytest.approx(theirs["optimum_contribution"])
    assert known["payoff when all give all"] == pytest.approx(theirs["optimum_payoff"])


@given(dilemmas())
@settings(max_examples=30, deadline=None)
def test_the_dilemma_agrees_with_econgym(game: PrisonersDilemma) -> None:
    theirs = closed_form.repeated_pd_threshold(game.temptation, game.reward, game.punishment, game.sucker)
    known = truths(game)
    assert known["least discount factor of grim trigger without end"] == pytest.approx(theirs["grim_threshold"])
    assert theirs["one_shot_nash"] == ("D", "D") and everybodys(game) == 1.0


@pytest.mark.parametrize("bidders", [2, 3, 6])
@pytest.mark.parametrize(
    ("id", "solve"),
    [("FirstPriceAuction", closed_form.first_price_bne), ("SecondPriceAuction", closed_form.second_price_bne)],
)
def test_auctions_agree_with_econgym(id: str, solve: Any, bidders: int) -> None:
    game, theirs = walras.make(f"walras/{id}-v0", bidders=bidders), solve(bidders)
    values = np.linspace(0.0, 1.0, 11)[:, None]
    known = game.equilibrium()
    assert known is not None
    assert known["bidder"](values) == pytest.approx(theirs["bid_fn"](values), abs=1e-6)
    assert truths(game)["revenue in equilibrium"] == pytest.approx(theirs["expected_revenue"])


SAME_RULES = {
    "Bertrand": (Bertrand(3, cost=2.0, grid=6), {"n": 3, "K": 6, "c": 2.0}),
    "BertrandDiff": (DifferentiatedBertrand(3, cross_slope=0.5), {"n": 3, "gamma": 0.5, "p_cap": 30.0}),
    "Cournot": (Cournot(4), {"n": 4}),
    "PublicGoods": (PublicGoods(5), {"n": 5}),
    "RepeatedPD": (PrisonersDilemma(1), {}),
}


@pytest.mark.parametrize("name", SAME_RULES)
def test_a_round_pays_what_econgyms_does(name: str) -> None:
    game, parameters = SAME_RULES[name]
    env, rng, (role,) = econgym.make(f"{name}-v0", **parameters), np.random.default_rng(0), game.roles
    env.reset(seed=0)
    shape = (200, game.n_agents)
    actions = rng.integers(0, role.action_space.n, shape) if game.grid else rng.uniform(game.low, game.high, shape)
    if name == "BertrandDiff":  # the rules coincide where every firm sells something
        actions = np.where((game.sales(actions) > 0).all(axis=1, keepdims=True), actions, 4.0)
    given_ = actions if game.grid else actions[..., None]
    _, ours = game.step(game.initial(200, rng), {role.name: given_}, rng)
    assert ours == pytest.approx(np.stack([env.step(row)[1] for row in actions]), rel=1e-12)


@pytest.mark.parametrize("id", ["FirstPrice", "SecondPrice"])
def test_an_auction_pays_what_econgyms_does(id: str) -> None:
    game, rng = walras.make(f"walras/{id}Auction-v0", bidders=4), np.random.default_rng(0)
    env = econgym.make(f"{id}-v0", n=4)
    for seed in range(50):
        values = np.array(env.reset(seed=seed), float)
        bids = rng.uniform(0, 1, 4)
        _, ours = game.step(game.start(values[None, :, None]), {"bidder": bids[None, :, None]}, rng)
        assert ours[0] == pytest.approx(env.step(bids)[1], rel=1e-12)


def test_a_bargain_pays_what_econgyms_does() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        game, env = Bargaining(4, discount=0.8), econgym.make("Rubinstein-v0", delta=0.8, max_rounds=4)
        env.reset(seed=0)
        state, over = game.initial(1, rng), False
        while not over:
            claim, accepts = float(np.float32(rng.uniform(0.01, 1))), bool(rng.random() < 0.4)
            _, theirs, terminated, truncated, _ = env.step([[claim, float(accepts)]] * 2)
            over = terminated or truncated
            state, none = game.step(state, {"bargainer": np.full((1, 2, 1), claim)}, rng)
            answer = 0.0 if accepts else 1.0
            state, ours = game.step(state, {"bargainer": np.full((1, 2, 1), answer)}, rng)
            assert not none.any() and ours[0] == pytest.approx(theirs) and bool(game.terminal(state)[0]) == over


# -- grids, trees, doors --------------------------------------------------------------------------------------------


def test_a_grid_without_the_equilibrium_states_none() -> None:
    on, off = Cournot(3, grid=5), Cournot(3, grid=4)
    assert everybodys(on) == pytest.approx(22.5) and off.equilibrium() is None
    assert PublicGoods(grid=7).equilibrium() is not None
    assert walras.play(off, batch=2, seed=0).returns.shape == (2, 3)


class FiniteCournot(Cournot, Deterministic[StageState]):
    """Cournot on a grid, as a finite game."""


@pytest.mark.parametrize(
    ("game", "value"),
    [
        (FiniteCournot(2, grid=7), 900.0),
        (Bertrand(2, cost=1.0, grid=6), 0.5),
        (PrisonersDilemma(3), 3.0),
        (DiscreteBargaining(), 0.75),
    ],
    ids=lambda value: type(value).__name__,
)
def test_equilibria_are_those_of_the_exported_tree(game: walras.Game[Any], value: float) -> None:
    pytest.importorskip("pyspiel")
    from walras.envs.doors.openspiel import to_openspiel

    policies = game.equilibrium()
    assert policies is not None
    (role,) = game.roles
    tree = to_openspiel(game)

    def search(state: Any, deviator: int) -> float:
        """The deviator's best payoff when the other follows the equilibrium, over all states of the tree."""
        if state.is_terminal():
            return float(state.returns()[deviator])
        seen = game.observe(state.node.state, role.name).astype(np.float32)
        obey = [int(policies[role.name](seen[:, i])[0]) for i in range(2)]
        values = []
        if state.is_simultaneous_node():
            for action in state.legal_actions(deviator):
                joint = list(obey)
                joint[deviator] = action
                child = state.clone()
                child.apply_actions(joint)
                values.append(search(child, deviator))
        else:
            mover = state.current_player()
            for action in state.legal_actions() if mover == deviator else [obey[mover]]:
                values.append(search(state.child(action), deviator))
        return max(values)

    obeying = walras.play(game, "equilibrium", batch=1, seed=0).returns[0]
    assert obeying[0] == pytest.approx(value)
    for player in range(2):
        assert search(tree.new_initial_state(), player) == pytest.approx(obeying[player])


VARIANTS = (
    Bertrand(3, grid=5, rounds=2),
    DifferentiatedBertrand(3, cross_slope=0.7, rounds=4),
    DifferentiatedBertrand(grid=9),
    Cournot(1),
    Cournot(2, rounds=3, grid=5),
    PublicGoods(2, marginal_return=0.7, rounds=3),
    PrisonersDilemma(1),
    Bargaining(1),
    Bargaining(3, grid=6),
    DiscreteBargaining(2, grid=3),
)


@pytest.mark.parametrize("game", VARIANTS, ids=repr)
def test_other_parameters_keep_the_contract_too(game: walras.Game[Any]) -> None:
    for check in CHECKS:
        check(game)


@pytest.mark.parametrize("id", IDS)
def test_every_door_opens(id: str) -> None:
    single = gymnasium.make(id)
    single.reset(seed=0)
    _, reward, *_ = single.step(single.action_space.sample())
    assert np.isfinite(reward)
    vector = gymnasium.make_vec(id, num_envs=5)
    vector.reset(seed=0)
    assert vector.step(vector.action_space.sample())[1].shape == (5,)
    table = pettingzoo.make("parallel", id)
    table.reset(seed=0)
    rewards = table.step({agent: table.action_space(agent).sample() for agent in table.agents})[1]
    assert all(np.isfinite(list(rewards.values())))
    turns = pettingzoo.make("aec", id)
    turns.reset(seed=0)
    turns.step(turns.action_space(turns.agent_selection).sample())
    assert walras.spec(id).status == "verified" and walras.spec(id).title and walras.spec(id).source


# -- bad parameters -------------------------------------------------------------------------------------------------

NAN = float("nan")
BAD = [
    (Bertrand, {"firms": 1}, "firms"),
    (Bertrand, {"cost": 10.0}, "cost"),
    (Bertrand, {"cost": -1.0}, "cost"),
    (Bertrand, {"low": -0.5}, "low"),
    (Bertrand, {"low": 11.0}, "low"),
    (Bertrand, {"high": NAN}, "high"),
    (Bertrand, {"grid": 1}, "grid"),
    (Bertrand, {"grid": None}, "grid"),
    (Bertrand, {"rounds": 0}, "rounds"),
    (DifferentiatedBertrand, {"firms": True}, "firms"),
    (DifferentiatedBertrand, {"intercept": 0.0}, "intercept"),
    (DifferentiatedBertrand, {"own_slope": -2.0}, "own_slope"),
    (DifferentiatedBertrand, {"cross_slope": 2.0}, "cross_slope"),
    (DifferentiatedBertrand, {"cross_slope": 0.0}, "cross_slope"),
    (DifferentiatedBertrand, {"firms": 3}, "cross_slope"),
    (DifferentiatedBertrand, {"cost": 10.0}, "cost"),
    (DifferentiatedBertrand, {"cost": NAN}, "cost"),
    (Cournot, {"firms": 0}, "firms"),
    (Cournot, {"firms": 2.0}, "firms"),
    (Cournot, {"intercept": float("inf")}, "intercept"),
    (Cournot, {"slope": 0.0}, "slope"),
    (Cournot, {"cost": 100.0}, "cost"),
    (Cournot, {"cost": "10"}, "cost"),
    (Cournot, {"rounds": 1.5}, "rounds"),
    (Cournot, {"grid": 0}, "grid"),
    (PublicGoods, {"players": 1}, "players"),
    (PublicGoods, {"endowment": 0.0}, "endowment"),
    (PublicGoods, {"marginal_return": 0.25}, "marginal_return"),
    (PublicGoods, {"marginal_return": 1.0}, "marginal_return"),
    (PrisonersDilemma, {"rounds": -1}, "rounds"),
    (PrisonersDilemma, {"temptation": 3.0}, "temptation"),
    (PrisonersDilemma, {"punishment": NAN}, "punishment"),
    (PrisonersDilemma, {"temptation": 6.5}, "reward"),
    (Bargaining, {"rounds": 0}, "rounds"),
    (Bargaining, {"discount": 1.0}, "discount"),
    (Bargaining, {"discount": -0.1}, "discount"),
    (Bargaining, {"discount": NAN}, "discount"),
    (Bargaining, {"grid": 1}, "grid"),
    (Bargaining, {"grid": 10**6}, "grid"),
    (DiscreteBargaining, {"grid": None}, "grid"),
]


@pytest.mark.parametrize(("game", "parameters", "name"), BAD)
def test_bad_parameters_raise_and_name_the_argument(game: Any, parameters: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=rf"\b{name}\b"):
        game(**parameters)


def test_unknown_parameters_are_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        walras.make("walras/Cournot-v0", colour="blue")
