"""Arrays and their description in one file without pickle, written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from walras.envs.game import Array

_DESCRIPTION = "walras.json"


def write_whole(path: str | os.PathLike[str], write: Callable[[IO[bytes]], None]) -> None:
    """Let `write` fill a file beside `path`, then put it in place: readers see the old file or the new, never a part.

    Raises:
        FileNotFoundError: if the folder does not exist.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"path: the folder {target.parent} does not exist")
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)  # an interruption may come when the file is in place already
        raise


def save_arrays(
    path: str | os.PathLike[str], kind: str, arrays: Mapping[str, Array], facts: Mapping[str, Any] | None = None
) -> None:
    """Write `arrays` and the JSON-able `facts` as a numpy `.npz` archive.

    Args:
        path: file to write; an existing one is replaced.
        kind: what the file holds; `load_arrays` asks for the same.
        arrays: name -> array of numbers.
        facts: everything that is not an array.
    """
    text = json.dumps({"kind": kind, "facts": dict(facts or {})})
    content: dict[str, Any] = {_DESCRIPTION: np.array(text), **arrays}
    write_whole(path, lambda file: np.savez(file, allow_pickle=False, **content))


def load_arrays(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """What `save_arrays` wrote, exactly: the arrays and the facts.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not such an archive, is damaged, or holds another kind.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        description = json.loads(str(arrays.pop(_DESCRIPTION)))
        found, facts = description["kind"], description["facts"]
    except FileNotFoundError:
        raise
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, EOFError, TypeError, AttributeError) as error:
        raise ValueError(f"path: {os.fspath(path)!r} is not a whole file of kind {kind!r}: {error}") from error
    if found != kind:
        raise ValueError(f"path: {os.fspath(path)!r} holds {found!r}, {kind!r} needed")
    return arrays, facts
