"""Games exported to OpenSpiel keep their values, probabilities and information, and so do OpenSpiel's on the way in."""

import copy
import itertools
import pickle
from collections import Counter
from typing import NamedTuple

import numpy as np
import pyspiel
import pytest
import scipy.stats
from gymnasium import spaces
from open_spiel.python import policy, rl_environment
from open_spiel.python.algorithms import exploitability
from open_spiel.python.algorithms.expected_game_score import policy_value

import walras
from walras.envs.check import CHECKS
from walras.envs.doors.from_openspiel import from_openspiel
from walras.envs.doors.openspiel import random_playout, to_openspiel
from walras.envs.finite import survey
from walras.envs.game import FiniteGame, Role
from walras.envs.play import play


class Table(NamedTuple):
    step: np.ndarray
    signal: np.ndarray
    acts: np.ndarray


class Small(FiniteGame[Table]):
    """Shared text of the test games: a step counter, one signal of nature (-1: pending), the last actions."""

    odds = (0.25, 0.75)

    def root(self, batch):
        acts = np.zeros((batch, self.n_agents), np.int64)
        return Table(np.zeros(batch, np.int64), np.full(batch, -1), acts)

    def chance(self, state):
        return np.where(state.signal[:, None] < 0, np.array(self.odds), 0.0)

    def resolve(self, state, outcome):
        return state._replace(signal=outcome)

    def terminal(self, state):
        return state.step >= 1


class Pennies(Small):
    """Matching pennies; the matcher sees a signal that scales the stakes and moves two switches (parity counts)."""

    def __init__(self):
        self.roles = (
            Role("matcher", None, spaces.Discrete(2), spaces.MultiDiscrete([2, 2], start=[1, 5])),
            Role("mismatcher", None, spaces.Box(0.0, 0.0, (1,)), spaces.Discrete(2, start=-1)),
        )

    def observe(self, state, role):
        return state.signal[:, None] if role == "matcher" else np.zeros((len(state.step), 1, 1))

    def apply(self, state, actions):
        first = actions["matcher"][:, 0].sum(-1) % 2
        second = actions["mismatcher"][:, 0] + 1
        gain = np.where(first == second, 1.0, -1.0) * (1 + state.signal)
        return state._replace(step=state.step + 1, acts=np.stack([first, second], -1)), np.stack([gain, -gain], -1)


class Signal(Small):
    """Nature draws a type, the sender sees it and sends a word, the receiver reads it; both want a right guess."""

    def __init__(self):
        seen = spaces.Dict({"kind": spaces.Discrete(3), "word": spaces.MultiBinary(2)})
        self.roles = (Role("player", 2, seen, spaces.Discrete(2)),)

    def observe(self, state, role):
        nothing = np.full_like(state.signal, 2)
        word = np.stack([state.step > 0, state.acts[:, 0] > 0], -1)
        return {"kind": np.stack([state.signal, nothing], -1), "word": np.stack([word & False, word], 1)}

    def movers(self, state):
        return np.stack([state.step == 0, state.step == 1], -1)

    def legal(self, state, role):
        mask = np.ones((len(state.step), 2, 2), bool)
        mask[:, 1, 1] = (state.step == 0) | (state.acts[:, 0] == 1)  # after word 0 the guess must be 0
        return mask

    def apply(self, state, actions):
        turn = state.step
        acts = np.where(np.arange(2) == turn[:, None], actions["player"], state.acts)
        right = (turn == 1) & (acts[:, 1] == state.signal)
        return state._replace(step=turn + 1, acts=acts), np.repeat(right[:, None] * 1.0, 2, axis=1)

    def terminal(self, state):
        return state.step >= 2


class Repeated(Small):
    """Repeated prisoner's dilemma; a horizon ends it, and after every round nature says how much the next is worth."""

    horizon = 3

    def __init__(self):
        self.roles = (Role("player", 2, spaces.Box(0.0, 3.0, (3,), np.float32), spaces.Discrete(2)),)

    def observe(self, state, role):
        return np.repeat(np.concatenate([state.acts, state.signal[:, None]], -1)[:, None], 2, axis=1)

    def apply(self, state, actions):
        a = actions["player"]
        gain = np.array([[3.0, 0.0], [5.0, 1.0]])
        reward = np.stack([gain[a[:, 0], a[:, 1]], gain[a[:, 1], a[:, 0]]], -1) * (1 + state.signal[:, None])
        return Table(state.step + 1, np.full_like(state.signal, -1), a), reward

    def terminal(self, state):
        return np.zeros(len(state.step), bool)


class Committee(Small):
    """Three members: the last two vote, the last one is heard for form's sake and all are paid, the first decides."""

    odds = (1.0,)

    def __init__(self):
        self.roles = (Role("member", 3, spaces.Box(0.0, 5.0, (1,)), spaces.Discrete(2)),)

    def observe(self, state, role):
        return np.repeat(state.step[:, None, None], 3, axis=1) + 0.0

    def movers(self, state):
        turns = np.array([[0, 1, 1], [0, 0, 1], [1, 0, 0]], bool)
        return turns[np.minimum(state.step, 2)]

    def apply(self, state, actions):
        a, step = actions["member"], state.step[:, None]
        acts = np.where(step == 1, state.acts, np.where(step == 0, a * [0, 1, 1], state.acts + a * [1, 0, 0]))
        pay = np.where(step == 0, 0.0, np.where(step == 1, acts.sum(-1, keepdims=True), acts * [2, 1, -1]))
        return Table(state.step + 1, state.signal, acts), pay + 0.0

    def terminal(self, state):
        return state.step >= 3


GAMES = {
    "pennies": Pennies(),
    "signal": Signal(),
    "repeated": Repeated(),
    "committee": Committee(),
    "auction": walras.make("walras/DiscreteAuction-v0"),
    "two_rounds": walras.make(
        "walras/DiscreteAuction-v0", values=2, rounds=2, budget=1.5, mechanism="second-price", ceiling="value"
    ),
}


@pytest.fixture(params=GAMES, scope="module")
def exported(request):
    return to_openspiel(GAMES[request.param], name=f"test_{request.param}")


def states_of(game):
    """Every state of an OpenSpiel game with its probability under uniform play."""
    stack = [(game.new_initial_state(), 1.0)]
    while stack:
        state, probability = stack.pop()
        yield state, probability
        if state.is_terminal():
            continue
        if state.is_chance_node():
            moves = state.chance_outcomes()
        elif state.is_simultaneous_node():
            joint = list(itertools.product(*(state.legal_actions(p) for p in range(state.num_players()))))
            moves = [(move, 1.0 / len(joint)) for move in joint]
        else:
            legal = state.legal_actions()
            moves = [(move, 1.0 / len(legal)) for move in legal]
        for move, chance in moves:
            after = state.clone()
            after.apply_actions(list(move)) if isinstance(move, tuple) else after.apply_action(move)
            stack.append((after, probability * chance))


def in_turns(game):
    simultaneous = game.get_type().dynamics == pyspiel.GameType.Dynamics.SIMULTANEOUS
    return pyspiel.convert_to_turn_based(game) if simultaneous else game


def test_open_spiels_own_simulation_test_passes(exported):
    pyspiel.random_sim_test(exported, num_sims=20, serialize=True, verbose=False)
    pyspiel.random_sim_test(in_turns(exported), num_sims=10, serialize=True, verbose=False)


def test_random_playouts_end_within_the_bounds(exported):
    returns = np.array([random_playout(exported, np.random.default_rng(seed)) for seed in range(200)])
    values = policy_value(exported.new_initial_state(), play_uniformly(exported))
    error = returns.std(axis=0) / np.sqrt(200)
    assert (np.abs(returns.mean(axis=0) - values) <= 4 * error + 1e-12).all()


def test_the_game_is_found_by_its_name(exported):
    loaded = pyspiel.load_game(exported.get_type().short_name)
    assert str(loaded) == str(exported) == f"{exported.short_name}()"
    assert exported.short_name.startswith("python_walras_")


def test_leaf_probabilities_sum_to_one(exported):
    assert sum(p for state, p in states_of(exported) if state.is_terminal()) == pytest.approx(1.0, abs=1e-12)


def test_bounds_and_lengths_are_attained_and_never_passed(exported):
    leaves = [state for state, _ in states_of(exported) if state.is_terminal()]
    returns = np.array([state.returns() for state in leaves])
    assert returns.min() == exported.min_utility() and returns.max() == exported.max_utility()
    moves = [sum(1 for parent, _ in state.node.stages() if parent.moves) for state in leaves]
    nature = [sum(1 for item in state.full_history() if item.player < 0) for state in leaves]
    assert max(moves) <= exported.max_game_length() == exported.facts.steps
    assert max(nature) == exported.max_chance_nodes_in_history()
    if exported.get_type().utility == pyspiel.GameType.Utility.ZERO_SUM:
        assert np.abs(returns.sum(axis=1)).max() < 1e-12
    else:
        assert np.ptp(returns.sum(axis=1)) > 1e-12


def test_rewards_of_decisions_and_the_end_add_up_to_the_returns(exported):
    # A chance node repeats what the decision before it brought, as OpenSpiel's own games do; it counts once.
    game = rl_environment.Environment(exported)
    rng = np.random.default_rng(0)
    for _ in range(10):
        step, total = game.reset(), 0.0
        while not step.last():
            player = step.observations["current_player"]
            legal = step.observations["legal_actions"]
            asked = range(len(legal)) if player < 0 else [player]  # below zero: all at once
            step = game.step([int(rng.choice(legal[p])) for p in asked])
            total = total + np.array(step.rewards)
        np.testing.assert_allclose(total, game.get_state.returns())


def test_perfect_recall_one_infostate_has_one_past_one_menu_and_one_tensor(exported):
    facts, tensors = {}, {}
    for state, _ in states_of(exported):
        if state.is_terminal() or state.is_chance_node():
            continue
        for player in range(exported.num_players()):
            text = state.information_state_string(player)
            tensor = np.array(state.information_state_tensor(player), np.float32).tobytes()
            stages = [(stage, move) for stage, move in state.node.stages() if player in stage.moves]
            past = [(stage.seen(player)[0], move and move[player]) for stage, move in stages]
            fact = (past, state.legal_actions(player), tensor)
            assert facts.setdefault(text, fact) == fact
            assert tensors.setdefault((player, tensor), text) == text
    assert len(facts) > exported.num_players()


def test_observation_tensors_are_the_games_observations(exported):
    rules = exported.walras
    for state, _ in states_of(exported):
        if state.is_chance_node():
            continue
        for player, agent in enumerate(rules.agents):
            role, i, _ = rules.seat[agent]
            seen = rules.observe(state.node.state, role.name)
            own = {key: part[0, i] for key, part in seen.items()} if isinstance(seen, dict) else seen[0, i]
            flat = spaces.flatten(role.observation_space, own)
            tensor = np.array(state.observation_tensor(player), np.float32)[exported.num_players() + 1 :]
            np.testing.assert_array_equal(tensor[: len(flat)], np.float32(flat))
            assert not tensor[len(flat) :].any()


def test_clones_pickles_and_copies_go_their_own_way(exported):
    state = exported.new_initial_state()
    while state.is_chance_node():
        state.apply_action(state.chance_outcomes()[-1][0])
    twin, text = state.clone(), str(state)
    if state.is_simultaneous_node():
        twin.apply_actions([state.legal_actions(p)[-1] for p in range(state.num_players())])
    else:
        twin.apply_action(state.legal_actions()[-1])
    assert str(state) == text != str(twin)
    for again in (
        copy.deepcopy(twin),
        pickle.loads(pickle.dumps(twin)),
        pyspiel.deserialize_game_and_state(pyspiel.serialize_game_and_state(exported, twin))[1],
    ):
        assert str(again) == str(twin) and again.returns() == twin.returns()
        assert again.is_terminal() or again.information_state_string(0) == twin.information_state_string(0)


def test_the_cached_tree_has_the_same_values(exported):
    turns = in_turns(exported)
    tree = pyspiel.convert_to_cached_tree(turns)
    direct = policy_value(exported.new_initial_state(), play_uniformly(exported))
    cached = policy_value(tree.new_initial_state(), [policy.UniformRandomPolicy(tree)] * tree.num_players())
    np.testing.assert_allclose(cached, direct, atol=1e-12)
    if tree.num_players() == 2:
        assert pyspiel.nash_conv(tree, pyspiel.UniformRandomPolicy(tree)) == pytest.approx(
            exploitability.nash_conv(turns, policy.UniformRandomPolicy(turns)), abs=1e-12
        )


def play_uniformly(game):
    uniform, dynamics = policy.UniformRandomPolicy(game), game.get_type().dynamics
    return uniform if dynamics == pyspiel.GameType.Dynamics.SIMULTANEOUS else [uniform] * game.num_players()


@pytest.mark.parametrize("name", GAMES)
def test_simulated_episodes_follow_the_enumeration(name):
    game, exported = GAMES[name], to_openspiel(GAMES[name], name=f"test_{name}")
    expected: Counter[bytes] = Counter()
    for state, probability in states_of(exported):
        if state.is_terminal():
            expected[b"".join(part.tobytes() for part in game.snapshot(state.node.state).values())] += probability
    episodes = play(game, "random", batch=20_000, seed=7)
    arrays = game.snapshot(episodes.state)
    met = Counter(b"".join(part[lane].tobytes() for part in arrays.values()) for lane in range(20_000))
    assert set(met) <= set(expected)
    # Outcomes that are rare in theory are counted together, as the chi-square law asks.
    common = [key for key in expected if expected[key] * 20_000 >= 5]
    counts = np.array([met[key] for key in common] + [20_000 - sum(met[key] for key in common)])
    chances = np.array([expected[key] for key in common] + [1.0 - sum(expected[key] for key in common)])
    keep = chances > 1e-9
    statistic = ((counts - 20_000 * chances)[keep] ** 2 / (20_000 * chances[keep])).sum()
    assert counts[~keep].sum() == 0
    assert keep.sum() > 1 and scipy.stats.chi2.sf(statistic, keep.sum() - 1) > 1e-4
    values = policy_value(exported.new_initial_state(), play_uniformly(exported))
    error = episodes.returns.std(axis=0) / np.sqrt(20_000)
    assert (np.abs(episodes.returns.mean(axis=0) - values) <= 4 * error + 1e-12).all()


def test_types_say_what_is_true():
    kind = pyspiel.GameType
    types = {name: to_openspiel(game, name=f"test_{name}").get_type() for name, game in GAMES.items()}
    assert [name for name, t in types.items() if t.dynamics == kind.Dynamics.SEQUENTIAL] == ["signal"]
    assert [name for name, t in types.items() if t.utility == kind.Utility.ZERO_SUM] == ["pennies"]
    assert [name for name, t in types.items() if t.utility == kind.Utility.IDENTICAL] == ["signal"]
    early = [name for name, t in types.items() if t.reward_model == kind.RewardModel.REWARDS]
    assert early == ["repeated", "committee", "two_rounds"]
    assert [name for name, t in types.items() if t.information == kind.Information.PERFECT_INFORMATION] == ["repeated"]
    assert all(t.chance_mode == kind.ChanceMode.EXPLICIT_STOCHASTIC for t in types.values())


def test_flattened_actions_mean_what_the_game_means():
    exported = to_openspiel(GAMES["pennies"], name="test_pennies")
    state = exported.new_initial_state()
    state.apply_action(1)
    assert [state.legal_actions(p) for p in (0, 1)] == [[0, 1, 2, 3], [0, 1]]
    assert state.action_to_string(0, 2) == "matcher 2 5" and state.action_to_string(1, 0) == "mismatcher -1"
    for matcher, mismatcher in itertools.product(range(4), range(2)):
        parity = (1 + matcher // 2 + 5 + matcher % 2) % 2
        after = state.clone()
        after.apply_actions([matcher, mismatcher])
        assert after.returns()[0] == (2.0 if parity == mismatcher else -2.0)


def test_members_who_are_not_asked_are_not_heard():
    exported = to_openspiel(GAMES["committee"], name="test_committee")
    state = exported.new_initial_state()
    state.apply_action(0)
    assert state.is_simultaneous_node() and [state.legal_actions(p) for p in range(3)] == [[0], [0, 1], [0, 1]]
    state.apply_actions([0, 1, 1])
    assert [state.legal_actions(p) for p in range(3)] == [[0], [0], [0, 1]] and state.rewards() == [0.0, 0.0, 0.0]
    state.apply_actions([0, 0, 1])
    assert state.rewards() == [2.0, 2.0, 2.0]
    assert state.information_state_string(1) == "p1 [0.0]1 (1.0) (2.0)"
    state.apply_actions([1, 0, 0])
    assert state.is_terminal() and state.rewards() == [2.0, 1.0, -1.0] and state.returns() == [4.0, 3.0, 1.0]


def test_open_spiels_solver_finds_the_value_of_the_pennies():
    # Whatever the stakes, the mismatcher keeps the matcher at zero by an even coin.
    turns = in_turns(to_openspiel(GAMES["pennies"], name="test_pennies"))
    solver = pyspiel.CFRSolver(pyspiel.convert_to_cached_tree(turns))
    for _ in range(300):
        solver.evaluate_and_update_policy()
    assert pyspiel.exploitability(pyspiel.convert_to_cached_tree(turns), solver.average_policy()) < 0.02


def test_names_are_unique_and_told():
    game = Pennies()
    first = to_openspiel(game)
    assert to_openspiel(game) is first
    second = to_openspiel(Pennies())
    assert second.short_name != first.short_name
    assert first.short_name.startswith("python_walras_pennies")
    with pytest.raises(ValueError, match="already registered for"):
        to_openspiel(Pennies(), name=first.short_name.removeprefix("python_walras_"))
    with pytest.raises(ValueError, match="name: lower-case letters"):
        to_openspiel(Pennies(), name="Pennies (mine)")


def test_games_that_are_not_finite_are_refused_with_advice():
    with pytest.raises(TypeError, match=r"SealedBidAuction draws random numbers.*DiscreteAuction"):
        to_openspiel("walras/SealedBidAuction-v0")
    boxed = Pennies()
    boxed.roles = (boxed.roles[0], Role("mismatcher", None, spaces.Discrete(2), spaces.Box(0, 1, (1,))))
    with pytest.raises(TypeError, match=r"role 'mismatcher' of Pennies acts in Box.*grid="):
        to_openspiel(boxed)
    with pytest.raises(TypeError, match=r"an id or a walras\.Game is needed"):
        to_openspiel(3)


def test_games_that_are_too_large_or_endless_are_refused_with_their_size():
    with pytest.raises(ValueError, match=r"at least \d[\d.e+]* moves in its first \d+ steps, more than 100"):
        to_openspiel("walras/DiscreteAuction-v0", values=6, limit=100)
    endless = Repeated()
    endless.horizon = None
    with pytest.raises(ValueError, match=r"at least .* moves|not ended after"):
        survey(endless, limit=20_000)


def test_broken_rules_are_named():
    crooked = Signal()
    crooked.odds = (0.5, 0.6)
    with pytest.raises(ValueError, match="chance: a row"):
        survey(crooked)
    idle = Signal()
    idle.movers = lambda state: np.zeros((len(state.step), 2), bool)
    with pytest.raises(ValueError, match="nobody is to move after 0 steps"):
        survey(idle)
    stuck = Signal()
    stuck.legal = lambda state, role: np.zeros((len(state.step), 2, 2), bool)
    with pytest.raises(ValueError, match=r"'player_0' is to move .* has no legal action"):
        survey(stuck)


def test_other_observers_are_refused():
    exported = to_openspiel(GAMES["signal"], name="test_signal")
    nobody = pyspiel.PrivateInfoType.NONE
    public = pyspiel.IIGObservationType(public_info=True, perfect_recall=False, private_info=nobody)
    with pytest.raises(ValueError, match="iig_obs_type"):
        exported.make_py_observer(public)


def test_a_pickled_state_of_an_unknown_game_says_what_to_do():
    from walras.envs.doors.openspiel import _replay

    with pytest.raises(KeyError, match=r"to_openspiel\(\.\.\., name='never_made'\)"):
        _replay("python_walras_never_made", [])


# -- the way in --------------------------------------------------------------------------------------------------------

SEALED, GOOFSPIEL = "first_sealed_auction(players=2,max_value=3)", "goofspiel(num_cards=3)"
INWARD = ["kuhn_poker", SEALED, GOOFSPIEL, "matrix_pd", "tiny_hanabi"]


@pytest.mark.parametrize("name", INWARD)
def test_random_play_of_an_open_spiel_game_earns_its_value(name):
    game, original = from_openspiel(name), pyspiel.load_game(name)
    episodes = play(game, "random", batch=3000, seed=3)
    values = policy_value(original.new_initial_state(), play_uniformly(original))
    error = episodes.returns.std(axis=0) / np.sqrt(3000)
    assert (np.abs(episodes.returns.mean(axis=0) - values) <= 4 * error + 1e-12).all()


@pytest.mark.parametrize("name", INWARD)
def test_there_and_back_is_the_same_game(name):
    original = pyspiel.load_game(name)
    back = to_openspiel(from_openspiel(name))
    assert policy_value(back.new_initial_state(), play_uniformly(back)) == pytest.approx(
        policy_value(original.new_initial_state(), play_uniformly(original)), abs=1e-12
    )
    turns, first = in_turns(back), in_turns(original)
    assert exploitability.nash_conv(turns, policy.UniformRandomPolicy(turns)) == pytest.approx(
        exploitability.nash_conv(first, policy.UniformRandomPolicy(first)), abs=1e-12
    )
    assert turns.num_distinct_actions() == first.num_distinct_actions()


def test_kuhn_poker_has_its_58_histories_and_its_value():
    game = from_openspiel("kuhn_poker")
    assert survey(game).states == 58
    tree = pyspiel.convert_to_cached_tree(to_openspiel(game))
    solver = pyspiel.CFRSolver(tree)
    for _ in range(500):
        solver.evaluate_and_update_policy()
    average = solver.average_policy()
    assert pyspiel.expected_returns(tree.new_initial_state(), average, -1, True)[0] == pytest.approx(-1 / 18, abs=2e-3)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", ["kuhn_poker", SEALED, GOOFSPIEL])
def test_open_spiel_games_keep_the_contract(name, check):
    check(from_openspiel(name))


def test_open_spiel_games_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="OpenSpiel has no 'kuhn_pokr'; close names: \\['kuhn_poker'"):
        from_openspiel("kuhn_pokr")
    with pytest.raises(ValueError, match="OpenSpiel cannot load 'kuhn_poker\\(players=99\\)'"):
        from_openspiel("kuhn_poker(players=99)")
    with pytest.raises(TypeError, match="sampled chance or a mean field"):
        from_openspiel("mfg_crowd_modelling")
    with pytest.raises(TypeError, match=r"pyspiel\.Game is needed, got int"):
        from_openspiel(3)
