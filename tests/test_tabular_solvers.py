"""CFR, evaluation and the linear programme against OpenSpiel, brute force and exact numbers."""

import dataclasses
import functools
import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyspiel
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from open_spiel.python.algorithms import discounted_cfr

from walras.algorithms.tabular import (
    CFR,
    ABCs,
    BoltzmannQ,
    ExternalSampling,
    MaxCFR,
    OutcomeSampling,
    best_response,
    expected_returns,
    exploitability,
    from_openspiel_policy,
    gains,
    nash_conv,
    process_optimum,
    process_value,
    solve,
    to_openspiel_policy,
)
from walras.envs.tabular import CHANCE, DECISION, LEAF, FiniteMDP, FlatGame, cached_game

FORMS = ["sequence", "tree"]


def grow(seed, players=2, depth=4, moves=3, pay="leaves", spread=1.0):
    """A random game with perfect recall: public actions, private signals, generic payoffs.

    Nature deals every player one of two signals, then players who are drawn by the public history act, watched by all.
    """
    rng = np.random.default_rng(seed)
    parent, kind, prob, key, number, reward = [-1], [CHANCE], [1.0], [None], [-1], [np.zeros(players)]
    deals = list(itertools.product(range(2), repeat=players))
    odds = rng.dirichlet(np.full(len(deals), 2.0))
    shape = {}  # what happens after a public history: the same for all signals
    queue = []
    for deal, p in zip(deals, odds, strict=True):
        parent.append(0), kind.append(None), prob.append(p), key.append(None), number.append(-1)
        reward.append(np.zeros(players))
        queue.append((len(parent) - 1, deal, ()))
    for node, deal, history in queue:
        if history not in shape:
            over = len(history) >= depth or (len(history) > 0 and rng.random() < 0.25)
            shape[history] = (None if over else int(rng.integers(players)), int(rng.integers(1, moves + 1)))
        who, width = shape[history]
        if who is None:
            kind[node] = LEAF
            reward[node] = reward[node] + rng.normal(size=players) * spread
            continue
        kind[node], key[node] = DECISION, (who, deal[who], history)
        for a in range(width):
            parent.append(node), kind.append(None), prob.append(1.0), key.append(None), number.append(a)
            reward.append(np.round(rng.normal(size=players), 2) if pay == "everywhere" else np.zeros(players))
            queue.append((len(parent) - 1, deal, (*history, a)))
    infos = sorted({k for k in key if k is not None}, key=lambda k: (k[0], len(k[2]), k))
    widths = [shape[k[2]][1] for k in infos]
    offset = np.concatenate([[0], np.cumsum(widths)]).astype(np.int32)
    place = {k: i for i, k in enumerate(infos)}
    parent = np.array(parent, np.int32)
    count = np.bincount(parent[1:], minlength=len(parent)).astype(np.int32)
    info = np.array([-1 if k is None else place[k] for k in key], np.int32)
    slot = np.array([-1 if a < 0 else offset[info[up]] + a for a, up in zip(number, parent, strict=True)], np.int32)
    return FlatGame(
        name=f"grown({seed})",
        players=tuple(f"player_{i}" for i in range(players)),
        kind=np.array(kind, np.int8),
        info=info,
        parent=parent,
        first_child=np.where(count > 0, 1 + np.cumsum(count) - count, -1).astype(np.int32),
        n_children=count,
        edge_prob=np.array(prob),
        edge_slot=slot,
        reward=np.array(reward),
        info_player=np.array([k[0] for k in infos], np.int8),
        info_offset=offset,
        info_actions=np.concatenate([np.arange(w) for w in widths] or [[]]).astype(np.int32),
    )


def zero_sum(flat):
    return dataclasses.replace(flat, reward=np.stack([flat.reward[:, 0], -flat.reward[:, 0]], axis=1))


def mixed(flat, seed):
    return flat.normalise(np.random.default_rng(seed).random(flat.n_slots) ** 3)


def spiel(name):
    game = pyspiel.load_game(name)
    if game.get_type().dynamics == pyspiel.GameType.Dynamics.SIMULTANEOUS:
        game = pyspiel.convert_to_turn_based(game)
    return game


# -- CFR ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("name", "iterations", "variant", "known"),
    [
        ("kuhn_poker", 1000, "cfr", 0.000937617),
        ("leduc_poker", 100, "cfr", 0.0957164),
        ("kuhn_poker", 300, "cfr+", None),
        ("leduc_poker", 50, "cfr+", None),
        ("tiny_hanabi", 40, "cfr", None),
        pytest.param("liars_dice", 5, "cfr", 0.310689, marks=pytest.mark.slow),
    ],
)
def test_the_average_strategy_is_that_of_openspiels_solver(name, iterations, variant, known, form):
    flat, solver = cached_game(name), {"cfr": pyspiel.CFRSolver, "cfr+": pyspiel.CFRPlusSolver}[variant]
    theirs = solver(spiel(name))
    for _ in range(iterations):
        theirs.evaluate_and_update_policy()
    ours = CFR(flat, variant=variant, form=form).fit(iterations)
    np.testing.assert_allclose(
        ours.average_,
        from_openspiel_policy(flat, theirs.average_policy()).probabilities,
        rtol=0,
        atol=1e-12 if variant == "cfr" else 1e-11,  # forgotten regrets make rounding grow
    )
    assert ours.iteration_ == iterations and ours.nodes_ == iterations * flat.n_nodes * 2
    if known is not None:
        assert exploitability(flat, ours.average_) == pytest.approx(known, rel=2e-6)


@pytest.mark.parametrize("form", FORMS)
def test_discounted_cfr_is_openspiels(form):
    flat, theirs = cached_game("kuhn_poker"), discounted_cfr.DCFRSolver(spiel("kuhn_poker"))
    for _ in range(150):
        theirs.evaluate_and_update_policy()
    average = from_openspiel_policy(flat, theirs.average_policy()).probabilities
    np.testing.assert_allclose(CFR(flat, variant="dcfr", form=form).fit(150).average_, average, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(2, 3), st.sampled_from(["cfr", "cfr+", "dcfr"]), st.booleans(),
    st.sampled_from(["leaves", "everywhere"]),
)  # fmt: skip
def test_both_forms_are_one_method_on_random_games(seed, players, variant, alternating, pay):
    flat = grow(seed, players, pay=pay)
    assume(flat.n_slots > flat.n_infostates)
    one, two = (CFR(flat, variant=variant, form=form, alternating=alternating).fit(25) for form in FORMS)
    np.testing.assert_allclose(one.average_, two.average_, atol=1e-9)
    np.testing.assert_allclose(one.current_, two.current_, atol=1e-9)
    np.testing.assert_allclose(one.regret_, two.regret_, atol=1e-9)


@pytest.mark.parametrize("alternating", [True, False])
def test_without_ties_both_forms_agree_on_three_players_poker(alternating):
    """In the game itself regrets of exactly zero arise, whose sign is one of rounding: any choice there is a right one.

    So the forms may differ on it without alternation. A shift of the payoffs takes the ties away.
    """
    flat = cached_game("kuhn_poker(players=3)")
    rng = np.random.default_rng(0)
    moved = dataclasses.replace(
        flat, reward=flat.reward + 0.01 * rng.normal(size=flat.reward.shape) * (flat.kind == LEAF)[:, None]
    )
    one, two = (CFR(moved, form=form, alternating=alternating).fit(60) for form in FORMS)
    np.testing.assert_allclose(one.average_, two.average_, atol=1e-9)
    first, second = (CFR(flat, form=form, alternating=False).fit(1) for form in FORMS)
    tied = np.abs(first.current_ - second.current_) > 1e-9
    assert tied.any() and np.abs(first.regret_[tied]).max() < 1e-15 and np.abs(second.regret_[tied]).max() < 1e-15


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("variant", ["cfr", "cfr+", "dcfr"])
def test_nash_conv_falls_in_general_sum_games_and_to_nothing_in_constant_sum_ones(variant, form):
    for name, below in [
        ("first_sealed_auction(max_value=4)", 0.1),
        ("sheriff(max_bribe=2,max_items=2,num_rounds=1,sheriff_penalty=3.0)", 0.25),
        ("leduc_poker", 0.1),
    ]:
        flat = cached_game(name)
        begin = nash_conv(flat, flat.uniform())
        assert nash_conv(flat, CFR(flat, variant=variant, form=form).fit(600).average_) < below * begin, name


def test_an_exponent_weighs_the_iterations():
    flat = cached_game("kuhn_poker")
    plain, linear = CFR(flat), CFR(flat, averaging=1)
    total, weighed = 0.0, 0.0
    form = flat.sequence_form
    for t in range(1, 21):
        plan = form.weights(tuple(form.plan(player, plain.current_ if t > 1 else flat.uniform()) for player in (0, 1)))
        total, weighed = total + plan, weighed + t * plan
        plain.fit(1), linear.fit(1)
    np.testing.assert_allclose(plain.average_, flat.normalise(total), atol=1e-12)
    np.testing.assert_allclose(linear.average_, flat.normalise(weighed), atol=1e-12)


# -- evaluation --------------------------------------------------------------------------------------------------------


def walked(flat, strategy):
    """(N,) expected returns, node by node from the leaves up."""
    total = flat.reward.copy()
    for node in range(flat.n_nodes - 1, 0, -1):
        slot = flat.edge_slot[node]
        total[flat.parent[node]] += (flat.edge_prob[node] if slot < 0 else strategy[slot]) * total[node]
    return total[0]


def best_by_enumeration(flat, strategy, player):
    """The best of all pure strategies of a player."""
    low, high = flat.infostates(player)
    best = -np.inf
    for choice in itertools.product(*(range(k) for k in flat.n_actions[low:high])):
        pure = np.array(strategy)
        pure[flat.slots(player)] = 0.0
        pure[flat.info_offset[low:high] + np.array(choice, int)] = 1.0
        best = max(best, walked(flat, pure)[player])
    return best


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3), st.sampled_from(["leaves", "everywhere"]), st.integers(0, 99))
def test_returns_and_best_responses_are_those_of_all_pure_strategies(seed, players, pay, other):
    flat = grow(seed, players, depth=2, pay=pay)
    pures = [np.prod(flat.n_actions[slice(*flat.infostates(i))], dtype=float) for i in range(players)]
    assume(max(pures) <= 300)
    strategy = mixed(flat, other)
    now = walked(flat, strategy)
    np.testing.assert_allclose(expected_returns(flat, strategy), now, atol=1e-12)
    best = [best_by_enumeration(flat, strategy, player) for player in range(players)]
    np.testing.assert_allclose(gains(flat, strategy), best - now, atol=1e-12)
    assert nash_conv(flat, strategy) == pytest.approx(sum(best - now), abs=1e-12)
    for player in range(players):
        response = best_response(flat, strategy, player)
        assert response.value == pytest.approx(best[player], abs=1e-12)
        assert walked(flat, response.strategy)[player] == pytest.approx(best[player], abs=1e-12)
        assert set(response.strategy[flat.slots(player)].tolist()) <= {0.0, 1.0}
        others = np.delete(np.arange(flat.n_slots), np.arange(flat.n_slots)[flat.slots(player)])
        np.testing.assert_array_equal(response.strategy[others], strategy[others])


@pytest.mark.parametrize(
    "name",
    [
        "kuhn_poker", "leduc_poker", "goofspiel(num_cards=3,imp_info=True,points_order=descending)",
        "goofspiel(num_cards=3)", "blotto(coins=4,fields=3)",
    ],
)  # fmt: skip
def test_exploitability_is_openspiels(name):
    flat, game = cached_game(name), spiel(name)
    uniform = pyspiel.UniformRandomPolicy(game)
    assert exploitability(flat, flat.uniform()) == pytest.approx(pyspiel.exploitability(game, uniform), abs=1e-9)
    if len(set(flat.labels)) < flat.n_infostates:  # goofspiel's names forget: OpenSpiel's policies say less than ours
        with pytest.raises(ValueError, match="forget"):
            to_openspiel_policy(flat, flat.uniform())
        return
    for strategy in (mixed(flat, 1), CFR(flat).fit(20).average_):
        theirs = pyspiel.exploitability(game, to_openspiel_policy(flat, strategy))
        assert exploitability(flat, strategy) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize(
    "name",
    [
        "kuhn_poker(players=3)", "first_sealed_auction(max_value=4)", "matrix_pd", "trade_comm(num_items=2)",
        "sheriff(max_bribe=2,max_items=2,num_rounds=1,sheriff_penalty=3.0)", "leduc_poker(players=2)",
    ],
)  # fmt: skip
def test_nash_conv_is_openspiels_in_games_of_general_sum_and_of_three(name):
    flat, game = cached_game(name), spiel(name)
    for strategy in (flat.uniform(), mixed(flat, 2)):
        policy = to_openspiel_policy(flat, strategy)
        assert nash_conv(flat, strategy) == pytest.approx(pyspiel.nash_conv(game, policy), abs=1e-9)
        assert gains(flat, strategy).min() > -1e-12


def test_exploitability_is_not_measured_where_it_is_not_defined():
    flat = cached_game("matrix_pd")
    with pytest.raises(ValueError, match=r"not a two-player game of constant sum.*nash_conv"):
        exploitability(flat, flat.uniform())
    with pytest.raises(ValueError, match="constant sum"):
        solve(flat)
    with pytest.raises(ValueError, match="constant sum"):
        solve(cached_game("kuhn_poker(players=3)"))


@pytest.mark.parametrize("function", [expected_returns, gains, nash_conv, exploitability])
def test_what_is_no_strategy_of_the_game_is_refused(function):
    flat = cached_game("kuhn_poker")
    for wrong in (np.ones(3), np.full(flat.n_slots, 0.6), np.where(np.arange(24) % 2, 2.0, -1.0), np.full(24, np.nan)):
        with pytest.raises(ValueError, match="strategy:"):
            function(flat, wrong)
    with pytest.raises(ValueError, match=r"player must lie in \[0, 2\)"):
        best_response(flat, flat.uniform(), 2)


def test_weighted_rps_is_exploited_by_the_right_formula():
    """Against (R, P, S), rock earns S - P, paper R - 2 S, scissors 2 P - R."""
    flat = cached_game("walras/WeightedRPS-v0")
    rng = np.random.default_rng(3)
    for _ in range(20):
        strategy = flat.normalise(rng.random(6))
        found = gains(flat, strategy) + expected_returns(flat, strategy)
        for player in (0, 1):
            r, p, s = strategy[flat.slots(1 - player)]
            assert found[player] == pytest.approx(max(s - p, r - 2 * s, 2 * p - r), abs=1e-12)
    assert nash_conv(flat, flat.uniform()) == pytest.approx(2 / 3)


# -- the linear programme ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "value"), [("kuhn_poker", -1 / 18), ("leduc_poker", -0.0856064)])
def test_the_programme_finds_the_known_values_and_equilibria(name, value):
    flat = cached_game(name)
    found = solve(flat)
    assert found.value == pytest.approx(value, abs=1e-7)
    assert 0 <= found.exploitability + 1e-12 and exploitability(flat, found.strategy) < 1e-8
    assert expected_returns(flat, found.strategy)[0] == pytest.approx(value, abs=1e-7)


@pytest.mark.parametrize("name", ["kuhn_poker", "leduc_poker"])
def test_openspiel_finds_nothing_to_gain_against_the_solution(name):
    flat = cached_game(name)
    policy = to_openspiel_policy(flat, solve(flat).strategy)
    assert pyspiel.exploitability(spiel(name), policy) == pytest.approx(0.0, abs=1e-8)


@pytest.mark.parametrize("method", ["highs", "highs-ds", "highs-ipm"])
def test_weighted_rps_has_its_one_equilibrium(method):
    found = solve(cached_game("walras/WeightedRPS-v0"), method=method)
    np.testing.assert_allclose(found.strategy, [0.5, 0.25, 0.25] * 2, rtol=0, atol=1e-9)
    assert found.value == pytest.approx(0.0, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(-3, 3))
def test_nobody_gains_against_the_solution_of_a_random_game(seed, share):
    flat = zero_sum(grow(seed, 2, depth=4))
    flat = dataclasses.replace(flat, reward=flat.reward + share * (flat.kind == LEAF)[:, None])
    found = solve(flat)
    assert flat.constant_sum == pytest.approx(2 * share, abs=1e-9)
    assert found.exploitability < 1e-8
    assert best_response(flat, found.strategy, 0).value == pytest.approx(found.value, abs=1e-8)
    cfr = CFR(flat, variant="cfr+").fit(2000)
    assert expected_returns(flat, cfr.average_)[0] == pytest.approx(found.value, abs=0.02)


# -- odd games ---------------------------------------------------------------------------------------------------------


def tiny(shape, players=2, odds=None):
    """A flat game from nested lists: a list is a chance node, a tuple (player, children) a decision, a number a leaf.

    Every decision is an infostate of its own; a leaf pays its number to all.
    """
    queue, parent = [shape], [-1]
    for number, item in enumerate(queue):
        children = item if isinstance(item, list) else item[1] if isinstance(item, tuple) else []
        queue += children
        parent += [number] * len(children)
    parent = np.array(parent, np.int32)
    count = np.bincount(parent[1:], minlength=len(queue)).astype(np.int32)
    kind = np.array([CHANCE if isinstance(i, list) else DECISION if isinstance(i, tuple) else LEAF for i in queue])
    nodes = sorted(np.flatnonzero(kind == DECISION), key=lambda node: (queue[node][0], node))
    info = np.full(len(queue), -1, np.int32)
    info[nodes] = np.arange(len(nodes))
    offset = np.concatenate([[0], np.cumsum(count[nodes])]).astype(np.int32)
    first = np.where(count > 0, 1 + np.cumsum(count) - count, -1).astype(np.int32)
    prob, slot = np.ones(len(queue)), np.full(len(queue), -1, np.int32)
    for node in range(len(queue)):
        below = slice(first[node], first[node] + count[node])
        if kind[node] == CHANCE:
            prob[below] = odds if odds is not None and node == 0 else 1.0 / count[node]
        elif kind[node] == DECISION:
            slot[below] = offset[info[node]] + np.arange(count[node])
    pays = np.array([0.0 if isinstance(i, list | tuple) else i for i in queue])
    return FlatGame(
        name="tiny",
        players=tuple(f"player_{i}" for i in range(players)),
        kind=kind.astype(np.int8),
        info=info,
        parent=parent,
        first_child=first,
        n_children=count,
        edge_prob=prob,
        edge_slot=slot,
        reward=np.repeat(pays[:, None], players, axis=1),
        info_player=np.array([queue[node][0] for node in nodes], np.int8),
        info_offset=offset,
        info_actions=np.concatenate([np.arange(count[node]) for node in nodes] or [[]]).astype(np.int32),
    )


ODD = {
    "a player who never moves": (tiny([(0, [1, 2]), (0, [0, [3, 1], 1])]), 2.0),
    "another who never moves": (tiny([(1, [1, 2]), (1, [0, [3, 1], 1])]), 2.0),
    "a third who never moves": (tiny([(0, [0, (1, [1, 2])]), (1, [1, (0, [0, 0, 2])])], players=3), 2.0),
    "one player": (tiny([(0, [1, (0, [0, 2])]), 3], players=1), 2.5),
    "no choice": (tiny((0, [(1, [4])])), 4.0),
    "an end before any decision": (tiny([1, (0, [0, (1, [3, 2])])]), 2.0),
    "chances of zero": (tiny([(0, [5, 5]), (1, [0, (0, [2, 1])])], odds=[0.0, 1.0]), 2.0),
    "a last chance of zero": (tiny([(0, [1, 2]), (1, [7, (0, [9, 8])])], odds=[1.0, 0.0]), 2.0),
}


@pytest.mark.parametrize("name", ODD)
def test_all_learners_and_measures_take_odd_games(name):
    """All players want the same here: each learner must find it."""
    flat, best = ODD[name]
    for form in FORMS:
        assert expected_returns(flat, CFR(flat, form=form, variant="cfr+").fit(300).average_)[0] > best - 0.02
    for rule in ("matching", "hedge"):
        assert expected_returns(flat, ExternalSampling(flat, rule=rule).fit(2000).average_)[0] > best - 0.05
    for learner in (ABCs, MaxCFR, BoltzmannQ, OutcomeSampling):
        assert expected_returns(flat, learner(flat).fit(nodes=60_000).average_)[0] > best - 0.1, learner
    best_found = CFR(flat, variant="cfr+").fit(300).average_
    assert 0 <= nash_conv(flat, best_found) < 0.05
    if flat.n_players == 2:
        assert solve(dataclasses.replace(flat, reward=flat.reward * [1, -1])).exploitability < 1e-9


@pytest.mark.parametrize("shape", [3, [1, 2]])
def test_games_in_which_nobody_decides_are_valued_and_not_learned(shape):
    flat = tiny(shape)
    assert expected_returns(flat, flat.uniform()) == pytest.approx([np.mean(shape)] * 2)
    assert nash_conv(flat, flat.uniform()) == 0.0
    for learner in (CFR, ExternalSampling, ABCs, OutcomeSampling):
        with pytest.raises(ValueError, match="nobody decides"):
            learner(flat)


def test_a_game_of_one_player_has_no_opponents_to_average_at():
    flat = ODD["one player"][0]
    for learner in (ExternalSampling, ABCs, BoltzmannQ):
        with pytest.raises(ValueError, match="averaging must be 'published' in a game of one player"):
            learner(flat, averaging="opponent")
        assert learner(flat).settings["averaging"] == "published"


def forgetful():
    """One player acts twice and does not know at the second infostate what it did at the first."""
    flat = tiny((0, [(0, [1, 0]), (0, [0, 1])]), players=1)
    return dataclasses.replace(
        flat, info=np.where(flat.info >= 1, 1, flat.info).astype(np.int32), info_player=flat.info_player[:2],
        info_offset=flat.info_offset[:3], info_actions=flat.info_actions[:4],
        edge_slot=np.where(flat.edge_slot >= 4, flat.edge_slot - 2, flat.edge_slot).astype(np.int32),
    )  # fmt: skip


@pytest.mark.parametrize(
    "use",
    [
        CFR,
        functools.partial(CFR, form="tree"),
        ExternalSampling,
        lambda flat: gains(flat, flat.uniform()),
        lambda flat: expected_returns(flat, flat.uniform()),
    ],
)
def test_players_who_forget_what_they_did_are_refused_where_memory_is_needed(use):
    with pytest.raises(ValueError, match="player_0 of tiny does not remember its own actions at infostate 1"):
        use(forgetful())


def test_q_learning_takes_players_who_forget():
    assert BoltzmannQ(forgetful()).fit(nodes=1000).nodes_ >= 1000


# -- processes ---------------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
def test_layered_processes_are_valued_as_by_backward_induction(seed, layers, states, actions):
    process = FiniteMDP.layered(layers, states, actions, seed=seed)
    rng = np.random.default_rng(seed)
    policy = rng.dirichlet(np.ones(actions), size=layers * states)
    valued, optimal = np.zeros(layers * states), np.zeros(layers * states)
    for state in range(layers * states - 1, -1, -1):
        worth = []
        for values in (valued, optimal):
            row = []
            for pair in range(state * actions, (state + 1) * actions):
                at = slice(process.first[pair], process.first[pair + 1])
                after = np.where(process.target[at] >= 0, values[process.target[at]], 0.0)
                row.append(float(process.probability[at] @ (process.reward[at] + after)))
            worth.append(np.array(row))
        valued[state], optimal[state] = policy[state] @ worth[0], worth[1].max()
    assert process_value(process, policy.reshape(-1)) == pytest.approx(process.start @ valued, abs=1e-10)
    assert process_optimum(process) == pytest.approx(process.start @ optimal, abs=1e-10)


def test_policies_that_never_end_and_states_that_share_infostates_are_refused():
    turns = FiniteMDP("turns", [1.0], [0], [2], [0, 1, 2], [1.0, 1.0], [0, -1], [1.0, 0.0])
    with pytest.raises(ValueError, match="it need not end an episode of turns"):
        process_value(turns, np.array([1.0, 0.0]))
    assert process_value(turns, np.array([0.75, 0.25])) == pytest.approx(3.0)
    with pytest.raises(ValueError, match=r"policy: shape \(3,\) given, \(2,\) needed"):
        process_value(turns, np.ones(3))
    shared = FiniteMDP("shared", [0.5, 0.5], [0, 0], [1], [0, 1, 2], [1.0, 1.0], [-1, -1], [1.0, 0.0])
    with pytest.raises(ValueError, match="share infostates"):
        process_optimum(shared)
    assert process_value(shared, np.ones(1)) == pytest.approx(0.5)


def test_the_optimum_is_found_where_staying_for_ever_is_as_good_as_any_step():
    rows = [[(0, 0.0)], [(-1, 1.0)], [(-1, 0.0)], [(0, 0.0)]]  # state 0: stay, or end with 1; state 1: end, or go to 0
    process = FiniteMDP(
        "tie", start=[0.0, 1.0], info=[0, 1], n_actions=[2, 2], first=np.arange(5), probability=np.ones(4),
        target=[row[0][0] for row in rows], reward=[row[0][1] for row in rows],
    )  # fmt: skip
    assert process_optimum(process) == pytest.approx(1.0)


@pytest.mark.parametrize(("name", "optimum"), [("FrozenLake-v1", 14 / 17), ("CliffWalking-v1", -13.0)])
def test_the_optima_of_gymnasiums_tables(name, optimum):
    assert process_optimum(FiniteMDP.from_gymnasium(name)) == pytest.approx(optimum)


# -- sampling ----------------------------------------------------------------------------------------------------------


def counterfactual(flat, strategy, player):
    """(S,) what the player's actions are worth, weighted by the chance that nature and the others come there."""
    total, reach, found = flat.reward[:, player].copy(), np.ones(flat.n_nodes), np.zeros(flat.n_slots)
    for node in range(flat.n_nodes - 1, 0, -1):
        slot = flat.edge_slot[node]
        total[flat.parent[node]] += (flat.edge_prob[node] if slot < 0 else strategy[slot]) * total[node]
    for node in range(1, flat.n_nodes):
        slot, above = flat.edge_slot[node], flat.parent[node]
        own = slot >= 0 and flat.info_player[flat.info[above]] == player
        reach[node] = reach[above] * (1.0 if own else flat.edge_prob[node] if slot < 0 else strategy[slot])
        if own:
            found[slot] += reach[node] * total[node]
    return found


@pytest.mark.parametrize("name", ["kuhn_poker", "kuhn_poker(players=3)", "tiny_hanabi"])
@pytest.mark.parametrize("make", [
    lambda flat, seed: ExternalSampling(flat, rule="hedge", seed=seed).fit(1).regret_,
    lambda flat, seed: OutcomeSampling(flat, seed=seed).fit(iterations=1).memory_.slots["q"],
    lambda flat, seed: OutcomeSampling(flat, seed=seed, explore=1.0).fit(iterations=1).memory_.slots["q"],
])  # fmt: skip
def test_what_is_sampled_is_right_on_average(make, name):
    """Of the first player, who is answered by strategies that have not moved yet."""
    flat, own = cached_game(name), cached_game(name).slots(0)
    found = np.array([make(flat, seed)[own] for seed in range(3000)])
    error = found.std(axis=0) / np.sqrt(len(found))
    assert (np.abs(found.mean(axis=0) - counterfactual(flat, flat.uniform(), 0)[own]) < 4.5 * error + 1e-12).all()


def test_very_long_trajectories_leave_finite_numbers():
    process = FiniteMDP(
        "walk", start=[1.0], info=[0], n_actions=[4], first=np.arange(5), probability=np.ones(4),
        target=np.zeros(4), reward=[0.0, 1.0, 0.0, -1.0],
    )  # fmt: skip
    for profile in ("published", "corrected"):
        learner = OutcomeSampling(process=process, limit=3000, profile=profile).fit(iterations=20)
        assert np.isfinite(learner.memory_.slots["q"]).all() and np.isfinite(learner.policy_).all()


def test_threads_do_not_share_the_buffers_of_an_evaluation():
    flat = cached_game("leduc_poker")
    strategies = [mixed(flat, seed) for seed in range(4)]
    alone = [nash_conv(flat, s) for s in strategies]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(functools.partial(nash_conv, flat), strategies * 50))
    assert together == alone * 50
