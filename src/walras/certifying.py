"""The command `walras certify`: is a mechanism truthful, individually rational and feasible at every profile?"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]

WRONG = 3
"""Exit status of a request that cannot be decided about: 1 and 2 are verdicts."""

LOADERS: dict[str, str] = {"walras.Mechanism": "walras.agents.mechanism_files:load_mechanism"}
"""Who reads files of a kind (`walras.agents.storage.kind_of`): module and function, imported when first used."""


def certify(
    mechanism: Annotated[str, tyro.conf.Positional],
    /,
    *,
    json: Flag = False,
    ties: Flag = False,
    out: Path | None = None,
    bidders: int | None = None,
    items: int | None = None,
    low: float = 0.0,
    high: float = 1.0,
    seed: int = 0,
) -> int:
    """Certify a mechanism, refute it with a profile of values, or say what is left undecided.

    Exit status: 0 certified, 1 refuted, 2 undecided, 3 wrong request.

    Args:
        mechanism: The file of a mechanism, or code as `module:name`, which can only be refuted.
        json: Print one JSON object instead of text.
        ties: Prove it for exact arithmetic, ties to the lowest index; by default a margin covers the rounding too.
        out: Write the certificate as JSON into this file.
        bidders: Number of bidders, for code.
        items: Number of items, for code.
        low: Lowest value of an item, for code.
        high: Highest value of an item, for code.
        seed: Of the search, for code.
    """
    from walras.agents.storage import write_whole
    from walras.envs.auctions.certify import certify as decide
    from walras.envs.auctions.certify import needs_box

    try:
        found = _find(mechanism)
        settings: dict[str, Any] = {"robust": not ties}
        if needs_box(found):
            n, m = (getattr(found, name, None) if given is None else given for name, given in _sizes(bidders, items))
            if n is None or m is None:
                raise ValueError("bidders, items: both are needed for a mechanism known as code alone")
            settings |= {"low": [[low] * m] * n, "high": [[high] * m] * n, "seed": seed}
        with _Bar() as bar:
            certificate = decide(found, progress=bar, **settings)
        text = certificate.to_json() + "\n"
        if out is not None:
            write_whole(out, lambda file: _write(file, text))
    except (AttributeError, ImportError, OSError, TypeError, ValueError) as error:
        print(f"walras: {error}", file=sys.stderr)
        return WRONG
    except KeyboardInterrupt:
        print("walras: interrupted; nothing was decided", file=sys.stderr)
        return 130
    print(text if json else "\n".join(certificate.lines()), end="" if json else "\n")
    return certificate.exit_status


def _sizes(bidders: int | None, items: int | None) -> tuple[tuple[str, int | None], ...]:
    return ("bidders", bidders), ("items", items)


def _find(name: str) -> Any:
    """The mechanism in a file, or the object `module:name`."""
    from walras.agents.storage import kind_of

    if not Path(name).exists() and ":" in name:
        module, _, attribute = name.partition(":")
        sys.path.insert(0, "")  # a module of the current folder, as `python -m` finds it
        try:
            return getattr(importlib.import_module(module), attribute)
        finally:
            sys.path.remove("")
    kind = "walras.Mechanism" if name.endswith(".json") else kind_of(name)
    if kind not in LOADERS:
        raise ValueError(f"mechanism: {name!r} holds {kind!r}; one of {sorted(LOADERS)} is needed")
    module, _, attribute = LOADERS[kind].partition(":")
    load: Callable[[str], Any] = getattr(importlib.import_module(module), attribute)
    return load(name)


def _write(file: Any, text: str) -> None:
    file.write(text.encode())


class _Bar:
    """A progress bar on a terminal; what a certifier calls with the share of the work done."""

    def __enter__(self) -> Callable[[float], None]:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, disable=not sys.stderr.isatty(), transient=True)
        self._bar.start()
        task = self._bar.add_task("certifying", total=1.0)
        return lambda share: self._bar.update(task, completed=share)

    def __exit__(self, *error: object) -> None:
        self._bar.stop()
