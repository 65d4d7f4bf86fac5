"""Mechanisms that were learned here and kept, each beside its certificate.

The file `NAME.safetensors` holds the mechanism and, under `about`, the command and the seed that made it;
`NAME.certificate.json` is what `walras certify` printed for it.
"""

from __future__ import annotations

from importlib.resources import as_file, files

from walras.agents.mechanism_files import load_mechanism
from walras.envs.auctions.mechanism import Mechanism

_MECHANISM = ".safetensors"


def trained_names() -> tuple[str, ...]:
    """Names of the kept mechanisms, sorted."""
    return tuple(
        sorted(entry.name.removesuffix(_MECHANISM) for entry in files(__name__).iterdir() if _MECHANISM in entry.name)
    )


def trained(name: str) -> Mechanism:
    """The kept mechanism of this name.

    Raises:
        ValueError: if there is none.
    """
    if name not in trained_names():
        raise ValueError(f"name: must be one of {trained_names()}, got {name!r}")
    with as_file(files(__name__) / f"{name}{_MECHANISM}") as path:
        return load_mechanism(path)
