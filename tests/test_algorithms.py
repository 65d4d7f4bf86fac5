"""Learners: that they learn, reproduce themselves, resume to the bit, and refuse what does not fit."""

from __future__ import annotations

import importlib
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from gymnasium import spaces

import walras
from walras import algorithms
from walras.agents.files import load_policy
from walras.agents.network import NetworkPolicy
from walras.algorithms import PPOSettings, RegretMatching, bid_distance, train_ppo, train_self_play, trials
from walras.envs.game import Array, Game, Role

AUCTION = "walras/SealedBidAuction-v0"
SMALL = PPOSettings(steps=512, lanes=32, rollout=4, minibatch=64, epochs=2, layers=(8,))


def auction(**parameters: Any) -> Any:
    return walras.make(AUCTION, **parameters)


# -- regret matching ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bidders", [2, 3])
@pytest.mark.parametrize(("plus", "averaging"), [(False, "uniform"), (True, "linear")])
def test_independent_regret_matchers_find_the_first_price_equilibrium(bidders: int, plus: bool, averaging: Any) -> None:
    game = auction(bidders=bidders)
    learner = RegretMatching(game, cells=40, bids=41, profiles=64, plus=plus, averaging=averaging, seed=1).fit(200)
    start = RegretMatching(game, cells=40, bids=41)
    for agent in game.agents:
        assert bid_distance(learner, agent) < 0.02 < bid_distance(start, agent)


def test_regret_matching_takes_the_rules_from_the_mechanism() -> None:
    game = auction(bidders=2, mechanism="second-price")
    learner = RegretMatching(game, cells=30, bids=31, profiles=64).fit(300)
    values = np.array([0.25, 0.5, 0.75])
    np.testing.assert_allclose(learner.mean_bids("bidder_0", values), values, atol=0.05)


def test_regret_matchers_share_a_table_when_asked() -> None:
    game = auction(bidders=3)
    learner = RegretMatching(game, cells=20, bids=31, profiles=64, shared=True).fit(200)
    assert learner.regrets_.shape == (1, 20, 31)
    assert len({id(policy) for policy in learner.policies_.values()}) == 1
    assert bid_distance(learner, "bidder_2") < 0.02


def test_regret_matching_uses_the_grid_of_the_auction_and_merges_cells_of_an_atom() -> None:
    game = auction(bidders=2, prior="two_point", grid=5)
    learner = RegretMatching(game, cells=10, profiles=32).fit(300)
    policy = learner.policies_["bidder_0"]
    np.testing.assert_array_equal(policy.actions, np.arange(5))
    assert policy.probabilities.shape == (2, 5)
    assert policy.probabilities[0, 0] > 0.9  # whoever values it at 1 bids 1, the lowest report
    episodes = walras.play(game, learner.policies_, batch=2000, seed=5)
    assert 0.2 < episodes.mean("bidder") < 0.3  # (2 - 1) / 4, the rent of the high type, up to the grid


@pytest.mark.parametrize("parts", [(60, 60), (1, 119), (0, 120)])
def test_learning_in_parts_and_from_a_file_gives_the_same_bits(parts: tuple[int, int], tmp_path: Path) -> None:
    game, path = auction(bidders=2), tmp_path / "learner.safetensors"
    whole = RegretMatching(game, cells=10, bids=11, profiles=16, seed=3).fit(120)
    half = RegretMatching(game, cells=10, bids=11, profiles=16, seed=3).fit(parts[0])
    half.save(path)
    resumed = RegretMatching.load(path, auction(bidders=2)).fit(parts[1])
    assert resumed.iteration_ == whole.iteration_ == 120
    np.testing.assert_array_equal(resumed.regrets_, whole.regrets_)
    np.testing.assert_array_equal(resumed.totals_, whole.totals_)
    assert resumed.policies_ == whole.policies_
    other = RegretMatching(game, cells=10, bids=11, profiles=16, seed=4).fit(120)
    assert (other.regrets_ != whole.regrets_).any()


def test_a_learned_bid_function_sits_in_a_seat_and_in_a_file(tmp_path: Path) -> None:
    game = auction(bidders=2)
    learner = RegretMatching(game, cells=20, bids=21, profiles=32).fit(100)
    policy = learner.policies_["bidder_0"]
    policy.save(tmp_path / "bidder.safetensors")
    returns = [
        walras.play(game, {"bidder": p}, batch=50, seed=2).returns
        for p in (policy, load_policy(tmp_path / "bidder.safetensors"))
    ]
    np.testing.assert_array_equal(*returns)


@pytest.mark.parametrize(
    ("parameters", "keywords", "message"),
    [
        ({"items": 2}, {}, "one item"),
        ({"rounds": 2}, {}, "one round"),
        ({"budget": 1.0}, {}, "no budget"),
        ({"prior": "contextual"}, {}, "independent"),
        ({}, {"bids": 1}, "bids"),
        ({}, {"cells": 0}, "cells"),
        ({}, {"profiles": True}, "profiles"),
        ({}, {"highest_bid": 2.0}, "highest_bid"),
        ({}, {"averaging": "none"}, "averaging"),
        ({}, {"seed": -1}, "seed"),
    ],
)
def test_regret_matching_refuses_what_does_not_fit(parameters: Any, keywords: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RegretMatching(auction(bidders=2, **parameters), **keywords)


def test_a_learner_is_not_continued_in_another_game_nor_from_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "learner.safetensors"
    RegretMatching(auction(bidders=2), cells=5, bids=5).fit(1).save(path)
    with pytest.raises(ValueError, match="game"):
        RegretMatching.load(path, auction(bidders=3))
    path.write_bytes(b"PK" + bytes(50))
    with pytest.raises(ValueError, match="not a whole file"):
        RegretMatching.load(path, auction(bidders=2))
    with pytest.raises(ValueError, match="iterations"):
        RegretMatching(auction(bidders=2)).fit(-1)
    with pytest.raises(ValueError, match="equilibrium"):
        bid_distance(RegretMatching(auction(bidders=2, grid=5)), "bidder_0")


def test_the_trial_of_bid_functions_reports_distances_and_progress() -> None:
    seen: list[float] = []
    trial = trials.bid_function_trial(
        0,
        lambda fraction, text: seen.append(fraction),
        bidders=2,
        iterations=40,
        points=4,
        cells=20,
        bids=21,
        profiles=32,
    )
    assert seen == [0.25, 0.5, 0.75, 1.0]
    np.testing.assert_array_equal(trial.curve_iterations, [10, 20, 30, 40])
    np.testing.assert_array_equal(trial.curve_distances[-1], trial.distances)
    np.testing.assert_allclose(trial.equilibrium, trial.values / 2)
    assert trial.bids.shape == (2, 200)


# -- PPO ---------------------------------------------------------------------------------------------------------------


class TargetState(NamedTuple):
    target: Array
    done: Array


class Target(Game[TargetState]):
    """One player sees a number and is paid for naming it; with `masked`, of two buttons only the right one is legal."""

    def __init__(self, masked: bool = False) -> None:
        self.masked = masked
        action = spaces.Discrete(2) if masked else spaces.Box(-10.0, 30.0, (1,), np.float32)
        self.roles = (Role("player", None, spaces.Box(-10.0, 30.0, (1,), np.float32), action),)

    def initial(self, batch: int, rng: np.random.Generator) -> TargetState:
        return TargetState(rng.random((batch, 1)) * 40 - 10, np.zeros(batch, bool))

    def observe(self, state: TargetState, role: str) -> Array:
        return state.target[:, None]

    def legal(self, state: TargetState, role: str) -> Array | None:
        right = state.target[:, :1] > 10
        return np.stack([~right, right], axis=-1) if self.masked else None

    def step(self, state: TargetState, actions: Any, rng: np.random.Generator) -> tuple[TargetState, Array]:
        action = actions["player"].reshape(len(state.done), 1).astype(float)
        reward = np.ones_like(action) if self.masked else -np.abs(action - state.target)
        return state._replace(done=np.ones_like(state.done)), reward

    def terminal(self, state: TargetState) -> Array:
        return state.done


def test_ppo_learns_a_trivial_game_in_its_own_units_within_seconds() -> None:
    game = Target()
    settings = PPOSettings(steps=60_000, lanes=256, rollout=4, minibatch=256, layers=(32,))
    trained = train_ppo(game, seed=0, settings=settings)
    returns = walras.play(game, {"player": trained}, batch=2000, seed=1).returns
    assert returns.mean() > -2.0  # the middle earns -10, a random number -13
    assert trained.curve_returns[-1] > trained.curve_returns[0]
    assert trained.curve_steps[-1] == trained.steps >= settings.steps


def test_ppo_as_a_bidder_comes_close_to_the_equilibrium_within_seconds() -> None:
    settings = PPOSettings(steps=100_000, layers=(32,))
    trial = trials.bidder_trial(0, bidders=2, episodes=50_000, settings=settings)
    assert trial.measured.ratio > 0.95
    assert trial.measured.ratio - 4 * trial.measured.standard_error < 1.0
    np.testing.assert_allclose(trial.measured.exact, 1 / 6)


def test_one_seed_gives_one_policy_and_leaves_the_global_generators_alone() -> None:
    import torch

    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index, union-attr]  # noqa: NPY002
    one, same, other = (train_ppo(AUCTION, settings=SMALL, seed=seed, bidders=2) for seed in (0, 0, 1))
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index, union-attr]  # noqa: NPY002
    assert before == after
    for a, b, c in zip(one.policy.weights, same.policy.weights, other.policy.weights, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()


def test_the_numpy_policy_acts_as_the_trained_model() -> None:
    trained = train_ppo(auction(bidders=2, items=2), settings=SMALL, seed=0)
    values = np.random.default_rng(0).random((50, 2)).astype(np.float32)
    codec = trained.policy.codec
    theirs = codec.decode(trained.model.predict(codec.encode(values), deterministic=True)[0])
    np.testing.assert_allclose(trained.policy(values), theirs, atol=1e-5)


def test_a_trained_policy_comes_back_from_its_file_to_the_bit_without_torch(tmp_path: Path) -> None:
    game = auction(bidders=2)
    trained, path = train_ppo(game, settings=SMALL, seed=0), tmp_path / "bidder.safetensors"
    trained.policy.save(path)
    returns = walras.play(game, {"bidder_0": trained.policy}, batch=40, seed=2).returns
    again = load_policy(path)
    assert isinstance(again, NetworkPolicy)
    np.testing.assert_array_equal(walras.play(game, {"bidder_0": again}, batch=40, seed=2).returns, returns)
    code = (
        "import sys, walras; from walras.agents.files import load_policy;"
        f"walras.play({AUCTION!r}, {{'bidder_0': load_policy({str(path)!r})}}, batch=4, seed=0);"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("door", ["native", "dummy"])
@pytest.mark.parametrize(
    ("game", "agent"),
    [
        (AUCTION, "bidder_1"),
        ("walras/DiscreteAuction-v0", "bidder_0"),
        ("walras/PrisonersDilemma-v0", "player_0"),
        ("walras/AuctionDesign-v0", "designer"),
    ],
)
def test_ppo_trains_any_seat_through_both_doors(game: str, agent: str, door: Any) -> None:
    settings = replace(SMALL, steps=64, lanes=8, rollout=4, minibatch=32)
    trained = train_ppo(game, agent, settings, seed=0, door=door)
    assert trained.steps == 64
    returns = walras.play(game, {agent: trained.policy}, batch=8, seed=1).returns
    assert np.isfinite(returns).all()


def test_masked_actions_are_never_tried() -> None:
    trained = train_ppo(Target(masked=True), settings=SMALL, seed=0)
    returns = walras.play(Target(masked=True), {"player": trained.policy}, batch=100, seed=1).returns
    np.testing.assert_array_equal(returns, 1.0)


@pytest.mark.parametrize("updates", ["simultaneous", "alternate"])
@pytest.mark.parametrize("shared", [False, True])
def test_self_play_moves_bidders_towards_the_equilibrium(shared: bool, updates: Any) -> None:
    settings = PPOSettings(steps=60_000, layers=(16,))
    trained = train_self_play(AUCTION, settings=settings, seed=0, shared=shared, updates=updates, bidders=2)
    assert set(trained) == {"bidder_0", "bidder_1"}
    assert (trained["bidder_0"] is trained["bidder_1"]) == shared
    values = np.linspace(0, 1, 21, dtype=np.float32)[:, None]
    for run in trained.values():
        assert np.abs(run.policy(values) - values / 2).mean() < 0.06


def test_progress_is_told_and_ends_at_one() -> None:
    seen: list[tuple[float, str]] = []
    train_ppo(AUCTION, settings=SMALL, seed=0, progress=lambda fraction, text: seen.append((fraction, text)))
    assert [fraction for fraction, _ in seen] == [0.25, 0.5, 0.75, 1.0]
    assert "512 moves" in seen[-1][1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps"),
        ({"minibatch": 48}, "minibatch"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"discount": 1.5}, "discount"),
        ({"entropy": -1.0}, "entropy"),
        ({"layers": (0,)}, "layers"),
        ({"start": 2.0}, "start"),
        ({"schedule": "cosine"}, "schedule"),
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)


def test_training_refuses_unknown_games_seats_and_doors() -> None:
    with pytest.raises(KeyError, match="walras/Nothing-v0"):
        train_ppo("walras/Nothing-v0", seed=0)
    with pytest.raises(ValueError, match="agent: 'seller'"):
        train_ppo(AUCTION, "seller", seed=0)
    with pytest.raises(ValueError, match="door"):
        train_ppo(AUCTION, seed=0, door="back")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="others: 'seller'"):
        train_ppo(AUCTION, settings=SMALL, seed=0, others={"seller": "zero"})
    with pytest.raises(ValueError, match="updates"):
        train_self_play(AUCTION, seed=0, updates="never")  # type: ignore[arg-type]


def test_the_table_of_algorithms_names_things_that_exist_and_importing_it_is_light() -> None:
    for entry in algorithms.ALGORITHMS.values():
        module, _, name = entry.entry.partition(":")
        assert callable(getattr(importlib.import_module(module), name))
    for name in algorithms.__all__:
        assert getattr(algorithms, name) is not None
    code = (
        "import sys, walras, walras.agents as a, walras.algorithms as l; l.PPOSettings; l.RegretMatching; a.AGENTS;"
        "assert not {'torch', 'stable_baselines3', 'scipy.stats'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -- the full trials of the bench --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ppo_as_a_bidder_reaches_97_percent_of_the_equilibrium_utility() -> None:
    trial = trials.bidder_trial(0)
    assert trial.measured.ratio > 0.97
    assert trial.measured.exact_ratio > 0.97


@pytest.mark.slow
def test_ppo_as_a_designer_finds_the_optimal_reserve() -> None:
    trial = trials.designer_trial(0)
    assert abs(trial.reserve - 0.5) < 0.03
    assert trial.revenue > 0.99 * 5 / 12
    np.testing.assert_allclose(trial.optimum, 5 / 12)


@pytest.mark.slow
@pytest.mark.parametrize("bidders", [2, 3])
def test_regret_matching_ends_within_two_hundredths_of_the_equilibrium_bids(bidders: int) -> None:
    assert trials.bid_function_trial(0, bidders=bidders).distances.max() < 0.02


@pytest.mark.slow
def test_both_doors_run_the_same_training() -> None:
    trial = trials.door_trial(0, steps=32_768)
    assert trial.native.steps == trial.dummy.steps == 32_768
    np.testing.assert_allclose(trial.native.curve_returns[-1], trial.dummy.curve_returns[-1], atol=0.03)
