"""Any finite game becomes the same flat tree, whoever wrote its rules, and too large ones are refused in time."""

import functools
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pyspiel
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

import walras
from walras.envs.doors.from_openspiel import from_openspiel
from walras.envs.doors.openspiel import to_openspiel
from walras.envs.game import FiniteGame, Role, take
from walras.envs.tabular import CHANCE, DECISION, LEAF, cached_game, compile_game, estimate_size
from walras.envs.tabular import compile as compiler
from walras.envs.tabular.known import kuhn

# -- slow references ---------------------------------------------------------------------------------------------------


def values(flat, strategy):
    """(N,) expected returns, node by node from the leaves up."""
    total = flat.reward.copy()
    for node in range(flat.n_nodes - 1, 0, -1):
        odds = flat.edge_prob[node] if flat.edge_slot[node] < 0 else strategy[flat.edge_slot[node]]
        total[flat.parent[node]] += odds * total[node]
    return total[0]


def best_response_value(flat, strategy, player):
    """What one player earns at best against the others' strategy, by recursion over the tree."""
    nodes = [[] for _ in range(flat.n_infostates)]
    for node in np.flatnonzero(flat.kind == DECISION).tolist():
        nodes[flat.info[node]].append(node)
    reach = np.ones(flat.n_nodes)
    for node in range(1, flat.n_nodes):
        above, slot = flat.parent[node], flat.edge_slot[node]
        own = slot >= 0 and flat.info_player[flat.info[above]] == player
        reach[node] = reach[above] * (1.0 if own else flat.edge_prob[node] if slot < 0 else strategy[slot])

    @functools.cache
    def choose(info):
        first = [flat.first_child[node] for node in nodes[info]]
        return max(range(flat.n_actions[info]), key=lambda a: sum(worth(child + a) for child in first))

    @functools.cache
    def worth(node):
        if flat.kind[node] == LEAF:
            return reach[node] * flat.returns[node, player]
        first = int(flat.first_child[node])
        if flat.kind[node] == DECISION and flat.info_player[flat.info[node]] == player:
            return worth(first + choose(int(flat.info[node])))
        return sum(worth(first + k) for k in range(flat.n_children[node]))

    return worth(0)


def gains(flat, strategy):
    """Each player's gain by a best response."""
    now = values(flat, strategy)
    return [best_response_value(flat, strategy, player) - now[player] for player in range(flat.n_players)]


def random_strategy(flat, seed):
    return flat.normalise(np.random.default_rng(seed).random(flat.n_slots) ** 3)


def assert_sound(flat):
    """What `FlatGame` says of its arrays."""
    n = flat.n_nodes
    assert flat.parent[0] == -1 and (flat.parent[1:] < np.arange(1, n)).all() and (np.diff(flat.parent[1:]) >= 0).all()
    inner = np.flatnonzero(flat.kind != LEAF)
    assert ((flat.n_children == 0) == (flat.kind == LEAF)).all() and flat.n_children.sum() == n - 1
    for node in inner.tolist():
        children = np.arange(flat.first_child[node], flat.first_child[node] + flat.n_children[node])
        assert (flat.parent[children] == node).all()
        if flat.kind[node] == CHANCE:
            assert flat.edge_prob[children].sum() == pytest.approx(1.0) and (flat.edge_prob[children] > 0).all()
            assert (flat.edge_slot[children] == -1).all()
        else:
            info = flat.info[node]
            slots = np.arange(flat.info_offset[info], flat.info_offset[info + 1])
            assert (flat.edge_slot[children] == slots).all() and (flat.edge_prob[children] == 1).all()
    for info in range(flat.n_infostates):
        actions = flat.info_actions[flat.info_offset[info] : flat.info_offset[info + 1]]
        assert (np.diff(actions) > 0).all()
    assert (np.diff(flat.info_player) >= 0).all()


# -- counts and values of OpenSpiel's games ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "nodes", "infostates", "sequences"),
    [("kuhn_poker", 58, 12, 24), ("leduc_poker", 9457, 936, 2184), ("liars_dice", 294883, 24576, 49140)],
)
def test_the_classics_have_their_known_sizes(name, nodes, infostates, sequences):
    flat = cached_game(name)
    assert (flat.n_nodes, flat.n_infostates, flat.n_slots) == (nodes, infostates, sequences)
    assert flat.constant_sum == pytest.approx(0.0, abs=1e-12) and flat.players == ("player_0", "player_1")


@pytest.mark.parametrize(("name", "known"), [("kuhn_poker", 0.458333), ("leduc_poker", 2.373611)])
def test_uniform_play_of_the_classics_has_its_known_exploitability(name, known):
    flat = cached_game(name)
    assert sum(gains(flat, flat.uniform())) / 2 == pytest.approx(known, abs=1e-6)
    game = pyspiel.load_game(name)
    assert sum(gains(flat, flat.uniform())) / 2 == pytest.approx(
        pyspiel.exploitability(game, pyspiel.UniformRandomPolicy(game)), abs=1e-9
    )


@pytest.mark.parametrize("bluff", [0.0, 0.1, 1 / 6, 1 / 3])
def test_nobody_gains_against_kuhns_equilibria_and_they_have_his_value(bluff):
    flat = cached_game("kuhn_poker")
    strategy = flat.check_strategy(kuhn(flat, bluff))
    assert gains(flat, strategy) == pytest.approx([0.0, 0.0], abs=1e-12)
    assert values(flat, strategy) == pytest.approx([-1 / 18, 1 / 18], abs=1e-12)


def test_kuhns_equilibria_are_those_of_his_game_and_range():
    flat = cached_game("kuhn_poker")
    with pytest.raises(ValueError, match=r"bluff must lie in \[0, 1/3\]"):
        kuhn(flat, 0.4)
    with pytest.raises(ValueError, match=r"kuhn_poker for two is needed, got leduc_poker"):
        kuhn(cached_game("leduc_poker"))
    always = kuhn(flat)
    jack = flat.info_offset[flat.labels.index("0")]
    always[jack : jack + 2] = 0.0, 1.0  # bluffs beyond the range can be exploited
    assert gains(flat, always)[1] > 0.1


GAMES = [
    "kuhn_poker",
    "kuhn_poker(players=3)",
    "tiny_hanabi",
    "matrix_pd",
    "blotto(coins=5,fields=3)",
    "goofspiel(num_cards=3)",
    "goofspiel(num_cards=3,imp_info=True,points_order=descending)",
    "first_sealed_auction(max_value=5)",
    "trade_comm(num_items=2)",
    "sheriff(max_bribe=2,max_items=2,num_rounds=1,sheriff_penalty=3.0)",
    "cliff_walking(height=2,width=3,horizon=5)",
]


@pytest.mark.parametrize("name", GAMES)
def test_an_openspiel_game_keeps_its_histories_information_and_values(name):
    """Against a walk through OpenSpiel's own states, with uniform strategies and with random ones."""
    game = pyspiel.load_game(name)
    if game.get_type().dynamics == pyspiel.GameType.Dynamics.SIMULTANEOUS:
        game = pyspiel.convert_to_turn_based(game)
    flat = compile_game(name)
    assert_sound(flat)
    odds = {text: {} for text in flat.labels}
    strategy = random_strategy(flat, 1)
    for info, text in enumerate(flat.labels):
        slots = slice(flat.info_offset[info], flat.info_offset[info + 1])
        odds[flat.info_player[info], text] = dict(zip(flat.info_actions[slots].tolist(), strategy[slots], strict=True))
    seen, count = set(), 0

    def walk(state):
        nonlocal count
        count += 1
        if state.is_terminal():
            return np.array(state.returns())
        if state.is_chance_node():
            moves = [(a, p) for a, p in state.chance_outcomes() if p > 0]
        else:
            key = (state.current_player(), state.information_state_string())
            seen.add(key)
            assert sorted(state.legal_actions()) == sorted(odds[key])
            moves = odds[key].items()
        return sum(p * walk(state.child(a)) for a, p in moves)

    np.testing.assert_allclose(values(flat, strategy), walk(game.new_initial_state()), atol=1e-12)
    assert (count, len(seen)) == (flat.n_nodes, flat.n_infostates)
    if flat.n_players == 2:
        theirs = pyspiel.nash_conv(game, pyspiel.UniformRandomPolicy(game))
        assert sum(gains(flat, flat.uniform())) == pytest.approx(theirs, abs=1e-9)


def test_information_states_that_forget_are_split_until_everybody_remembers():
    flat = compile_game("goofspiel(num_cards=4)")
    before = [set() for _ in range(flat.n_infostates)]
    last = np.zeros((flat.n_nodes, 2), np.int64)
    for node in range(1, flat.n_nodes):
        above, slot = flat.parent[node], flat.edge_slot[node]
        last[node] = last[above]
        if slot >= 0:
            last[node, flat.info_player[flat.info[above]]] = slot + 1
        if flat.kind[node] == DECISION:
            before[flat.info[node]].add(int(last[node, flat.info_player[flat.info[node]]]))
    assert all(len(ways) <= 1 for ways in before)
    seen = {(int(flat.info_player[info]), text) for info, text in enumerate(flat.labels)}
    assert len(seen) == 6056 < flat.n_infostates
    game = pyspiel.convert_to_turn_based(pyspiel.load_game("goofspiel(num_cards=4)"))
    theirs = pyspiel.nash_conv(game, pyspiel.UniformRandomPolicy(game))
    assert sum(gains(flat, flat.uniform())) == pytest.approx(theirs, abs=1e-9)


def test_tensors_and_labels_are_those_of_the_infostates():
    flat, game = compile_game("kuhn_poker"), pyspiel.load_game("kuhn_poker")
    state = game.new_initial_state()
    for action in (2, 0, 1):  # player_0 holds the king, player_1 the jack; player_0 bets
        state.apply_action(action)
    info = flat.labels.index(state.information_state_string(1))
    assert flat.info_player[info] == 1
    np.testing.assert_array_equal(flat.tensors[info], state.information_state_tensor(1))


def test_all_spellings_of_a_game_give_the_same_arrays():
    flat = compile_game("leduc_poker")
    for given_as in (pyspiel.load_game("leduc_poker"), from_openspiel("leduc_poker"), "walras/LeducPoker-v0"):
        assert compile_game(given_as).fingerprint == flat.fingerprint
    assert compile_game(flat) is flat
    three = compile_game("kuhn_poker", players=3)
    assert three.fingerprint == compile_game("kuhn_poker(players=3)").fingerprint and three.n_players == 3
    assert (
        compile_game("walras/DiscreteAuction-v0", values=2).n_nodes < compile_game("walras/DiscreteAuction-v0").n_nodes
    )


# -- walras games ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id", "parameters"),
    [
        ("walras/DiscreteAuction-v0", {"values": 4}),
        ("walras/DiscreteAuction-v0", {"mechanism": "all-pay", "values": 3}),
        ("walras/DiscreteAuction-v0", {"bidders": 3, "values": 2, "mechanism": "second-price", "ceiling": "value"}),
        ("walras/DiscreteBargaining-v0", {"rounds": 2}),
        ("walras/PrisonersDilemma-v0", {"rounds": 3}),
        ("walras/WeightedRPS-v0", {"rounds": 2}),
        ("walras/KuhnPoker-v0", {}),
    ],
)
def test_native_arrays_equal_the_way_round_through_openspiel(id, parameters):
    game = walras.make(id, **parameters)
    native = compile_game(game)
    exported = to_openspiel(game)
    if exported.get_type().dynamics == pyspiel.GameType.Dynamics.SIMULTANEOUS:
        exported = pyspiel.convert_to_turn_based(exported)
    around = compile_game(pyspiel.convert_to_cached_tree(exported))
    assert_sound(native)
    assert (native.n_nodes, native.n_infostates, native.n_slots) == (
        around.n_nodes,
        around.n_infostates,
        around.n_slots,
    )
    for name in ("parent", "kind", "info", "edge_slot", "info_actions", "info_player"):
        np.testing.assert_array_equal(getattr(native, name), getattr(around, name), err_msg=name)
    np.testing.assert_allclose(native.edge_prob, around.edge_prob, atol=1e-15)
    np.testing.assert_allclose(native.returns[native.kind == LEAF], around.returns[around.kind == LEAF], atol=1e-12)
    assert gains(native, native.uniform()) == pytest.approx(gains(around, around.uniform()), abs=1e-12)


def test_our_first_price_auction_is_openspiels_up_to_its_tie_breaks():
    """There ties are broken by nature, here in expectation: the same game with fewer nodes."""
    ours, theirs = (
        compile_game("walras/DiscreteAuction-v0", values=5),
        compile_game("first_sealed_auction(max_value=5)"),
    )
    assert ours.n_infostates == theirs.n_infostates == 10 and ours.n_slots == theirs.n_slots
    assert gains(ours, ours.uniform()) == pytest.approx(gains(theirs, theirs.uniform()), abs=1e-12)
    assert ours.constant_sum is None and ours.players == ("bidder_0", "bidder_1")


class Table(NamedTuple):
    code: np.ndarray  # all that has happened, mixed into one number
    step: np.ndarray
    pending: np.ndarray


class Random(FiniteGame[Table]):
    """A game drawn by a seed: chance, simultaneous moves, agents who sit out, masks, early ends and early pay."""

    def __init__(self, seed, agents, steps, actions, outcomes):
        rng = np.random.default_rng(seed)
        self.steps, self.actions = steps, actions
        self.roles = (Role("agent", agents, spaces.Discrete(2), spaces.Discrete(actions)),)
        self.odds = rng.dirichlet(np.ones(outcomes), size=7) if outcomes else np.zeros((7, 1))
        self.odds[:, 0] = np.where(rng.random(7) < 0.3, 0.0, self.odds[:, 0])
        self.odds /= np.where(self.odds.sum(axis=1, keepdims=True) > 0, self.odds.sum(axis=1, keepdims=True), 1.0)
        self.moves = rng.random((steps, 5, agents)) < 0.7
        self.moves[..., 0] |= ~self.moves.any(axis=-1)
        self.menu = rng.random((steps, agents, 2, actions)) < 0.7
        self.menu[..., 0] |= ~self.menu.any(axis=-1)
        self.salt = int(rng.integers(1, 10**6))

    def mix(self, code, more):
        return (code * 1000003 + np.asarray(more, np.int64) * 7919 + self.salt) % 2**31

    def root(self, batch):
        return Table(np.full(batch, 1), np.zeros(batch, np.int64), self.odds.any() & np.ones(batch, bool))

    def chance(self, state):
        return self.odds[state.code % 7] * state.pending[:, None]

    def resolve(self, state, outcome):
        return Table(self.mix(state.code, outcome), state.step, np.zeros(len(state.step), bool))

    def movers(self, state):
        return self.moves[np.minimum(state.step, self.steps - 1), state.code % 5]

    def observe(self, state, role):
        return np.stack([(state.code // (3 + i)) % 2 for i in range(self.n_agents)], axis=1)

    def legal(self, state, role):
        seen, step = self.observe(state, role), np.minimum(state.step, self.steps - 1)
        return self.menu[step[:, None], np.arange(self.n_agents), seen]

    def apply(self, state, actions):
        counted = np.where(self.movers(state), actions["agent"], 0)
        code = state.code
        for i in range(self.n_agents):
            code = self.mix(code, counted[:, i])
        rewards = np.stack([(self.mix(code, 50 + i) % 101 - 50) / 10 for i in range(self.n_agents)], axis=1)
        after = Table(code, state.step + 1, np.ones(len(code), bool))
        pending = ~self.terminal(after) & (self.odds[code % 7].sum(axis=1) > 0)
        return after._replace(pending=pending), rewards

    def terminal(self, state):
        return (state.step >= self.steps) | ((state.code % 6 == 0) & (state.step > 0))


random_games = st.builds(
    Random,
    st.integers(0, 10**6),
    agents=st.integers(1, 3),
    steps=st.integers(1, 3),
    actions=st.integers(1, 3),
    outcomes=st.integers(0, 3),
)


@settings(max_examples=60, deadline=None)
@given(random_games, st.integers(0, 100))
def test_random_games_keep_their_rules_their_memory_and_their_values(game, seed):
    """The flat tree against a walk through the rules, one state at a time, under a random strategy."""
    flat = compile_game(game)
    assert_sound(flat)
    strategy = random_strategy(flat, seed)
    memories = {}  # what an agent knows <-> infostate

    def walk(node, state, before):
        """Expected rewards from a node on; `before`: what each agent knows of the steps so far."""
        odds = game.chance(state)[0]
        if odds.sum() > 0:
            assert flat.kind[node] == CHANCE
            outcomes = np.flatnonzero(odds)
            assert flat.n_children[node] == len(outcomes)
            children = flat.first_child[node] + np.arange(len(outcomes))
            np.testing.assert_allclose(flat.edge_prob[children], odds[outcomes])
            return sum(
                odds[o] * walk(child, game.resolve(state, np.array([o])), before)
                for o, child in zip(outcomes, children.tolist(), strict=True)
            )
        if game.terminal(state)[0]:
            assert flat.kind[node] == LEAF
            return np.zeros(game.n_agents)
        movers, legal = game.movers(state)[0], game.legal(state, "agent")[0]
        knows = [
            (*b, (bool(m), int(o))) for b, m, o in zip(before, movers, game.observe(state, "agent")[0], strict=True)
        ]
        return decide(node, state, knows, np.flatnonzero(movers).tolist(), [0] * game.n_agents, legal)

    def decide(node, state, knows, left, chosen, legal):
        if not left:
            after, rewards = game.apply(state, {"agent": np.array([chosen])})
            np.testing.assert_array_equal(flat.reward[node], rewards[0])
            return rewards[0] + walk(node, after, [(*k, a) for k, a in zip(knows, chosen, strict=True)])
        info, agent = int(flat.info[node]), left[0]
        assert flat.info_player[info] == agent and memories.setdefault(info, (agent, knows[agent])) == (
            agent,
            knows[agent],
        )
        actions = np.flatnonzero(legal[agent])
        slots = np.arange(flat.info_offset[info], flat.info_offset[info + 1])
        np.testing.assert_array_equal(flat.info_actions[slots], actions)
        return sum(
            strategy[slot]
            * decide(
                int(flat.first_child[node]) + k,
                state,
                knows,
                left[1:],
                [int(a) if i == agent else c for i, c in enumerate(chosen)],
                legal,
            )
            for k, (slot, a) in enumerate(zip(slots, actions, strict=True))
        )

    expected = walk(0, game.root(1), [()] * game.n_agents)
    np.testing.assert_allclose(values(flat, strategy), expected, atol=1e-12)
    assert len(set(memories.values())) == len(memories) == flat.n_infostates


@settings(max_examples=20, deadline=None)
@given(random_games)
def test_the_estimate_is_exact_for_full_trees_and_near_for_others(game):
    size, flat = estimate_size(game), compile_game(game)
    assert abs(size.nodes - flat.n_nodes) <= 6 * size.deviation + 1e-9


def test_an_auction_compiles_in_chunks_as_it_does_at_once(monkeypatch):
    whole = compile_game("walras/DiscreteAuction-v0", values=4)
    monkeypatch.setattr("walras.envs.tabular.from_rules._CHUNK", 7)
    assert compile_game("walras/DiscreteAuction-v0", values=4).fingerprint == whole.fingerprint


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_a_game_above_the_limit_is_refused_before_it_is_expanded(monkeypatch):
    monkeypatch.setattr(compiler.SpielSource, "expand", lambda *_: pytest.fail("expanded"))
    monkeypatch.setattr(compiler.RulesSource, "expand", lambda *_: pytest.fail("expanded"))
    with pytest.raises(ValueError, match=r"limit: chess\(\) has about .* more than 1000000"):
        compile_game("chess", limit=1_000_000)
    with pytest.raises(ValueError, match=r"limit: DiscreteAuction.* has about .* random descents"):
        compile_game("walras/DiscreteAuction-v0", bidders=6, values=9)


@pytest.mark.parametrize("game", ["leduc_poker", "walras/DiscreteBargaining-v0"])
def test_a_game_whose_size_was_underestimated_is_refused_while_it_is_counted(game):
    size = compile_game(game).n_nodes
    with pytest.raises(ValueError, match=rf"limit: .* has more than {size - 1} nodes"):
        compile_game(game, limit=size - 1)
    assert compile_game(game, limit=size).n_nodes == size


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "many"])
def test_a_limit_that_is_no_count_is_refused(limit):
    with pytest.raises(ValueError, match="limit must be an integer of at least 1"):
        compile_game("kuhn_poker", limit=limit)


@pytest.mark.parametrize(
    ("game", "parameters", "error", "words"),
    [
        ("kuhn_pokr", {}, ValueError, "close names.*kuhn_poker"),
        ("kuhn_poker", {"cards": 3}, ValueError, "cannot load.*cards"),
        ("walras/KuhnPokr-v0", {}, KeyError, "did you mean .*KuhnPoker"),
        ("walras/DiscreteAuction-v0", {"flavour": 1}, TypeError, "flavour"),
        ("walras/SealedBidAuction-v0", {}, TypeError, "draws random numbers instead of listing"),
        ("mfg_crowd_modelling", {}, TypeError, "does not list its chance moves"),
        (3, {}, TypeError, "a walras FiniteGame, an id"),
        (pyspiel.load_game("kuhn_poker"), {"players": 3}, TypeError, r"parameters \['players'\]"),
    ],
)
def test_what_is_no_finite_game_is_refused_with_its_name(game, parameters, error, words):
    with pytest.raises(error, match=words):
        compile_game(game, **parameters)


def test_games_with_sampled_chance_are_refused():
    with pytest.raises(TypeError, match="sampled chance"):
        compile_game("negotiation")


def test_endless_and_inconsistent_rules_are_named():
    class Endless(Random):
        def terminal(self, state):
            return np.zeros(len(state.step), bool)

    class Forgetful(Random):
        """Who sees the same may do different things."""

        def legal(self, state, role):
            mask = np.ones((len(state.step), 1, 3), bool)
            mask[:, :, 2] = (state.code % 2 == 0)[:, None]
            return mask

        def observe(self, state, role):
            return np.zeros((len(state.step), 1), np.int64)

    with pytest.raises(ValueError, match="has not ended after 10000 steps"):
        compile_game(Endless(0, agents=1, steps=1, actions=1, outcomes=0))
    with pytest.raises(ValueError, match="different numbers of actions"):
        compile_game(Forgetful(1, agents=1, steps=2, actions=3, outcomes=3))


def test_without_openspiel_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspiel", None)
    monkeypatch.delitem(sys.modules, "walras.envs.doors.from_openspiel", raising=False)
    with pytest.raises(ImportError, match=r"'tiny_hanabi' .* pip install 'walras\[games\]'"):
        compile_game("tiny_hanabi")
    assert compile_game("walras/DiscreteBargaining-v0").n_nodes == 3331


def test_the_package_loads_nothing_heavy_before_it_is_used():
    code = "import sys, walras.envs.tabular; print(sorted({'numba', 'pyspiel', 'scipy.sparse'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_progress_is_told_and_ends_at_the_whole():
    told = []
    flat = compile_game("walras/PrisonersDilemma-v0", progress=lambda share, text: told.append((share, text)))
    assert told[-1] == (1.0, f"{flat.n_nodes:,} nodes")
    assert [share for share, _ in told] == sorted(share for share, _ in told)


def test_texts_and_ids_are_compiled_once_and_objects_each_time():
    assert cached_game("kuhn_poker") is cached_game("kuhn_poker")
    assert cached_game("kuhn_poker", players=3) is not cached_game("kuhn_poker")
    flats = [cached_game("blotto", coins=coins) for coins in range(1, 6)]
    assert [flat.n_nodes for flat in flats] == sorted({flat.n_nodes for flat in flats})
    game = walras.make("walras/DiscreteAuction-v0")
    assert cached_game(game) is not cached_game(game)
    assert (
        cached_game("walras/DiscreteAuction-v0", values=2).n_nodes
        == cached_game(walras.make("walras/DiscreteAuction-v0", values=2)).n_nodes
    )


def test_large_games_and_old_ones_are_not_kept(monkeypatch):
    monkeypatch.setattr(compiler, "_kept", {})
    monkeypatch.setattr(compiler, "KEPT", 2)
    monkeypatch.setattr(compiler, "KEPT_NODES", 100)
    kuhn_, hanabi, rps = (cached_game(name) for name in ("kuhn_poker", "tiny_hanabi", "matrix_rps"))
    assert cached_game("matrix_rps") is rps and cached_game("tiny_hanabi") is hanabi
    assert cached_game("kuhn_poker") is not kuhn_
    assert cached_game("first_sealed_auction") is not cached_game("first_sealed_auction")


def test_the_states_that_are_dropped_at_ends_do_not_disturb_the_rest():
    """A game in which lanes end at different steps: every leaf is reached and paid once."""
    game = Random(11, agents=2, steps=3, actions=3, outcomes=2)
    flat = compile_game(game)
    reached = walras.play(game, "random", batch=20_000, seed=0).returns
    leaves = {tuple(np.round(row, 9)) for row in flat.returns[flat.kind == LEAF]}
    assert {tuple(np.round(row, 9)) for row in reached} <= leaves
    uniform = values(flat, flat.uniform())
    np.testing.assert_allclose(reached.mean(axis=0), uniform, atol=5 * reached.std(axis=0).max() / 20_000**0.5)
    assert take(game.root(3), np.array([0])).code.shape == (1,)


def test_games_without_information_states_are_compiled_by_what_players_observe_and_did():
    from walras.algorithms.tabular import best_response

    catch = compile_game("catch(rows=5,columns=3)")
    assert best_response(catch, catch.uniform(), 0).value == pytest.approx(1.0)  # the ball can always be caught
    noughts = compile_game("tic_tac_toe")
    assert noughts.n_nodes == 549_946 and noughts.constant_sum == 0.0
    slots, depth = noughts.edge_slot[noughts.edge_slot >= 0], noughts.depth
    assert len(slots) == noughts.n_slots == noughts.n_nodes - 1  # nobody forgets: every history is an infostate
    assert depth.max() == 9
