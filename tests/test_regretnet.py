"""RegretNet: its mechanism as rules and as a file, its training, and what misreports gain."""

import itertools

import numpy as np
import pytest

from walras.agents.mechanism_files import load_mechanism, save_mechanism
from walras.agents.regretnet import RegretNetMechanism
from walras.algorithms.auctions.regretnet import RegretNet, RegretNetSettings
from walras.envs.auctions.priors import prior

RNG = np.random.default_rng
TWO = prior("uniform01", 2, 2)


def random_network(n=2, m=2, demand="additive", seed=0, width=8):
    rng = RNG(seed)

    def net(last):
        sizes = [n * m, width, last]
        return tuple((rng.standard_normal((b, a)), rng.standard_normal(b)) for a, b in itertools.pairwise(sizes))

    logits = (n + 1) * (m + 1) * (2 if demand == "unit" else 1)
    return RegretNetMechanism(net(logits), net(n), n, m, demand)


@pytest.mark.parametrize("demand", ["additive", "unit"])
def test_no_item_is_promised_twice_and_nobody_pays_more_than_it_reports(demand):
    mechanism = random_network(3, 2, demand)
    bids = RNG(1).random((500, 3, 2))
    won, paid = mechanism(bids)
    assert (won >= 0).all() and (won.sum(axis=1) <= 1 + 1e-12).all()
    if demand == "unit":
        assert (won.sum(axis=2) <= 1 + 1e-12).all()
    assert (paid >= 0).all() and (paid <= (won * bids).sum(axis=2) + 1e-12).all()
    assert not mechanism.truthful and mechanism.individually_rational and mechanism.demand == demand


def test_numpy_and_torch_give_the_same_outcome_and_gradients_reach_the_reports():
    torch = pytest.importorskip("torch")
    mechanism = random_network()
    bids = RNG(2).random((20, 2, 2))
    tensor = torch.from_numpy(bids).requires_grad_()
    outcome = mechanism.outcome(tensor)
    np.testing.assert_allclose(outcome.payment.detach().numpy(), mechanism.outcome(bids).payment, atol=1e-12)
    outcome.payment.sum().backward()
    assert tensor.grad.abs().sum() > 0


def test_a_profile_is_decided_alike_alone_and_among_others():
    mechanism, bids = random_network(width=50), RNG(3).random((64, 2, 2))
    together = mechanism.outcome(bids)
    for k in (0, 17, 63):
        np.testing.assert_array_equal(mechanism.outcome(bids[k : k + 1]).payment[0], together.payment[k])


@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
def test_the_mechanism_comes_back_from_a_file(tmp_path, suffix):
    mechanism = random_network()
    path = tmp_path / f"network{suffix}"
    save_mechanism(path, mechanism)
    assert load_mechanism(path) == mechanism


def test_layers_that_do_not_fit_are_refused():
    good = random_network()
    with pytest.raises(ValueError, match="allocation: layer 0"):
        RegretNetMechanism(good.allocation, good.payment, 3, 2)
    with pytest.raises(ValueError, match="payment: the last layer must give 2 numbers"):
        RegretNetMechanism(good.allocation, good.allocation, 2, 2)
    with pytest.raises(ValueError, match="bids: the mechanism is for 2 bidders"):
        good(RNG(0).random((1, 3, 2)))


SHORT = RegretNetSettings(
    iterations=60, batch=32, profiles=320, layers=(16,), misreport_steps=4, rho_every=20, multiplier_every=10
)


def test_an_interrupted_training_ends_in_the_same_bits(tmp_path):
    pytest.importorskip("torch")
    whole = RegretNet(TWO, settings=SHORT, seed=0).fit()
    path = tmp_path / "training.safetensors"
    RegretNet(TWO, settings=SHORT, seed=0).fit(33).save(path)
    resumed = RegretNet(TWO, settings=SHORT, seed=0).load(path).fit()
    assert resumed.mechanism_ == whole.mechanism_
    assert resumed.iteration_ == whole.iteration_ == 60
    assert float(resumed._rho) == 1.0 + 3 * 5.0


@pytest.mark.parametrize(("penalty", "least"), [("lagrangian", 0.6), ("budget", 0.3)])
def test_training_raises_revenue_and_the_penalty_answers_regret(penalty, least):
    pytest.importorskip("torch")
    given = RegretNetSettings(
        iterations=200, batch=32, profiles=640, layers=(16,), misreport_steps=3, rate=5e-3, penalty=penalty
    )
    trained = RegretNet(TWO, settings=given, seed=0).fit()
    values = TWO.sample(RNG(5).random((2000, 4)))
    assert trained.curve_[-1][1] > trained.curve_[0][1]
    assert trained.mechanism_.outcome(values).payment.sum(axis=1).mean() > least
    assert len(trained.regret_) == 2 and all(regret > 0 for _, regret in trained.regret_)


def test_bad_settings_are_refused_by_name():
    with pytest.raises(ValueError, match="profiles must be a multiple of batch"):
        RegretNetSettings(profiles=1000)
    with pytest.raises(ValueError, match="penalty must be"):
        RegretNetSettings(penalty="none")
    with pytest.raises(ValueError, match="budget must be"):
        RegretNetSettings(budget=(0.001, 0.01))
    with pytest.raises(ValueError, match="demand must be"):
        RegretNet(TWO, "x", seed=0)
