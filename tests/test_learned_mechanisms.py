"""Kept mechanisms as designers and in auctions, bidders who look for better reports, and the suite `regret-nets`."""

import functools
from importlib.resources import files

import numpy as np
import pytest

import walras
from walras.agents.best_response import exploitability
from walras.agents.designers import FromFile, evaluate
from walras.agents.mechanism_files import about, save_mechanism
from walras.agents.scripted import shade
from walras.agents.trained import trained
from walras.benchmarks.execute import Task, execute
from walras.benchmarks.suites import get_suite
from walras.benchmarks.suites.regret_nets import setting
from walras.envs.auctions.affine_revenue import uniform_revenue
from walras.envs.auctions.audit import audit
from walras.envs.auctions.mechanism import value
from walras.envs.auctions.mechanisms import AMA, PostedMenu
from walras.envs.auctions.misreports import gradient_misreports, search_misreports
from walras.envs.auctions.priors import prior
from walras.envs.auctions.rules import SealedBidAuction

RNG = np.random.default_rng
TWO = prior("uniform01", 2, 2)


def path(name):
    return str(files("walras.agents.trained") / f"{name}.safetensors")


# -- designers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["2x2", "unit-2x2", "asymmetric-2x2"])
def test_a_kept_affine_maximiser_earns_exactly_what_its_file_says(name):
    values, demand = setting(name)
    auction = FromFile(path(f"ama-{name}")).commit(values, demand)
    assert isinstance(auction, AMA) and auction.truthful
    assert float(uniform_revenue(auction, values)) == about(path(f"ama-{name}"))["revenue"]


def test_a_designer_from_a_file_is_evaluated_like_any_other():
    earned = evaluate(FromFile(path("ama-2x2")), TWO, profiles=120_000, rng=RNG(0))
    assert earned.revenue == pytest.approx(0.8744, abs=4 * earned.standard_error)
    with pytest.raises(ValueError, match="would not report the truth"):
        evaluate(FromFile(path("regretnet-2x2")), TWO, profiles=10, rng=RNG(0))


def test_a_file_that_does_not_fit_the_bidders_is_refused(tmp_path):
    with pytest.raises(ValueError, match="bids: the mechanism is for 2 bidders"):
        FromFile(path("ama-2x2")).commit(prior("uniform01", 3, 2))
    with pytest.raises(ValueError, match="demand: the mechanism in"):
        FromFile(path("ama-2x2")).commit(TWO, "unit")
    with pytest.raises(FileNotFoundError):
        FromFile(tmp_path / "none.safetensors").commit(TWO)
    menu = tmp_path / "menu.json"
    save_mechanism(menu, PostedMenu(((1.0, 1.0),), (0.8,)))
    assert FromFile(menu).commit(prior("uniform01", 1, 2)) == PostedMenu(((1.0, 1.0),), (0.8,))


def test_a_kept_mechanism_sits_in_an_auction_and_truth_has_no_regret_there():
    game = SealedBidAuction(2, 2, mechanism=FromFile(path("ama-2x2")).commit(TWO), audit=True)
    honest = walras.play(game, {"bidder_0": "truthful", "bidder_1": "truthful"}, batch=2000, seed=1)
    assert float(np.abs(game.info(honest.state, "bidder")["regret"]).max()) < 1e-12
    shaded = walras.play(game, {"bidder_0": shade(game, "bidder_0", 0.7), "bidder_1": "truthful"}, batch=2000, seed=1)
    regret = game.info(shaded.state, "bidder")["regret"]
    assert regret[:, 0].mean() > 0.01 and np.abs(regret[:, 1]).max() < 1e-12
    assert honest.returns[:, 0].mean() > shaded.returns[:, 0].mean()


# -- bidders who look for more -----------------------------------------------------------------------------------------


def climbed(rules, values):
    """Gains (N, n) of gradient misreports, each bidder alone."""
    reports = gradient_misreports(values, rules.outcome, high=np.ones(2))
    honest = rules.outcome(values)
    gains = []
    for i in range(2):
        bids = values.copy()
        bids[:, i] = reports[:, i]
        lie = rules.outcome(bids)
        utility = [(value(values, o.allocation) - o.payment)[:, i] for o in (honest, lie)]
        gains.append(utility[1] - utility[0])
    return np.stack(gains, axis=1)


def test_gradients_and_tried_reports_gain_nothing_from_certified_auctions_and_something_from_a_regret_network():
    pytest.importorskip("torch")
    values = TWO.sample(RNG(2).random((30, 4)))
    box = {"low": np.zeros(2), "high": np.ones(2), "grid": 9, "rounds": 3}
    network = trained("regretnet-2x2")
    for honest in (trained("ama-2x2"), trained("gemnet-2x2")):
        assert climbed(honest, values).max() <= 0.0
        assert search_misreports(values, honest.outcome, **box).gains.max() == 0.0
    by_gradient, by_trying = climbed(network, values), search_misreports(values, network.outcome, **box).gains
    assert by_gradient.mean() > 0.002 and by_trying.mean() > 0.002
    assert (by_gradient >= -1e-12).all()


def test_a_best_response_that_knows_its_own_value_alone_gains_from_the_regret_network_only():
    gains = {}
    for name in ("ama-2x2", "regretnet-2x2"):
        game = SealedBidAuction(2, 2, mechanism=trained(name))
        found = exploitability(
            game, "truthful", profiles=300, test_profiles=10_000, reports=11, seed=0, agents=("bidder_0",)
        )["bidder_0"]
        gains[name] = found.gain / found.standard_error
    assert gains["ama-2x2"] <= 0.0
    assert gains["regretnet-2x2"] > 10.0


def test_a_regret_network_that_earns_more_than_truth_allows_is_reported_with_its_witness():
    rules = trained("regretnet-2x2")
    found = audit(rules, TWO, profiles=40_000, searched=40, grid=9, rng=RNG(4))
    assert found.exceeds and found.broken == "truthful" and found.gain > 0.003
    truth, lie = found.profile[None], found.profile[None].copy()
    lie[0, found.bidder] = found.report
    honest, dishonest = ((value(truth, o.allocation) - o.payment)[0] for o in map(rules.outcome, (truth, lie)))
    assert dishonest[found.bidder] - honest[found.bidder] == pytest.approx(found.gain)


# -- the suite ---------------------------------------------------------------------------------------------------------

TINY = {"profiles": 2000, "searched": 5, "steps": 4096, "episodes": 500, "opponents": 20, "draws": 100_000}
TINY_LEARNING = {"iterations": 100, "batch": 32}


@functools.cache
def run(case):
    suite = get_suite("regret-nets")
    entry = suite.case(case)
    small = {key: number for key, number in TINY.items() if key in entry.params}
    if entry.run.endswith("misreporting"):
        small["profiles"] = 10
    params = {**entry.params, **small}
    if "settings" in params:
        params["settings"] = {**params["settings"], **TINY_LEARNING}
        if "menu" in params["settings"]:
            params["settings"]["menu"] = 4
        if case.startswith("amenunet"):
            params["settings"] |= {"menu": 4, "width": 8, "depth": 1, "heads": 2}
        if entry.run.endswith(":regretnet"):
            params["settings"] |= {"profiles": 320, "misreport_steps": 2, "layers": [8]}
    metrics = tuple(metric.name for metric in suite.metrics)
    record = execute(Task("regret-nets", case, 0, entry.run, params, metrics, False, "code", "mark"))
    assert record.status == "done", record.error
    return record


CASES = (
    "ama-certificates-2x2", "vcg-unit-2x2", "myerson-asymmetric-2x2", "bundle-2x3", "assignments-2x2",
    "lottery-from-lotteries-2x2", "amenunet-2x2", "regretnet-2x2", "regretnet-budget-2x2", "audit-regretnet-2x2",
    "audit-vcg",
)  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_small_run_of_a_case_gives_finite_numbers(case):
    if get_suite("regret-nets").case(case).requires:
        pytest.importorskip("torch")
    metrics = run(case).metrics
    assert "revenue" in metrics and all(np.isfinite(number) for number in metrics.values())


def test_the_picture_is_drawn_from_what_was_run():
    figure = pytest.importorskip("matplotlib.figure").Figure()
    from walras.benchmarks.suites.regret_nets import draw_ceiling

    draw_ceiling(figure, {"bundle-2x2": [run("bundle-2x2")], "myerson-2x2": [run("myerson-2x2")]})
    widths = [patch.get_width() for patch in figure.axes[0].patches]
    assert widths == pytest.approx([5 / 6, 0.8392], abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["3x2", "2x3"])
def test_a_kept_affine_maximiser_of_six_values_earns_exactly_what_its_file_says(name):
    assert float(uniform_revenue(trained(f"ama-{name}"), setting(name)[0])) == about(path(f"ama-{name}"))["revenue"]


@pytest.mark.slow
def test_ppo_gains_nothing_from_a_truthful_auction_and_something_from_a_regret_network():
    pytest.importorskip("stable_baselines3")
    from walras.benchmarks.suites.regret_nets import misreporting

    sizes = {"profiles": 20, "steps": 200_000, "episodes": 50_000, "opponents": 100}
    truthful, network = (
        misreporting(0, lambda share, text: None, given=name, **sizes).metrics for name in ("ama-2x2", "regretnet-2x2")
    )
    assert truthful["ppo_gain"] < 0.0
    assert network["ppo_gain"] > 0.001 > 20 * network["ppo_error"]
