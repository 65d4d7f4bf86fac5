"""Counts that users give: checked in one place, refused by name."""

from __future__ import annotations

import numpy as np


def whole(name: str, number: object, least: int = 1) -> int:
    """`number`, an integer of Python or numpy, as an `int`.

    Raises:
        ValueError: naming `name`, if it is no integer or below `least`.
    """
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {number!r}")
    return int(number)
