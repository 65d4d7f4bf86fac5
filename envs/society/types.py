"""What people care about: selfishness, and how far they take the policy's payments to heart.

Section 3.2 of the SED authors' code (arXiv 2402.14090, `__main__.py`): with raw rewards r, net payments and the set J
of the others whom i sees,

    intrinsic_i = s_i r_i + (1 - s_i) sum_{j in J_i} r_j
    extrinsic_i = r_i - net_i
    reward_i    = v_i extrinsic_i + (1 - v_i) intrinsic_i

A type is (ballot b, selfishness s, trust v), all in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from walras.envs.game import Array

PRESETS: dict[str, tuple[float, float] | None] = {
    "selfish": (1.0, 1.0),
    "altruist": (0.0, 1.0),
    "aligned": (0.5, 1.0),
    "tax-blind": (1.0, 0.0),
    "random": None,
}
"""(selfishness, trust) of everybody; `random`: both drawn from U[0, 1], as in the authors' code."""


def draw_types(given: str | Sequence[Sequence[float]] | Array, u: Array) -> Array:
    """(B, n, 3) types: ballots always drawn, the rest by preset or as given.

    Args:
        given: a preset, or one (b, s, v) for each person.
        u: (B, n, 3) uniforms.
    """
    if not isinstance(given, str):
        return np.broadcast_to(np.asarray(given, np.float64), u.shape).copy()
    types = np.array(u, np.float64)
    preset = PRESETS[given]
    if preset is not None:
        types[..., 1:] = preset
    return types


def check_types(given: Any, people: int) -> str | tuple[tuple[float, ...], ...]:
    """A preset's name, or checked triples.

    Raises:
        ValueError: if it is neither.
    """
    if isinstance(given, str):
        if given not in PRESETS:
            raise ValueError(
                f"types must be one of {sorted(PRESETS)} or (ballot, selfishness, trust) rows, got {given!r}"
            )
        return given
    rows = np.asarray(given, np.float64)
    if rows.shape != (people, 3) or not ((rows >= 0) & (rows <= 1)).all():
        raise ValueError(f"types: {people} rows (ballot, selfishness, trust) in [0, 1] are needed, got {given!r}")
    return tuple(map(tuple, rows.tolist()))


def mixed_reward(raw: Array, extrinsic: Array, types: Array, nearby: Array | None = None) -> Array:
    """What people feel (..., n).

    Args:
        raw: (..., n) rewards before any policy.
        extrinsic: (..., n) rewards after it.
        types: (..., n, 3).
        nearby: (..., n, n) bool, whom each sees (the own entry is ignored); `None`: nobody.
    """
    selfish, trust = types[..., 1], types[..., 2]
    others = np.zeros_like(raw)
    if nearby is not None:
        seen = nearby & ~np.eye(raw.shape[-1], dtype=bool)
        others = (seen * raw[..., None, :]).sum(axis=-1)
    intrinsic = selfish * raw + (1.0 - selfish) * others
    return np.asarray(trust * extrinsic + (1.0 - trust) * intrinsic)
