"""Compiled games and decision processes as walras games: rules, doors, single nodes, stacks.

Long, because the small trees made by `tree` serve all of them.
"""

import copy
import dataclasses
import functools
import pickle

import gymnasium
import numpy as np
import pettingzoo
import pytest
import scipy.optimize
import scipy.stats
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

import walras
from walras.envs.check import check_game
from walras.envs.doors.aec import GameAECEnv
from walras.envs.doors.single import SeatEnv
from walras.envs.game import take
from walras.envs.lanes import LaneRandom, clock
from walras.envs.play import play
from walras.envs.tabular import (
    CHANCE,
    DECISION,
    LEAF,
    CartPole,
    DiscretisedCartPole,
    FiniteMDP,
    FlatGame,
    Stacked,
    TabularAECEnv,
    TabularGame,
    TabularMDP,
    WeightedRPS,
    as_process,
    compile_game,
)
from walras.envs.tabular.processes import begun, moved, seen_of
from walras.envs.tabular.world import build


def tree(shape, players=2, seed=0, pay="everywhere"):
    """A flat game from nested lists: a list is a chance node, a tuple (player, children) a decision, 0 a leaf."""
    rng = np.random.default_rng(seed)
    queue, parent, found = [shape], [-1], []
    for number, item in enumerate(queue):
        children = item if isinstance(item, list) else item[1] if isinstance(item, tuple) else []
        found.append((item, len(children)))
        queue += children
        parent += [number] * len(children)
    n = len(queue)
    count = np.array([many for _, many in found], np.int32)
    kind = np.array([CHANCE if isinstance(i, list) else DECISION if isinstance(i, tuple) else LEAF for i, _ in found])
    nodes = sorted(np.flatnonzero(kind == DECISION), key=lambda node: (found[node][0][0], node))
    info = np.full(n, -1, np.int32)
    info[nodes] = np.arange(len(nodes))
    offset = np.concatenate([[0], np.cumsum(count[nodes])]).astype(np.int32)
    first = np.where(count > 0, 1 + np.cumsum(count) - count, -1).astype(np.int32)
    prob, slot = np.ones(n), np.full(n, -1, np.int32)
    for node in range(n):
        below = slice(first[node], first[node] + count[node])
        if kind[node] == CHANCE:
            prob[below] = rng.dirichlet(np.ones(count[node]))
        elif kind[node] == DECISION:
            slot[below] = offset[info[node]] + np.arange(count[node])
    reward = np.round(rng.normal(size=(n, players)), 1) * (1.0 if pay == "everywhere" else (kind == LEAF)[:, None])
    return FlatGame(
        name="tree",
        players=tuple(f"player_{i}" for i in range(players)),
        kind=kind.astype(np.int8),
        info=info,
        parent=np.array(parent, np.int32),
        first_child=first,
        n_children=count,
        edge_prob=prob,
        edge_slot=slot,
        reward=reward,
        info_player=np.array([found[node][0][0] for node in nodes], np.int8),
        info_offset=offset,
        info_actions=np.concatenate([np.arange(count[node]) for node in nodes] or [[]]).astype(np.int32),
    )


NATURE_PAYS = tree([(0, [[0, (1, [0, 0, [0, 0]])], 0]), [0, (1, [0, [[0, 0], 0]])]])
"""Nature moves first, last, and twice in a row, ends the game in three places, and is paid for everywhere."""


def uniform_values(flat):
    """(N,) expected returns when everybody plays at random."""
    total = flat.reward.copy()
    for node in range(flat.n_nodes - 1, 0, -1):
        slot = flat.edge_slot[node]
        odds = flat.edge_prob[node] if slot < 0 else flat.uniform()[slot]
        total[flat.parent[node]] += odds * total[node]
    return total[0]


# -- compiled games ----------------------------------------------------------------------------------------------------


def test_the_registered_classics_are_what_they_say():
    for id, infostates, actions in (("Kuhn", 12, 2), ("Leduc", 936, 3)):
        game = walras.make(f"walras/{id}Poker-v0")
        assert game.agents == ("player_0", "player_1")
        assert game.roles[0].observation_space == spaces.Discrete(infostates + 1)
        assert game.roles[0].action_space == spaces.Discrete(actions)
    known = {truth.name: truth.value for truth in walras.make("walras/KuhnPoker-v0").truths()}
    assert known["player_0's value in equilibrium"] == -1 / 18
    assert walras.make("walras/KuhnPoker-v0", players=3).truths() == ()
    assert {t.value for t in walras.make("walras/LiarsDice-v0").truths()} == {0.780842}


def test_the_values_of_kuhn_and_leduc_are_those_of_a_linear_program():
    """Over realisation plans, made here from the tree alone."""
    for id in ("walras/KuhnPoker-v0", "walras/LeducPoker-v0"):
        game = walras.make(id)
        stated = next(t.value for t in game.truths() if "value" in t.name)
        assert linear_program(game.flat) == pytest.approx(stated, abs=1e-7)


def linear_program(flat):
    """Player 0's value: it chooses a plan x, player 1's bound the payoff by v; min over y by duality."""
    plans, constraints, last = [], [], np.zeros((flat.n_nodes, 2), np.int64)
    first = [flat.slots(player).start for player in range(2)]
    chance = np.ones(flat.n_nodes)
    for node in range(1, flat.n_nodes):
        above, slot = flat.parent[node], flat.edge_slot[node]
        last[node], chance[node] = last[above], chance[above] * (flat.edge_prob[node] if slot < 0 else 1.0)
        if slot >= 0:
            who = flat.info_player[flat.info[above]]
            last[node, who] = 1 + slot - first[who]
    for player in range(2):
        low, high = flat.infostates(player)
        sequences = 1 + flat.info_offset[high] - flat.info_offset[low]
        matrix = np.zeros((1 + high - low, sequences))
        matrix[0, 0] = 1.0
        for node in np.flatnonzero((flat.info >= low) & (flat.info < high)):
            row = 1 + flat.info[node] - low
            slots = np.arange(flat.info_offset[flat.info[node]], flat.info_offset[flat.info[node] + 1]) - first[player]
            matrix[row] = 0.0
            matrix[row, last[node, player]], matrix[row, 1 + slots] = -1.0, 1.0
        plans.append(sequences)
        constraints.append(matrix)
    payoff = np.zeros(plans)
    leaves = np.flatnonzero(flat.kind == LEAF)
    np.add.at(payoff, (last[leaves, 0], last[leaves, 1]), chance[leaves] * flat.returns[leaves, 0])
    rows = len(constraints[1])
    objective = np.concatenate([np.zeros(plans[0]), -np.eye(1, rows)[0]])
    above = np.hstack([-payoff.T, constraints[1].T])  # constraints' prices may not exceed what the plan earns
    fixed = np.hstack([constraints[0], np.zeros((len(constraints[0]), rows))])
    bounds = [(0, None)] * plans[0] + [(None, None)] * rows
    solved = scipy.optimize.linprog(
        objective, above, np.zeros(plans[1]), fixed, np.eye(1, len(fixed))[0], bounds, method="highs"
    )
    return -solved.fun


@pytest.mark.parametrize("id", ["walras/KuhnPoker-v0", "walras/LeducPoker-v0", "walras/TabularGame-v0"])
def test_random_play_earns_what_the_tree_says(id):
    game = walras.make(id)
    returns = play(game, "random", batch=40_000, seed=3).returns
    error = returns.std(axis=0) / 200
    np.testing.assert_array_less(np.abs(returns.mean(axis=0) - uniform_values(game.flat)), 4.5 * error + 1e-12)


def test_kuhns_equilibrium_fills_the_seats_that_nobody_takes():
    episodes = play("walras/KuhnPoker-v0", batch=100_000, seed=0)
    assert episodes.mean("player_0") == pytest.approx(-1 / 18, abs=4 * episodes.standard_error("player_0"))
    for spelling in ("walras/LeducPoker-v0", "walras/TabularGame-v0"):
        assert walras.make(spelling).equilibrium() is None
    assert walras.make("walras/KuhnPoker-v0", observation="tensor").equilibrium() is None
    assert walras.make("walras/TabularGame-v0", source="kuhn_poker(players=2)").equilibrium() is not None


def test_an_episode_moves_along_the_tree():
    game = walras.make("walras/LeducPoker-v0")
    flat, episodes = game.flat, play("walras/LeducPoker-v0", "random", batch=200, seed=1, record=True)
    for moment in episodes.history:
        node = moment.state.node
        assert (flat.kind[node] == DECISION).all()
        seen, mask = game.observe(moment.state, "player"), game.legal(moment.state, "player")
        mover = flat.info_player[flat.info[node]]
        for player in range(2):
            own = mover == player
            np.testing.assert_array_equal(seen[own, player], flat.info[node[own]])
            assert (seen[~own, player] == flat.n_infostates).all() and not mask[~own, player].any()
            np.testing.assert_array_equal(mask[own, player].sum(axis=1), flat.n_actions[flat.info[node[own]]])
    assert (flat.kind[episodes.state.node] == LEAF).all()
    np.testing.assert_array_equal(episodes.returns, flat.returns[episodes.state.node])


def test_agents_of_a_compiled_game_keep_their_names_and_roles():
    auction = TabularGame("walras/DiscreteAuction-v0", bidders=3, values=2)
    assert auction.agents == ("bidder_0", "bidder_1", "bidder_2") and auction.roles[0].count == 3
    flat = tree((0, [(1, [0, (2, [0, 0])]), 0]), players=3)
    mixed = TabularGame(dataclasses.replace(flat, players=("seller", "buyer_0", "buyer_1")))
    assert mixed.agents == ("seller", "buyer_0", "buyer_1") and [role.count for role in mixed.roles] == [None, 2]
    assert check_game(mixed) == ()
    odd = TabularGame(dataclasses.replace(flat, players=("a_3", "a_1", "a_0")))
    assert odd.agents == ("player_0", "player_1", "player_2")


def test_a_player_who_moves_at_the_same_time_does_not_see_the_other():
    game = TabularGame("walras/WeightedRPS-v0")
    assert (game.flat.n_nodes, game.flat.n_infostates) == (13, 2)
    state = game.reset_to(0)
    for action in range(3):
        after, _ = game.move(state.node, np.array([action]))
        assert game.seen(after) == 1 and game.player(after) == 1


def test_tensors_are_observed_where_the_source_has_them():
    game = walras.make("walras/KuhnPoker-v0", observation="tensor")
    state = game.initial(50, np.random.default_rng(0))
    seen = game.observe(state, "player")
    np.testing.assert_array_equal(seen[:, 0], game.flat.tensors[game.flat.info[state.node]])
    assert not seen[:, 1].any() and seen.shape == (50, 2, 11)
    assert check_game(game) == ()
    with pytest.raises(ValueError, match=r"observation: .* has no information-state tensors"):
        walras.make("walras/TabularGame-v0", observation="tensor")
    with pytest.raises(ValueError, match="observation must be one of"):
        walras.make("walras/KuhnPoker-v0", observation="cards")


def test_parameters_go_through_the_doors_and_unknown_ones_are_refused():
    env = gymnasium.make("walras/TabularGame-v0", source="kuhn_poker", players=3)
    assert env.unwrapped.game.n_agents == 3
    assert gymnasium.make("walras/KuhnPoker-v0", players=3).observation_space == env.observation_space
    with pytest.raises(ValueError, match="cards"):
        walras.make("walras/KuhnPoker-v0", cards=4)
    with pytest.raises(TypeError, match="flavour"):
        walras.make("walras/TabularGame-v0", flavour=4)
    with pytest.raises(TypeError, match=r"parameters \['players'\]"):
        TabularGame(NATURE_PAYS, players=3)
    with pytest.raises(ValueError, match=r"limit: .* nodes"):
        walras.make("walras/LeducPoker-v0", limit=1000)
    with pytest.raises(ValueError, match="nobody ever decides anything"):
        TabularGame(tree([0, 0]))


def test_copies_share_the_arrays_and_pickles_keep_them():
    game = walras.make("walras/KuhnPoker-v0")
    twin, stored = copy.deepcopy(game), pickle.loads(pickle.dumps(game))
    twin.horizon = 3
    assert game.horizon is None and twin.flat is game.flat
    assert stored.flat.fingerprint == game.flat.fingerprint
    assert walras.make("walras/KuhnPoker-v0").flat is game.flat


# -- what nature pays --------------------------------------------------------------------------------------------------


def test_what_nature_pays_is_neither_lost_nor_paid_twice():
    game = TabularGame(NATURE_PAYS)
    flat = game.flat
    episodes = play(game, "random", batch=30_000, seed=2, record=True)
    possible = {tuple(np.round(row, 6)) for row in flat.returns[flat.kind == LEAF]}
    assert {tuple(np.round(row, 6)) for row in episodes.returns} <= possible
    error = episodes.returns.std(axis=0) / 30_000**0.5
    np.testing.assert_array_less(np.abs(episodes.returns.mean(axis=0) - uniform_values(flat)), 4.5 * error)
    assert check_game(game) == ()


@functools.cache
def shapes():
    return st.recursive(
        st.just(0),
        lambda below: (
            st.lists(below, min_size=1, max_size=3)
            | st.tuples(st.integers(0, 1), st.lists(below, min_size=1, max_size=3))
        ),
        max_leaves=12,
    ).filter(lambda shape: "(" in repr(shape))


@settings(max_examples=60, deadline=None)
@given(shapes(), st.integers(0, 1000))
def test_the_enumerated_rules_of_any_tree_earn_what_its_arrays_say(shape, seed):
    """By a walk through `chance`, `resolve` and `apply`, and by single steps that sample nature."""
    game = TabularGame(tree(shape, seed=seed))
    flat = game.flat

    def walk(state):
        odds = game.chance(state)[0]
        if odds.any():
            return sum(p * walk(game.resolve(state, np.array([o]))) for o, p in enumerate(odds) if p > 0)
        if game.terminal(state)[0]:
            return np.zeros(2)
        legal = np.flatnonzero(game.legal(state, "player")[0, game.player(state.node)[0]])
        total = np.zeros(2)
        for action in legal:
            after, rewards = game.apply(state, {"player": np.full((1, 2), action)})
            total += (rewards[0] + walk(after)) / len(legal)
        return total

    np.testing.assert_allclose(walk(game.root(1)), uniform_values(flat), atol=1e-12)
    rng, returns = np.random.default_rng(seed), np.zeros(2)
    node, done, path = int(game.settle(np.array([0]), rng)[0]), False, []
    while not done:
        path.append(node)
        node, rewards, done = game.step_from(node, int(rng.integers(game.choices(np.array([node]))[0])), rng)
        returns += rewards
    end = node if node < flat.n_nodes else path[-1]
    np.testing.assert_allclose(returns, flat.returns[end], atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(shapes(), st.integers(0, 1000))
def test_any_tree_compiled_again_through_its_game_is_itself(shape, seed):
    """`horizon` makes the compiler expand the rules instead of handing over the arrays."""
    flat = tree(shape, seed=seed, pay="at the end")
    if flat.kind[0] == CHANCE and (flat.returns[flat.kind == LEAF] == 0).all(axis=1).any():
        return
    game = TabularGame(flat)
    assert compile_game(game) is flat
    game.horizon = 100
    again = compile_game(game)
    np.testing.assert_allclose(uniform_values(again), uniform_values(flat), atol=1e-12)
    assert again.n_infostates == flat.n_infostates or again.n_nodes > flat.n_nodes


# -- single nodes and the AEC table ------------------------------------------------------------------------------------


def test_single_steps_and_batches_of_them_agree():
    game = walras.make("walras/LeducPoker-v0")
    flat = game.flat
    nodes = np.flatnonzero(flat.kind == DECISION)[::7]
    actions = np.zeros(len(nodes), np.int64)
    state, rewards = game.step(
        game.reset_to(nodes), {"player": np.stack([actions, actions], axis=1)}, LaneRandom(clock(0, len(nodes)))
    )
    for k in range(len(nodes)):
        one = LaneRandom(clock(0, 1, lane=k))
        after, paid, done = game.step_from(int(nodes[k]), 0, one)
        assert after == state.node[k] and done == game.terminal(state)[k]
        np.testing.assert_array_equal(paid, rewards[k])
        assert flat.parent[after] == flat.first_child[nodes[k]] or after == flat.first_child[nodes[k]]


def test_facts_about_single_nodes():
    game = walras.make("walras/LeducPoker-v0")
    flat = game.flat
    node = int(np.flatnonzero((flat.kind == DECISION) & (flat.n_children == 2))[0])
    leaf = int(np.flatnonzero(flat.kind == LEAF)[0])
    assert game.infostate(node) == flat.info[node] and game.infostate(0) == game.infostate(leaf) == -1
    assert game.legal_actions(node).tolist() == [0, 1] and game.legal_actions(0).tolist() == []
    assert game.reset_to(node).node.tolist() == [node] and game.reset_to(np.array([node, 0])).node.tolist() == [node, 0]
    rng = np.random.default_rng(0)
    for bad in (-1, flat.n_nodes, 1.5, True, "root"):
        for ask in (game.infostate, game.legal_actions, game.reset_to, lambda n: game.step_from(n, 0, rng)):
            with pytest.raises(ValueError, match=rf"node: an integer in \[0, {flat.n_nodes}\)"):
                ask(bad)
    for where in (0, leaf):
        with pytest.raises(ValueError, match=f"node: nobody decides at node {where}"):
            game.step_from(where, 0, rng)
    for bad in (2, -1, 0.0, True):
        with pytest.raises(ValueError, match=r"action: an integer in \[0, 2\) is needed"):
            game.step_from(node, bad, rng)


def test_the_aec_table_of_a_compiled_game_can_be_set_to_a_node():
    env = pettingzoo.make("aec", "walras/KuhnPoker-v0")
    assert isinstance(env, TabularAECEnv)
    flat = env.game.flat
    player_1 = np.flatnonzero((flat.kind == DECISION) & (flat.info >= flat.infostates(1)[0]))
    for node in player_1.tolist():
        env.reset_to(node, seed=5)
        assert env.agent_selection == "player_1" and env.agents == ["player_0", "player_1"]
        observation = env.observe("player_1")
        assert observation["observation"] == env.infostate(node) == flat.info[node]
        assert np.flatnonzero(observation["action_mask"]).tolist() == env.legal(node).tolist() == [0, 1]
        env.step(1)
        after, rewards, done = env.step_from(node, 1, np.random.default_rng(0))
        assert [env.terminations["player_0"], env.rewards["player_0"], env.rewards["player_1"]] == [done, *rewards]
        assert done or (
            env.agent_selection == "player_0" and env.observe("player_0")["observation"] == flat.info[after]
        )
    env.reset(seed=0)
    assert env.agent_selection == "player_0"


def test_a_table_set_to_a_node_goes_on_as_an_episode_does():
    env, other = (pettingzoo.make("aec", "walras/LeducPoker-v0") for _ in range(2))
    env.reset(seed=4)
    node = int(env._arena.state.node[0])
    other.reset_to(node, seed=4)
    for table in (env, other):
        for _ in table.agent_iter():
            _, _, over, cut, _ = table.last()
            table.step(None if over or cut else 1)
    assert env._arena.state.node == other._arena.state.node
    env.reset(seed=4)
    kept = env.snapshot()
    env.reset_to(node)
    env.restore(kept)
    assert env.agent_selection == "player_0"


def test_tables_refuse_nodes_and_games_that_do_not_fit():
    env = pettingzoo.make("aec", "walras/KuhnPoker-v0")
    with pytest.raises(ValueError, match="node: nobody decides at node 0"):
        env.reset_to(0)
    with pytest.raises(ValueError, match="node: an integer"):
        env.reset_to(58)
    with pytest.raises(TypeError, match="a TabularGame is needed, got WeightedRPS"):
        TabularAECEnv("walras/WeightedRPS-v0")
    assert type(pettingzoo.make("aec", "walras/WeightedRPS-v0")) is GameAECEnv


def test_an_entry_names_the_table_of_its_game(monkeypatch):
    monkeypatch.setattr("walras.envs.registry._games", dict(walras.envs.registry._games))
    walras.register("tests/Table-v0", "walras.envs.tabular.rules:TabularGame", kwargs={"source": "tiny_hanabi"})
    assert walras.spec("tests/Table-v0").aec == "walras.envs.doors.aec:GameAECEnv"
    with pytest.raises(ValueError, match="aec: 'nowhere' is not of the form"):
        walras.register("tests/Other-v0", "walras.envs.tabular.rules:TabularGame", aec="nowhere")
    with pytest.raises(ValueError, match="already registered"):
        walras.register(
            "tests/Table-v0",
            "walras.envs.tabular.rules:TabularGame",
            kwargs={"source": "tiny_hanabi"},
            aec="walras.envs.tabular.table:TabularAECEnv",
        )


# -- weighted rock, paper, scissors ------------------------------------------------------------------------------------


def test_weighted_rps_has_its_table_its_mixture_and_its_gains():
    game = WeightedRPS()
    np.testing.assert_array_equal(game.table, [[0, -1, 1], [1, 0, -2], [-1, 2, 0]])
    assert game.mixture == (0.5, 0.25, 0.25)
    known = {truth.name: truth.value for truth in game.truths()}
    assert known["sum of both gains against uniform play"] == pytest.approx(2 / 3)
    for row, column in np.ndindex(3, 3):
        _, rewards = game.apply(game.root(1), {"player": np.array([[row, column]])})
        assert rewards.tolist() == [[game.table[row, column], -game.table[row, column]]]


@settings(max_examples=30, deadline=None)
@given(*[st.floats(0.1, 10.0)] * 3)
def test_the_mixture_is_the_one_equilibrium_for_all_weights(rock, paper, scissors):
    game = WeightedRPS(rock=rock, paper=paper, scissors=scissors)
    np.testing.assert_allclose(game.table @ game.mixture, 0.0, atol=1e-12)
    np.testing.assert_array_equal(game.table, -game.table.T)
    for k in range(3):  # no other mixture holds every action at 0: the payoffs have rank 2
        limits = {"A_ub": game.table, "b_ub": np.zeros(3), "A_eq": np.ones((1, 3)), "b_eq": [1.0]}
        for sign in (1.0, -1.0):
            solved = scipy.optimize.linprog(sign * np.eye(3)[k], **limits, method="highs")
            assert sign * solved.fun == pytest.approx(game.mixture[k], abs=1e-6)


def test_the_equilibrium_sits_in_seats_and_earns_nothing_and_loses_nothing():
    rock = {"player_1": "equilibrium", "player_0": lambda seen: np.zeros(len(seen), np.int64)}
    episodes = play("walras/WeightedRPS-v0", rock, batch=20_000, seed=0)
    assert abs(episodes.mean("player_0")) < 4 * episodes.standard_error("player_0")
    shown = play("walras/WeightedRPS-v0", "equilibrium", batch=20_000, seed=1).info("player")["shows"]
    shares = np.bincount(shown.astype(int).ravel(), minlength=3) / 40_000
    np.testing.assert_allclose(shares, [0.5, 0.25, 0.25], atol=0.012)


@pytest.mark.parametrize(
    "bad", [{"rock": 0}, {"paper": -1.0}, {"scissors": float("inf")}, {"rock": True}, {"rounds": 0}]
)
def test_bad_weights_are_named(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        WeightedRPS(**bad)


# -- processes ---------------------------------------------------------------------------------------------------------


def test_cartpole_is_gymnasiums():
    """Step by step over 300 episodes of random pushes, states to rounding and ends exactly."""
    env = gymnasium.make("CartPole-v1").unwrapped
    world, rng = build(CartPole(), None), np.random.default_rng(0)
    for _ in range(300):
        body = begun(world, rng.random((1, 4)))
        assert (np.abs(body[0, :4]) <= 0.05).all()
        env.reset(seed=0)
        env.state = tuple(body[0, :4])
        over = False
        while not over:
            action = int(rng.integers(2))
            body, paid, ended = moved(world, body, np.array([action]), np.array([[0.5, 0.5]]), 0.0)
            _, reward, over, _, _ = env.step(action)
            np.testing.assert_allclose(body[0, :4], env.state, rtol=0, atol=1e-12)
            assert paid[0] == reward == 1.0 and bool(ended[0]) == over


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-4, 4), min_size=4, max_size=4), st.integers(2, 12))
def test_bins_are_those_of_numpy(state, bins):
    process = CartPole(bins)
    index = [np.digitize(x, row) for x, row in zip(state, process.edges, strict=True)]
    seen = seen_of(build(process, None), np.array([[*state, 0.0, 0.0]]))
    assert seen[0] == np.ravel_multi_index(index, (bins,) * 4)
    np.testing.assert_allclose(process.edges[1], np.linspace(-3, 3, bins + 1)[1:-1])


def test_cartpole_ends_by_chance_in_training_and_not_in_evaluation():
    game = DiscretisedCartPole()
    assert game.roles[0].observation_space == spaces.Discrete(10_000) and game.horizon == 500
    balance = Balance()
    training = play(DiscretisedCartPole(bins=40), {"player": balance}, batch=2000, seed=0)
    evaluation = play(DiscretisedCartPole(bins=40, end=0.0, limit=200), {"player": balance}, batch=200, seed=0)
    assert (evaluation.lengths == 200).all() and (evaluation.returns == 200.0).all()
    lengths = training.lengths
    assert lengths.max() == 500
    expected = (1 - (1 - 1 / 200) ** 500) * 200  # a geometric law, cut
    assert lengths.mean() == pytest.approx(expected, abs=4 * lengths.std() / 2000**0.5)
    np.testing.assert_array_equal(training.returns[:, 0], lengths)


class Balance:
    """Pushes where the pole leans and turns, by the middles of 40 bins."""

    def __call__(self, observation):
        index = np.stack(np.unravel_index(observation, (40,) * 4), axis=1)
        x, dx, angle, spin = ((index + 0.5) / 20 - 1).T * np.array([[2.4], [3.0], [0.5], [2.0]])
        return (0.1 * x + 0.3 * dx + 8.0 * angle + 1.5 * spin > 0).astype(np.int64)


def dynamic_programme(table, start, sweeps=100):
    """Value of a horizon by Gymnasium's table."""
    worth = np.zeros(len(table))
    for _ in range(sweeps):
        worth = np.array(
            [max(sum(p * (r + (0 if over else worth[s])) for p, s, r, over in row) for row in table[state].values())
             for state in range(len(table))]
        )  # fmt: skip
    return float(worth @ start)


@pytest.mark.parametrize("id", ["FrozenLake-v1", "Taxi-v4", "CliffWalking-v1", "CliffWalkingSlippery-v1"])
def test_gymnasiums_tables_become_processes(id):
    env = gymnasium.make(id).unwrapped
    process = FiniteMDP.from_gymnasium(id)
    assert process.name == id and len(process.start) == env.observation_space.n
    worth = np.zeros(len(process.start) + 1)  # the last one is -1, the end
    for _ in range(60):
        step = np.add.reduceat(process.probability * (process.reward + worth[process.target]), process.first[:-1])
        worth = np.append(np.maximum.reduceat(step, process.action_offset[:-1]), 0.0)
    start = np.asarray(env.initial_state_distrib, float)
    assert worth[:-1] @ process.start == pytest.approx(dynamic_programme(env.P, start / start.sum(), 60), abs=1e-9)


def test_a_process_moves_by_its_law():
    process = FiniteMDP.layered(3, 4, 2, seed=5)
    world, rng = build(process, None), np.random.default_rng(1)
    body = begun(world, rng.random((40_000, 4)))
    starts = np.bincount(body[:, 0].astype(int), minlength=12)
    assert scipy.stats.chisquare(starts[:4]).pvalue > 1e-4 and starts[4:].sum() == 0
    after, paid, over = moved(world, body, np.ones(40_000, int), rng.random((40_000, 2)), 0.0)
    for state in range(4):
        here = body[:, 0] == state
        pair = process.action_offset[state] + 1
        row = slice(process.first[pair], process.first[pair + 1])
        met = np.bincount(after[here, 0].astype(int), minlength=12)[process.target[row]]
        assert met.sum() == here.sum()
        expected = process.probability[row] * here.sum()
        common = expected > 5
        got, law = np.append(met[common], met[~common].sum()), np.append(expected[common], expected[~common].sum())
        assert scipy.stats.chisquare(got[law > 0], law[law > 0]).pvalue > 1e-4
        entry = np.searchsorted(process.target[row], after[here, 0])
        np.testing.assert_array_equal(paid[here], process.reward[row][entry])
    assert not over.any()


def test_no_transition_of_probability_zero_is_ever_taken():
    process = FiniteMDP(
        name="zeros",
        start=np.array([0.0, 1.0, 0.0]),
        info=np.array([0, 1, 2]),
        n_actions=np.array([1, 1, 1]),
        first=np.array([0, 1, 4, 5]),
        probability=np.array([1.0, 0.1, 0.9, 0.0, 1.0]),
        target=np.array([-1, 0, 1, 2, -1]),
        reward=np.zeros(5),
    )
    world = build(process, None)
    largest = np.nextafter(1.0, 0.0)
    assert begun(world, np.full((1, 4), largest))[0, 0] == begun(world, np.zeros((1, 4)))[0, 0] == 1
    body, _, _ = moved(world, np.array([[1.0, 0, 0, 0, 0, 0]]), np.zeros(1, int), np.array([[largest, 0.9]]), 0.0)
    assert body[0, 0] == 1


@pytest.mark.parametrize("source", ["tree", "cliff_walking(height=2,width=3,horizon=6)", "auction"])
def test_a_game_of_one_player_becomes_a_process_of_the_same_value(source):
    shape = [(0, [[0, (0, [0, 0, [0, 0]])], 0]), (0, [0, (0, [0, [[0, 0], 0]])])]
    flat = {
        "tree": lambda: tree(shape, players=1, seed=3),
        "auction": lambda: compile_game("walras/DiscreteAuction-v0", bidders=1),
    }.get(source, lambda: compile_game(source))()
    if source == "tree":  # nothing is paid before the first decision
        flat.reward[:3] = 0.0
    process = FiniteMDP.from_game(flat)
    assert (process.n_actions == flat.n_actions).all()
    returns = play(TabularMDP(process), "random", batch=20_000, seed=0).returns[:, 0]
    assert returns.mean() == pytest.approx(uniform_values(flat)[0], abs=4.5 * returns.std() / 20_000**0.5 + 1e-9)
    worth = np.zeros(len(process.start) + 1)
    for _ in range(20):  # deeper than any of the trees
        step = np.add.reduceat(process.probability * (process.reward + worth[process.target]), process.first[:-1])
        worth = np.append(np.add.reduceat(step, process.action_offset[:-1]) / process.n_actions[process.info], 0.0)
    assert worth[:-1] @ process.start == pytest.approx(uniform_values(flat)[0], abs=1e-12)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_games_that_are_no_processes_are_refused():
    with pytest.raises(ValueError, match=r"a game of one player is needed, .* has 2"):
        FiniteMDP.from_game(compile_game("kuhn_poker"))
    with pytest.raises(ValueError, match="ends, or pays, before anybody has decided"):
        FiniteMDP.from_game(tree([0, (0, [0, 0])], players=1, pay="at the end"))
    with pytest.raises(TypeError, match="has no table of transitions"):
        as_process("CartPole-v1")
    with pytest.raises(gymnasium.error.DeprecatedEnv, match="Taxi-v4"):
        as_process("Taxi-v3")
    with pytest.raises(TypeError, match="flavours"):
        as_process({"flavours": 3})
    with pytest.raises(ValueError, match="close names"):
        as_process("cartpol")
    with pytest.raises(TypeError, match="a finite process is needed, got CartPole"):
        TabularMDP("cartpole")


def test_a_process_may_be_written_in_many_ways():
    assert as_process({"layers": 2, "states": 3}).name == "layered(layers=2, states=3, actions=3, seed=0)"
    assert as_process("cartpole") == CartPole() and as_process({"bins": 4}) == CartPole(bins=4)
    assert as_process({"ranges": [1, 1, 1, 1]}).ranges == (1, 1, 1, 1)
    assert as_process("FrozenLake-v1").name == "FrozenLake-v1"
    made = gymnasium.make("FrozenLake-v1", is_slippery=False)
    assert len(as_process(made).target) < len(as_process("FrozenLake-v1").target)
    assert as_process(walras.make("walras/DiscreteAuction-v0", bidders=1)).n_actions.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("make", "bad"),
    [
        (DiscretisedCartPole, {"bins": 1}),
        (DiscretisedCartPole, {"ranges": (1.0, 2.0, 3.0)}),
        (DiscretisedCartPole, {"ranges": (1.0, 2.0, 3.0, 0.0)}),
        (DiscretisedCartPole, {"end": 1.0}),
        (DiscretisedCartPole, {"limit": 0}),
        (DiscretisedCartPole, {"limit": None, "end": 0.0}),
        (TabularMDP, {"end": -0.1}),
        (TabularMDP, {"process": {"layers": 0}}),
        (Stacked, {"limit": 0}),
        (Stacked, {"end": True}),
        (functools.partial(Stacked, second="leduc_poker"), {"size": 10}),
    ],
)
def test_bad_parameters_of_processes_are_named(make, bad):
    words = {"process": "layers", "size": "limit"}.get(next(iter(bad)), next(iter(bad)))
    with pytest.raises(ValueError, match=words):
        make(**bad)


@pytest.mark.parametrize(
    "game",
    [
        lambda: WeightedRPS(rounds=3),
        lambda: TabularMDP("FrozenLake-v1"),
        lambda: TabularMDP(walras.make("walras/DiscreteAuction-v0", bidders=1)),
        lambda: Stacked("FrozenLake-v1", NATURE_PAYS, end=0.1),
        lambda: Stacked({"layers": 3, "states": 3}, "kuhn_poker(players=3)"),
    ],
    ids=["rounds", "FrozenLake", "masked process", "stack on a tree", "stack of three players"],
)
def test_other_parameters_keep_the_contract(game):
    assert check_game(game()) == ()


# -- stacks ------------------------------------------------------------------------------------------------------------


def test_the_process_of_a_stack_is_the_process_alone_and_the_game_follows():
    """The same seed gives the same pole; afterwards the tree's own infostates, moved by the number of the pole's."""
    stack = walras.make("walras/StackedCartPoleLeduc-v0")
    alone = DiscretisedCartPole(end=0.01)
    assert stack.roles[0].observation_space == spaces.Discrete(10_000 + 936 + 1) and stack.end == 0.01
    flat = stack.game.flat
    both = play(stack, {"player": Steady()}, batch=300, seed=8, record=True)
    pole = play(alone, {"player": Steady()}, batch=300, seed=8, record=True)
    steps = np.zeros(300, np.int64)
    for k, moment in enumerate(both.history):
        lanes, state = moment.lanes, moment.state
        running = state.node < 0
        steps[lanes[running]] += 1
        seen = stack.observe(state, "player")
        assert (seen[running, 1] == 10_936).all() and (seen[running, 0] < 10_000).all()
        if running.any():
            here = pole.history[k]
            np.testing.assert_array_equal(here.lanes, lanes[running])
            np.testing.assert_array_equal(here.state.body, state.body[running])
            np.testing.assert_array_equal(moment.rewards[running], [[1.0, 0.0]] * int(running.sum()))
        playing = np.flatnonzero(~running)
        mover = flat.info_player[flat.info[state.node[playing]]]
        np.testing.assert_array_equal(seen[playing, mover], flat.info[state.node[playing]] + 10_000)
        assert (seen[playing, 1 - mover] == 10_936).all()
        np.testing.assert_array_equal(stack.movers(take(state, playing))[np.arange(len(playing)), mover], True)
    np.testing.assert_array_equal(steps, pole.lengths)
    np.testing.assert_allclose(both.returns, flat.returns[both.state.node] + np.stack([steps, 0 * steps], axis=1))


class Steady:
    """A fixed function of what is seen, legal under any mask."""

    def __call__(self, observation, *, mask=None):
        want = (observation * 7 + observation // 3) % 2
        return np.where(mask[np.arange(len(want)), want], want, mask.argmax(axis=1)) if mask is not None else want


def test_player_1_learns_nothing_of_the_process():
    """Who sits second is asked first in the game, and sees the same infostates however the process went."""
    short, long = (Stacked({"layers": layers, "states": 2}, "kuhn_poker") for layers in (1, 6))
    for stack in (short, long):
        env = SeatEnv(stack, agent="player_1", others="random")
        seen = set()
        for seed in range(60):
            observation, _ = env.reset(seed=seed)
            seen.add(int(observation) - stack._world.process_infos)
        first, end = stack.game.flat.infostates(1)
        assert seen == set(range(first, end))


def test_the_last_reward_of_the_process_reaches_the_first_player_at_its_first_decision_in_the_game():
    stack = Stacked({"layers": 2, "states": 2, "actions": 2}, NATURE_PAYS)
    env = pettingzoo.make("aec", "walras/Stacked-v0", first={"layers": 2, "states": 2}, second="kuhn_poker")
    env.reset(seed=0)
    selected, received = [], []
    for agent in env.agent_iter():
        _, reward, over, cut, _ = env.last()
        selected.append(agent)
        received.append(reward)
        env.step(None if over or cut else 0)
    assert selected[:3] == ["player_0"] * 3 and received[1] > 0 and received[2] == 0.0
    episodes = play(stack, "random", batch=2000, seed=0)
    assert set(np.round(episodes.returns[:, 1], 6)) <= set(np.round(stack.game.flat.returns[:, 1], 6))


def test_a_stack_goes_on_to_the_game_at_the_limit_and_by_chance():
    lake = Stacked("FrozenLake-v1", WeightedRPS(), limit=3)
    assert play(lake, "random", batch=200, seed=0).lengths.max() == 5  # at most 3 steps and two moves
    forever = FiniteMDP("forever", [1.0], [0], [1], [0, 1], [1.0], [0], [1.0])
    stack = Stacked(forever, WeightedRPS(), end=0.25, limit=1000)
    steps = play(stack, "random", batch=20_000, seed=1).lengths - 2
    shares = np.bincount(steps, minlength=40)[1:6] / 20_000
    np.testing.assert_allclose(shares, 0.25 * 0.75 ** np.arange(5), atol=0.013)


def test_stacks_play_through_the_doors_with_parts_named_by_text():
    env = gymnasium.make("walras/Stacked-v0", first="FrozenLake-v1", second="kuhn_poker", agent="player_1")
    assert env.unwrapped.game.process.name == "FrozenLake-v1"
    env.reset(seed=0)
    assert gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json())).spec == env.spec
    assert check_game("walras/Stacked-v0") == ()
