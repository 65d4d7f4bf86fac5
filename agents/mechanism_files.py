"""Mechanisms in files: tables as safetensors with a JSON header, formulas as JSON. Nothing in a file is executed."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping
from typing import IO, Any

from walras.agents.storage import load_arrays, save_arrays, write_whole
from walras.envs.auctions.mechanisms import MECHANISMS, CoinMixture, Mechanism, mechanism_from_dict
from walras.envs.auctions.tables import Tables

KIND = "walras.Mechanism"

NETWORKS: dict[str, str] = {"RegretNetMechanism": "walras.agents.regretnet:RegretNetMechanism"}
"""Mechanisms that are networks, by class name: module and class, a `Tables`. Imported when a file asks for one."""


def save_mechanism(path: str | os.PathLike[str], mechanism: Mechanism, about: Mapping[str, Any] | None = None) -> None:
    """Write a mechanism.

    A path that ends in `.json` gets one JSON object (`Mechanism.to_dict`, and `about` beside it); every other a
    safetensors file.

    Args:
        path: file to write; an existing one is replaced.
        mechanism: one of `walras.envs.auctions.mechanisms.MECHANISMS`, or a network of `NETWORKS`.
        about: JSON-able facts to keep with it: the command and the seed that made it, its revenue.

    Raises:
        ValueError: if mechanisms of this class cannot be stored.
        FileNotFoundError: if the folder does not exist.
    """
    if os.fspath(path).endswith(".json"):
        _check_known(mechanism)
        record = mechanism.to_dict() | {"about": dict(about or {})}
        content = json.dumps(record, indent=1).encode() + b"\n"

        def write(file: IO[bytes]) -> None:
            file.write(content)

        write_whole(path, write)
        return
    arrays: dict[str, Any] = {}
    facts = _pack(mechanism, "", arrays)
    save_arrays(path, KIND, arrays, {"mechanism": facts, "about": dict(about or {})})


def load_mechanism(path: str | os.PathLike[str]) -> Mechanism:
    """The mechanism that `save_mechanism` wrote, to the last bit; everything in it is checked again.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not such a one, is damaged, or holds numbers out of range.
    """
    return _read(path)[0]


def about(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The facts kept with a mechanism: how it was made.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not such a one.
    """
    return _read(path)[1]


def _read(path: str | os.PathLike[str]) -> tuple[Mechanism, dict[str, Any]]:
    name = os.fspath(path)
    if not os.path.isfile(name):
        raise FileNotFoundError(f"path: there is no file {name!r}")
    try:
        if name.endswith(".json"):
            with open(name, encoding="utf-8") as file:
                record = json.load(file)
            kept = dict(record.pop("about", {})) if isinstance(record, dict) else {}
            return _from_record(record), kept
        arrays, facts = load_arrays(path, KIND)
        return _unpack(facts["mechanism"], "", arrays), dict(facts["about"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"path: {name!r} holds no whole mechanism: {error}") from error


def _from_record(record: Any) -> Mechanism:
    """A mechanism from its dict, networks included."""
    kind = _network(record.get("mechanism")) if isinstance(record, dict) else None
    mechanism: Mechanism = mechanism_from_dict(record) if kind is None else kind.from_dict(record)
    return mechanism


def _network(name: Any) -> Any:
    """The class of `NETWORKS` of that name, if there is one."""
    if not isinstance(name, str) or name not in NETWORKS:
        return None
    module, _, attribute = NETWORKS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def _check_known(mechanism: Mechanism) -> None:
    name = type(mechanism).__name__
    if MECHANISMS.get(name) is not type(mechanism) and name not in NETWORKS:
        raise ValueError(f"mechanism: {name} cannot be stored; known are {sorted(MECHANISMS | NETWORKS)}")


def _pack(mechanism: Mechanism, prefix: str, arrays: dict[str, Any]) -> dict[str, Any]:
    """The facts of a mechanism; its arrays go into `arrays` under names that begin with `prefix`."""
    _check_known(mechanism)
    if isinstance(mechanism, CoinMixture):
        parts = [_pack(part, f"{prefix}{k}/", arrays) for k, part in enumerate(mechanism.mechanisms)]
        return {"mechanism": "CoinMixture", "mechanisms": parts, "weights": list(mechanism.weights)}
    if isinstance(mechanism, Tables):
        own, facts = mechanism.to_arrays()
        arrays.update({prefix + name: array for name, array in own.items()})
        return {"mechanism": type(mechanism).__name__, "facts": facts}
    return mechanism.to_dict()


def _unpack(record: Mapping[str, Any], prefix: str, arrays: Mapping[str, Any]) -> Mechanism:
    name = record["mechanism"]
    if name == "CoinMixture":
        parts = [_unpack(part, f"{prefix}{k}/", arrays) for k, part in enumerate(record["mechanisms"])]
        return CoinMixture(tuple(parts), tuple(record["weights"]))
    kind: Any = MECHANISMS.get(name) or _network(name)
    if kind is not None and issubclass(kind, Tables):
        own = {key[len(prefix) :]: array for key, array in arrays.items() if key.startswith(prefix)}
        mechanism: Mechanism = kind.from_arrays(own, record["facts"])
        return mechanism
    return mechanism_from_dict(record)
