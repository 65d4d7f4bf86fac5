"""The menu learner: known optima for items, and two other goods that fit the same abstraction unchanged."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from walras.envs.auctions.certify import certify
from walras.envs.auctions.menu_revenue import menu_revenue
from walras.envs.auctions.one_bidder import ONE_BIDDER, straight_jacket
from walras.envs.auctions.priors import prior

torch = pytest.importorskip("torch")

from walras.algorithms.menus.goods import Good, Items  # noqa: E402
from walras.algorithms.menus.learner import MenuLearner, MenuSettings, Stage, hard_choice, simplified, sobol  # noqa: E402

SHORT = MenuSettings(
    options=24,
    stages=(
        Stage(400, 512, (2e-2, 5e-3), (1e-2, 2e-3)),
        Stage(150, 1024, (2e-3, 1e-3), (2e-3, 1e-3), revive=150),
        Stage(100, 4096, (1e-3, 1e-4), (1e-3, 5e-4)),
    ),
)


class Experiments(Good):
    """Experiments about a binary state; a type is its belief. What one is worth is a maximum over actions.

    An option is a matrix pi (state, signal), row after row, rows summing to one; worth sum_s max_a theta_a pi_as.
    """

    draws, raw, scale = 2, 4, 0.25

    def __init__(self, belief):
        self.belief = belief

    def types(self, uniforms):
        first = self.belief(uniforms)
        return np.stack([first, 1.0 - first], axis=1)

    def start(self, options, rng):
        raw = rng.uniform(-1.0, 1.0, (options, 2, 2))
        raw += np.eye(2)  # signal s speaks for state s
        return raw.reshape(options, 4), rng.uniform(0.05, 0.3, options)

    def options(self, raw):
        return (raw.reshape(-1, 2, 2) / 0.2).softmax(dim=2).reshape(-1, 4)

    def null(self):
        return np.full(4, 0.5)

    def value(self, options, types):
        first, second = types[:, :1], types[:, 1:]
        signals = [torch.maximum(first * options[:, s], second * options[:, 2 + s]) for s in range(2)]
        return signals[0] + signals[1]

    def menu(self, options, prices):
        return {"experiments": options.reshape(-1, 2, 2), "prices": prices}

    def describe(self):
        return {"good": "Experiments"}


class Trades(Good):
    """Signed bundles of n goods; the seller books each at what it believes after the trade, lam x + (1 - lam) c."""

    scale = 0.5

    def __init__(self, centre, lam):
        self.centre, self.lam = np.asarray(centre, np.float64), lam
        self.draws = self.raw = len(self.centre)

    def types(self, uniforms):
        return uniforms

    def start(self, options, rng):
        return rng.uniform(-2.0, 2.0, (options, self.raw)), rng.uniform(0.1, 0.4, options)

    def options(self, raw):
        wide = 1.02 * raw.tanh()
        return wide + (wide.clamp(-1.0, 1.0) - wide).detach()

    def null(self):
        return np.zeros(self.raw)

    def value(self, options, types):
        return types @ options.T

    def reference(self, options):
        return options @ torch.as_tensor(self.centre, dtype=options.dtype)

    def gain(self, options, prices, types):
        belief = self.lam * types + (1.0 - self.lam) * torch.as_tensor(self.centre, dtype=types.dtype)
        return prices - belief @ options.T

    def describe(self):
        return {"good": "Trades", "centre": self.centre.tolist(), "lam": self.lam}


@pytest.mark.parametrize("name", ["additive-4-16-4-7", "unit-uniform-2-3"])
def test_items_are_sold_within_a_thousandth_of_the_optimum(name):
    setting = ONE_BIDDER[name]
    learner = MenuLearner(Items(setting.prior, setting.demand), SHORT).fit()
    earned = menu_revenue(learner.menu_, setting.prior)
    assert 0.999 * setting.revenue <= earned <= setting.revenue * (1 + 1e-12)
    assert learner.evaluate(1 << 14).gain == pytest.approx(earned, rel=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ONE_BIDDER, 2, 3, 4, 5])
def test_default_settings_come_within_five_ten_thousandths(name):
    setting = straight_jacket(name) if isinstance(name, int) else ONE_BIDDER[name]
    for seed in range(2):
        learner = MenuLearner(Items(setting.prior, setting.demand), seed=seed).fit()
        earned = menu_revenue(learner.menu_, setting.prior)
        assert (1 - 5e-4) * setting.revenue <= earned <= setting.revenue * (1 + 1e-12)


def spread(u):
    """Beliefs of an equal mixture of Beta(8, 30) and Beta(60, 30)."""
    from scipy.special import betaincinv

    return betaincinv(np.where(u[:, 0] < 0.5, 8.0, 60.0), 30.0, np.clip(u[:, 1], 1e-12, 1.0 - 1e-12))


def test_experiments_are_a_good_like_items():
    """A partial experiment, state 2 always revealed, is sold beside full information; optimum 0.167327 by an LP."""
    learner = MenuLearner(Experiments(spread), SHORT).fit()
    assert 0.995 * 0.167327 <= learner.evaluate(1 << 15).gain <= 0.167327 * (1 + 1e-4)
    experiments, prices = learner.menu_["experiments"], learner.menu_["prices"]
    full = (experiments.max(axis=2) > 0.99).all(axis=1) & (experiments.argmax(axis=2) == [0, 1]).all(axis=1)
    partial = (experiments[:, 1, 1] > 0.98) & (experiments[:, 0, 0] < 0.9) & (experiments[:, 0, 0] > 0.7)
    assert prices[full].min() == pytest.approx(0.2552, abs=0.01)
    assert prices[partial].min() == pytest.approx(0.1373, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("belief", "optimum"), [(lambda u: u[:, 0], 0.125), (spread, 0.167327)], ids=["flat", "two"])
def test_experiments_come_within_two_thousandths_of_the_optimum(belief, optimum):
    """Beliefs uniform: full information at 1/4, revenue p (1 - 2 p) at its largest."""
    learner = MenuLearner(Experiments(belief)).fit()
    assert 0.998 * optimum <= learner.evaluate().gain <= optimum * (1 + 1e-4)


def test_trades_with_adverse_selection_are_a_good_like_items():
    """One good U[0, 1]: profit (1 - lam)^2 (c^2 + (1 - c)^2) / (2 (2 - lam)), bid (1 - lam) c / (2 - lam)."""
    c, lam = 0.3, 0.5
    learner = MenuLearner(Trades([c], lam), SHORT).fit()
    optimum = (1 - lam) ** 2 * (c**2 + (1 - c) ** 2) / (2 * (2 - lam))
    assert 0.998 * optimum <= learner.evaluate(1 << 16).gain <= optimum * (1 + 1e-4)
    options, prices = learner.offers_
    ask, bid = prices[options[:, 0] > 0.99].min(), -prices[options[:, 0] < -0.99].min()
    assert ask == pytest.approx((1 + (1 - lam) * c) / (2 - lam), abs=0.01)
    assert bid == pytest.approx((1 - lam) * c / (2 - lam), abs=0.01)


def test_nobody_earns_from_a_fully_informed_trader():
    learner = MenuLearner(Trades([0.5, 0.5], 1.0), SHORT).fit(300)
    assert learner.evaluate(1 << 12).gain <= 1e-12


@pytest.mark.slow
@pytest.mark.parametrize(("lam", "profit"), [(0.0, 0.274601), (0.5, 0.092856)])
def test_joint_trades_of_two_goods_beat_separate_ones(lam, profit):
    learner = MenuLearner(Trades([0.5, 0.5], lam)).fit()
    assert 0.997 * profit <= learner.evaluate().gain <= profit * 1.0001


def test_training_in_parts_and_from_a_file_gives_the_same_bits(tmp_path):
    setting = ONE_BIDDER["additive-uniform"]
    short = MenuSettings(
        16,
        (
            Stage(40, 128, (2e-2, 1e-2), (2e-2, 1e-2)),
            Stage(30, 256, (1e-2, 5e-3), (1e-2, 5e-3)),
            Stage(30, 512, (5e-3, 5e-3), (5e-3, 5e-3), revive=15),
        ),
    )
    good = Items(setting.prior)
    whole = MenuLearner(good, short, seed=3).fit()
    parts = MenuLearner(good, short, seed=3)
    for steps in (7, 33, 0, 50):
        parts.fit(steps)
    path = tmp_path / "menu.safetensors"
    parts.save(path)
    resumed = MenuLearner(good, short, seed=3).load(path).fit()
    for learner in (parts.fit(), resumed):
        assert learner.step_ == whole.step_ == 100
        assert learner.curve_ == whole.curve_
        for mine, other in zip(learner.offers_, whole.offers_, strict=True):
            assert np.array_equal(mine, other)
    assert resumed.fit() is resumed
    with pytest.raises(ValueError, match="another training"):
        MenuLearner(good, short, seed=4).load(path)
    with pytest.raises(ValueError, match="another training"):
        MenuLearner(Items(prior("uniform01", 1, 3)), short, seed=3).load(path)


def test_hard_choices_are_those_of_the_mechanism():
    setting = ONE_BIDDER["additive-uniform"]
    menu, good = setting.menu, Items(setting.prior)
    uniforms = sobol(1 << 16, 2)
    found = hard_choice(good, np.array(menu.items), np.array(menu.prices), uniforms)
    assert found.gain == pytest.approx(menu.outcome(setting.prior.sample(uniforms)).payment.mean(), rel=1e-12)
    assert found.shares.sum() == pytest.approx(1.0)
    assert found.gain == pytest.approx(setting.revenue, rel=2e-3)


def test_a_simplified_menu_has_fewer_options_and_gains_as_much():
    setting = ONE_BIDDER["additive-uniform"]
    good, rng = Items(setting.prior), np.random.default_rng(0)
    options = np.concatenate([np.array(setting.menu.items), rng.random((20, 2)), [[0.999, 0.001]]])
    prices = np.concatenate([setting.menu.prices, rng.uniform(0.4, 1.0, 20), [2 / 3 - 1e-4]])
    fewer, asked = simplified(good, options, prices)
    assert len(asked) < len(prices)
    uniforms = sobol(1 << 17, 2)
    before, after = hard_choice(good, options, prices, uniforms), hard_choice(good, fewer, asked, uniforms)
    assert after.gain >= before.gain - 1e-6 * good.scale * len(prices)
    assert asked[0] == 0.0
    assert not fewer[0].any()


def test_learned_menus_are_short_dyadic_numbers_and_exactly_feasible():
    good = Items(ONE_BIDDER["unit-uniform-2-3"].prior, "unit")
    menu = good.menu(np.array([[0.0, 0.0], [0.6 + 4e-8, 0.4 + 4e-8], [1.0 + 1e-9, 0.0]]), np.array([0.0, 2.1, 2.3]))
    numbers = np.array([*itertools.chain(*menu.items), *menu.prices])
    assert np.array_equal(numbers * 2**24, np.rint(numbers * 2**24))
    assert max(sum(map(Fraction, row)) for row in menu.items) == 1
    assert certify(menu).status == "certified"


def test_a_soft_gain_is_never_reported_as_revenue():
    """Early soft gains exceed what any menu can earn; what is reported does not."""
    setting = ONE_BIDDER["unit-uniform-2-3"]
    hot = MenuSettings(16, (Stage(100, 512, (5e-2, 5e-2), (1.0, 1.0)),))
    learner = MenuLearner(Items(setting.prior, "unit"), hot).fit()
    assert menu_revenue(learner.menu_, setting.prior) <= setting.revenue


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: Items(prior("uniform01", 2, 2)), "prior"),
        (lambda: Items(prior("uniform01", 1, 2), "both"), "demand"),
        (lambda: MenuLearner(Items(prior("uniform01", 1, 1)), MenuSettings(options=0)), "options"),
        (lambda: MenuLearner(Items(prior("uniform01", 1, 1)), MenuSettings(stages=())), "settings"),
        (lambda: MenuLearner(Items(prior("uniform01", 1, 1)), MenuSettings(keep=1.0)), "settings"),
        (
            lambda: MenuLearner(
                Items(prior("uniform01", 1, 1)), MenuSettings(stages=(Stage(1, 1, (0.0, 1.0), (1.0, 1.0)),))
            ),
            "stages",
        ),
        (lambda: MenuLearner(Items(prior("uniform01", 1, 1))).fit(-1), "steps"),
        (lambda: MenuLearner(Items(prior("uniform01", 1, 1)), seed=-1), "seed"),
    ],
)
def test_bad_input_is_refused_by_name(call, word):
    with pytest.raises(ValueError, match=word):
        call()
