"""The platform games and their learners: stages, growing markets, fees, the marketplace in turns, doors."""

import re
from pathlib import Path

import numpy as np
import pytest

import walras
from walras.algorithms.platforms.entry import EntryRegret
from walras.algorithms.platforms.fees import learn_fee
from walras.envs.check import CHECKS
from walras.envs.finite import survey
from walras.envs.lanes import LaneRandom, clock
from walras.envs.platforms.entry import RandomEntry, SellerEntry
from walras.envs.platforms.equilibrium import Joining
from walras.envs.platforms.fee import Fee, PlatformFee
from walras.envs.platforms.marketplace import FiniteMarketplace, Marketplace
from walras.envs.platforms.profiles import choices

VARIANTS = {
    "entry-rounds": lambda: SellerEntry("two-equilibria", 0.5, rounds=3, information="private"),
    "entry-growing": lambda: SellerEntry("general", 0.4, rounds=3, arrivals=[[0, 0, 1, 2], [0, 1, 1]], acquaint=True),
    "entry-several": lambda: SellerEntry("general", [0.2, 0.5], reach=[[1, 1, 0, 0], [0, 1, 1, 1]]),
    "entry-costs": lambda: SellerEntry({"values": [[5, 3], [2, 8]], "known": [[1, 0], [0, 0]], "costs": [1, 2]}, 0.4),
    "entry-margin": lambda: SellerEntry(
        {"values": [[5, 3], [2, 8]], "known": [[1, 0], [0, 0]], "costs": [1, 2]}, 0.4, fee_on="margin"
    ),
    "entry-middle-prices": lambda: SellerEntry("general", 0.5, price_rule="mid", rounds=2),
    "random-growing": lambda: RandomEntry(
        3, 3, rounds=3, arrivals=[[0, 0, 1], [0, 1, 2]], acquaint=True, law="integer"
    ),
    "fee-random": lambda: PlatformFee(None, law="uniform", selection="worst", rounds=2, learning_rounds=20),
    "fee-grid-learning": lambda: PlatformFee("sawtooth", grid=5, selection="learning", learning_rounds=20),
    "fee-algorithm": lambda: PlatformFee(None, selection="algorithm", objective="buyers-sellers", cap=0.5),
    "marketplace-regulated": lambda: Marketplace(None, regulator=True, goal="buyers-sellers"),
    "marketplace-sequential": lambda: FiniteMarketplace("tight", regulator=True, sequential=True, grid=3),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_keeps_the_contract_of_games(name):
    game = VARIANTS[name]()
    for check in CHECKS:
        check(game)


def test_games_with_other_rules_print_otherwise():
    arrivals = [[0, 0, 0, 1], [0, 0, 1]]
    games = [
        RandomEntry(), RandomEntry(edge=0.5), RandomEntry(law="integer"), RandomEntry(rounds=2),
        RandomEntry(information="private"), RandomEntry(price_rule="min"), RandomEntry(reach=[[1, 1, 1, 0]]),
        RandomEntry(rounds=2, arrivals=arrivals), RandomEntry(rounds=2, acquaint=True), RandomEntry(fee=0.4),
        PlatformFee(), PlatformFee("tight"), PlatformFee(None), PlatformFee(None, edge=0.5), PlatformFee(cap=0.5),
        PlatformFee(grid=5), PlatformFee(selection="worst"), PlatformFee(learning_rounds=50), PlatformFee(rounds=2),
        PlatformFee(objective="welfare"),
    ]  # fmt: skip
    assert len({repr(game) for game in games}) == len(games)


# -- joining -----------------------------------------------------------------------------------------------------------


def played(game, *profiles, batch=1):
    """States and rewards of a game in which the sellers choose these profiles, round after round."""
    state, rewards = game.initial(batch, LaneRandom(clock(0, batch))), []
    for profile in profiles:
        action = np.broadcast_to(np.asarray(profile), (batch, game.sellers))
        state, paid = game.apply(state, {"seller": action})
        rewards.append(paid)
    return state, rewards


def test_a_stage_pays_what_the_paper_says():
    game = SellerEntry("no-pure-equilibrium", 0.9)
    _, (paid,) = played(game, [1, 1, 0])
    assert paid[0] == pytest.approx([0.5, 0.6, 8.0])
    state, _ = played(game, [0, 1, 0])
    facts = {name: fact[0] for name, fact in game.info(state, "seller").items()}
    assert facts["welfare"][0] == 15 and facts["ideal_welfare"][0] == 20
    assert facts["revenue"][0] == pytest.approx(3.6) and facts["price_max"].tolist() == [0, 4, 3]
    assert facts["counterfactual"].tolist() == pytest.approx(np.array([[0, 0.5], [0, 0.4], [3, 0.5]]))
    assert not facts["is_equilibrium"].any()


def test_counterfactuals_are_the_payoffs_of_the_other_choice():
    for game in (SellerEntry("general", [0.2, 0.5]), RandomEntry(4, 3, 0.3, law="integer")):
        state = game.initial(6, LaneRandom(clock(4, 6)))
        rng = np.random.default_rng(0)
        action = rng.integers(0, game.offer.platforms + 1, (6, game.sellers))
        after, _ = game.apply(state, {"seller": action})
        other = game.info(after, "seller")["counterfactual"]
        for j in range(game.sellers):
            for to in range(game.offer.platforms + 1):
                moved = action.copy()
                moved[:, j] = to
                _, paid = game.apply(state, {"seller": moved})
                assert other[:, j, to] == pytest.approx(paid[:, j])


def test_equilibria_of_the_game_are_those_of_the_solver_and_its_policies_play_one():
    for name, fee in (("two-equilibria", 0.53), ("sawtooth", 0.6), ("general-sweep", 0.58)):
        game = SellerEntry(name, fee)
        assert game.equilibria().tolist() == choices(game.sellers)[Joining.of(name).pure(fee)].tolist()
        ended = walras.play(game, {"seller": "equilibrium"}, batch=2, seed=0)
        assert game.info(ended.state, "seller")["is_equilibrium"].all()
    assert SellerEntry("no-pure-equilibrium", 0.9).equilibrium() is None
    names = {truth.name: truth.value for truth in SellerEntry("two-equilibria", 0.53).truths()}
    assert names["welfare per round in the best pure equilibrium"] == 31
    assert names["welfare per round in the worst pure equilibrium"] == 29


def test_a_game_of_many_sellers_lists_its_equilibria():
    rng = np.random.default_rng(0)
    values, known = rng.integers(1, 100, (14, 14)), (rng.random((14, 14)) < 0.2).astype(int)
    game = SellerEntry({"values": values.tolist(), "known": known.tolist()}, 0.5)
    found = game.equilibria()
    assert found.tolist() == choices(14)[Joining(game.market).pure(0.5)].tolist()
    for profile in found:
        state, _ = played(game, profile)
        assert game.info(state, "seller")["is_equilibrium"].all()


def test_a_market_grows_by_arrivals_and_trade_makes_acquaintances():
    market = {"values": [[5, 1], [4, 3]], "known": [[0, 0], [0, 0]]}
    game = SellerEntry(market, 0.5, rounds=3, arrivals=[[0, 1], [0, 2]], acquaint=True)
    state, rewards = played(game, [1, 1], [0, 1], [0, 1])
    # Round 0: buyer 0 and seller 0 alone, seller 1 is not there yet. Round 1: they know each other; buyer 1, whom
    # nobody knows, is left out. Round 2: seller 1 joins and serves him.
    assert [paid[0].tolist() for paid in rewards] == [[2.5, 0.0], [5.0, 0.0], [5.0, 1.5]]
    assert state.known[0].tolist() == [[True, False], [False, True]]
    fresh = game.root(1)
    assert game.legal(fresh, "seller")[0].tolist() == [[True, True], [True, False]]


def test_private_information_hides_the_other_columns():
    game, full = SellerEntry("general", 0.5, information="private"), SellerEntry("general", 0.5)
    seen = game.observe(game.root(1), "seller")[0]
    assert seen[1, :4].tolist() == [6, 5, 3, 2] and seen[1, 4:8].tolist() == [1, 0, 1, 1]
    assert seen.shape[1] < full.observe(full.root(1), "seller").shape[2]


def test_the_entry_game_is_finite_and_exports():
    assert survey(SellerEntry("no-pure-equilibrium", 0.9)).states == 9
    pyspiel = pytest.importorskip("pyspiel")
    from walras.envs.doors.openspiel import to_openspiel

    tree = pyspiel.convert_to_turn_based(to_openspiel(SellerEntry("tight", 0.49)))
    solver = pyspiel.CFRSolver(tree)
    for _ in range(200):
        solver.evaluate_and_update_policy()
    value = pyspiel.expected_returns(tree.new_initial_state(), solver.average_policy(), -1, True)
    assert value == pytest.approx([0.51 * 4, 0.51 * 2], abs=0.05)  # both join


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: SellerEntry("tight", 1.5), "fee"),
        (lambda: SellerEntry("tight", 0.5, information="none"), "information"),
        (lambda: SellerEntry("tight", 0.5, price_rule="mean"), "price_rule"),
        (lambda: SellerEntry("tight", 0.5, reach=[[1]]), "reach"),
        (lambda: SellerEntry("tight", 0.5, arrivals=[[0], [0, 0]]), "arrivals"),
        (lambda: SellerEntry("tight", 0.5, rounds=0), "rounds"),
        (lambda: SellerEntry("tight", 0.5, fee_on="profit"), "fee_on"),
        (lambda: RandomEntry(law="normal"), "law"),
        (lambda: RandomEntry(edge=2), "edge"),
        (lambda: PlatformFee("tight", selection="all"), "selection"),
        (lambda: PlatformFee("general", selection="algorithm"), "homogeneous"),
        (lambda: PlatformFee("tight", cap=0), "cap"),
        (lambda: PlatformFee(None, sellers=13), "sellers"),
        (lambda: Marketplace("tight", goal="fame"), "goal"),
        (lambda: Marketplace("tight", grid=1), "grid"),
        (lambda: learn_fee(PlatformFee("tight"), "annealing", seed=0), "method"),
        (lambda: learn_fee(PlatformFee("tight", grid=3), "grid", seed=0), "grid"),
        (lambda: EntryRegret(SellerEntry("tight", 0.5, rounds=2, acquaint=True)), "stays the same"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()


# -- fees --------------------------------------------------------------------------------------------------------------


def answer(game, fee, lanes=1):
    rng = LaneRandom(clock(0, lanes))
    return game.respond(game.initial(lanes, rng), np.full(lanes, fee), rng)


def test_sellers_answer_a_fee_as_the_selection_says():
    for selection, joined in (("optimistic", 1), ("best", 1), ("worst", 1), ("algorithm", 1)):
        after = answer(PlatformFee("two-equilibria", selection=selection), 0.53)
        expected = {"worst": 29, "best": 31, "algorithm": 31}.get(selection)
        assert after.joined.sum() == joined
        assert expected is None or after.welfare[0] == expected
    teeth = PlatformFee("sawtooth")
    for fee, revenue in ((0.3, 8.1), (5 / 9, 15), (0.6, 12), (0.7, 14), (0.8, 9.6), (0.95, 0)):
        assert answer(teeth, fee).revenue[0] == pytest.approx(revenue, abs=1e-4)


def test_where_no_equilibrium_exists_sellers_learn():
    after = answer(PlatformFee("no-pure-equilibrium", learning_rounds=20_000), 0.9)
    assert after.welfare[0] == pytest.approx(15.25, rel=0.01)
    assert after.joined[0] == pytest.approx([0.5, 0.5, 0.0], abs=0.02)


def test_the_platforms_own_optimum_is_what_it_states_and_plays():
    game = PlatformFee("sawtooth")
    truths = {truth.name: truth.value for truth in game.truths()}
    assert truths["largest revenue per step"] == 15
    ended = walras.play(game, {"platform": "equilibrium"}, batch=3, seed=0)
    assert (
        ended.mean("platform").value == pytest.approx(15, abs=1e-4)
        if hasattr(ended.mean("platform"), "value")
        else True
    )
    assert game.info(ended.state, "platform")["welfare"][0, 0] == 37
    most = max(float(answer(game, fee).revenue[0]) for fee in np.linspace(0, 1, 501))
    assert most <= 15 + 1e-4


def test_random_markets_give_the_platform_what_enumeration_gives():
    game = PlatformFee(None, law="integer", buyers=4, sellers=3)
    rng = LaneRandom(clock(7, 40))
    state = game.initial(40, rng)
    after = game.respond(state, np.full(40, 0.37), rng)
    from walras.envs.platforms.market import Market

    for lane in range(40):
        best = Joining(Market(state.values[lane], state.known[lane])).select(0.37, "optimistic")
        if best is not None:
            assert after.revenue[lane] == pytest.approx(best.revenue) and after.welfare[lane] == best.welfare


def test_a_gradient_stays_on_its_tooth_and_a_search_over_all_teeth_does_not():
    game = PlatformFee("sawtooth")
    stuck = learn_fee(game, "gradient", 400, seed=0, start=0.65)
    assert 0.66 < stuck.fee < 0.7
    assert learn_fee(game, "gradient", 400, seed=0, start=0.95).fee == pytest.approx(0.95)
    for method in ("grid", "ucb", "epsilon-greedy"):
        assert learn_fee(game, method, 400, seed=0).fee == pytest.approx(0.55)
    assert answer(game, learn_fee(game, "zoom", 400, seed=0).fee).revenue[0] == pytest.approx(15, abs=0.01)
    assert learn_fee(game, "ucb", 100, seed=3).fees.tolist() == learn_fee(game, "ucb", 100, seed=3).fees.tolist()


def test_a_designer_learns_through_stable_baselines3():
    pytest.importorskip("stable_baselines3")
    from walras.algorithms.ppo import PPOSettings, train_ppo

    game = PlatformFee("sawtooth")
    narrow = PPOSettings(steps=8192, lanes=256, rollout=2, minibatch=256, discount=0.0, start=0.3, spread=0.05)
    trained = train_ppo(game, settings=narrow, seed=0)
    fee = float(trained(game.observe(game.initial(1, LaneRandom(clock(0, 1))), "platform")[:, 0])[0, 0])
    assert 0.6 < fee < 0.7  # it too climbs the tooth it stands on


# -- learning sellers --------------------------------------------------------------------------------------------------


def test_regret_matching_comes_to_the_figures_of_the_worked_instances(tmp_path):
    game = SellerEntry("no-pure-equilibrium", 0.9)
    learner = EntryRegret(game, runs=8, seed=0).fit(20_000)
    welfare = learner.mean(Joining.of("no-pure-equilibrium").welfare)
    assert welfare == pytest.approx(np.full(8, 15.25), rel=0.01)
    assert learner.frequency_[:, [0, 2, 4, 6]] == pytest.approx(np.full((8, 4), 0.25), abs=0.02)
    assert learner.regret().max() < 0.02
    for fee, expected in ((0.3, 37), (0.6, 32), (0.8, 25), (0.95, 14)):
        found = EntryRegret(SellerEntry("sawtooth", fee), seed=1).fit(5000)
        assert found.mean(Joining.of("sawtooth").welfare)[0] == pytest.approx(expected, rel=0.01)


def test_a_learner_in_halves_or_saved_and_loaded_goes_on_to_the_same_bits(tmp_path):
    game = SellerEntry("general", [0.2, 0.6], reach=[[1, 1, 0, 0], [1, 1, 1, 1]])
    whole = EntryRegret(game, runs=3, seed=5).fit(2600)
    half = EntryRegret(game, runs=3, seed=5).fit(700)
    half.save(tmp_path / "half.npz")
    again = EntryRegret.load(tmp_path / "half.npz", game).fit(1900)
    assert (again.regrets_ == whole.regrets_).all() and (again.counts_ == whole.counts_).all()
    with pytest.raises(ValueError, match="game"):
        EntryRegret.load(tmp_path / "half.npz", SellerEntry("general", 0.5))
    ended = walras.play(game, whole.policies_, batch=50, seed=0)
    assert ended.returns.shape == (50, 3)


# -- the marketplace ---------------------------------------------------------------------------------------------------


def test_the_marketplace_pays_platform_sellers_and_regulator():
    game = Marketplace("sawtooth", regulator=True, goal="buyers-sellers")
    seats = {
        "regulator": Fee(0.5),
        "platform": Fee(0.9),
        "seller": lambda seen: (seen[:, -4:] @ [1, 1, 1, 0]).astype(np.int64),
    }
    ended = walras.play(game, seats, batch=1, seed=0)
    assert ended.state.fee[0] == 0.5 and ended.state.choice[0].tolist() == [1, 1, 1, 0]
    assert ended.returns[0] == pytest.approx([37 - 13.5, 13.5, 4.5, 4.5, 4.5, 6.0])


def test_sellers_in_turn_are_asked_one_by_one():
    game = FiniteMarketplace("tight", sequential=True, grid=3)
    state = game.root(1)
    asked = []
    while not game.terminal(state)[0]:
        asked.append(np.flatnonzero(game.movers(state)[0]).tolist())
        state, _ = game.apply(state, {"platform": np.array([[1]]), "seller": np.array([[1, 1]])})
    assert asked == [[0], [1], [2]] and state.fee[0] == 0.5
    assert not survey(game).simultaneous and survey(FiniteMarketplace("tight", grid=3)).simultaneous


PAGE = (Path(__file__).resolve().parent.parent / "docs" / "platforms.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_the_examples_of_the_page_run_and_print_what_it_says(block, capsys):
    exec(compile(block, "platforms.md", "exec"), {})
    printed = capsys.readouterr().out
    said = re.findall(r"print\(.*\)  # ([^:\n]+)$", block, re.MULTILINE)
    for words in said:
        assert not re.fullmatch(r"[\[\]\d ]+", words) or words in printed
