"""The policy layer over games: phases, levers, payments, carry-over, and what it tells."""

from typing import NamedTuple

import numpy as np
import pytest
from gymnasium import spaces

import walras
from walras.envs.arena import Arena
from walras.envs.check import check_game
from walras.envs.lanes import LaneRandom, clock
from walras.envs.society.citizens import Citizens
from walras.envs.society.layer import DESIGN, PLAY, VOTE, Society, policy_vote
from walras.envs.society.levers import as_lever, prior_mean
from walras.envs.society.taxes import bracket_tax, lump_sum
from walras.envs.society.types import mixed_reward


class Pile(NamedTuple):
    left: np.ndarray  # (B,)
    taken: np.ndarray  # (B, n)


class Take(walras.Game[Pile]):
    """Three people take 0 to 9 from a pile that never ends; the pile remembers. Income is what was taken."""

    def __init__(self, people=3, horizon=None):
        self.horizon = horizon
        seen = spaces.Box(-np.inf, np.inf, (1,), np.float32)
        self.roles = (walras.Role("taker", people, seen, spaces.Discrete(10)),)

    def initial(self, batch, rng):
        return Pile(np.full(batch, 100.0), np.zeros((batch, self.n_agents)))

    def observe(self, state, role):
        return np.repeat(state.left[:, None, None], self.n_agents, axis=1)

    def step(self, state, actions, rng):
        taken = actions["taker"].astype(np.float64)
        return Pile(state.left - taken.sum(axis=1), taken), taken

    def terminal(self, state):
        return np.zeros(len(state.left), bool)

    def info(self, state, role):
        return {"left": np.repeat(state.left[:, None], self.n_agents, axis=1), "taken": state.taken}


TAX = {"lever": "period-tax", "edges": [10, 20], "period": 5}


def run(society, plans, policy, lanes=1, ballots=None):
    """Play `plans`, steps of actions for all takers, under one policy; states and rewards of the play steps."""
    seats = {"principal": lambda seen: np.repeat(np.asarray(policy, np.float32)[None], len(seen), axis=0)}
    if society.rule is not None:
        seats["voter"] = lambda seen: np.repeat(np.asarray(ballots, np.float32)[None], len(seen), axis=0)
    arena = Arena(society, lanes, walras.envs.seats.fill_seats(society, seats))
    arena.seed(0)
    arena.deal()
    states, rewards = [], []
    for plan in plans:
        while arena.state.phase[0] != PLAY:
            arena.step({})
        given = {name: np.full(lanes, plan[i]) for i, name in enumerate(society.game.agents)}
        rewards.append(arena.step(given).rewards)
        states.append(arena.state)
    return states, np.array(rewards)


def test_a_round_goes_through_vote_design_and_play():
    society = Society(Take(), levers=[TAX], vote="mean-threshold", rounds=2, steps=2, design_every=1)
    arena = Arena(society, 2, walras.envs.seats.fill_seats(society, dict.fromkeys(society.agents, "random")))
    arena.seed(0)
    arena.deal()
    phases = []
    while not society.terminal(arena.state).any():
        phases.append(int(arena.state.phase[0]))
        moving = {name for name, moves in zip(society.agents, society.movers(arena.state)[0], strict=True) if moves}
        wanted = {VOTE: "voter", DESIGN: "principal", PLAY: "taker"}[phases[-1]]
        assert all(name.startswith(wanted) for name in moving) and moving
        arena.step({})
    assert phases == [VOTE, DESIGN, PLAY, DESIGN, PLAY] * 2


def test_a_period_tax_is_due_at_the_end_of_each_period_on_the_period_alone():
    society = Society(Take(), levers=[TAX], rounds=1, steps=12)
    rng = np.random.default_rng(0)
    plans, rates = rng.integers(10, size=(12, 3)), [0.25, 0.5, 0.75]
    states, rewards = run(society, plans, rates)
    paid = plans - rewards[:, 0, 1:]
    expected = np.zeros((12, 3))
    for first, last in ((0, 5), (5, 10), (10, 12)):  # the round's last step ends a period too
        income = plans[first:last].sum(axis=0)
        expected[last - 1] = lump_sum(bracket_tax(income, np.array(rates), np.array([10.0, 20.0])))
    np.testing.assert_allclose(paid, expected, atol=1e-9)
    np.testing.assert_allclose(rewards[:, 0, 1:].sum(), plans.sum())
    assert states[-1].last_revenue[0] == 0
    np.testing.assert_allclose(states[-1].last_income[0], plans.sum(axis=0))
    np.testing.assert_allclose(states[-1].last_utility[0], (plans - expected).sum(axis=0))


def test_a_step_tax_looks_at_the_last_steps_and_takes_from_this_one():
    society = Society(Take(), levers=["step-tax"], rounds=1, steps=20)
    rng = np.random.default_rng(1)
    plans, rates = rng.integers(2, size=(20, 3)), np.array([0.0, 0.1, 0.3])
    _, rewards = run(society, plans, rates)
    for t in range(20):
        recent = plans[max(0, t - 10) : t + 1].sum(axis=0)
        rate = rates[np.searchsorted([3, 5], recent, side="right")]
        np.testing.assert_allclose(rewards[t, 0, 1:], plans[t] - lump_sum(4 * rate * plans[t]), atol=1e-6)


def test_taxes_without_redistribution_fees_and_subsidies_meet_in_the_treasury():
    kept = {"lever": "period-tax", "edges": [], "period": 1, "redistribute": False}
    society = Society(Take(), levers=[kept, {"lever": "subsidy", "base": "taken"}], rounds=1, steps=3,
                      objectives=["utilitarian", "revenue", "surplus"], objective="surplus")  # fmt: skip
    plans = np.array([[1, 2, 3], [4, 0, 0], [9, 9, 0]])
    states, rewards = run(society, plans, [0.5, 0.25])
    np.testing.assert_allclose(rewards[:, 0, 1:], 0.75 * plans)
    assert states[-1].last_revenue[0] == pytest.approx(0.25 * plans.sum())
    assert states[-1].last_measures[0].tolist() == pytest.approx([0.25 * plans.sum(), 7.0, 28.0])
    fee = Society(Take(), levers=["fee"], rounds=1, steps=3)
    assert run(fee, plans, [0.5])[0][-1].last_revenue[0] == pytest.approx(14.0)


def test_only_citizens_are_taxed_and_vote():
    society = Society(
        "walras/Marketplace-v0", levers=["fee"], citizens="seller", vote="majority", rounds=1,
        objectives=["utilitarian", "revenue"],
    )  # fmt: skip
    sellers = society.game.role("seller").size
    assert [name for name in society.agents if name.startswith("voter")] == [f"voter_{i}" for i in range(sellers)]
    half = {"principal": lambda seen: np.full((len(seen), 1), 0.5, np.float32)}
    join = {"seller": lambda seen: np.ones(len(seen["policy"]), int)}
    fee = {"platform": lambda seen: np.full((len(seen["policy"]), 1), 0.2, np.float32)}
    free = {
        "platform": lambda seen: np.full((len(seen), 1), 0.2, np.float32),
        "seller": lambda seen: np.ones(len(seen), int),
    }
    taxed = walras.play(society, {**half, **join, **fee}, batch=2, seed=0)
    below = walras.play(society.game, free, batch=2, seed=0)
    platform = society.seat["platform"][2]
    np.testing.assert_allclose(taxed.returns[:, platform], below.returns[:, 0])
    np.testing.assert_allclose(taxed.returns[:, platform + 1 :], 0.5 * below.returns[:, 1:])
    np.testing.assert_allclose(
        taxed.returns[:, :sellers], taxed.returns[:, platform + 1 :]
    )  # voters feel what they earn
    np.testing.assert_allclose(taxed.state.last_revenue, 0.5 * below.returns[:, 1:].sum(axis=1))


def test_a_bounded_action_is_cut_before_the_game_sees_it():
    society = Society("walras/Marketplace-v0", levers=["fee-cap"], objectives=["mean:fee"], rounds=1)
    seats = {"principal": lambda seen: np.full((len(seen), 1), 0.25, np.float32)}
    asked = {"platform": lambda seen: np.full((len(seen["policy"]), 1), 0.9, np.float32), "seller": "random"}
    played = walras.play(society, {**seats, **asked}, batch=5, seed=0)
    np.testing.assert_allclose(played.state.last_measures[:, 0], 0.25)
    with pytest.raises(ValueError, match="role 'plattform'"):
        Society("walras/Marketplace-v0", levers=[{"lever": "bound", "role": "plattform"}])


@pytest.mark.parametrize("mechanism", ["first-price", "second-price"])
def test_a_reserve_lever_sells_as_the_auction_with_that_reserve_does(mechanism):
    kind = {"first-price": "FirstPrice", "second-price": "SecondPrice"}[mechanism]
    society = Society(
        "walras/SealedBidAuction-v0", {"bidders": 3, "mechanism": mechanism}, levers=["reserve"],
        objectives=["sum:payment"], rounds=1, informed=False,
    )  # fmt: skip
    native = walras.make("walras/SealedBidAuction-v0", bidders=3, mechanism={"mechanism": kind, "reserve": 0.5})
    half = {"principal": lambda seen: np.full((len(seen), 1), 0.5, np.float32)}
    honest = {name: society.adapt("truthful", name) for name in society.game.agents}
    played = walras.play(society, {**half, **honest}, batch=500, seed=3)
    values = played.state.inner.sold_value
    outcome = native.mechanism.outcome(values.astype(np.float32).astype(np.float64))
    np.testing.assert_allclose(played.state.inner.payment, outcome.payment, atol=1e-12)
    assert played.state.last_measures.mean() == pytest.approx(outcome.payment.sum(axis=1).mean())
    with pytest.raises(ValueError, match="reserve"):
        Society("walras/Cournot-v0", levers=["reserve"])


def test_disclosure_shows_values_with_the_probability_that_was_set():
    society = Society(
        "walras/SecondPriceAuction-v0", {"bidders": 4}, levers=["disclosure"], objectives=["sum:payment"], steps=3
    )
    assert prior_mean(society.game) == pytest.approx([0.5])
    seats = {"principal": lambda seen: np.full((len(seen), 1), 0.3, np.float32)}
    seen = []
    watch = lambda observation: seen.append(observation["game"][:, 0]) or observation["game"]  # noqa: E731
    walras.play(society, {**seats, "bidder": watch}, batch=2000, seed=0)
    told = np.stack(seen) != 0.5
    assert told.shape == (12, 2000) and told.mean() == pytest.approx(0.3, abs=0.02)
    assert abs(np.corrcoef(told)[np.triu_indices(12, 1)]).max() < 0.1  # by bidder and step anew


def test_the_principals_rewards_add_up_to_the_objective_whatever_the_turns():
    plans = np.random.default_rng(2).integers(10, size=(20, 3))
    for every in (None, 5, 3):
        society = Society(
            Take(), levers=[TAX], rounds=1, steps=20, design_every=every, objectives=["egalitarian", "nash"]
        )
        states, rewards = run(society, plans, [0.2, 0.4, 0.6])
        assert rewards[:, 0, 0].sum() == pytest.approx(states[-1].last_utility.min())
    # The published code's form: differences of single steps' rewards, which telescope to the last step.
    society = Society(Take(), levers=[TAX], rounds=1, steps=20, objectives=["egalitarian"], reward_mode="instant")
    states, rewards = run(society, plans, [0.0, 0.0, 0.0])
    assert rewards[:, 0, 0].sum() == pytest.approx(plans[-1].min())


def test_the_state_carries_over_or_is_dealt_anew():
    plans = np.full((6, 3), 2)
    for carry, left in ((True, 100 - 6 * 6), (False, 100 - 2 * 6)):
        society = Society(Take(), levers=[TAX], rounds=3, steps=2, carry_over=carry)
        states, _ = run(society, plans, [0, 0, 0])
        assert states[-1].inner.left[0] == left
        assert states[1].utility.tolist() == [[0, 0, 0]] and states[1].round[0] == 1
        np.testing.assert_allclose(states[1].last_utility, 4.0)


def test_an_episode_of_the_game_below_is_a_round_where_no_steps_are_given():
    society = Society(Take(horizon=4), levers=[TAX], rounds=2)
    states, _ = run(society, np.ones((8, 3), int), [0, 0, 0])
    assert [int(state.round[0]) for state in states] == [0, 0, 0, 1, 1, 1, 1, 2]
    society = Society("walras/PrisonersDilemma-v0", {"rounds": 3}, levers=["fee"], rounds=2, steps=4)
    played = walras.play(society, "random", batch=3, seed=0)
    assert (played.lengths == 2 * (1 + 4)).all()  # episodes of three steps do not fit rounds of four


def test_unselfish_people_feel_the_rewards_of_those_near_them():
    rows = [(0.5, 0.25, 0.75), (0.5, 1.0, 1.0), (0.5, 0.0, 0.0)]
    plans = np.array([[1, 5, 9]])
    for nearby in (True, False):
        society = Society(Take(), levers=[TAX], rounds=1, steps=1, types=rows, nearby=nearby)
        _, rewards = run(society, plans, [0.5, 0.5, 0.5])
        raw = plans[0].astype(float)
        extrinsic = raw - lump_sum(0.5 * raw)
        seen = np.ones((3, 3), bool) if nearby else None
        np.testing.assert_allclose(rewards[0, 0, 1:], mixed_reward(raw, extrinsic, np.array(rows), seen), atol=1e-6)


def test_votes_decide_what_the_principal_serves_and_may_change_it():
    society = Society(Take(), levers=[TAX], vote="mean-threshold", rounds=2, steps=1)
    lean = iter([0.2] * 3 + [0.9] * 3)

    def ballot(seen):
        b = next(lean)
        return np.tile(np.array([1 - b, b], np.float32), (len(seen), 1))

    seats = {"voter": ballot, "principal": lambda seen: np.zeros((len(seen), 3), np.float32), "taker": "random"}
    played = walras.play(society, seats, batch=1, seed=0, record=True)
    weights = [moment.state.weights[0].tolist() for moment in played.history if moment.state.phase[0] == PLAY]
    assert weights == [[1.0, 0.0], [0.0, 1.0]]


def test_votes_over_the_policy_set_it():
    ballots = np.array([[[0.1], [0.7], [0.4], [0.9]]])
    assert policy_vote("median", ballots, np.zeros(1))[0, 0] == 0.4
    assert policy_vote("mean", ballots, np.zeros(1))[0, 0] == pytest.approx(0.525)
    assert policy_vote("random-dictator", ballots, np.full(1, 0.99))[0, 0] == 0.9
    society = Society(Take(), levers=["flat-tax"], vote={"rule": "median", "over": "policy"}, rounds=1, steps=1)
    assert "principal" not in society.agents
    wanted = {f"voter_{i}": lambda seen, w=w: np.full((len(seen), 1), w, np.float32) for i, w in enumerate([0, 0.5, 1])}
    played = walras.play(society, {**wanted, "taker": "random"}, batch=4, seed=0)
    assert (played.state.policy == 0.5).all()


def test_a_grid_of_policies_has_a_choice_that_keeps_what_holds():
    society = Society(Take(), levers=[TAX], rounds=1, steps=2, design_every=1, grid=11)
    choices = iter([[3, 0, 10], [11, 2, 11]])
    seats = {"principal": lambda seen: np.array([next(choices)]), "taker": "random"}
    played = walras.play(society, seats, batch=1, seed=0)
    np.testing.assert_allclose(played.state.policy, [[0.3, 0.2, 1.0]])


def test_players_see_the_policy_where_they_may_and_policies_of_the_game_below_still_fit():
    told = Society("walras/FirstPriceAuction-v0", {"bidders": 2}, levers=["fee"], rounds=1)
    untold = Society("walras/FirstPriceAuction-v0", {"bidders": 2}, levers=["fee"], rounds=1, informed=False)
    assert set(told.role("bidder").observation_space.spaces) == {"game", "policy", "income", "phase", "type"}
    assert untold.role("bidder").observation_space == told.game.role("bidder").observation_space
    free = {"principal": lambda seen: np.zeros((len(seen), 1), np.float32)}
    one = walras.play(untold, {**free, **{a: untold.adapt("truthful", a) for a in told.game.agents}}, batch=50, seed=0)
    two = walras.play(told, {**free, **{a: told.adapt("truthful", a) for a in told.game.agents}}, batch=50, seed=0)
    np.testing.assert_array_equal(one.state.inner.bid, two.state.inner.bid)


def test_every_welfare_function_is_reported_whatever_is_served():
    society = Society(Take(), levers=[TAX], rounds=2, steps=2, objectives=["egalitarian"])
    played = walras.play(society, "random", batch=3, seed=0)
    facts = played.info("principal")
    names = {name for name in facts if name.startswith("welfare.")}
    assert len(names) == 7
    np.testing.assert_allclose(facts["welfare.egalitarian"][:, 0], played.state.last_utility.min(axis=1))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Society(Take(), levers=[TAX, "fee"], vote="borda", rounds=2, steps=3, design_every=2, carry_over=True,
                        types="random", objectives=["utilitarian", "egalitarian", "mean:left"]),
        lambda: Society("walras/Bargaining-v0", levers=["fee"], objectives=["utilitarian", "revenue"], rounds=3,
                        vote="random-dictator"),
        lambda: Society("walras/FirstPriceAuction-v0", levers=["reserve", "disclosure"], rounds=3, steps=4,
                        objectives=["utilitarian", "sum:payment"]),
        lambda: Society("walras/Marketplace-v0", levers=["fee-cap"], objectives=["mean:welfare", "surplus"], rounds=2),
        lambda: walras.make("walras/LabourTax-v0", vote={"rule": "median", "over": "policy"}, rounds=3),
    ],
)  # fmt: skip
def test_a_policy_layer_over_any_game_keeps_the_contract_on_every_door(make):
    check_game(make())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"levers": ["poll-tax"]}, "lever must be one of"),
        ({"levers": [{"lever": "fee", "bass": 1}]}, "unknown parameters"),
        ({"levers": [{"lever": "period-tax", "edges": [20, 10]}]}, "edges"),
        ({"levers": []}, "at least one"),
        ({"citizens": "giver"}, "citizens"),
        ({"objective": "welfare"}, "objective"),
        ({"objectives": ["mean:gold"]}, "fact 'gold'"),
        ({"objectives": []}, "at least one"),
        ({"vote": "majorityy"}, "rule must be one of"),
        ({"vote": {"rule": "borda", "over": "policy"}}, "over the policy"),
        ({"vote": {"rule": "median", "over": "taxes"}}, "over must be"),
        ({"types": "saint"}, "types"),
        ({"start": [2.0]}, "start"),
        ({"reward_mode": "sum"}, "reward_mode"),
        ({"rounds": 0}, "rounds"),
        ({"grid": 1}, "grid"),
        ({"levers": "fee"}, "a list of levers"),
        ({"levers": [3]}, "lever: a name"),
        ({"levers": [{"lever": "fee", "most": 3}]}, "most"),
        ({"levers": [{"lever": "period-tax", "edges": 5}]}, "edges"),
        ({"levers": [{"lever": "period-tax", "factor": "x"}]}, "factor"),
        ({"levers": [{"lever": "period-tax", "redistribute": "no"}]}, "redistribute"),
        ({"levers": [{"lever": "period-tax", "base": "gold"}]}, "fact 'gold'"),
        ({"levers": [{"lever": "subsidy", "least": 2.0}]}, "most"),
        ({"levers": [{"lever": "subsidy", "kinds": 3}]}, r"3 number\(s\) a citizen"),
        ({"levers": [{"lever": "bound", "low": 1.0, "high": 0.5}]}, "high"),
        ({"carry_over": "no"}, "carry_over"),
        ({"citizens": []}, "citizens"),
        ({"told": ["left"]}, "fact: 'mean:<name>'"),
        ({"objectives": ["nash", "nash"]}, "each one once"),
        ({"objectives": [3]}, "objectives: names"),
        ({"vote": 3}, "vote: a rule's name"),
    ],
)
def test_wrong_societies_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        Society(Take(), **{"levers": ["fee"], **arguments})


def test_societies_that_begin_with_other_policies_are_told_apart():
    assert repr(Society(Take(), levers=["fee"], start=[0.5])) != repr(Society(Take(), levers=["fee"]))


def test_citizens_live_in_a_world_that_is_dealt_anew_where_the_societys_is():
    plans = np.full((6, 3), 2)
    for carry, left in ((True, [94, 88, 82, 76, 70, 64]), (False, [94, 88, 100, 94, 88, 82])):
        society = Society(Take(horizon=3), levers=[TAX], rounds=2, steps=6, carry_over=carry)
        states, _ = run(society, plans[:5], [0, 0, 0])
        assert [int(state.inner.left[0]) for state in states] == left[:5]
        citizens = Citizens(society, [0, 0, 0])
        rng = LaneRandom(clock(0, 1))
        state, seen = citizens.initial(1, rng), []
        for plan in plans:
            state, _ = citizens.step(state, {"taker": plan[None]}, rng)
            seen.append(int(state.inner.left[0]))
        assert seen == left  # the last state is that which the round came to


def test_levers_are_made_from_names_and_tables():
    assert as_lever("flat-tax").edges == () and as_lever("fee-cap").role == "platform"
    assert as_lever({"lever": "step-tax", "edges": [1, 2]}).edges == (1.0, 2.0)
    lever = as_lever("fee")
    assert as_lever(lever) is lever
    with pytest.raises(ValueError, match="factor"):
        as_lever({"lever": "step-tax", "factor": 0})
