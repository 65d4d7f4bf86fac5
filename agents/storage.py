"""Arrays and their description in one safetensors file, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from walras.envs.game import Array

_DESCRIPTION = "walras"


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
    """Write `arrays` as the tensors of a safetensors file and the JSON-able `facts` in its header.

    Args:
        path: file to write; an existing one is replaced.
        kind: what the file holds; `load_arrays` asks for the same.
        arrays: name -> array of numbers.
        facts: everything that is not an array.

    Raises:
        ValueError: if an array is not one of numbers.
        FileNotFoundError: if the folder does not exist.
    """
    from safetensors.numpy import save

    for name, value in arrays.items():
        if value.dtype.kind not in "biuf":
            raise ValueError(f"arrays[{name!r}]: an array of numbers is needed, got one of {value.dtype}")
    whole = {name: np.asarray(value, order="C") for name, value in arrays.items()}
    said = {"kind": kind, "facts": dict(facts or {})}
    # One entry in the header: several would come in an order of their own, and equal files would differ.
    content = save(whole, {_DESCRIPTION: json.dumps(said | {"digest": _digest(said, whole)})})

    def write(file: IO[bytes]) -> None:
        file.write(content)

    write_whole(path, write)


def load_arrays(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """What `save_arrays` wrote, exactly: the arrays and the facts. Nothing in the file is executed.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not such a one, is damaged, or holds another kind.
    """
    from safetensors import SafetensorError, safe_open

    name = os.fspath(path)
    if not os.path.exists(name):
        raise FileNotFoundError(f"path: there is no file {name!r}")
    try:
        with safe_open(name, framework="numpy") as file:
            said = json.loads((file.metadata() or {})[_DESCRIPTION])
            arrays = {key: np.asarray(file.get_tensor(key)) for key in file.keys()}
        if said["kind"] != kind:
            raise ValueError(f"it holds {said['kind']!r}")
        if said.pop("digest") != _digest(said, arrays):
            raise ValueError("its digest is wrong")
        facts: dict[str, Any] = said["facts"]
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"path: {name!r} is not a whole file of kind {kind!r}: {error}") from error
    return arrays, facts


def kind_of(path: str | os.PathLike[str]) -> str:
    """What a file written by `save_arrays` says it holds.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not such a one.
    """
    from safetensors import SafetensorError, safe_open

    name = os.fspath(path)
    if not os.path.exists(name):
        raise FileNotFoundError(f"path: there is no file {name!r}")
    try:
        with safe_open(name, framework="numpy") as file:
            return str(json.loads((file.metadata() or {})[_DESCRIPTION])["kind"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"path: {name!r} is not a whole file of walras: {error}") from error


def layer_arrays(weights: Sequence[Array], biases: Sequence[Array]) -> dict[str, Array]:
    """The layers of a network under the names that files give them."""
    arrays = {f"layer.{k}.weight": matrix for k, matrix in enumerate(weights)}
    return arrays | {f"layer.{k}.bias": bias for k, bias in enumerate(biases)}


def layers_of(arrays: Mapping[str, Array], count: int) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Weights and biases of `count` layers from the arrays of a file.

    Raises:
        KeyError: one is missing.
    """
    weights = tuple(arrays[f"layer.{k}.weight"] for k in range(count))
    return weights, tuple(arrays[f"layer.{k}.bias"] for k in range(count))


def _digest(said: Mapping[str, Any], arrays: Mapping[str, Array]) -> str:
    digest = hashlib.sha256(json.dumps(said).encode())
    for name in sorted(arrays):
        value = arrays[name]
        digest.update(f"{name} {value.dtype.str} {value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
