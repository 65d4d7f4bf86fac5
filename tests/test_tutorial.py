"""The tutorial's file is as short as it says, passes every contract check, and tells the truth about its contest."""

from __future__ import annotations

import importlib
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import walras
from walras.envs.check import CHECKS

FILE = Path(__file__).resolve().parents[1] / "docs" / "tutorial_game.py"
ID = "tutorial/Contest-v0"


@pytest.fixture(scope="module", autouse=True)
def tutorial() -> Iterator[Any]:
    """The tutorial as a module that its entry point can name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FILE.parent))
        yield importlib.import_module("tutorial_game")


def test_the_file_has_fewer_than_80_lines():
    assert len(FILE.read_text(encoding="utf-8").splitlines()) < 80


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check):
    check(ID)


def test_the_file_runs_as_a_script(capsys):
    runpy.run_path(str(FILE), run_name="__main__")
    shown = capsys.readouterr().out
    assert "checks that lacked a library: (" in shown and "payoff: 0.11" in shown


@pytest.mark.parametrize("rivals", [2, 3, 5])
def test_no_other_effort_earns_more_than_the_equilibrium(rivals):
    game = walras.make(ID, rivals=rivals, prize=2.0)
    spend = game.equilibrium()["rival"].effort
    efforts = np.linspace(0.0, 2.0, 2001)
    payoffs = 2.0 * efforts / (efforts + (rivals - 1) * spend) - efforts
    (truth,) = game.truths()
    assert payoffs.max() == pytest.approx(truth.value, abs=1e-6)


@pytest.mark.parametrize("rivals", [2, 3, 5])
def test_simulated_payoffs_agree_with_the_truth(rivals):
    game = walras.make(ID, rivals=rivals)
    episodes = walras.play(game, "equilibrium", batch=100_000, seed=0)
    (truth,) = game.truths()
    assert episodes.mean("rival_0") == pytest.approx(truth.value, abs=4 * episodes.standard_error("rival_0"))


def test_nobody_who_spends_nothing_wins_against_one_who_does():
    episodes = walras.play(
        ID, {"rival": lambda seen: 0.0 * seen, "rival_1": lambda seen: seen + 0.5}, batch=1000, seed=0
    )
    assert (episodes.returns[:, 1] == 0.5).all()


def test_idle_rivals_win_equally_often():
    shares = (walras.play(ID, {"rival": lambda seen: 0.0 * seen}, batch=30_000, seed=0).returns).mean(axis=0)
    np.testing.assert_allclose(shares, 1 / 3, atol=0.01)


@pytest.mark.parametrize("bad", [{"rivals": 1}, {"prize": 0.0}, {"prize": float("nan")}])
def test_bad_parameters_are_named(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        walras.make(ID, **bad)
