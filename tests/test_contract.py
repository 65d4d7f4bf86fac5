"""Every registered game keeps the contract: each check of `walras.envs.check`, one test for each game."""

import pytest

import walras
from walras.envs.check import CHECKS


@pytest.mark.parametrize("id", [spec.id for spec in walras.specs()])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_game(check, id):
    check(id)
