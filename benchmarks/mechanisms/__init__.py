"""Trained mechanisms that are kept with the package; each file says which call and seed made it.

Read one by `walras.agents.mechanism_files.load_mechanism(stored(name))`, its history by `about`; or let the designer
`walras.agents.designers.FromFile` commit to it.
"""

from __future__ import annotations

from pathlib import Path


def stored(name: str) -> Path:
    """The file of the trained mechanism of that name.

    Raises:
        KeyError: if there is none.
    """
    known = list_stored()
    if name not in known:
        raise KeyError(f"name: {name!r} is not one of {sorted(known)}")
    return known[name]


def list_stored() -> dict[str, Path]:
    """The files by name (the file's name without its suffix)."""
    return {path.stem: path for path in sorted(Path(__file__).parent.iterdir()) if path.suffix in _SUFFIXES}


_SUFFIXES = (".json", ".safetensors")
