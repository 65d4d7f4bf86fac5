"""The suite gemnet and the kept mechanism: rows that are cheap enough to check every time."""

import json
from importlib.resources import files

import numpy as np
import pytest

import walras
from walras.agents.mechanism_files import about
from walras.agents.trained import trained, trained_names
from walras.algorithms.auctions.gemnet import DESIGNS
from walras.benchmarks.suites import gemnet
from walras.cli import main
from walras.envs.auctions.certify import certify, digest
from walras.envs.auctions.simplex_revenue import revenue_gain


def silent(fraction, text):
    """Progress that nobody reads."""


def test_the_kept_auction_is_certified_and_earns_what_is_said():
    row = gemnet.kept(0, silent, name="2x2", draws=1_000).metrics
    assert row["certified"] == 1.0 and row["open"] == 0.0 and row["conflicts"] == 0.0
    assert 0.8766 < row["revenue"] < 0.882351586  # above 0.876514, the best certified public mechanism
    assert row["item_by_item"] == pytest.approx(5.0 / 6.0)


@pytest.mark.parametrize("name", [name for name in trained_names() if name.startswith("gemnet")])
def test_kept_certificates_are_those_of_their_mechanisms(name):
    folder = files("walras.agents.trained")
    said = json.loads(folder.joinpath(f"{name}.certificate.json").read_text())
    mechanism = trained(name)
    assert said["status"] == "certified" and said["digest"] == digest(mechanism)
    kept = about(str(folder.joinpath(f"{name}.safetensors")))
    assert kept["command"].startswith("walras ") and kept["revenue"]["mean"] > 0.0


def test_bidders_who_meet_the_kept_auction_find_nothing_better_than_the_truth():
    mechanism = trained("gemnet-2x2")
    game = walras.make("walras/SealedBidAuction-v0", bidders=2, items=2, mechanism=mechanism, audit=True)
    rng = np.random.default_rng(0)
    state = game.initial(400, rng)
    best, _ = game.step(state, {"bidder": state.value}, rng)
    assert game.info(best, "bidder")["regret"].max() <= 1e-12
    lied, _ = game.step(state, {"bidder": rng.random(state.value.shape)}, rng)
    assert game.info(lied, "bidder")["regret"].max() > 0.1


def test_every_design_has_a_row():
    rows = {case.params["setting"] for case in gemnet.SUITE.cases if case.run.endswith(":designed")}
    assert rows == set(DESIGNS)


def test_gains_are_measured_on_the_same_profiles():
    from walras.envs.auctions.truthful import AMA

    prior = DESIGNS["2x2"].prior
    dear, cheap = AMA.symmetric_2x2(0.5, 1.0, 1.0), AMA.symmetric_2x2(0.0, 0.0, 0.0)
    earned, gain = revenue_gain(dear, cheap, prior, 40_000, np.random.default_rng(0))
    assert abs(earned.mean - 5.0 / 6.0) < 5.0 * earned.error
    assert abs(gain.mean - (5.0 / 6.0 - 2.0 / 3.0)) < 5.0 * gain.error


def test_a_coin_over_the_orders_treats_equal_bidders_alike():
    row = gemnet.orders(0, silent, grid=2, levels=0).metrics
    assert row["certified"] == 1.0
    assert row["unlike"] < 1e-6 < row["unlike_alone"]


def test_a_row_of_interpolated_prices_is_certified_and_drawn():
    row = gemnet.interpolated(0, silent, grid=4, levels=0).metrics
    assert row["certified"] == 1.0
    assert row["revenue"] == pytest.approx(0.8707, abs=3e-4) and row["learned"] == pytest.approx(0.8709, abs=3e-4)
    assert certify(trained("gemnet-2x2")).margin > 0.0


def test_a_design_whose_revenue_cannot_be_measured_is_refused_before_it_is_learned(tmp_path, capsys):
    assert main(["design", "2x2", "--draws", "1", "--out", str(tmp_path / "new")]) == 2
    assert "draws" in capsys.readouterr().err and not (tmp_path / "new").exists()
