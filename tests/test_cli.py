"""The command line: lists, plays scenarios, trains, and answers wrong requests with one line and exit status 2."""

import json
import subprocess
import sys

import pytest

import walras
from walras.agents.network import NetworkPolicy
from walras.cli import main

SCENARIO = """
title = "half"
game = "walras/SealedBidAuction-v0"
episodes = 5000
seeds = 2
[parameters]
bidders = 2
[seats]
bidder = "equilibrium"
"""


@pytest.fixture
def scenario(tmp_path):
    path = tmp_path / "half.toml"
    path.write_text(SCENARIO)
    return path


def test_list_shows_every_game_and_says_the_status_of_everything(capsys):
    assert main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [game["id"] for game in listed["games"]] == [spec.id for spec in walras.specs()]
    for part in ("games", "agents", "algorithms", "suites"):
        assert listed[part], part
        assert all(entry["status"] for entry in listed[part])


def test_list_prints_tables_for_people(capsys):
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    assert "walras/SealedBidAuction-v0" in shown and "regret-matching" in shown


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"walras {walras.__version__}"


def test_a_scenario_gives_rows_near_the_truth_and_a_second_run_repeats_them(scenario, tmp_path, capsys):
    command = ["play", str(scenario), "--json", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    rows = json.loads(capsys.readouterr().out)
    utility = {row["metric"]: row["value"] for row in rows}
    assert utility["return.bidder"] == pytest.approx(1 / 6, abs=0.02)
    assert utility["steps"] == 1
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out) == rows  # resumed from the store, seconds included


def test_a_scenario_does_not_depend_on_how_many_games_run_side_by_side(monkeypatch):
    from walras.benchmarks import scenario as scenarios

    def run(lanes):
        monkeypatch.setattr(scenarios, "LANES", lanes)
        parts = {"game": "walras/SealedBidAuction-v0", "parameters": {}, "seats": {"bidder": "random"}, "episodes": 500}
        return scenarios.measure(3, lambda fraction, text: None, **parts).metrics

    assert run(500) == pytest.approx(run(64), rel=1e-12)


def test_a_saved_policy_can_sit_in_a_scenario(tmp_path, capsys):
    command = ["train", "walras/SealedBidAuction-v0", "--steps", "4096", "--episodes", "1000", "--out", str(tmp_path)]
    assert main([*command, "--parameters", '{"bidders": 2}']) == 0
    assert "mean return" in capsys.readouterr().out
    (weights,) = tmp_path.glob("*.safetensors")
    facts = json.loads(weights.with_suffix(".json").read_text())
    assert facts["settings"]["steps"] == 4096 and facts["seed"] == 0 and facts["parameters"] == {"bidders": 2}
    assert isinstance(NetworkPolicy.load(weights), NetworkPolicy)
    path = tmp_path / "trained.toml"
    path.write_text(SCENARIO + f'bidder_0 = {{ file = "{weights.name}" }}\n')
    assert main(["play", str(path), "--json", "--out", str(tmp_path / "out")]) == 0
    assert any(row["metric"] == "return.bidder_0" for row in json.loads(capsys.readouterr().out))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("walras/SealedBidAuction-v0", "walras/SealedBidAction-v0"), "SealedBidAuction-v0"),
        (("walras/SealedBidAuction-v0", "no_such_module:mine/Market-v0"), "no_such_module"),
        (("bidders = 2", "bidders = 0"), "bidders"),
        (("bidders = 2", "bidder = 2"), "bidder"),
        (("episodes = 5000", "episodes = 0"), "episodes"),
        (("episodes = 5000", 'episodes = "many"'), "episodes"),
        (("seeds = 2", "seeds = -1"), "seeds"),
        (("title", "titel"), "titel"),
        (("[seats]\nbidder", "[seats]\nbiddr"), "biddr"),
        (('"equilibrium"', '"equilibria"'), "equilibria"),
        (('"equilibrium"', "3"), "seats.bidder"),
        (('"equilibrium"', '{ file = "nowhere.safetensors" }'), "nowhere.safetensors"),
        (('"equilibrium"', '{ file = "half.toml" }'), "half.toml"),
        (("game =", "gane ="), "gane"),
        (("[parameters]", "[parameters"), "TOML"),
    ],
)
def test_a_wrong_scenario_names_what_is_wrong_and_leaves_nothing_behind(change, named, tmp_path, capsys):
    path = tmp_path / "half.toml"
    path.write_text(SCENARIO.replace(*change))
    assert main(["play", str(path), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert named in error and str(path) in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (["play", "no-such-file.toml"], "no-such-file.toml"),
        (["train", "walras/Nothing-v0"], "walras/Nothing-v0"),
        (["train", "walras/SealedBidAuction-v0", "--agent", "seller"], "seller"),
        (["train", "walras/SealedBidAuction-v0", "--parameters", "{"], "parameters"),
        (["train", "walras/SealedBidAuction-v0", "--parameters", '{"bidders": 0}'], "bidders"),
        (["train", "walras/SealedBidAuction-v0", "--others", "nobody"], "nobody"),
        (["train", "walras/SealedBidAuction-v0", "--steps", "0"], "steps"),
        (["train", "walras/SealedBidAuction-v0", "--learning-rate", "nan"], "learning_rate"),
        (["train", "walras/SealedBidAuction-v0", "--episodes", "0"], "episodes"),
        (["train", "walras/SealedBidAuction-v0", "--out", __file__], "out"),
        (["bench", "run", "no-such-suite"], "no-such-suite"),
        (["bench", "run", "auctions", "--case", "no-such-case"], "no-such-case"),
    ],
)
def test_wrong_requests_end_with_status_2_and_name_the_argument(command, named, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(command) == 2
    assert named in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.safetensors"))


def test_python_dash_m_ends_with_the_status_of_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "walras", "train", "walras/Nothing-v0"], capture_output=True, text=True
    )
    assert done.returncode == 2 and "walras/Nothing-v0" in done.stderr


def test_shipped_scenarios_are_valid():
    from pathlib import Path

    from walras.benchmarks.scenario import load_scenario

    files = sorted((Path(__file__).parent.parent / "docs" / "scenarios").glob("*.toml"))
    assert files
    for file in files:
        assert load_scenario(file).suite().cases


def rows_of(path, tmp_path, capsys):
    assert main(["play", str(path), "--json", "--out", str(tmp_path / "out")]) == 0
    return {row["metric"]: row for row in json.loads(capsys.readouterr().out)}


def test_an_edited_scenario_shows_no_seed_of_the_old_one(scenario, tmp_path, capsys):
    scenario.write_text(SCENARIO.replace("seeds = 2", "seeds = 3"))
    first = rows_of(scenario, tmp_path, capsys)
    scenario.write_text(SCENARIO.replace("seeds = 2", "seeds = 1"))
    fewer = rows_of(scenario, tmp_path, capsys)
    assert (first["steps"]["seeds"], fewer["steps"]["seeds"]) == (3, 1)
    scenario.write_text(SCENARIO.replace("seeds = 2", "seeds = 1").replace("bidders = 2", "bidders = 4"))
    edited = rows_of(scenario, tmp_path, capsys)
    assert edited["return.bidder"]["seeds"] == 1
    assert edited["return.bidder"]["value"] == pytest.approx(1 / 20, abs=0.01)


def test_a_seat_whose_file_has_changed_is_played_again_and_never_mixed(tmp_path, capsys):
    from walras.benchmarks.scenario import load_scenario, measure

    saved = {}
    for name, steps in (("one", "2048"), ("two", "4096")):
        folder = tmp_path / name
        command = ["train", "walras/SealedBidAuction-v0", "--steps", steps, "--episodes", "1000", "--out", str(folder)]
        assert main([*command, "--parameters", '{"bidders": 2}']) == 0
        (weights,) = folder.glob("*.safetensors")
        saved[name] = weights.read_bytes()
    capsys.readouterr()
    assert saved["one"] != saved["two"]
    seat = tmp_path / "seat.safetensors"
    seat.write_bytes(saved["one"])
    path = tmp_path / "seated.toml"
    path.write_text(SCENARIO + 'bidder_0 = { file = "seat.safetensors" }\n')
    (case,) = load_scenario(path).suite().cases
    before = rows_of(path, tmp_path, capsys)["return.bidder_0"]["value"]
    seat.write_bytes(saved["two"])
    assert rows_of(path, tmp_path, capsys)["return.bidder_0"]["value"] != before
    with pytest.raises(ValueError, match=r"seats\.bidder_0.*seat\.safetensors has changed"):
        measure(0, lambda fraction, text: None, **case.params)


def test_the_report_of_a_scenario_shows_it(scenario, tmp_path, capsys):
    pytest.importorskip("jinja2")
    rows_of(scenario, tmp_path, capsys)
    folder = tmp_path / "out" / "half"
    assert main(["bench", "report", "--out", str(folder)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    text = (folder / "report.html").read_text()
    assert "return.bidder" in text and "half" in text and "not shown" not in text
    assert main(["bench", "report", "half", "--out", str(folder)]) == 0
    assert main(["bench", "report", "--out", str(tmp_path / "out")]) == 2
    assert str(folder) in capsys.readouterr().err


def test_tables_in_a_pipe_are_not_broken_at_80_columns(scenario, tmp_path, capsys):
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    for spec in walras.specs():
        assert any(spec.id in line and spec.title in line and spec.status in line for line in shown.splitlines())
    path = tmp_path / f"{'long-' * 12}name.toml"
    path.write_text(SCENARIO)
    assert main(["play", str(path), "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert any(f"{path.stem}/play" in line and "done" in line for line in shown.splitlines())


def test_list_says_the_status_that_each_suite_gives_itself(capsys):
    from walras.benchmarks import get_suite

    assert main(["list", "--json"]) == 0
    suites = json.loads(capsys.readouterr().out)["suites"]
    assert {entry["name"]: entry["status"] for entry in suites} == {
        entry["name"]: get_suite(entry["name"]).status for entry in suites
    }
    assert "verified" in {entry["status"] for entry in suites}
