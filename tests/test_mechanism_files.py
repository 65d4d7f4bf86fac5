"""Mechanisms survive a file to the last bit, and files that are not what they say are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from walras.agents import mechanism_files
from walras.agents.mechanism_files import load_mechanism, save_mechanism
from walras.envs.auctions.cell_menus import CellMenus, grid_cuts
from walras.envs.auctions.mechanisms import AMA, VCG, CoinMixture, Mechanism, OutcomeTable, PostedMenu
from walras.envs.auctions.simplex_menus import SimplexMenus
from walras.envs.auctions.tables import dyadic


def simplex_menus(seed: int = 0) -> SimplexMenus:
    rng = np.random.default_rng(seed)
    prices, amounts = dyadic(rng.random((2, 16, 4))), dyadic(rng.random((5, 4)))
    prices[..., 0] = amounts[:, 0] = 0.0
    options = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
    return SimplexMenus(np.zeros((2, 2)), np.ones((2, 2)), options, prices, 3, ((), ((1, [0, 3, 7, 20, 71], amounts),)))


def cell_menus() -> CellMenus:
    prices = np.array([[0.0, 0.5], [0.0, 0.75]])
    options = np.array([[[0.0], [1.0]]] * 2)
    return CellMenus(grid_cuts([[0.0], [0.0]], [[1.0], [1.0]], 2), (options, options), (prices, prices))


def outcome_table() -> OutcomeTable:
    types = np.array([[1.0], [2.0]])
    return OutcomeTable((types,), np.array([[[0.0]], [[1.0]]]), np.array([[0.0], [2.0]]))


MECHANISMS = {
    "simplex menus": simplex_menus(),
    "cell menus": cell_menus(),
    "outcome table": outcome_table(),
    "affine maximiser": AMA.symmetric_2x2(0.636, 0.91, 1.137),
    "posted menu": PostedMenu(((1.0, 0.25),), (0.625,)),
    "vcg": VCG(),
    "mixture": CoinMixture.even(simplex_menus(1), CoinMixture.even(simplex_menus(2), AMA.symmetric_2x2(0.5, 1, 1))),
}


@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
@pytest.mark.parametrize("mechanism", MECHANISMS.values(), ids=MECHANISMS.keys())
def test_a_mechanism_survives_a_file(mechanism: Mechanism, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"mechanism{suffix}"
    save_mechanism(path, mechanism, {"seed": 7})
    again = load_mechanism(path)
    assert again == mechanism
    assert hash(again) == hash(mechanism)
    assert mechanism_files.about(path) == {"seed": 7}


def test_equal_mechanisms_make_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_mechanism(tmp_path / name, simplex_menus())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_mechanism_of_an_unknown_class_is_not_stored(tmp_path: Path) -> None:
    class Mine(VCG):
        pass

    for name in ("a.json", "a.safetensors"):
        with pytest.raises(ValueError, match="Mine cannot be stored"):
            save_mechanism(tmp_path / name, Mine())


def test_files_that_hold_no_mechanism_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_mechanism(tmp_path / "none.safetensors")
    for name, content in (("a.json", b"[1]"), ("b.json", b"{"), ("c.safetensors", b"abc")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="holds no whole mechanism"):
            load_mechanism(tmp_path / name)


def test_numbers_are_checked_when_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    save_mechanism(path, simplex_menus())
    record = json.loads(path.read_text())
    record["arrays"]["prices"]["entries"][0] = 0.5  # the null option costs something
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match="null option"):
        load_mechanism(path)
    record["arrays"]["prices"]["entries"][0] = 0.0
    record["arrays"]["prices"]["entries"][1] = 1 / 3
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match="multiples of 2"):
        load_mechanism(path)
