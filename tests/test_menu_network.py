"""Menu networks: what they may look at, how they learn, and that what they learn can be made exact."""

from __future__ import annotations

import numpy as np
import pytest

from walras.envs.auctions.cell_menus import grid_cuts
from walras.envs.auctions.cell_revenue import cell_revenue
from walras.envs.auctions.certify import certify
from walras.envs.auctions.laws import Uniform
from walras.envs.auctions.priors import Prior

pytest.importorskip("torch")

from walras.algorithms.auctions.cell_transform import freeze, transform
from walras.algorithms.auctions.menu_network import MenuNetworkLearner

UNIFORM = Prior.iid(Uniform(0.0, 1.0), 2, 2)
SMALL = {"options": 4, "layers": (16,), "iterations": 60, "batch": 64}


@pytest.mark.parametrize(
    ("bidders", "demand", "shared"), [(2, "additive", True), (3, "unit", False), (3, "additive", None)]
)
def test_no_menu_sees_its_bidders_own_report(bidders, demand, shared):
    prior = Prior.iid(Uniform(0.0, 1.0), bidders, 2)
    mechanism = MenuNetworkLearner(prior, demand, shared=shared, **SMALL).fit(20).mechanism_
    rng = np.random.default_rng(0)
    bids = rng.random((50, bidders, 2))
    menu = mechanism.menus(bids)
    assert np.all(menu.items[:, :, 0] == 0.0) and np.all(menu.prices[:, :, 0] == 0.0)
    assert menu.items.min() >= 0.0 and menu.items.max() <= 1.0
    if demand == "unit":
        assert menu.items.sum(axis=-1).max() <= 1.0 + 1e-12
    for i in range(bidders):
        other = bids.copy()
        other[:, i] = rng.random((50, 2))
        changed = mechanism.menus(other)
        assert np.array_equal(changed.prices[:, i], menu.prices[:, i])
        assert np.array_equal(changed.items[:, i], menu.items[:, i])
        assert not np.array_equal(changed.prices[:, i - 1], menu.prices[:, i - 1])


def test_training_and_run_time_use_the_same_menus():
    import torch

    for demand in ("additive", "unit"):
        prior = Prior.per_bidder([Uniform(0.0, 1.0), Uniform(0.0, 2.0)], 2)
        learner = MenuNetworkLearner(prior, demand, **SMALL).fit(10)
        values = prior.sample(np.random.default_rng(0).random((40, prior.draws)))
        options, prices = learner._menus(torch.from_numpy(values.astype(np.float32)))
        menu = learner.mechanism_.menus(values)
        np.testing.assert_allclose(options.detach().numpy(), menu.items, atol=1e-5)
        np.testing.assert_allclose(2.0 * prices.detach().numpy(), menu.prices, atol=1e-5)


def test_an_interrupted_training_ends_in_the_same_bits(tmp_path):
    whole = MenuNetworkLearner(UNIFORM, room=0.05, **SMALL).fit()
    MenuNetworkLearner(UNIFORM, room=0.05, **SMALL).fit(25).save(tmp_path / "half")
    resumed = MenuNetworkLearner(UNIFORM, room=0.05, **SMALL).load(tmp_path / "half").fit()
    for (w, b), (v, c) in zip(whole.mechanism_.weights[0], resumed.mechanism_.weights[0], strict=True):
        assert np.array_equal(w, v) and np.array_equal(b, c)
    with pytest.raises(ValueError, match="another training"):
        MenuNetworkLearner(UNIFORM, room=0.1, **SMALL).load(tmp_path / "half")


def test_short_training_then_transform_gives_a_certified_auction():
    learner = MenuNetworkLearner(UNIFORM, layers=(32, 32), iterations=250, batch=512, rates=(4e-3, 1e-3, 3e-4)).fit()
    cuts = grid_cuts(np.zeros((2, 2)), np.ones((2, 2)), 12)
    frozen = freeze(learner.mechanism_, cuts, levels=8)
    result = transform(frozen)
    assert certify(frozen).status == "refuted"
    assert certify(result.mechanism).status == "certified"
    before, after = cell_revenue(frozen, UNIFORM), cell_revenue(result.mechanism, UNIFORM)
    assert 2 / 3 < after < before  # more than the second-price auction


def test_bad_settings_are_refused_by_name():
    with pytest.raises(ValueError, match="two bidders"):
        MenuNetworkLearner(Prior.iid(Uniform(0, 1), 1, 2))
    with pytest.raises(ValueError, match="demand"):
        MenuNetworkLearner(UNIFORM, "both")
    with pytest.raises(ValueError, match="options"):
        MenuNetworkLearner(UNIFORM, options=0)
    with pytest.raises(ValueError, match="positive"):
        MenuNetworkLearner(UNIFORM, penalty=(0.0, 1.0))
