"""Node prices: exact gradients, symmetries, learning, and resuming to the same bits."""

import dataclasses

import numpy as np
import pytest

from walras.algorithms.auctions.gemnet import DESIGNS, design
from walras.algorithms.auctions.node_prices import NodePriceLearner, Stage, learn_node_prices
from walras.algorithms.auctions.node_symmetry import symmetries, symmetrised
from walras.envs.auctions.laws import Beta, Exponential, Uniform
from walras.envs.auctions.node_menus import barycentric, bundles
from walras.envs.auctions.piecewise import irregular
from walras.envs.auctions.priors import Prior
from walras.envs.auctions.simplex_menus import SimplexMenus
from walras.envs.auctions.simplex_revenue import drawn_revenue, integrated_revenue
from walras.envs.auctions.tables import dyadic

pytest.importorskip("torch")

SHORT = Stage(2, 20, 1.0, (5e-3, 1e-3), (0.1, 0.02), 256)


def menus(prior, grid, seed, options=None):
    """Menus with random node prices around half of the largest value."""
    n, m = prior.bidders, prior.items
    rng = np.random.default_rng(seed)
    options = np.concatenate((np.zeros((1, m)), bundles(m, "additive"))) if options is None else options
    count = (grid + 1) ** (m * (n - 1))
    top = options @ prior.high.max(axis=0)
    prices = dyadic(rng.uniform(0.3, 0.7, (n, count, len(options))) * top)
    return SimplexMenus(prior.low, prior.high, options, prices, grid)


def gradients(prior, mechanism, band, draws, seed):
    """Gradients per draw of revenue and penalty at the mechanism's prices, and revenue, conflicts, penalty."""
    from walras.algorithms.auctions.node_kernels import node_gradients
    from walras.algorithms.auctions.node_prices import Densities

    n, m = prior.bidders, prior.items
    rng = np.random.default_rng(seed)
    densities = Densities(prior.marginals)
    low, width = prior.low.copy(), prior.high - prior.low
    values = prior.sample(rng.random((draws, prior.draws)))
    inner = low + rng.random((draws, n, m)) * width
    weight, density = densities.at(inner)
    revenue, conflict = np.zeros_like(mechanism.prices), np.zeros_like(mechanism.prices)
    sums = node_gradients(
        values, inner, weight, density, densities.faces, rng.random((draws, m, 2)), densities.tables,
        low, width, mechanism.options, np.array(mechanism.prices), mechanism.grid, band, revenue, conflict,
    )  # fmt: skip
    return revenue / draws, conflict / draws, np.array(sums) / draws


def moved(mechanism, direction, step):
    """The mechanism with its prices moved by `step` along `direction`."""
    return dataclasses.replace(mechanism, prices=dyadic(mechanism.prices + step * direction, 40), bits=40)


def test_the_gradient_of_revenue_is_the_slope_of_the_integrated_revenue():
    prior = Prior.per_item((Uniform(0.0, 1.0), Uniform(1.0, 3.0)), 2)
    mechanism = menus(prior, 2, 0)
    revenue, _, sums = gradients(prior, mechanism, 0.05, 100_000, 1)
    assert sums[0] == pytest.approx(integrated_revenue(mechanism, prior).mean, abs=0.01)
    rng = np.random.default_rng(2)
    for _ in range(2):
        direction = rng.normal(size=mechanism.prices.shape)
        direction[..., 0] = 0.0
        up, down = (integrated_revenue(moved(mechanism, direction, s), prior, 5).mean for s in (1e-3, -1e-3))
        slope = (up - down) / 2e-3
        assert float((revenue * direction).sum()) == pytest.approx(slope, abs=0.04 * np.abs(direction).sum() / 27)


@pytest.mark.parametrize("law", [Beta(1.0, 2.0), Beta(2.0, 2.0), irregular(), Uniform(2.0, 3.0)], ids=repr)
def test_the_gradient_of_revenue_holds_for_laws_with_slopes_and_with_jumps(law):
    prior = Prior.iid(law, 2, 1)
    options = np.array([[0.0], [1.0]])
    prices = np.zeros((2, 2, 2))
    prices[..., 1] = law.low + 0.55 * (law.high - law.low)
    mechanism = SimplexMenus(prior.low, prior.high, options, dyadic(prices), 1)
    revenue, _, _ = gradients(prior, mechanism, 0.05 * (law.high - law.low), 300_000, 3)
    price = float(mechanism.prices[0, 0, 1])
    slope = float(1.0 - law.cdf(price) - price * law.pdf(price))  # of p (1 - F(p)), for each bidder
    assert revenue[0, :, 1].sum() == pytest.approx(slope, abs=0.03)
    assert revenue[1, :, 1].sum() == pytest.approx(slope, abs=0.03)


@pytest.mark.parametrize(("bidders", "items"), [(2, 1), (2, 2), (3, 1), (3, 2)])
def test_the_penalty_drawn_near_conflicts_is_the_penalty_of_plain_draws(bidders, items):
    prior = Prior.iid(Uniform(), bidders, items)
    mechanism = menus(prior, 1, 4)
    band = 0.05
    _, _, sums = gradients(prior, mechanism, band, 200_000, 5)
    values = prior.sample(np.random.default_rng(6).random((200_000, prior.draws)))
    utility = mechanism.menus(values).utility(values)  # (B, n, K)
    penalty, clashes = 0.0, np.zeros(len(values), bool)
    for j in range(items):
        has = mechanism.options[:, j] > 0.5
        margin = np.sort(utility[..., has].max(axis=-1) - utility[..., ~has].max(axis=-1), axis=1)
        penalty += np.clip((margin[:, -2] + band) / band, 0.0, 1.0).mean()
        clashes |= margin[:, -2] > 0.0
    assert sums[1] == pytest.approx(clashes.mean(), abs=0.01)
    assert sums[2] == pytest.approx(penalty, abs=0.01)


def test_the_gradient_of_the_penalty_is_its_slope():
    from walras.algorithms.auctions.node_kernels import EXCESS

    prior = Prior.iid(Uniform(), 2, 2)
    mechanism = menus(prior, 1, 7)
    band = 0.1
    _, conflict, _ = gradients(prior, mechanism, band, 100_000, 8)
    values = prior.sample(np.random.default_rng(9).random((1 << 18, prior.draws)))

    def penalty(at):
        utility = at.menus(values).utility(values)
        total = 0.0
        for j in range(2):
            has = at.options[:, j] > 0.5
            over = (utility[..., has].max(axis=-1) - utility[..., ~has].max(axis=-1)).min(axis=1) + band
            total += (np.clip(over / band, 0.0, 1.0) + EXCESS * np.maximum(over, 0.0)).mean()
        return total

    direction = np.random.default_rng(10).normal(size=mechanism.prices.shape)
    direction[..., 0] = 0.0
    slope = (penalty(moved(mechanism, direction, 2e-3)) - penalty(moved(mechanism, direction, -2e-3))) / 4e-3
    assert float((conflict * direction).sum()) == pytest.approx(slope, abs=0.1 * max(1.0, abs(slope)))


def test_symmetries_rename_bidders_and_items_that_the_prior_does_not_tell_apart():
    options = np.concatenate((np.zeros((1, 2)), bundles(2, "additive")))
    alike = [[Uniform()] * 2] * 2
    assert len(symmetries(alike, options, 2)) == 4
    assert len(symmetries([[Uniform(), Uniform(0.0, 2.0)]] * 2, options, 2)) == 2
    assert len(symmetries([[Uniform()] * 2, [Uniform(0.0, 2.0)] * 2], options, 2)) == 2
    assert len(symmetries([[Uniform()] * 2] * 3, options, 1)) == 12
    group = symmetries(alike, options, 2)
    table = symmetrised(np.random.default_rng(0).normal(size=(2, 9, 4)), group)
    np.testing.assert_allclose(symmetrised(table, group), table, atol=1e-15)
    prior = Prior.iid(Uniform(), 2, 2)
    prices = dyadic(np.abs(table))
    prices[..., 0] = 0.0
    mechanism = SimplexMenus(prior.low, prior.high, options, dyadic(symmetrised(prices, group)), 2)
    values = np.random.default_rng(1).random((500, 2, 2))
    here = mechanism.outcome(values)
    for renamed, back in ((values[:, ::-1], np.s_[:, ::-1]), (values[:, :, ::-1], np.s_[:])):
        np.testing.assert_allclose(mechanism.outcome(renamed.copy()).payment[back], here.payment, atol=1e-6)


def test_training_goes_on_to_the_same_bits_from_a_file(tmp_path):
    prior = Prior.iid(Uniform(), 2, 2)
    whole = NodePriceLearner(prior, stage=SHORT, seed=3).fit()
    NodePriceLearner(prior, stage=SHORT, seed=3).fit(7).save(tmp_path / "state.safetensors")
    rest = NodePriceLearner(prior, stage=SHORT, seed=3).load(tmp_path / "state.safetensors").fit()
    assert rest.mechanism_ == whole.mechanism_
    assert (rest.revenue_, rest.conflicts_) == (whole.revenue_, whole.conflicts_)
    assert NodePriceLearner(prior, stage=SHORT, seed=4).fit().mechanism_ != whole.mechanism_
    with pytest.raises(ValueError, match="another training"):
        NodePriceLearner(prior, stage=SHORT, seed=4).load(tmp_path / "state.safetensors")


def test_stages_go_on_from_their_checkpoint(tmp_path):
    prior = Prior.iid(Uniform(), 2, 1)
    stages = (SHORT, SHORT._replace(grid=4))
    told = []
    first = learn_node_prices(prior, stages=stages, checkpoint=tmp_path, progress=lambda f, text: told.append(f))
    assert told[-1] == 1.0 and len(list(tmp_path.iterdir())) == 2
    assert (
        learn_node_prices(prior, stages=stages, checkpoint=tmp_path) == first == learn_node_prices(prior, stages=stages)
    )


def test_a_quick_design_is_certified_and_earns_more_than_selling_item_by_item():
    prior = Prior.iid(Uniform(), 2, 2)
    stages = (Stage(4, 250, 2.0, (1e-2, 1e-3), (0.1, 0.005), 1024),)
    found = design(DESIGNS["2x2-quick"]._replace(stages=stages))
    before, after = (integrated_revenue(m, prior).mean for m in (found.learned, found.mechanism))
    assert found.certificate.status == "certified"
    assert 5.0 / 6.0 + 0.01 < after <= before + 1e-6  # item-wise Myerson earns 5/6
    assert after < 0.882351586  # proven ceiling
    drawn = drawn_revenue(found.mechanism, prior, 200_000, np.random.default_rng(0))
    assert abs(drawn.mean - after) < 5.0 * drawn.error


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (Prior.iid(Uniform(), 1, 2), "two bidders"),
        (Prior.iid(Exponential(), 2, 2), "bounded"),
        (Prior.iid(Beta(0.5, 0.5), 2, 1), "densities"),
        (Prior.triangle(2), "independent"),
    ],
    ids=repr,
)
def test_priors_that_do_not_fit_are_refused(prior, message):
    with pytest.raises(ValueError, match=message):
        NodePriceLearner(prior)


def test_unknown_settings_and_bad_stages_are_refused():
    with pytest.raises(ValueError, match="setting"):
        design("9x9")
    prior = Prior.iid(Uniform(), 2, 1)
    with pytest.raises(ValueError, match="stage"):
        NodePriceLearner(prior, stage=SHORT._replace(weight=0.0))
    with pytest.raises(ValueError, match="divides"):
        NodePriceLearner(prior, stage=SHORT._replace(grid=3), start=NodePriceLearner(prior, stage=SHORT).mechanism_)


def test_prices_at_nodes_are_interpolated_when_the_grid_is_refined():
    prior = Prior.iid(Uniform(), 2, 2)
    coarse = NodePriceLearner(prior, stage=SHORT).fit(5).mechanism_
    fine = NodePriceLearner(prior, stage=SHORT._replace(grid=4), start=coarse).mechanism_
    index, weight = barycentric(np.random.default_rng(0).random((50, 2)), 4)
    assert fine.prices[0][index].shape == (50, 3, 4) and weight.shape == (50, 3)
    bids = np.random.default_rng(1).random((200, 2, 2))
    np.testing.assert_allclose(fine.menus(bids).prices, coarse.menus(bids).prices, atol=2e-7)
