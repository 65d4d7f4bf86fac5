"""The command `walras solve`: what it keeps and says, how it is interrupted, and what it refuses."""

import json

import pytest

from walras.agents import load_policy
from walras.algorithms.tabular import exploitability, learner
from walras.cli import main
from walras.envs.tabular import compile_game


def said(capsys):
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("method", ["cfr", "cfr+", "dcfr", "external-sampling", "lp"])
def test_a_solved_game_is_kept_with_what_it_is_worth(method, tmp_path, capsys):
    assert main(["solve", "kuhn_poker", "--method", method, "--out", str(tmp_path), "--json"]) == 0
    facts = said(capsys)
    kuhn = compile_game("kuhn_poker")
    strategy = load_policy(facts["strategy"])
    strategy.check(kuhn)
    assert facts["nash_conv"] / 2 == pytest.approx(exploitability(kuhn, strategy), abs=1e-12)
    assert facts["nash_conv"] < 0.1
    assert facts["returns"]["player_0"] == pytest.approx(-1 / 18, abs=0.03)
    assert json.loads((tmp_path / f"kuhn_poker-{method}-seed0.json").read_text()) == facts
    assert len(list(tmp_path.iterdir())) == 2


def test_parameters_reach_the_game_and_the_names_of_files(tmp_path, capsys):
    command = ["solve", "walras/DiscreteAuction-v0", "--parameters", '{"values": 4}', "--out", str(tmp_path)]
    assert main([*command, "--iterations", "200"]) == 0
    printed = capsys.readouterr().out
    assert "bidder_0: expected return" in printed and "NashConv" in printed
    assert (tmp_path / "DiscreteAuction-v0-values=4-cfr+-seed0.safetensors").exists()


def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path, capsys, monkeypatch):
    command = ["solve", "kuhn_poker", "--method", "external-sampling", "--iterations", "3000"]
    assert main([*command, "--out", str(tmp_path / "whole")]) == 0
    original = learner.sliced

    def pressed(done, target, run, progress, unit):
        original(done, done + 1000, run, progress, unit)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("walras.algorithms.tabular.mccfr.sliced", pressed)
        assert main([*command, "--out", str(tmp_path / "parts")]) == 130
    assert "run the same command again" in capsys.readouterr().err
    assert [path.suffix for path in (tmp_path / "parts").iterdir()] == [".checkpoint"]
    assert main([*command, "--out", str(tmp_path / "parts")]) == 0
    name = "kuhn_poker-external-sampling-seed0.safetensors"
    assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()
    assert not list((tmp_path / "parts").glob("*.checkpoint"))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["kuhn_pokr"], "kuhn_poker"),
        (["kuhn_poker", "--iterations", "1", "--nodes", "1"], "nodes"),
        (["kuhn_poker", "--nodes", "5"], "give iterations"),
        (["kuhn_poker", "--iterations", "-1"], "iterations"),
        (["kuhn_poker", "--parameters", "[1]"], "JSON object"),
        (["kuhn_poker", "--parameters", "{"], "not JSON"),
        (["walras/SealedBidAuction-v0"], "DiscreteAuction"),
        (["walras/DiscreteAuction-v0", "--method", "lp"], "constant sum"),
    ],
)
def test_wrong_requests_name_what_is_wrong_and_leave_no_files(arguments, named, tmp_path, capsys):
    assert main(["solve", *arguments, "--out", str(tmp_path / "out")]) == 2
    assert named in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.*"))
