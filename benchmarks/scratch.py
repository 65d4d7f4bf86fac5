"""Where an unfinished run may keep its standing, so that it goes on there: a folder named by an environment variable.

Workers inherit the environment of the process that starts them; without the variable nothing is kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "WALRAS_UNFINISHED"


@contextmanager
def kept_in(folder: Path) -> Iterator[None]:
    """Let runs that are started inside the block keep their standing in `folder` (made when first written to)."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(folder.resolve())
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = before


def standing(name: str) -> Path | None:
    """The file in which the run of that name keeps its standing, its folder made; `None` where nothing is kept."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        return None
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    return path / name
