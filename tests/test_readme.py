"""The README keeps its word: its Python blocks run, its commands and files exist."""

import re
import shlex
from pathlib import Path

import pytest

import walras
from walras.benchmarks.suites import GROUPS, list_suites
from walras.cli import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]


def run(block, capsys):
    exec(compile(block, "README.md", "exec"), {})
    return capsys.readouterr().out


def test_the_ten_line_loop_prints_a_mean_near_one_twelfth_and_the_truths(capsys):
    printed = run(BLOCKS[0], capsys).splitlines()
    assert float(printed[0]) == pytest.approx(1 / 12, abs=0.02)
    assert "equilibrium" in printed[1]


def test_the_block_of_seats_runs(capsys):
    assert float(run(BLOCKS[1], capsys)) < 1 / 12  # bidding half of one's value is not the best answer


@pytest.mark.slow
def test_the_block_of_a_learner_comes_near_the_equilibrium(capsys):
    assert float(run(BLOCKS[2], capsys)) == pytest.approx(1 / 12, abs=0.01)


def test_there_is_no_block_that_no_test_runs():
    assert len(BLOCKS) == 3


def test_commands_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in filter(None, SHELL):
        words = shlex.split(line, comments=True)
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), line
        elif words[0] == "walras":
            assert words[1] in COMMANDS, line
            if words[1:3] == ["bench", "run"]:
                assert words[3] in {*list_suites(), *GROUPS}, line


def test_links_and_scenarios_lead_to_files():
    paths = re.findall(r"\]\(([^)#]+)\)", README) + re.findall(r"docs/[\w./-]+\.toml", README)
    assert [path for path in paths if "://" not in path and not (ROOT / path).exists()] == []


def test_the_table_of_systems_names_registered_games_and_says_planned_of_the_rest():
    rows = [
        line
        for line in README.splitlines()
        if line.startswith("| ") and line.rstrip().endswith(("verified |", "planned |"))
    ]
    verified = " ".join(row for row in rows if row.endswith("verified |"))
    named = {f"walras/{name}-v0" for name in re.findall(r"`([A-Z]\w+)`", verified)}
    assert named == {spec.id for spec in walras.specs()}
    assert len(rows) == 13
