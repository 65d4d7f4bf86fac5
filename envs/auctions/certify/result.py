"""What a certifier says about a mechanism, and how it is written down."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, TypeAlias

Progress: TypeAlias = Callable[[float], None]  # is told the share of the work done, in [0, 1]

CERTIFIED, REFUTED, UNDECIDED = "certified", "refuted", "undecided"
STATUSES = (CERTIFIED, REFUTED, UNDECIDED)


@dataclasses.dataclass(frozen=True)
class Counterexample:
    """A profile at which the mechanism breaks a promise, in exact numbers.

    Attributes:
        promise: "feasible", "truthful", "individually rational" or "own report": which one.
        values: (n, m) true values.
        reports: (n, m) what is reported; equal to `values` unless somebody gains by another report.
        bidder: who gains or loses; None when the allocation does not fit.
        amount: how far: promised amount beyond 1 of an item, gain by the false report, or loss.
        text: one sentence.
    """

    promise: str
    values: tuple[tuple[Fraction, ...], ...]
    reports: tuple[tuple[Fraction, ...], ...]
    bidder: int | None
    amount: Fraction
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; numbers as doubles, and as fractions where a double does not hold them."""
        return {
            "promise": self.promise,
            "values": [[_number(x) for x in row] for row in self.values],
            "reports": [[_number(x) for x in row] for row in self.reports],
            "bidder": self.bidder,
            "amount": _number(self.amount),
            "text": self.text,
        }


@dataclasses.dataclass(frozen=True)
class Certificate:
    """The verdict on one mechanism.

    Attributes:
        kind: class of the mechanism.
        status: "certified": truthful, individually rational and feasible at every profile of values; "refuted": a
            counterexample is given; "undecided": neither was shown.
        method: how, in one line.
        reason: why not certified, in one line; empty when it is.
        counterexample: for "refuted".
        margin: smallest amount, in units of value, by which an excluded choice was beaten; None where nothing had to
            be excluded or the kind has none.
        undecided: share of the space of value profiles that was left open, in [0, 1].
        counts: what was looked at and how it was settled.
        parts: certificates of the parts of a mixture.
        cpu_seconds: processor time that it took.
        digest: SHA-256 of the mechanism's numbers, so that the verdict can be matched with a file.
    """

    kind: str
    status: str
    method: str
    reason: str = ""
    counterexample: Counterexample | None = None
    margin: float | None = None
    undecided: float = 0.0
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    parts: tuple[Certificate, ...] = ()
    cpu_seconds: float = 0.0
    digest: str = ""

    def __post_init__(self) -> None:
        """Check the status."""
        if self.status not in STATUSES:
            raise ValueError(f"status: must be one of {STATUSES}, got {self.status!r}")

    @property
    def exit_status(self) -> int:
        """0 certified, 1 refuted, 2 undecided."""
        return STATUSES.index(self.status)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        record = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        record["counterexample"] = None if self.counterexample is None else self.counterexample.to_dict()
        record["counts"] = dict(self.counts)
        record["parts"] = [part.to_dict() for part in self.parts]
        return record

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(self.to_dict(), indent=2)

    def lines(self, indent: str = "") -> list[str]:
        """What a person reads."""
        text = [f"{indent}{self.kind}: {self.status}", f"{indent}  how: {self.method}"]
        if self.reason:
            text.append(f"{indent}  why: {self.reason}")
        if self.counterexample is not None:
            found = self.counterexample
            text.append(f"{indent}  {found.promise}: {found.text}")
            text.append(f"{indent}  values: {_grid(found.values)}")
            if found.reports != found.values:
                text.append(f"{indent}  reports: {_grid(found.reports)}")
        if self.margin is not None:
            text.append(f"{indent}  smallest margin: {self.margin:.3g}")
        if self.undecided:
            text.append(f"{indent}  undecided share of the value space: {self.undecided:.3g}")
        text += [f"{indent}  {name}: {count:,}" for name, count in self.counts.items()]
        for part in self.parts:
            text += part.lines(indent + "  ")
        if not indent:
            text.append(f"  {self.cpu_seconds:.2f} CPU-s" + (f"; sha256 {self.digest}" if self.digest else ""))
        return text


def _number(x: Fraction) -> float | str:
    """A double where it is exact, else "p/q"."""
    return float(x) if Fraction(float(x)) == x else str(x)


def _grid(rows: tuple[tuple[Fraction, ...], ...]) -> str:
    return "; ".join("(" + ", ".join(f"{float(x):.10g}" for x in row) + ")" for row in rows)
