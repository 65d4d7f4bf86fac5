"""The page on tables keeps its word: its blocks run one after another, and its table of sizes is measured."""

import re
from pathlib import Path

import pytest

from walras.envs.tabular import cached_game

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "tabular.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([a-z_]+(?:\([^)]*\))?)`[^|]*\| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", PAGE, re.MULTILINE)


def test_the_blocks_run_in_their_order(capsys):
    names = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "tabular.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "9457 936 2184" in printed and "more than 20000000" in printed and "Discrete(13) Discrete(2)" in printed


@pytest.mark.parametrize(("name", "nodes", "infostates", "slots"), ROWS)
def test_the_sizes_are_those_of_the_compiled_games(name, nodes, infostates, slots):
    flat = cached_game(name)
    assert [f"{count:,}" for count in (flat.n_nodes, flat.n_infostates, flat.n_slots)] == [nodes, infostates, slots]


def test_the_table_of_sizes_is_found():
    assert len(ROWS) == 7
