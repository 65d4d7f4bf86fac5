"""The classical games against independent computations, against econgym, and against deviations of every player."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import econgym
import gymnasium
import numpy as np
import pytest
from econgym.solvers import closed_form
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import minimize_scalar, nnls

import walras
from walras.envs.classical.bertrand import Bertrand
from walras.envs.classical.cournot import Cournot
from walras.envs.classical.differentiated_bertrand import DifferentiatedBertrand
from walras.envs.classical.prisoners_dilemma import PrisonersDilemma
from walras.envs.classical.public_goods import PublicGoods
from walras.envs.classical.stage import StageGame


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


MARKETS = st.one_of(cournots(), differentiated(), bertrands(), public_goods(), dilemmas())
ANY = st.one_of(cournots(GRIDS), differentiated(GRIDS), bertrands(), public_goods(GRIDS), dilemmas())


# -- equilibria -----------------------------------------------------------------------------------------------------


@given(MARKETS)
@settings(max_examples=150, deadline=None)
def test_no_player_gains_by_leaving_the_equilibrium_of_a_round(game: StageGame) -> None:
    stay = np.full((1, game.n_agents), everybodys(game))
    options = game.levels
    if options is None:
        near = stay[0, 0] + 1e-3 * (game.high - game.low) * np.linspace(-1, 1, 21)
        options = np.append(np.linspace(game.low, game.high, 2001), np.clip(near, game.low, game.high))
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
def test_numerical_best_responses_lead_to_the_stated_equilibrium(game: StageGame) -> None:
    n, action = game.n_agents, 0.0
    stride = 1.5 / n if isinstance(game, Cournot) else 1.0  # undamped answers in quantities cycle from three firms on
    for _ in range(50):
        others = np.full(n - 1, action)
        answer, _ = best(lambda own, rest=others: payoffs(game, [[own, *rest]])[0, 0], game)
        action += stride * (answer - action)
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


def test_a_grid_without_the_equilibrium_states_none() -> None:
    on, off = Cournot(3, grid=5), Cournot(3, grid=4)
    assert everybodys(on) == pytest.approx(22.5) and off.equilibrium() is None
    assert PublicGoods(grid=7).equilibrium() is not None
    assert walras.play(off, batch=2, seed=0).returns.shape == (2, 3)
