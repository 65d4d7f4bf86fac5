"""Policies from files, by the kind of file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from walras.envs.game import Policy


def load_policy(path: str | Path) -> Policy:
    """A policy that a learner saved: `.safetensors` holds a network, `.npz` a table. Nothing in the file is executed.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is of another kind or damaged.
    """
    from walras.agents.network import NetworkPolicy
    from walras.agents.tabular import TabularPolicy

    kinds: dict[str, Callable[[str | Path], Policy]] = {".safetensors": NetworkPolicy.load, ".npz": TabularPolicy.load}
    suffix = Path(path).suffix
    if suffix not in kinds:
        raise ValueError(f"path: {str(path)!r} must end in one of {sorted(kinds)}")
    return kinds[suffix](path)
