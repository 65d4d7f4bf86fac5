"""Rounds: principals that land on the formulas, followers who learn, votes over rounds, and runs that resume."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

import walras
from walras.algorithms.society import principals as law
from walras.algorithms.society.followers import BestResponse, NoRegret, Seats, as_followers
from walras.algorithms.society.principals import Record, as_principal
from walras.algorithms.society.rounds import Rounds, live
from walras.algorithms.society.voters import Voters
from walras.cli import main
from walras.envs.society.labour import best_rate, utilities
from walras.envs.society.layer import Society

WAGES = (1.0, 2.0, 3.0)
NASH = "nash(eps=0.0)"


def truth(objective):
    return best_rate(np.array(WAGES), {"welfare": "nash", "eps": 0.0} if objective == NASH else objective)


@pytest.mark.parametrize("objective", ["utilitarian", "egalitarian", NASH])
@pytest.mark.parametrize(
    ("method", "rounds"),
    [
        ({"method": "grid", "points": 101}, 101),
        ({"method": "ucb", "points": 101}, 200),
        ("gaussian-process", 40),
        ("saez", 40),
    ],
    ids=["grid", "ucb", "gaussian-process", "saez"],
)
def test_principals_land_on_the_best_rate(method, rounds, objective):
    if method == "gaussian-process":
        pytest.importorskip("sklearn")
    game = walras.make("walras/LabourTax-v0", objective=objective, rounds=rounds)
    lived = live(game, as_principal(method), Seats(game), seed=1)
    assert lived.best[0] == pytest.approx(truth(objective), abs=0.01)


@pytest.mark.parametrize("method", ["epsilon-greedy", "thompson"])
def test_bandits_find_a_good_arm_among_noisy_ones(method):
    rng = np.random.default_rng(0)
    means = np.linspace(0.0, 1.0, 6)
    means[3] = 2.0
    settings = {"epsilon-greedy": {"epsilon": 0.2}, "thompson": {"scale": 0.5}}[method]
    principal = as_principal({"method": method, "points": 6, **settings})
    record = Record.empty(np.zeros(1), np.ones(1), 1, 1)
    for t in range(300):
        policy = principal.propose(record, np.ones(1), np.random.default_rng([0, t]))
        arm = round(float(policy[0]) * 5)
        record.add(policy, np.array([means[arm] + 0.5 * rng.normal()]))
    assert principal.best(record, np.ones(1))[0] == pytest.approx(0.6)
    assert (record.policy[-100:, 0].round(1) == 0.6).mean() > 0.6


def test_a_bandit_knows_its_arms_where_the_society_rounds_them():
    game = walras.make("walras/LabourTax-v0", objective="egalitarian", rounds=8, grid=11)
    lived = live(game, as_principal({"method": "grid", "points": 5}), Seats(game), seed=0)
    assert lived.record.policy[:5, 0].tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert (lived.record.policy[5:, 0] == 0.5).all()


def test_what_was_tried_under_one_objective_still_counts_under_another():
    record = Record.empty(np.zeros(1), np.ones(1), 2, 1)
    for policy, measures in ((0.0, (1.0, 0.0)), (0.5, (0.6, 0.6)), (1.0, (0.0, 1.0))):
        record.add(np.array([policy]), np.array(measures))
    grid = as_principal({"method": "grid", "points": 3})
    rng = np.random.default_rng(0)
    assert [grid.propose(record, np.array(w), rng)[0] for w in ((1, 0), (0.5, 0.5), (0, 1))] == [0.0, 0.5, 1.0]


def test_a_callable_proposes_and_its_transcript_speaks_for_it_later(tmp_path):
    asked = []

    def model(history, weights):
        asked.append((len(history), weights))
        return [0.44 if len(history) > 2 else 0.1 * len(history)]

    path = tmp_path / "transcript.jsonl"
    game = walras.make("walras/LabourTax-v0", objective="egalitarian", rounds=5)
    first = live(game, law.Proposals(model, str(path)), Seats(game), seed=0)
    assert len(asked) == 5 and first.history.policy[:, 0].tolist() == pytest.approx([0.0, 0.1, 0.2, 0.44, 0.44])
    again = live(game, law.Proposals(None, str(path)), Seats(game), seed=0)
    assert len(asked) == 5
    np.testing.assert_array_equal(again.history.measures, first.history.measures)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("\n".join(json.dumps(line) for line in lines[:3]))
    with pytest.raises(ValueError, match="no proposal for trial 3"):
        live(game, law.Proposals(None, str(path)), Seats(game), seed=0)
    with pytest.raises(ValueError, match="proposal: 1 numbers within"):
        live(game, law.Proposals(lambda history, weights: [1.5]), Seats(game), seed=0)


def test_saez_estimates_the_elasticity_from_what_it_sees():
    game = walras.make("walras/LabourTax-v0", objective="egalitarian", rounds=4)
    principal = law.Saez(elasticity=5.0)  # a wrong guess that two rates correct
    lived = live(game, principal, Seats(game), seed=0)
    assert lived.history.policy[2:, 0] == pytest.approx([0.44, 0.44], abs=1e-4)
    with pytest.raises(ValueError, match="one rate"):
        principal.propose(Record.empty(np.zeros(2), np.ones(2), 1, 1), np.ones(1), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("grids", "method must be one of"),
        ({"method": "grid", "point": 3}, "unknown settings"),
        ({"method": "grid", "points": 1}, "points"),
        ({"method": "ucb", "explore": -1.0}, "explore"),
        ({"method": "gaussian-process", "first": 1}, "first"),
        ({"method": "ucb", "explore": "wide"}, "explore"),
        ({"method": "epsilon-greedy", "epsilon": 2.0}, "epsilon"),
        ({"method": "grid", "repeats": 0}, "repeats"),
        ({"method": "grid", "tie": "yes"}, "tie"),
        ({"method": "thompson", "shape": 0.0}, "shape"),
        ({"method": "saez", "elasticity": -1.0}, "elasticity"),
        ({"method": "saez", "first": [2.0]}, "first"),
        ({"method": "fixed", "policy": 0.3}, "policy"),
    ],
)
def test_wrong_principals_are_named(given, words):
    with pytest.raises(ValueError, match=words):
        as_principal(given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("herd", "rule must be one of"),
        ({"rule": "best-response", "tie_break": "lucky"}, "tie_break"),
        ({"rule": "no-regret", "patience": 3}, "patience"),
        ({"rule": "scripted", "seats": {"boss": "random"}}, "boss"),
    ],
)
def test_wrong_followers_are_named(given, words):
    with pytest.raises(ValueError, match=words):
        as_followers(given, walras.make("walras/EscapeIncentives-v0"), 0)
    with pytest.raises(ValueError, match="discrete actions"):
        BestResponse(walras.make("walras/LabourTax-v0"))


class Hunt(walras.Game[np.ndarray]):
    """Two who hunt a stag together (3 each), or a hare each (2); who hunts the stag alone has nothing."""

    horizon = 1

    def __init__(self):
        self.roles = (walras.Role("hunter", 2, spaces.Box(0.0, 1.0, (1,)), spaces.Discrete(2)),)

    def initial(self, batch, rng):
        return np.zeros(batch)

    def observe(self, state, role):
        return np.zeros((len(state), 2, 1))

    def step(self, state, actions, rng):
        stag = actions["hunter"] == 1
        rewards = np.where(stag, np.where(stag.all(axis=1, keepdims=True), 3.0, 0.0), 2.0)
        return state + 1, rewards

    def terminal(self, state):
        return np.zeros(len(state), bool)


@pytest.mark.parametrize("tie_break", ["optimistic", "pessimistic"])
def test_ties_are_broken_by_the_objective_of_each_lane(tie_break):
    society = Society(Hunt(), levers=["subsidy"], objectives=("utilitarian", "egalitarian"))
    state = society.under(society.initial(3, np.random.default_rng(0)), [0.0])
    followers = BestResponse(society, tie_break)
    followers.adapt(state._replace(weights=np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])), [0])
    stag = followers.actions(state)["hunter_0"] == 1
    assert stag.tolist() == ([True, False, True] if tie_break == "optimistic" else [False, True, False])


def test_no_regret_workers_come_to_work_as_theory_says():
    game = walras.make("walras/LabourTax-v0", effort_grid=13, rounds=12)
    followers = NoRegret(game, rounds=300)
    run = Rounds(game, law.Fixed((0.44,)), followers, lanes=3, seed=0)
    while not run.over:
        run.round()
    effort = run.arena.state.last_income / np.array(WAGES)
    # A worker on the table counts its own share of the lump sum.
    np.testing.assert_allclose(effort.mean(axis=0), np.array(WAGES) * (1 - 0.44 + 0.44 / 3), atol=0.3)


def test_voters_with_experience_vote_for_what_served_them():
    game = walras.make("walras/LabourTax-v0", vote="majority", objectives=("utilitarian", "egalitarian"), rounds=30)
    lived = live(game, as_principal({"method": "grid", "points": 11}), Seats(game), ballots="experienced", seed=0)
    # The poor one wants 0.44, the two richer ones no tax: two to one.
    assert lived.history.weights[-1].tolist() == [1.0, 0.0]
    np.testing.assert_allclose(lived.history.utility[-1], utilities(np.array(WAGES), 0.0), atol=1e-5)


def test_ballots_follow_incomes_or_learning():
    rng = np.random.default_rng(0)
    game = walras.make(
        "walras/LabourTax-v0", vote="mean-threshold", objectives=("utilitarian", "egalitarian"), rounds=3
    )
    record = Record.empty(game.low, game.high, 2, 3)
    run = Rounds(game, as_principal("fixed"), Seats(game), ballots="retrospective", lanes=1, seed=0)
    run.round()
    cast = Voters(game, "retrospective").cast(run.arena.state, record, rng)
    assert cast[0, :, 1].tolist() == [1.0, 1.0, 0.0]  # only the rich are above the mean
    learned = Voters(game, "learned", rate=0.5)
    for _ in range(200):
        cast = learned.cast(run.arena.state, record, rng)
        learned.paid(cast[..., 1] * [1.0, 0.0, 0.0] + cast[..., 0] * [0.0, 0.0, 1.0])
    assert learned._odds()[0, 1] > 0.8 and learned._odds()[2, 0] > 0.8
    with pytest.raises(ValueError, match="ballots must be one of"):
        Voters(game, "loud")
    with pytest.raises(ValueError, match="two objectives"):
        Voters(walras.make("walras/LabourTax-v0", vote="borda"), "sincere")


def test_the_best_tax_depends_on_whether_the_orchard_carries_over():
    from walras.benchmarks.suites.society import Elastic

    apples = {}
    for carried in (True, False):
        for rate in (0.0, 1.0):
            society = Society(
                "walras/CommonsHarvest-v0", {"sight": "world"}, rounds=8, steps=50, carry_over=carried,
                levers=[{"lever": "period-tax", "edges": [], "period": 50}],
            )  # fmt: skip
            seats = Seats(society, {"player": Elastic()})
            lived = live(society, law.Fixed((rate,)), seats, lanes=2, seed=0)
            apples[carried, rate] = lived.history.measures[:, 0].mean()
    assert apples[True, 1.0] > 2 * apples[True, 0.0]
    assert apples[False, 1.0] < apples[False, 0.0]


PAGE = (Path(__file__).resolve().parents[1] / "docs" / "society.md").read_text(encoding="utf-8")


def test_the_examples_of_the_page_run(capsys):
    names = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, names)
    assert "[0.44]" in capsys.readouterr().out


@pytest.mark.slow
def test_both_levels_learn_at_once_and_the_poor_are_better_off_than_untaxed():
    pytest.importorskip("stable_baselines3")
    from walras.algorithms.society.neural import DualRL, DualSettings

    follower = {
        "lanes": 256,
        "rollout": 1,
        "minibatches": 3,
        "learning_rate": 3e-3,
        "discount": 0.0,
        "reward_scale": 1.0,
    }
    game = walras.make("walras/LabourTax-v0", objective="egalitarian", effort_grid=7)
    both = DualRL(game, DualSettings(iterations=60, warm=2, phase_in=1, follower=follower), seed=0).fit()
    seats = Seats(game, both.follower_policies())
    rate = live(game, both.principal(), seats, lanes=200, seed=1).history
    assert rate.policy[0, 0] == pytest.approx(0.6875, abs=0.25)  # workers who count their own share
    assert rate.utility[0].min() > live(game, law.Fixed(), seats, lanes=200, seed=1).history.utility[0].min() + 0.3


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["utilitarian", "egalitarian", NASH])
def test_ppo_in_the_principals_seat_lands_on_the_best_rate(objective):
    pytest.importorskip("stable_baselines3")
    from walras.algorithms.society.neural import train_principal

    game = walras.make("walras/LabourTax-v0", objective=objective)
    trained = train_principal(game, seed=0)
    rate = live(game, trained.policy, Seats(game), seed=1).history.policy[0, 0]
    assert rate == pytest.approx(truth(objective), abs=0.01)


# -- interruption ------------------------------------------------------------------------------------------------------


def societies():
    """Name -> (society, principal, followers, ballots): all kinds of memory."""
    vote = {"vote": "mean-threshold", "objectives": ("utilitarian", "egalitarian"), "rounds": 6}
    labour = walras.make("walras/LabourTax-v0", effort_grid=7, **vote)
    escape = walras.make("walras/EscapeIncentives-v0", relative=True, rounds=6)
    harvest = walras.make("walras/TaxCommons-v0", rounds=4, steps=30, design_every=10)
    return {
        "labour": (labour, as_principal({"method": "ucb", "points": 5}), NoRegret(labour, rounds=20), "learned"),
        "escape": (escape, as_principal({"method": "thompson", "points": 2}), Seats(escape), "sincere"),
        "harvest": (
            harvest, as_principal({"method": "epsilon-greedy", "points": 3}), Seats(harvest, {"player": "random"}),
            "retrospective",
        ),
    }  # fmt: skip


def learners(anew):
    """A society of players who learn from round to round, or anew under each policy."""
    from walras.algorithms.society.followers import SharedLearners

    society = walras.make("walras/TaxCommons-v0", rounds=3, steps=20, design_every=None, grid=None)
    settings = {"lanes": 4, "rollout": 20, "minibatches": 2, "layers": (16,)}
    return society, SharedLearners(society, seed=3, warm=1, rollouts=1, anew=anew, settings=settings)


@pytest.mark.parametrize("anew", [False, True])
def test_players_who_learn_from_round_to_round_are_resumed_to_the_same_bits(anew, tmp_path):
    pytest.importorskip("torch")
    principal, rest = as_principal("uniform"), {"ballots": "retrospective", "lanes": 2, "seed": 3}
    society, followers = learners(anew)
    whole = live(society, principal, followers, **rest)
    path = tmp_path / "unfinished"

    def halt(fraction, text):
        raise KeyboardInterrupt

    society, followers = learners(anew)
    with pytest.raises(KeyboardInterrupt):
        live(society, principal, followers, **rest, checkpoint=path, progress=halt)
    society, followers = learners(anew)
    resumed = live(society, principal, followers, **rest, checkpoint=path)
    for field in ("policy", "measures", "utility", "income"):
        np.testing.assert_array_equal(getattr(resumed.history, field), getattr(whole.history, field))


@pytest.mark.parametrize("name", ["labour", "escape", "harvest"])
def test_a_run_that_is_interrupted_after_any_round_ends_in_the_same_bits(name, tmp_path):
    def build():
        society, principal, followers, ballots = societies()[name]
        return society, principal, followers, {"ballots": ballots, "lanes": 3, "seed": 5}

    society, principal, followers, rest = build()
    whole = live(society, principal, followers, **rest)

    class Stop(Exception):
        pass

    path = tmp_path / "unfinished"
    for stop in range(1, society.rounds):
        society, principal, followers, rest = build()

        def halt(fraction, text, stop=stop, society=society):
            if round(fraction * society.rounds) == stop:
                raise Stop

        with pytest.raises(Stop):
            live(society, principal, followers, **rest, checkpoint=path, progress=halt)
        assert path.exists()
    society, principal, followers, rest = build()
    resumed = live(society, principal, followers, **rest, checkpoint=path)
    assert not path.exists()
    for field in ("policy", "weights", "measures", "utility", "income", "revenue", "ballots"):
        np.testing.assert_array_equal(getattr(resumed.history, field), getattr(whole.history, field))
    for a, b in zip(society.snapshot(resumed.state).values(), society.snapshot(whole.state).values(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("rule", ["best-response", "no-regret"])
def test_followers_at_a_table_see_a_tax_that_is_phased_in(rule, tmp_path):
    def build():
        tax = {"lever": "period-tax", "edges": [], "period": 1, "base": "income", "annealing": 2}
        society = Society("walras/LabourEconomy-v0", {"grid": 13}, levers=[tax], rounds=4, steps=1)
        settings = {"rounds": 50} if rule == "no-regret" else {}
        return society, law.Fixed((0.5,)), as_followers({"rule": rule, **settings}, society, 0)

    whole = live(*build())

    def halt(fraction, text):
        raise KeyboardInterrupt

    for _ in range(3):  # a resumed run has no table of the rounds before
        with pytest.raises(KeyboardInterrupt):
            live(*build(), checkpoint=tmp_path / "unfinished", progress=halt)
    resumed = live(*build(), checkpoint=tmp_path / "unfinished")
    np.testing.assert_array_equal(resumed.history.income, whole.history.income)
    if rule == "best-response":  # effort w (1 - tau + tau / 3) at 0.05, 0.275, 0.5, 0.5, on a grid of quarters
        tau = np.array([0.05, 0.275, 0.5, 0.5])[:, None]
        effort = whole.history.income / np.array(WAGES)
        np.testing.assert_allclose(effort, np.array(WAGES) * (1 - 2 / 3 * tau), atol=0.1251)
        assert (np.diff(effort[:3, 2]) < 0).all()


def test_what_a_principal_is_told_is_recorded_before_the_next_deal():
    facts = {}
    for carried in (True, False):
        society = Society(
            "walras/CommonsHarvest-v0", {"regrowth": [0.0]}, levers=["period-tax"], told=["mean:ripe"],
            rounds=2, steps=60, carry_over=carried,
        )  # fmt: skip
        lived = live(society, law.Fixed(), Seats(society, {"player": "random"}), seed=0)
        facts[carried] = lived.history.facts["mean:ripe"]
        eaten = lived.history.utility.sum(axis=1)  # nothing grows back: what is missing was eaten
        np.testing.assert_allclose(facts[carried], 64 - (np.cumsum(eaten) if carried else eaten))
    assert facts[False][0] < 64


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    game = walras.make("walras/LabourTax-v0", rounds=3)
    path = tmp_path / "unfinished"

    def halt(fraction, text):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        live(game, as_principal("grid"), Seats(game), seed=0, checkpoint=path, progress=halt)
    with pytest.raises(ValueError, match=r"belongs to another run \(principal differ\)"):
        live(game, as_principal("ucb"), Seats(game), seed=0, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="not a whole file"):
        live(game, as_principal("grid"), Seats(game), seed=0, checkpoint=path)


SCENARIO = """
title = "a tax"
seeds = 2
[society]
game = "walras/LabourTax-v0"
objective = "egalitarian"
rounds = 12
[principal]
method = "grid"
points = 11
"""


def test_a_scenario_of_a_society_gives_rows_curves_and_a_picture(tmp_path, capsys):
    path = tmp_path / "tax.toml"
    path.write_text(SCENARIO)
    command = ["play", str(path), "--json", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    rows = {row["metric"]: row["value"] for row in json.loads(capsys.readouterr().out)}
    assert rows["best.rate"] == pytest.approx(0.4) and rows["policy.rate"] == pytest.approx(0.4)
    assert rows["welfare.egalitarian"] == pytest.approx(rows["objective"])
    assert (tmp_path / "out" / "tax" / "rounds.png").stat().st_size > 10_000
    assert not (tmp_path / "out" / "tax" / "unfinished").exists()
    assert main(command) == 0  # from the store
    assert {row["metric"]: row["value"] for row in json.loads(capsys.readouterr().out)} == rows


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (('"walras/LabourTax-v0"', '"walras/LabourTacks-v0"'), "LabourTax-v0"),
        (("rounds = 12", "rounds = 0"), "rounds"),
        (("rounds = 12", "round = 12"), "round"),
        (('"grid"', '"gird"'), "gird"),
        (("points = 11", "point = 11"), "point"),
        (("seeds = 2", "seeds = 0"), "seeds"),
        (("[principal]", "[prince]"), "prince"),
        (("[principal]", '[followers]\nrule = "herd"\n[principal]'), "herd"),
        (('objective = "egalitarian"', 'vote = "borda"'), "two objectives"),
        (("seeds = 2", 'ballots = "loud"'), "ballots"),
        (('"grid"\npoints = 11', '"ppo"\nsteps = "many"'), "steps"),
        (('"grid"\npoints = 11', '"ppo"\niterations = 3'), "iterations"),
        (('"grid"\npoints = 11', '"dual-rl"\nfollower = { paces = 3 }'), "paces"),
        (('"grid"\npoints = 11', '"dual-rl"\n[followers]\nrule = "scripted"'), "followers"),
        (('"grid"\npoints = 11', '"ppo"\n[followers]\nrule = "best-response"'), "discrete actions"),
        (('"grid"\npoints = 11', '"transcript"\ntranscript = "none.jsonl"'), "none.jsonl"),
    ],
)
def test_a_wrong_scenario_of_a_society_names_what_is_wrong(change, named, tmp_path, capsys):
    path = tmp_path / "tax.toml"
    path.write_text(SCENARIO.replace(*change))
    assert main(["play", str(path), "--out", str(tmp_path / "out")]) == 2
    assert named in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_scenario_that_is_killed_amid_its_rounds_gives_the_same_rows_when_played_again(tmp_path):
    path = tmp_path / "harvest.toml"
    path.write_text("""
ballots = "retrospective"
lanes = 4
[society]
game = "walras/CommonsHarvest-v0"
levers = [{ lever = "period-tax", edges = [10, 20], period = 50 }]
objectives = ["utilitarian", "egalitarian"]
vote = "mean-threshold"
types = "random"
rounds = 60
steps = 100
carry_over = true
[principal]
method = "epsilon-greedy"
points = 3
[followers]
rule = "scripted"
seats = { player = "restraint" }
""")

    def command(out):
        return [sys.executable, "-m", "walras", "play", str(path), "--json", "--out", str(tmp_path / out)]

    whole = json.loads(subprocess.run(command("whole"), capture_output=True, text=True, check=True).stdout)
    kills = 0
    for patience in (4.0, 6.0, 8.0):
        process = subprocess.Popen(
            command("killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        deadline = time.monotonic() + 60
        standing = tmp_path / "killed" / "harvest" / "unfinished"
        while process.poll() is None and time.monotonic() < deadline and not list(standing.glob("*.rounds")):
            time.sleep(0.02)
        time.sleep(patience / 20)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills
    resumed = json.loads(subprocess.run(command("killed"), capture_output=True, text=True, check=True).stdout)
    rows = {row["metric"]: row["value"] for row in whole}
    assert {row["metric"]: row["value"] for row in resumed} == rows and len(rows) > 20
