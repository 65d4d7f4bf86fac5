"""Every registered game keeps the contract: each check of `walras.envs.check`, one test for each game."""

import pytest

import walras
from walras.envs.check import CHECKS

SHORTER = {
    "walras/TaxCommons-v0": {
        "steps": 20, "design_every": 10, "levers": [{"lever": "period-tax", "edges": [1, 2], "period": 10}],
    },
    "walras/CommonsHarvest-v0": {"horizon": 60},
    "walras/FixedSpawnHarvest-v0": {"horizon": 60},
}  # fmt: skip
"""Parameters with which long games of many agents have all their parts in fewer steps."""


@pytest.mark.parametrize("id", [spec.id for spec in walras.specs()])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_game(check, id):
    check(walras.make(id, **SHORTER[id]) if id in SHORTER else id)
