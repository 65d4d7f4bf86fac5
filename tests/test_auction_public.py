"""What is publicly known of the mechanism, at the end of every observation."""

import numpy as np

import walras
from walras.envs.auctions.mechanisms import VCG, BundleMyerson, FirstPrice, SecondPrice
from walras.envs.auctions.rules import SealedBidAuction


def test_a_public_mechanism_is_seen_at_the_end_of_every_observation():
    for mechanism, reserve in (
        (SecondPrice((0.25, 1.5)), (0.25, 1.5)),
        (BundleMyerson(0.5), (0.5, 0.5)),
        (VCG(), (0, 0)),
    ):
        game = SealedBidAuction(2, 2, mechanism=mechanism, rounds=2, budget=0.7, public=True)
        played = walras.play(game, "random", batch=3, seed=0, record=True)
        for state in [moment.state for moment in played.history] + [played.state]:
            seen = game.observe(state, "bidder")
            assert seen.shape == (3, 2, 6)
            np.testing.assert_array_equal(seen[..., 4:], np.broadcast_to(reserve, (3, 2, 2)))
            hidden = SealedBidAuction(2, 2, mechanism=mechanism, rounds=2, budget=0.7)
            np.testing.assert_array_equal(seen[..., :4], hidden.observe(state, "bidder"))
            assert game.roles[0].observation_space.contains(seen[0, 0].astype(np.float32))


def test_equilibrium_and_truthful_bidders_do_not_mind_a_public_mechanism():
    for who in ("equilibrium", "truthful"):
        known, hidden = (SealedBidAuction(2, mechanism=FirstPrice(0.3), public=public) for public in (True, False))
        np.testing.assert_array_equal(
            walras.play(known, who, batch=20, seed=0).returns, walras.play(hidden, who, batch=20, seed=0).returns
        )
