"""The contract every game keeps, as checks that anyone can run on their own game.

    from walras.envs.check import check_game
    check_game("mine/Market-v0")

or, in pytest, one named test for each check:

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_contract(check): check("mine/Market-v0")

A check takes an id or a game object, and raises if the game breaks it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

from walras.envs.checks import doors, libraries, purity, rules
from walras.envs.game import Game

Check = Callable[[str | Game[Any]], None]

CORE_CHECKS: tuple[Check, ...] = (
    rules.rules_have_the_stated_shapes,
    purity.nothing_is_changed_in_place,
    purity.episodes_come_to_an_end,
    rules.lanes_do_not_depend_on_the_batch,
    rules.snapshots_resume_exactly,
    rules.equilibria_play_inside_the_spaces,
    rules.finite_games_enumerate_chance,
    doors.doors_give_the_same_numbers,
    doors.the_vector_door_begins_lanes_anew,
    doors.games_and_doors_copy_and_pickle,
    doors.actions_that_do_not_fit_are_refused,
    doors.renders_as_text,
    libraries.passes_gymnasium_check_env,
    libraries.passes_pettingzoo_checks,
    libraries.specs_survive_json,
)
EXTRA_CHECKS: dict[str, tuple[Check, ...]] = {
    "matplotlib": (doors.renders_as_picture,),
    "stable_baselines3": (libraries.passes_sb3_check_env, doors.the_sb3_door_agrees),
    "pyspiel": (libraries.exports_to_openspiel,),
}
"""Checks that need an optional library, by the library's import name."""

CHECKS = (*CORE_CHECKS, *(check for checks in EXTRA_CHECKS.values() for check in checks))


def check_game(target: str | Game[Any]) -> tuple[str, ...]:
    """Run every check whose libraries are installed.

    Args:
        target: a registered id, or a game object (then the check of registries is vacuous).

    Returns:
        Names of the checks that could not run, each with the missing library.

    Raises:
        AssertionError, ValueError, ...: from the first check that fails, with a note that names it.
    """
    for check in CORE_CHECKS:
        _run(check, target)
    missing = []
    for module, checks in EXTRA_CHECKS.items():
        for check in checks:
            if importlib.util.find_spec(module) is None:
                missing.append(f"{check.__name__} (needs {module})")
            else:
                _run(check, target)
    return tuple(missing)


def _run(check: Check, target: str | Game[Any]) -> None:
    try:
        check(target)
    except Exception as error:
        error.add_note(f"while checking: {check.__name__}")
        raise
