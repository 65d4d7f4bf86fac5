"""Tabular learners go on from files and interruptions to the same bits, and what they learn sits in seats."""

import signal

import numpy as np
import pyspiel
import pytest
from open_spiel.python import policy as openspiel_policies

import walras
from walras.agents import TabularStrategy, load_policy
from walras.agents.storage import load_arrays, save_arrays
from walras.algorithms.tabular import (
    CFR,
    ABCs,
    BoltzmannQ,
    ExternalSampling,
    MaxCFR,
    OutcomeSampling,
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
from walras.envs.play import play
from walras.envs.tabular import CartPole, FiniteMDP, Stacked, TabularGame, cached_game, compile_game
from walras.envs.tabular.known import kuhn as equilibrium

PROCESS = FiniteMDP.layered(3, 4, 2)


def flat(name="kuhn_poker"):
    return cached_game(name)


LEARNERS = {
    "cfr": (lambda s: CFR(flat()), CFR, (flat(),), {}),
    "cfr+": (lambda s: CFR(flat(), variant="cfr+", form="tree"), CFR, (flat(),), {}),
    "dcfr of three": (
        lambda s: CFR(flat("kuhn_poker(players=3)"), variant="dcfr"),
        CFR,
        (flat("kuhn_poker(players=3)"),),
        {},
    ),
    "external": (lambda s: ExternalSampling(flat(), seed=s), ExternalSampling, (flat(),), {}),
    "hedge": (lambda s: ExternalSampling(flat(), rule="hedge", seed=s), ExternalSampling, (flat(),), {}),
    "abcs": (lambda s: ABCs(flat(), seed=s), ABCs, (flat(),), {}),
    "abcs published": (lambda s: ABCs(flat(), seed=s, profile="published"), ABCs, (flat(),), {}),
    "abcs with all options": (
        lambda s: ABCs(
            flat(), process=PROCESS, seed=s, matching=True, error_control=True, window=30, correction="greedy"
        ),
        ABCs,
        (flat(),),
        {"process": PROCESS},
    ),
    "abcs with an oracle": (lambda s: ABCs(flat(), seed=s, oracle="tree"), ABCs, (flat(),), {}),
    "abcs with a given oracle": (lambda s: ABCs(flat(), seed=s, oracle=np.arange(24) % 2 == 0), ABCs, (flat(),), {}),
    "cartpole": (
        lambda s: ABCs(process=CartPole(bins=4), seed=s, window=50),
        ABCs,
        (),
        {"process": CartPole(bins=4)},
    ),
    "max-cfr": (lambda s: MaxCFR(flat(), process=PROCESS, seed=s), MaxCFR, (flat(),), {"process": PROCESS}),
    "q": (lambda s: BoltzmannQ(flat(), process=PROCESS, seed=s), BoltzmannQ, (flat(),), {"process": PROCESS}),
    "outcomes": (lambda s: OutcomeSampling(flat(), seed=s), OutcomeSampling, (flat(),), {}),
}  # fmt: skip


def bits(learner):
    return {name: array.tobytes() for name, array in learner._arrays().items()} | {"facts": repr(learner._facts())}


@pytest.mark.parametrize("name", LEARNERS)
def test_one_seed_gives_one_result_in_parts_and_from_files_too(name, tmp_path):
    make, kind, setting, more = LEARNERS[name]
    whole = make(1).fit(iterations=60)
    assert bits(make(1).fit(iterations=60)) == bits(whole)
    parts = make(1).fit(iterations=0).fit(iterations=25)
    assert parts.iteration_ == 25 and bits(parts) != bits(whole)
    path = tmp_path / "learner.safetensors"
    parts.save(path)
    resumed = kind.load(path, *setting, **more)
    assert bits(resumed) == bits(parts) and resumed.settings == parts.settings
    assert bits(resumed.fit(iterations=35)) == bits(whole) == bits(parts.fit(iterations=35))
    assert resumed.nodes_ == whole.nodes_
    if "cfr" not in name or name == "max-cfr":
        assert bits(make(2).fit(iterations=60)) != bits(whole)


@pytest.mark.parametrize("name", ["external", "abcs", "abcs with all options", "max-cfr", "q", "outcomes"])
def test_parts_that_end_between_iterations_give_the_bits_of_the_whole_by_nodes_too(name):
    make = LEARNERS[name][0]
    whole, parts = make(3).fit(nodes=5000), make(3).fit(nodes=1000)
    assert whole.nodes_ >= 5000 and whole.nodes_ - 5000 < 2000
    parts.fit(nodes=5000 - parts.nodes_)
    assert bits(parts) == bits(whole)
    assert bits(make(3).fit(nodes=5e3)) == bits(whole)
    once = make(3).fit(nodes=1)  # an iteration that is begun is finished
    assert once.iteration_ == 1


@pytest.mark.parametrize("name", ["cfr", "cfr+", "dcfr of three", "external", "abcs", "q", "outcomes"])
def test_an_interruption_leaves_a_learner_that_goes_on_as_if_nothing_had_been(name):
    """The signal comes while compiled code runs, so Python raises the moment that returns."""
    make = LEARNERS[name][0]
    make(1).fit(iterations=1)  # compiled
    learner = make(1)

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            learner.fit(iterations=10**9)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    assert learner.iteration_ > 10
    assert bits(learner) == bits(make(1).fit(iterations=learner.iteration_))


def test_progress_is_told_and_ends_at_the_whole():
    told = []
    ABCs(flat()).fit(nodes=50_000, progress=lambda fraction, text: told.append((fraction, text)))
    CFR(flat()).fit(100, progress=lambda fraction, text: told.append((fraction, text)))
    fractions = [fraction for fraction, _ in told]
    assert all(0 < f <= 1 for f in fractions) and fractions.count(1.0) == 2
    assert told[0][1].endswith(" nodes") and told[-1][1] == "100 iterations"


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cfr", "external", "abcs", "max-cfr"])
def test_files_of_other_settings_and_kinds_and_damaged_ones_are_refused(name, tmp_path):
    make, kind, setting, more = LEARNERS[name]
    path = tmp_path / "learner.safetensors"
    make(1).fit(iterations=5).save(path)
    with pytest.raises(ValueError, match="does not fit this setting"):
        kind.load(path, flat("leduc_poker"), **more)
    with pytest.raises(ValueError, match="does not fit this setting"):
        kind.load(path)
    if more:
        with pytest.raises(ValueError, match="learned in another setting"):
            kind.load(path, *setting)
        with pytest.raises(ValueError, match="learned in another setting"):
            kind.load(path, *setting, process=FiniteMDP.layered(3, 4, 2, seed=9))
    other = OutcomeSampling if kind is not OutcomeSampling else CFR
    with pytest.raises(ValueError, match=f"not a whole file of kind '{other.kind}'"):
        other.load(path, *setting, **more)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        kind.load(tmp_path / "none", *setting, **more)
    whole = path.read_bytes()
    for damaged in (whole[:-3], whole[:-9] + b"\x07" + whole[-8:], b"", b"PK\x03\x04"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="not a whole file of kind"):
            kind.load(path, *setting, **more)
    with pytest.raises(FileNotFoundError, match=r"the folder .* does not exist"):
        make(1).save(tmp_path / "nowhere" / "x")


def test_a_learner_of_other_arrays_or_without_settings_is_refused(tmp_path):
    path = tmp_path / "learner.safetensors"
    ABCs(flat(), window=30).fit(iterations=300).save(path)
    arrays, facts = load_arrays(path, ABCs.kind)
    save_arrays(path, ABCs.kind, arrays, facts | {"settings": facts["settings"] | {"window": 20}})
    with pytest.raises(ValueError, match="does not fit this setting"):
        ABCs.load(path, flat())
    save_arrays(path, ABCs.kind, arrays | {"slots.q": arrays["slots.q"][1:]}, facts)
    with pytest.raises(ValueError, match=r"slots.q is float64\(23,\) there, \(24,\) here"):
        ABCs.load(path, flat())
    save_arrays(path, ABCs.kind, {k: v for k, v in arrays.items() if k != "ring"}, facts)
    with pytest.raises(ValueError, match="does not fit this setting"):
        ABCs.load(path, flat())
    save_arrays(path, ABCs.kind, arrays, {})
    with pytest.raises(ValueError, match="does not fit this setting"):
        ABCs.load(path, flat())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CFR(flat(), variant="cfr++"), "variant must be one of"),
        (lambda: CFR(flat(), form="graph"), "form must be"),
        (lambda: CFR(flat(), averaging=-1), "averaging must be a finite number"),
        (lambda: CFR(flat()).fit(-1), "iterations must be a whole number of at least 0, got -1"),
        (lambda: CFR(flat()).fit(1.5), "iterations must be a whole number"),
        (lambda: CFR(flat()).fit(True), "iterations must be a whole number"),
        (lambda: ExternalSampling(flat(), rule="softmax"), "rule must be"),
        (lambda: ExternalSampling(flat(), averaging="never"), "averaging must be"),
        (lambda: ExternalSampling(flat(), seed=-1), "seed must be an integer of at least 0"),
        (lambda: ExternalSampling(flat()).fit(3, nodes=3), "exactly one of them"),
        (lambda: ABCs(flat()).fit(), "exactly one of them"),
        (lambda: ABCs(flat()).fit(nodes=float("nan")), "nodes must be a whole number"),
        (lambda: ABCs(flat(), profile="fixed"), "profile must be one of"),
        (lambda: ABCs(flat(), correction="none"), "correction must be one of"),
        (lambda: ABCs(flat(), averaging="none"), "averaging must be"),
        (lambda: ABCs(flat(), detection="none"), "detection must be one of"),
        (lambda: ABCs(flat(), level=0), "level must lie in"),
        (lambda: ABCs(flat(), clearing=1.5), "clearing in"),
        (lambda: ABCs(flat(), window=1), "window must be an integer of at least 2"),
        (lambda: ABCs(flat(), minimum=1), "minimum must be an integer of at least 2"),
        (lambda: ABCs(flat(), window=8), "minimum must be at most window"),
        (lambda: ABCs(flat(), oracle="all"), "oracle must be 'tree' or an array"),
        (lambda: ABCs(flat(), oracle=np.ones(3, bool)), r"oracle: shape \(3,\) given, \(24,\) needed"),
        (lambda: ABCs(flat(), end=1.0), "end must lie in"),
        (lambda: ABCs(flat(), limit=0), "limit must be an integer of at least 1"),
        (lambda: ABCs(flat(), seed=0.5), "seed must be an integer"),
        (lambda: ABCs(), "at least one of them is needed"),
        (lambda: OutcomeSampling(flat(), explore=0), "explore must lie in"),
        (lambda: ABCs(process=PROCESS).average_, "there is only a process"),
        (lambda: ABCs(flat()).process_return(), "process: there is none"),
        (lambda: ABCs(process=PROCESS).process_return(0), "episodes must be an integer of at least 1"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_is_no_game_or_process_is_refused():
    for make in (lambda: ABCs(flat(), process=3), lambda: ABCs(3), lambda: CFR(3), lambda: ExternalSampling(3)):
        with pytest.raises(TypeError, match="is needed, got 3"):
            make()


# -- strategies --------------------------------------------------------------------------------------------------------


def test_a_strategy_plays_its_game_from_any_seat_as_its_numbers_say():
    game = flat("leduc_poker")
    strategy = TabularStrategy.of(game, game.normalise(np.random.default_rng(0).random(game.n_slots) ** 2))
    rules = TabularGame(game)
    value = expected_returns(game, strategy)
    both = play(rules, {"player": strategy}, batch=20_000, seed=1).returns
    np.testing.assert_allclose(both.mean(axis=0), value, atol=4 * both.std() / np.sqrt(20_000))
    uniform = play(rules, {"player_1": strategy}, batch=20_000, seed=2).returns
    mixture = game.uniform()
    mixture[game.slots(1)] = strategy.probabilities[game.slots(1)]
    expected = expected_returns(game, mixture)
    np.testing.assert_allclose(uniform.mean(axis=0), expected, atol=4 * uniform.std() / np.sqrt(20_000))


def test_actions_are_drawn_by_their_probabilities_and_idle_players_draw_none():
    game = flat("leduc_poker")
    weights = np.random.default_rng(0).random(game.n_slots)
    table = game.normalise(np.where(np.arange(game.n_slots) % 3 == 0, 0.0, weights))
    strategy = TabularStrategy.of(game, table)
    for info in (0, 5, game.n_infostates - 1):
        drawn = strategy(np.full((5000, 1), info), rng=np.random.default_rng(1))
        share = np.bincount(drawn, minlength=len(strategy.at(info))) / 5000
        np.testing.assert_allclose(share, strategy.at(info), atol=0.03)
        assert (share[strategy.at(info) == 0] == 0).all() and len(share) == len(strategy.at(info))
    idle = strategy(np.full(10, game.n_infostates), rng=np.random.default_rng(2))
    assert (idle == 0).all()
    with pytest.raises(IndexError, match=r"infostate must lie in \[0, 936\)"):
        strategy.at(936)


def test_strategies_come_back_from_their_files_to_the_bit(tmp_path):
    game, path = flat("leduc_poker"), tmp_path / "strategy.safetensors"
    strategy = CFR(game).fit(10).strategy_
    strategy.save(path)
    for found in (load_policy(path), TabularStrategy.load(path), TabularStrategy.load(path, game)):
        assert found == strategy and found.game == game.name
    with pytest.raises(ValueError, match=r"belongs to leduc_poker\(\), and kuhn_poker\(\) is another game"):
        TabularStrategy.load(path, flat())
    whole = path.read_bytes()
    path.write_bytes(whole[:-20] + bytes(20))
    with pytest.raises(ValueError, match="not a whole file"):
        TabularStrategy.load(path)
    arrays = {"offset": np.array([0, 2]), "probabilities": np.array([0.7, 0.7])}
    save_arrays(path, "walras.TabularStrategy", arrays, {"game": "x", "fingerprint": "y"})
    with pytest.raises(ValueError, match="sum to one"):
        load_policy(path)
    save_arrays(path, "walras.TabularStrategy", {"offset": np.array([0, 2])}, {"game": "x", "fingerprint": "y"})
    with pytest.raises(ValueError, match="not a whole file"):
        load_policy(path)


def test_a_strategy_cannot_be_changed_behind_its_back_and_is_equal_by_content():
    game = flat()
    numbers = game.uniform()
    strategy = TabularStrategy.of(game, numbers)
    numbers[:2] = 1.0, 0.0
    assert strategy == TabularStrategy.of(game, game.uniform()) != TabularStrategy.of(game, numbers)
    with pytest.raises(ValueError, match="read-only"):
        strategy.probabilities[0] = 1.0
    with pytest.raises(ValueError, match="strategy:"):
        TabularStrategy.of(game, np.ones(24))


@pytest.mark.parametrize(
    ("id", "parameters"),
    [
        ("walras/DiscreteAuction-v0", {"values": 4}),
        ("walras/DiscreteAuction-v0", {"values": 3, "mechanism": "all-pay"}),
        ("walras/WeightedRPS-v0", {}),
    ],
)
def test_a_strategy_plays_the_game_it_was_learned_for_by_that_games_own_observations(id, parameters):
    rules = walras.make(id, **parameters)
    game = compile_game(rules)
    strategy = TabularStrategy.of(game, game.normalise(np.random.default_rng(3).random(game.n_slots) ** 2))
    seats = {agent: strategy.for_game(rules, agent) for agent in rules.agents}
    returns = play(rules, seats, batch=30_000, seed=4).returns
    error = returns.std(axis=0) / np.sqrt(30_000)
    assert (np.abs(returns.mean(axis=0) - expected_returns(game, strategy)) < 4 * error).all()


def test_where_observations_do_not_tell_infostates_apart_a_strategy_takes_no_seat():
    rules = walras.make("walras/PrisonersDilemma-v0", rounds=3)
    game = compile_game(rules)
    strategy = TabularStrategy.of(game, game.uniform())
    with pytest.raises(ValueError, match=r"sees the same at infostates .* play TabularGame"):
        strategy.for_game(rules, rules.agents[0])
    with pytest.raises(ValueError, match="agent: 'nobody' is not one of"):
        strategy.for_game(rules, "nobody")
    with pytest.raises(ValueError, match="another game"):
        strategy.for_game(walras.make("walras/PrisonersDilemma-v0", rounds=2), "player_0")


# -- OpenSpiel ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["kuhn_poker", "leduc_poker", "kuhn_poker(players=3)", "first_sealed_auction(max_value=4)"]
)
def test_strategies_go_to_openspiel_and_come_back(name):
    game, theirs = flat(name), pyspiel.load_game(name)
    strategy = TabularStrategy.of(game, game.normalise(np.random.default_rng(5).random(game.n_slots)))
    there = to_openspiel_policy(game, strategy)
    back = from_openspiel_policy(game, there)
    np.testing.assert_allclose(back.probabilities, strategy.probabilities, atol=1e-15)
    assert nash_conv(game, strategy) == pytest.approx(pyspiel.nash_conv(theirs, there), abs=1e-9)
    state = theirs.new_initial_state()
    while state.is_chance_node():
        state.apply_action(state.legal_actions()[0])
    info = game.labels.index(state.information_state_string())
    said = [p for _, p in sorted(there.action_probabilities(state).items())]
    assert said == pytest.approx(strategy.at(info).tolist())


def test_python_policies_of_openspiel_come_in():
    game = flat()
    theirs = openspiel_policies.TabularPolicy(pyspiel.load_game("kuhn_poker"))
    rng = np.random.default_rng(0)
    for row in theirs.action_probability_array:
        row[:] = rng.dirichlet(np.ones(2))
    strategy = from_openspiel_policy(game, theirs)
    for info, label in enumerate(game.labels):
        np.testing.assert_allclose(strategy.at(info), theirs.policy_for_key(label))


def test_what_does_not_fit_openspiel_is_refused():
    with pytest.raises(ValueError, match="no information-state strings"):
        to_openspiel_policy(compile_game("walras/WeightedRPS-v0"), np.full(6, 1 / 3))
    forgets = compile_game("goofspiel(num_cards=4)")
    with pytest.raises(ValueError, match="forget"):
        to_openspiel_policy(forgets, forgets.uniform())
    with pytest.raises(ValueError, match="says nothing about information state"):
        from_openspiel_policy(flat(), pyspiel.TabularPolicy({"0": [(0, 1.0)]}))
    with pytest.raises(TypeError, match="policy: a policy of pyspiel"):
        from_openspiel_policy(flat(), {"0": [1.0]})
    with pytest.raises(ValueError, match="strategy:"):
        to_openspiel_policy(flat(), np.ones(24))


# -- learning ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "below"),
    [
        (lambda: CFR(flat()).fit(2000), 0.002),
        (lambda: CFR(flat(), variant="cfr+").fit(2000), 2e-4),
        (lambda: CFR(flat(), variant="dcfr").fit(2000), 2e-4),
        (lambda: ExternalSampling(flat()).fit(nodes=200_000), 0.02),
        (lambda: ExternalSampling(flat(), rule="hedge").fit(nodes=200_000), 0.02),
        (lambda: ABCs(flat()).fit(nodes=200_000), 0.02),
        (lambda: ABCs(flat(), matching=True).fit(nodes=200_000), 0.03),
        (lambda: ABCs(flat(), error_control=True).fit(nodes=200_000), 0.03),
        (lambda: ABCs(flat(), profile="published").fit(nodes=500_000), 0.01),
        (lambda: MaxCFR(flat()).fit(nodes=200_000), 0.02),
        (lambda: OutcomeSampling(flat()).fit(nodes=200_000), 0.03),
    ],
)  # fmt: skip
def test_everybody_but_q_learning_learns_to_play_kuhn_poker(make, below):
    assert exploitability(flat(), make().average_) < below


def test_q_learning_does_not_learn_kuhn_poker():
    assert exploitability(flat(), BoltzmannQ(flat(), profile="published").fit(nodes=500_000).average_) > 0.05


def test_a_known_equilibrium_is_one():
    game = flat()
    assert gains(game, equilibrium(game)).max() < 1e-12
    assert expected_returns(game, TabularStrategy.of(game, solve(game).strategy))[0] == pytest.approx(-1 / 18)


def test_in_a_process_abcs_and_q_learning_find_the_optimum_and_max_cfr_is_slower():
    regret = {}
    for learner in (ABCs, BoltzmannQ, MaxCFR):
        found = []
        for seed in range(3):
            process = FiniteMDP.layered(5, 8, 3, seed=seed)
            policy = learner(process=process, seed=seed).fit(nodes=60_000).policy_
            found.append(process_optimum(process) - process_value(process, policy))
        assert min(found) > -1e-9
        regret[learner] = np.mean(found)
    assert regret[ABCs] < 0.05 and regret[BoltzmannQ] < 0.05 and regret[MaxCFR] > 2 * regret[ABCs]


def test_cartpole_is_learned_with_exact_states_told_apart():
    learner = ABCs(process=CartPole(), profile="published", seed=1)
    before = learner.process_return(seed=0)
    assert learner.fit(nodes=200_000).process_return(seed=0) > 100 > 50 > before
    assert learner.process_return(seed=0) == learner.process_return(seed=0)


def test_a_stack_is_learned_in_both_parts():
    process = FiniteMDP.layered(4, 6, 3, seed=2)
    learner = ABCs(flat(), process=process, seed=0).fit(nodes=400_000)
    slots = int(process.n_actions.sum())
    assert learner.policy_.shape == (slots + 24,) and learner.average_.shape == (24,)
    assert process_optimum(process) - process_value(process, learner.policy_[:slots]) < 0.05
    assert exploitability(flat(), learner.average_) < 0.05


def test_a_stacked_game_says_what_it_is_made_of_and_how_its_process_ends():
    stack = Stacked(CartPole(bins=4), "kuhn_poker", end=0.25, limit=7)
    learner = ABCs(stack, seed=1)
    assert (learner.settings["end"], learner.settings["limit"]) == (0.25, 7) and learner.process is stack.process
    parts = ABCs(stack.game.flat, process=CartPole(bins=4), end=0.25, limit=7, seed=1).fit(iterations=50)
    assert bits(learner.fit(iterations=50)) == bits(parts)
    assert ABCs(stack, limit=5, end=0.5).settings["limit"] == 5
    with pytest.raises(TypeError, match="has one already"):
        ABCs(stack, process=PROCESS)


@pytest.mark.parametrize("learner", [ABCs, ExternalSampling, MaxCFR])
def test_a_first_price_auction_is_learned_by_sampling(learner):
    game = compile_game("walras/DiscreteAuction-v0", values=4)
    assert nash_conv(game, learner(game).fit(nodes=400_000).average_) < 0.1 * nash_conv(game, game.uniform())
