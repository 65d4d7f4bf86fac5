"""Audits: revenue against proven ceilings, misreports found by trying, and broken promises with their profiles."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from walras.envs.auctions.audit import CERTIFIED_2X2, audit, revenue_ceiling
from walras.envs.auctions.mechanism import Outcome
from walras.envs.auctions.mechanisms import AMA, VCG, FirstPrice, ItemwiseMyerson, PostedPrice, SecondPrice
from walras.envs.auctions.misreports import gradient_misreports, search_misreports
from walras.envs.auctions.priors import Beta, Prior, prior

RNG = np.random.default_rng
TWO = prior("uniform01", 2, 2)
BEST = AMA.symmetric_2x2(159 / 250, 91 / 100, 1137 / 1000)


@dataclass(frozen=True)
class FirstPriceWithReserve:
    """Takes truthful reports for granted: above the ceiling by far."""

    reserve: float = 0.6

    def outcome(self, bids):
        return FirstPrice(self.reserve).outcome(bids)


@dataclass(frozen=True)
class Twice:
    """Sells every item to everybody."""

    def outcome(self, bids):
        won = (bids >= 0.5).astype(float)
        return Outcome(won, 0.5 * won.sum(axis=2))


@dataclass(frozen=True)
class EntryFee:
    def outcome(self, bids):
        won, paid = SecondPrice().outcome(bids)
        return Outcome(won, paid + 0.01)


@pytest.mark.parametrize(
    "mechanism", [BEST, VCG(), ItemwiseMyerson(TWO), PostedPrice(0.6), SecondPrice(0.5)], ids=lambda m: type(m).__name__
)
def test_truthful_mechanisms_pass_and_stay_below_the_ceiling(mechanism):
    found = audit(mechanism, TWO, profiles=100_000, searched=60, rng=RNG(0))
    assert found.broken == "" and not found.exceeds and found.gain == found.excess == found.loss == 0.0
    assert found.ceiling == CERTIFIED_2X2.revenue and found.profile is None
    assert "no broken promise found" in str(found)


def test_revenue_above_the_ceiling_is_reported_with_a_misreport_that_gains():
    mechanism = FirstPriceWithReserve()
    found = audit(mechanism, TWO, profiles=100_000, searched=200, rng=RNG(1))
    assert found.exceeds and found.broken == "truthful" and found.revenue > 0.9
    assert "which no truthful auction does" in str(found) and "gains" in str(found)
    # The witness holds: play it again, by hand.
    truth, lie = found.profile[None], found.profile[None].copy()
    lie[0, found.bidder] = found.report
    earned = [
        (truth * outcome.allocation).sum(axis=2)[0, found.bidder] - outcome.payment[0, found.bidder]
        for outcome in map(mechanism.outcome, (truth, lie))
    ]
    assert earned[1] - earned[0] == pytest.approx(found.gain) and found.gain > 0.1


def test_a_revenue_that_convicts_is_a_conviction_even_without_a_witness():
    # The search sees one profile in which nobody wins anything by lying.
    found = audit(FirstPriceWithReserve(0.99), Prior.iid(Beta(1.0, 2.0), 1, 1), profiles=1000, searched=1, rng=RNG(0))
    assert found.broken == "" and not found.exceeds
    convicted = found._replace(revenue=0.5)
    assert convicted.exceeds


def test_other_broken_promises_are_named_with_their_profile():
    twice = audit(Twice(), TWO, profiles=5000, searched=10, rng=RNG(2))
    assert twice.broken == "feasible" and twice.excess == pytest.approx(1.0) and twice.exceeds
    assert (twice.profile >= 0.5).all(axis=0).any() and "promised 2 times" in str(twice)
    fee = audit(EntryFee(), TWO, profiles=5000, searched=10, rng=RNG(3))
    assert fee.broken == "individually rational" and fee.loss == pytest.approx(0.01) and fee.bidder in (0, 1)
    assert "loses 0.01" in str(fee)


def test_ceilings_are_those_of_theory():
    assert revenue_ceiling(prior("uniform01", 2, 1)).revenue == pytest.approx(5 / 12)
    assert revenue_ceiling(prior("uniform01", 1, 2)).revenue == pytest.approx((12 + 2 * 2**0.5) / 27)
    assert revenue_ceiling(prior("triangle", 1, 2)).revenue == pytest.approx(2 / 27**0.5)
    assert revenue_ceiling(TWO) == CERTIFIED_2X2
    assert revenue_ceiling(TWO, "unit") is None
    assert revenue_ceiling(prior("uniform01", 3, 2)) is None
    with pytest.raises(ValueError, match="demand must be one of"):
        revenue_ceiling(TWO, "x")


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_the_search_comes_close_to_the_best_report_in_a_first_price_auction(seed):
    # One item, the other bidder's report is known: just above it, or nothing.
    values = RNG(seed).random((50, 2, 1))
    found = search_misreports(values, FirstPrice().outcome, low=[0.0], high=[1.0], grid=33, rounds=8)
    best = np.maximum(values[:, :, 0] - values[:, ::-1, 0], 0.0)
    assert (found.gains <= best + 1e-12).all()
    assert (found.gains >= best - 1 / 32).all()
    pays = np.take_along_axis(FirstPrice().outcome(values).payment, values[:, :, 0].argmax(axis=1)[:, None], axis=1)
    np.testing.assert_allclose(pays[:, 0], values.max(axis=(1, 2)))


def test_trying_finds_what_gradients_miss():
    """A discount to whoever reports less than 0.2 for the first item, reached by no slope."""

    def outcome(bids):
        won = np.zeros_like(bids) if isinstance(bids, np.ndarray) else bids * 0
        won = won + (bids >= 0.5)
        return Outcome(won, 0.5 * won.sum(-1) - 0.3 * (bids[:, :, 0] < 0.2))

    values = 0.3 + 0.4 * RNG(5).random((20, 1, 2))
    tried = search_misreports(values, outcome, low=[0.0, 0.0], high=[1.0, 1.0])
    assert (tried.gains > 0.1 - 1e-12).all()
    pytest.importorskip("torch")
    climbed = gradient_misreports(values, outcome, high=np.ones(2))
    np.testing.assert_array_equal(climbed, values)
