"""Numbers and switches that users give: checked in one place, refused by name."""

from __future__ import annotations

import math

import numpy as np


def whole(name: str, number: object, least: int = 1) -> int:
    """`number`, an integer of Python or numpy, as an `int`.

    Raises:
        ValueError: naming `name`, if it is no integer or below `least`.
    """
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {number!r}")
    return int(number)


def real(name: str, number: object, least: float = -math.inf, most: float = math.inf, *, above: bool = False) -> float:
    """`number`, finite and within [least, most] (with `above`: larger than `least`), as a `float`.

    Raises:
        ValueError: naming `name`, if it is no such number.
    """
    if not isinstance(number, bool) and isinstance(number, int | float | np.integer | np.floating):
        given = float(number)
        if math.isfinite(given) and least <= given <= most and not (above and given == least):
            return given
    room = f"above {least:g}" if above else f"of at least {least:g}" if least > -math.inf else ""
    room += " and" * bool(room and most < math.inf) + f" at most {most:g}" * (most < math.inf)
    raise ValueError(f"{name} must be a finite number{' ' * bool(room)}{room.strip()}, got {number!r}")


def switch(name: str, given: object) -> bool:
    """`given`, True or False.

    Raises:
        ValueError: naming `name`, if it is neither.
    """
    if not isinstance(given, bool | np.bool_):
        raise ValueError(f"{name} must be True or False, got {given!r}")
    return bool(given)
