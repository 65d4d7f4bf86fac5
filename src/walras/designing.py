"""The command `walras design`: learn an auction, make it compatible, certify it, and keep both."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, Annotated

import tyro


def design(
    setting: Annotated[str, tyro.conf.Positional],
    /,
    *,
    seed: int = 0,
    out: Path = Path("out/design"),
    draws: int = 10_000_000,
) -> int:
    """Design a sealed-bid auction by GemNet: menus are learned, transformed, and certified; an interrupted one resumes.

    Exit status: 0 certified, 1 not certified, 2 wrong request, 130 interrupted.

    Args:
        setting: Name of the setting, as "2x2"; a wrong one lists all.
        seed: Seed of the learning.
        out: Folder of the mechanism, its certificate, and the state of the learning.
        draws: Fresh profiles on which revenue is measured where it is not integrated.
    """
    import numpy as np
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from walras.agents.mechanism_files import save_mechanism
    from walras.agents.storage import write_whole
    from walras.algorithms.auctions.gemnet import DESIGNS
    from walras.algorithms.auctions.gemnet import design as learn
    from walras.envs.arguments import whole
    from walras.envs.auctions.simplex_revenue import revenue

    stem = f"{setting}-seed{seed}"
    try:
        if setting not in DESIGNS:
            raise ValueError(f"setting: must be one of {', '.join(sorted(DESIGNS))}, got {setting!r}")
        whole("draws", draws, 2)  # before anything is learned
        prior = DESIGNS[setting].prior
        out.mkdir(parents=True, exist_ok=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task("learning", total=1.0)
            found = learn(
                setting,
                seed=seed,
                checkpoint=out / f"{stem}.checkpoint",
                progress=lambda fraction, text: bar.update(task, completed=fraction, description=text),
            )
        measured = [revenue(m, prior, draws, np.random.default_rng(seed)) for m in (found.learned, found.mechanism)]
        about = {
            "command": f"walras design {setting} --seed {seed}",
            "revenue": measured[1]._asdict(),
            "revenue_before_transform": measured[0]._asdict(),
        }
        save_mechanism(out / f"{stem}.safetensors", found.mechanism, about)
        text = found.certificate.to_json() + "\n"
        write_whole(out / f"{stem}.certificate.json", lambda file: _write(file, text))
    except (ImportError, OSError, ValueError) as error:
        print(f"walras: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"walras: interrupted; the same command goes on from {out}", file=sys.stderr)
        return 130
    for name, earned in zip(("learned", "transformed"), measured, strict=True):
        print(f"{name:12} revenue {earned.mean:.6f} +- {earned.error:.1e}")
    print("CPU seconds  learning {:.0f}, transform {:.1f}, certificate {:.1f}".format(*found.seconds))
    print("\n".join(found.certificate.lines()))
    print(f"in {out / stem}.safetensors")
    return 0 if found.certificate.status == "certified" else 1


def _write(file: IO[bytes], text: str) -> None:
    file.write(text.encode())
