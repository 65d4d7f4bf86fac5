"""One item by increasing virtual values: given ones are exactly truthful, learned ones come close to Myerson's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from walras.envs.auctions.certify import certify
from walras.envs.auctions.mechanisms import ItemwiseMyerson, MonotoneAuction, mechanism_from_dict
from walras.envs.auctions.priors import Prior, Uniform, prior
from walras.envs.auctions.theory import myerson_revenue

MYERSON = MonotoneAuction([[[2.0]]], [[[-1.0]]], 3)  # U[0, 1]: 2 v - 1


@st.composite
def auctions(draw, bidders=3):
    """Functions of their own or one for all."""
    shape = (draw(st.sampled_from([1, bidders])), draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    return MonotoneAuction(np.exp(rng.normal(size=shape)).tolist(), rng.uniform(-1, 0.5, shape).tolist(), bidders)


def test_myersons_virtual_values_give_myersons_auction():
    bids = np.random.default_rng(0).random((1000, 3, 1))
    mine, known = MYERSON.outcome(bids), ItemwiseMyerson(prior("uniform01", 3, 1)).outcome(bids)
    assert np.array_equal(mine.allocation, known.allocation)
    assert mine.payment == pytest.approx(known.payment, abs=1e-12)


@given(auction=auctions(), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_no_report_beats_the_truth_and_nobody_loses(auction, seed):
    rng = np.random.default_rng(seed)
    values = rng.random((1, 3, 1))
    honest = auction.outcome(values)
    utility = values[0, :, 0] * honest.allocation[0, :, 0] - honest.payment[0]
    assert utility.min() >= -1e-12
    assert honest.allocation.sum() <= 1.0
    for i in range(3):
        lies = np.repeat(values, 101, axis=0)
        lies[:, i, 0] = np.linspace(0.0, 1.5, 101)
        told = auction.outcome(lies)
        assert (values[0, i, 0] * told.allocation[:, i, 0] - told.payment[:, i]).max() <= utility[i] + 1e-12


@given(auction=auctions(), levels=st.lists(st.floats(-1, 2), min_size=3, max_size=3))
@settings(max_examples=40, deadline=None)
def test_the_price_of_a_level_is_where_the_virtual_value_meets_it(auction, levels):
    at = np.array([levels])
    assert auction.virtual(auction.price(at)) == pytest.approx(at, abs=1e-9)


def test_it_is_certified_by_theorem():
    assert certify(MYERSON).status == "certified"


def test_it_is_plain_data_and_works_on_tensors():
    torch = pytest.importorskip("torch")
    assert mechanism_from_dict(MYERSON.to_dict()) == MYERSON
    bids = np.random.default_rng(1).random((50, 3, 1))
    told = MYERSON.outcome(torch.from_numpy(bids))
    assert told.payment.numpy() == pytest.approx(MYERSON.outcome(bids).payment)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: MonotoneAuction([[[0.0]]], [[[1.0]]], 1), "slopes"),
        (lambda: MonotoneAuction([[[1.0]]], [[[float("nan")]]], 1), "offsets"),
        (lambda: MonotoneAuction([[[1.0]]] * 2, [[[1.0]]] * 2, 3), "bidders"),
        (lambda: MonotoneAuction([[[1.0]]], [[[1.0]]], 0), "bidders"),
        (lambda: MYERSON(np.zeros((1, 2, 1))), "bids"),
    ],
)
def test_bad_input_is_refused_by_name(call, word):
    with pytest.raises(ValueError, match=word):
        call()


def learned(law, **settings):
    pytest.importorskip("torch")
    from walras.algorithms.auctions.myerson_net import MyersonNet, MyersonSettings

    return MyersonNet(law, MyersonSettings(**settings), seed=0)


def test_a_learned_auction_of_one_item_comes_close_to_myersons():
    law = prior("exponential", 3, 1, scale=3.0)
    auction = learned(law, iterations=300, batch=512).fit().mechanism_
    values = law.sample(np.random.default_rng(5).random((200_000, 3)))
    paid = auction.outcome(values).payment.sum(axis=1)
    error = 4 * paid.std() / np.sqrt(len(paid))
    optimum = myerson_revenue(law.marginals[0][0], 3)
    assert 0.985 * optimum - error <= paid.mean() <= optimum + error


def test_training_in_parts_and_from_a_file_gives_the_same_bits(tmp_path):
    law = Prior.per_bidder([Uniform(0, 1), Uniform(0, 2)])
    few = {"iterations": 30, "batch": 64}
    whole = learned(law, **few).fit().mechanism_
    parts = learned(law, **few).fit(11)
    parts.save(tmp_path / "net.safetensors")
    assert learned(law, **few).load(tmp_path / "net.safetensors").fit().mechanism_ == whole == parts.fit().mechanism_
    assert len(whole.slopes) == 2


def test_several_items_are_refused():
    with pytest.raises(ValueError, match="prior"):
        learned(prior("uniform01", 2, 2))
