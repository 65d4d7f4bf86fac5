"""A network in a seat answers each lane alike, however many lanes there are."""

import itertools

import numpy as np
import pytest
from gymnasium.spaces import Box

import walras
from walras.agents.codec import Codec
from walras.agents.network import NetworkPolicy


def network(activation, inputs=3, outputs=2, seed=0):
    rng = np.random.default_rng(seed)
    widths = (inputs, 64, 48, outputs)
    weights = tuple(rng.normal(size=(b, a)).astype(np.float32) / 4 for a, b in itertools.pairwise(widths))
    biases = tuple(rng.normal(size=b).astype(np.float32) for b in widths[1:])
    spaces = Box(0.0, 1.0, (inputs,), np.float32), Box(0.0, 1.0, (outputs,), np.float32)
    return NetworkPolicy(Codec(*spaces), weights, biases, activation)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_rows_do_not_depend_on_the_batch(activation):
    policy = network(activation)
    seen = np.random.default_rng(1).random((300, 3)).astype(np.float32)
    whole = policy(seen)
    for batch in (*range(1, 66), 128, 299):
        np.testing.assert_array_equal(policy(seen[:batch]), whole[:batch])
        np.testing.assert_array_equal(policy(seen[batch : batch + 1]), whole[batch : batch + 1])


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_output_is_that_of_the_layers(activation):
    policy = network(activation)
    seen = np.random.default_rng(2).random((50, 3)).astype(np.float32)
    x = policy.codec.encode(seen).astype(np.float64)
    for k, (matrix, bias) in enumerate(zip(policy.weights, policy.biases, strict=True)):
        if k:
            x = np.tanh(x) if activation == "tanh" else np.maximum(x, 0)
        x = x @ matrix.T.astype(np.float64) + bias
    np.testing.assert_allclose(policy.output(seen), x, rtol=1e-4, atol=1e-5)


def test_a_network_in_a_seat_plays_the_same_game_in_every_batch():
    game = walras.make("walras/SealedBidAuction-v0", bidders=2)
    seats = {"bidder": network("tanh", 1, 1)}
    whole = walras.play(game, seats, batch=70, seed=3).returns
    for batch in (1, 3, 17, 64):
        np.testing.assert_array_equal(walras.play(game, seats, batch=batch, seed=3).returns, whole[:batch])
