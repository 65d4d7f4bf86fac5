"""Affine maximisers with entry fees: truthful, feasible, learned from the exact gradient."""

import dataclasses

import numpy as np
import pytest

from walras.agents.mechanism_files import load_mechanism, save_mechanism
from walras.algorithms.auctions.entry_fees import EntryFeeLearner
from walras.envs.auctions.certify import certify
from walras.envs.auctions.entry_fees import EntryFeeAMA
from walras.envs.auctions.laws import Exponential, Uniform
from walras.envs.auctions.priors import Prior
from walras.envs.auctions.simplex_revenue import drawn_revenue
from walras.envs.auctions.truthful import AMA

pytest.importorskip("torch")

LOW, HIGH = np.zeros((2, 2)), np.ones((2, 2))


def with_fees(seed=0, base=None, grid=2):
    """An affine maximiser with random fees."""
    base = AMA.symmetric_2x2(0.5, 0.8, 1.0) if base is None else base
    return EntryFeeAMA(base, LOW, HIGH, grid, np.random.default_rng(seed).random((2, (grid + 1) ** 2)) * 0.3)


def test_the_outcome_is_each_bidders_best_option_of_its_menu_and_always_fits():
    mechanism = with_fees()
    values = np.random.default_rng(1).random((5_000, 2, 2))
    allocation, payment = mechanism.outcome(values)
    menu = mechanism.menus(values)
    np.testing.assert_allclose(
        (values * allocation).sum(axis=2) - payment, menu.utility(values).max(axis=2), atol=1e-12
    )
    assert allocation.sum(axis=1).max() <= 1.0
    lie = values.copy()
    lie[:, 0] = np.random.default_rng(2).random((5_000, 2))
    other, price = mechanism.outcome(lie)
    gain = (values[:, 0] * (other[:, 0] - allocation[:, 0])).sum(axis=1) - price[:, 0] + payment[:, 0]
    assert gain.max() <= 1e-12
    np.testing.assert_array_equal(mechanism.menus(lie).prices[:, 0], menu.prices[:, 0])


def test_no_fee_is_the_affine_maximiser_itself():
    base = AMA.symmetric_2x2(0.5, 0.8, 1.0)
    free = EntryFeeAMA(base, LOW, HIGH, 2, np.zeros((2, 9)))
    values = np.random.default_rng(3).random((1_000, 2, 2))
    for got, wanted in zip(free.outcome(values), base.outcome(values), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-15)


def test_it_is_certified_and_kept_in_files(tmp_path):
    mechanism = with_fees()
    save_mechanism(tmp_path / "fees.safetensors", mechanism)
    assert load_mechanism(tmp_path / "fees.safetensors") == mechanism
    assert certify(mechanism).status == "certified"


def test_an_affine_maximiser_that_promises_too_much_stays_undecided_with_fees():
    third = 1.0 / 3.0
    shares = (((0.0,), (0.0,), (0.0,)), ((third,), (third,), (third + 5e-10,)))
    base = AMA(shares, (1.0,) * 3, (0.0, 0.0))
    assert certify(base).status == "refuted"
    mechanism = EntryFeeAMA(base, np.zeros((3, 1)), np.ones((3, 1)), 1, np.zeros((3, 4)))
    assert certify(mechanism).status == "undecided"


def test_fees_turn_the_second_price_auction_into_myersons():
    prior = Prior.iid(Uniform(), 2, 1)
    free = AMA((((0.0,), (0.0,)), ((1.0,), (0.0,)), ((0.0,), (1.0,))), (1.0, 1.0), (0.0, 0.0, 0.0))
    found = EntryFeeLearner(prior, free, grid=4, iterations=600, batch=512, rate=(2e-2, 1e-3), seed=1).fit().mechanism_
    revenue = drawn_revenue(found, prior, 200_000, np.random.default_rng(0))
    assert revenue.mean == pytest.approx(5.0 / 12.0, abs=0.005)  # 1/3 without fees
    price = found.menus(np.full((1, 2, 1), 0.25)).prices[0, 0, 1]
    assert price == pytest.approx(0.5, abs=0.05)


def test_learning_goes_on_to_the_same_bits(tmp_path):
    prior = Prior.iid(Uniform(), 2, 2)
    settings = {"grid": 2, "iterations": 12, "batch": 64, "seed": 5}
    base = AMA.symmetric_2x2(0.5, 0.8, 1.0)
    whole = EntryFeeLearner(prior, base, **settings).fit()
    EntryFeeLearner(prior, base, **settings).fit(5).save(tmp_path / "state")
    assert EntryFeeLearner(prior, base, **settings).load(tmp_path / "state").fit().mechanism_ == whole.mechanism_


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="fees"):
        dataclasses.replace(with_fees(), fees=-np.ones((2, 9)))
    with pytest.raises(ValueError, match="grid"):
        dataclasses.replace(with_fees(), grid=0)
    with pytest.raises(ValueError, match="prior"):
        EntryFeeLearner(Prior.iid(Exponential(), 2, 2), AMA.symmetric_2x2(0.5, 0.8, 1.0))
    with pytest.raises(ValueError, match="start"):
        EntryFeeLearner(Prior.iid(Uniform(), 2, 2), AMA((((0.0, 0.0),) * 2,), (1.0, 1.0), (0.0,)))
