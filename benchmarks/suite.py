"""A benchmark suite as data: cases, metrics, and what the numbers are held against.

A `Suite` says what is measured and against what; it imports nothing of what it measures. The code of a case is named
by a string `"module:function"` and is imported only in the process that runs it. A run function has the signature

    run(seed: int, progress: Progress, **params) -> Outcome

where `progress(fraction, text)` may be called at any time with a fraction in [0, 1], and one seed must give one
outcome (timings aside).
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

if TYPE_CHECKING:
    import numpy.typing as npt

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""A value that JSON can hold."""

Progress: TypeAlias = Callable[[float, str], None]
"""`progress(fraction, text)`: how far a run is, as a fraction in [0, 1], and what it is doing."""

Cost: TypeAlias = Literal["seconds", "minutes", "hour", "gpu"]
"""What one seed of a case costs on one CPU core (`gpu`: it needs a CUDA device)."""

Better: TypeAlias = Literal["higher", "lower", "none"]
MetricKind: TypeAlias = Literal["value", "timing"]
KnownKind: TypeAlias = Literal["optimum", "equilibrium", "bound", "identity"]

SuiteStatus: TypeAlias = Literal["verified", "runs", "known issue"]

COSTS: tuple[Cost, ...] = get_args(Cost)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_ENTRY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def closest(name: str, known: Iterable[str]) -> str:
    """Return `" (did you mean 'x'?)"` for the known name nearest to `name`, or an empty string."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {matches[0]!r}?)" if matches else ""


def _check_name(what: str, name: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"{what} name must be letters, digits and . _ + - and start with a letter or digit, got {name!r}"
        )


def _check_entry(what: str, entry: str) -> None:
    if not isinstance(entry, str) or not _ENTRY.fullmatch(entry):
        raise ValueError(f"{what} must be written 'package.module:function', got {entry!r}")


def _check_choice(what: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{what} must be one of {', '.join(allowed)}, got {value!r}")


def _check_number(what: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{what} must be a finite number, got {value!r}")


@dataclass(frozen=True)
class Metric:
    """A number that cases report.

    Attributes:
        name: Key in `Outcome.metrics`.
        unit: Unit printed behind the number, empty for a pure number.
        better: Whether higher or lower values are better, or neither.
        kind: `"timing"` for anything that depends on the clock: such metrics are left out of bit-for-bit comparisons.
        description: One sentence for the report.
    """

    name: str
    unit: str = ""
    better: Better = "none"
    kind: MetricKind = "value"
    description: str = ""

    def __post_init__(self) -> None:
        """Check the fields.

        Raises:
            ValueError: For a bad name, `better` or `kind`.
        """
        _check_name("metric", self.name)
        _check_choice(f"better of metric {self.name!r}", self.better, get_args(Better))
        _check_choice(f"kind of metric {self.name!r}", self.kind, get_args(MetricKind))


@dataclass(frozen=True)
class Case:
    """One thing to run, for each of several seeds.

    Attributes:
        name: Name within the suite.
        run: The run function as `"module:function"`.
        params: Keyword arguments of the run function, JSON values only. Part of the case's identity: a stored result
            of other parameters is not reused.
        cost: Cost class of one seed.
        seeds: Number of seeds run by default; the seeds are 0, 1, ..., seeds - 1.
        requires: Import names of optional packages without which the case is skipped (and reported as skipped).
        description: One sentence for the report.
        peer_of: The case this one is measured beside: its numbers appear in the peer column of that case.
    """

    name: str
    run: str
    params: Mapping[str, Json] = field(default_factory=dict)
    cost: Cost = "seconds"
    seeds: int = 1
    requires: tuple[str, ...] = ()
    description: str = ""
    peer_of: str | None = None

    def __post_init__(self) -> None:
        """Check the fields and keep a JSON copy of the parameters.

        Raises:
            ValueError: For a bad name, entry, cost or number of seeds, or for parameters that are no JSON values.
        """
        _check_name("case", self.name)
        _check_entry(f"run of case {self.name!r}", self.run)
        _check_choice(f"cost of case {self.name!r}", self.cost, COSTS)
        if isinstance(self.seeds, bool) or not isinstance(self.seeds, int) or self.seeds < 1:
            raise ValueError(f"seeds of case {self.name!r} must be an integer >= 1, got {self.seeds!r}")
        if isinstance(self.requires, str):
            raise ValueError(f"requires of case {self.name!r} must be a tuple of import names, got {self.requires!r}")
        try:
            copy = json.loads(json.dumps(dict(self.params), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise ValueError(f"params of case {self.name!r} must be JSON values: {error}") from error
        reserved = sorted({"seed", "progress"} & set(copy))
        if reserved:
            raise ValueError(
                f"params of case {self.name!r} must not contain {', '.join(reserved)}: the runner passes them"
            )
        object.__setattr__(self, "params", copy)
        object.__setattr__(self, "requires", tuple(self.requires))


@dataclass(frozen=True)
class Published:
    """A number printed in a paper or by another program for the same case and metric, with its source."""

    case: str
    metric: str
    value: float
    source: str
    note: str = ""

    def __post_init__(self) -> None:
        """Check the value (ValueError unless it is a finite number)."""
        _check_number(f"published value of {self.case}/{self.metric}", self.value)


@dataclass(frozen=True)
class Known:
    """A value that theory gives: the truth column.

    Attributes:
        case: Name of the case.
        metric: Name of the metric.
        value: The true value, in the metric's unit.
        source: Book, chapter, proposition, or arXiv id.
        kind: `"optimum"`, `"equilibrium"` and `"identity"` are values to be met, `"bound"` is one not to be passed
            (from below where higher is better, from above where lower is better).
        tolerance: Largest allowed absolute distance (for a bound: how far it may be passed); None for no verdict.
    """

    case: str
    metric: str
    value: float
    source: str
    kind: KnownKind = "optimum"
    tolerance: float | None = None

    def __post_init__(self) -> None:
        """Check value, kind and tolerance (ValueError otherwise)."""
        where = f"{self.case}/{self.metric}"
        _check_number(f"known value of {where}", self.value)
        _check_choice(f"kind of the known value of {where}", self.kind, get_args(KnownKind))
        if self.tolerance is not None:
            _check_number(f"tolerance of {where}", self.tolerance)
            if self.tolerance < 0:
                raise ValueError(f"tolerance of {where} must be >= 0, got {self.tolerance}")

    def met(self, value: float, better: Better) -> bool | None:
        """Say whether `value` agrees with this truth, or None where no tolerance is given or `value` is not finite."""
        if self.tolerance is None or not math.isfinite(value):
            return None
        if self.kind != "bound":
            return abs(value - self.value) <= self.tolerance
        if better == "lower":
            return value >= self.value - self.tolerance
        return value <= self.value + self.tolerance


@dataclass(frozen=True)
class Target:
    """A required figure: the report prints `reached` or `short`.

    Attributes:
        case: Name of the case.
        metric: Name of the metric.
        at_least: Lower bound of the mean over seeds, or None.
        at_most: Upper bound of the mean over seeds, or None.
        text: The requirement in words.
        relative_to: Name of another case: the bounds are then bounds of the ratio of the two cases' means of this
            metric.
    """

    case: str
    metric: str
    at_least: float | None = None
    at_most: float | None = None
    text: str = ""
    relative_to: str | None = None

    def __post_init__(self) -> None:
        """Check the bounds (ValueError where there is none, or one that is not finite)."""
        where = f"target of {self.case}/{self.metric}"
        if self.at_least is None and self.at_most is None:
            raise ValueError(f"{where} needs at_least or at_most")
        for name, bound in (("at_least", self.at_least), ("at_most", self.at_most)):
            if bound is not None:
                _check_number(f"{name} in the {where}", bound)

    def reached(self, value: float | None) -> bool | None:
        """Say whether `value` (a mean, or a ratio of means) satisfies the bounds; None where there is no value."""
        if value is None or not math.isfinite(value):
            return None
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


@dataclass(frozen=True)
class Picture:
    """A picture of the report.

    Attributes:
        name: Name within the suite.
        title: Caption.
        draw: The drawing function as `"module:function"`, called as `draw(figure, results)` with an empty
            `matplotlib.figure.Figure` and a mapping from case name to the finished `Record`s of its seeds, in the
            order of the seeds (each with `metrics`, `curves`, `arrays`). Cases without results are absent from the
            mapping.
        cases: Names of the cases whose results it needs.
        size: Width and height in inches.
    """

    name: str
    title: str
    draw: str
    cases: tuple[str, ...]
    size: tuple[float, float] = (6.0, 3.2)

    def __post_init__(self) -> None:
        """Check the fields (ValueError otherwise)."""
        _check_name("picture", self.name)
        _check_entry(f"draw of picture {self.name!r}", self.draw)
        if isinstance(self.cases, str) or not self.cases:
            raise ValueError(
                f"cases of picture {self.name!r} must be a non-empty tuple of case names, got {self.cases!r}"
            )
        object.__setattr__(self, "cases", tuple(self.cases))


@dataclass(frozen=True)
class Curve:
    """A curve: `y` over `x`, two sequences of the same length.

    The report draws curves of one name from several cases into one chart; a curve named like a metric gets the
    metric's truth and published value as lines.
    """

    x: Sequence[float] | npt.NDArray[Any]
    y: Sequence[float] | npt.NDArray[Any]
    x_label: str = ""
    y_label: str = ""


@dataclass(frozen=True)
class Outcome:
    """What one run of one case gives.

    Attributes:
        metrics: Metric name to number; every name must be declared by the suite.
        curves: Curves for the report, such as learning curves. They must not depend on the clock.
        arrays: Numbers for the pictures, as nested lists or arrays. They must not depend on the clock.
    """

    metrics: Mapping[str, float]
    curves: Mapping[str, Curve] = field(default_factory=dict)
    arrays: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Suite:
    """A benchmark suite: what is measured, how, and what it is held against.

    Its status is `"verified"` where its rows are held against truths or required figures, `"runs"` where they are only
    measured, `"known issue"` where something in it is known to be wrong (its description says what).

    Raises:
        ValueError: For a status that is unknown, or `"verified"` without anything that the rows are held against.
        ValueError: For duplicate names and for references to cases or metrics that the suite does not have.
    """

    name: str
    title: str
    description: str
    cases: tuple[Case, ...]
    metrics: tuple[Metric, ...]
    published: tuple[Published, ...] = ()
    known: tuple[Known, ...] = ()
    targets: tuple[Target, ...] = ()
    pictures: tuple[Picture, ...] = ()
    status: SuiteStatus = "runs"

    def __post_init__(self) -> None:
        """Check names, status and references."""
        _check_name("suite", self.name)
        _check_choice(f"status of suite {self.name!r}", self.status, get_args(SuiteStatus))
        for name in ("cases", "metrics", "published", "known", "targets", "pictures"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not self.cases:
            raise ValueError(f"suite {self.name!r} has no cases")
        if self.status == "verified" and not (self.known or self.targets):
            raise ValueError(f"suite {self.name!r} is verified by nothing: it has neither known values nor targets")
        self._unique("case", [case.name for case in self.cases])
        self._unique("metric", [metric.name for metric in self.metrics])
        self._unique("picture", [picture.name for picture in self.pictures])
        for what, rows in (("published", self.published), ("known", self.known), ("targets", self.targets)):
            for row in cast("tuple[Published | Known | Target, ...]", rows):
                self._refer(f"{what} row", "case", row.case, [case.name for case in self.cases])
                self._refer(
                    f"{what} row of case {row.case!r}", "metric", row.metric, [metric.name for metric in self.metrics]
                )
        for target in self.targets:
            if target.relative_to is not None:
                self._refer(
                    f"target of case {target.case!r}", "case", target.relative_to, [case.name for case in self.cases]
                )
        for picture in self.pictures:
            for case_name in picture.cases:
                self._refer(f"picture {picture.name!r}", "case", case_name, [case.name for case in self.cases])
        for case in self.cases:
            if case.peer_of is not None:
                others = [other.name for other in self.cases if other.name != case.name]
                self._refer(f"peer_of of case {case.name!r}", "case", case.peer_of, others)

    def _unique(self, what: str, names: Sequence[str]) -> None:
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"suite {self.name!r} has two {what}s named {', '.join(map(repr, twice))}")

    def _refer(self, who: str, what: str, name: str, known: Sequence[str]) -> None:
        if name not in known:
            raise ValueError(
                f"suite {self.name!r}: {who} names the unknown {what} {name!r}{closest(name, known)}; "
                f"known: {', '.join(known)}"
            )

    def case(self, name: str) -> Case:
        """Return the case of that name.

        Raises:
            KeyError: If there is none.
        """
        for case in self.cases:
            if case.name == name:
                return case
        raise KeyError(
            f"suite {self.name!r} has no case {name!r}; it has {', '.join(case.name for case in self.cases)}"
        )

    def metric(self, name: str) -> Metric:
        """Return the metric of that name.

        Raises:
            KeyError: If there is none.
        """
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise KeyError(
            f"suite {self.name!r} has no metric {name!r}; it has {', '.join(metric.name for metric in self.metrics)}"
        )

    def peers(self, case: str) -> tuple[Case, ...]:
        """Return the cases measured beside `case`, in the order of the suite."""
        return tuple(other for other in self.cases if other.peer_of == case)

    def to_dict(self) -> dict[str, Any]:
        """Return the suite as JSON values."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Suite:
        """Return the suite whose `to_dict` is `plain`.

        Raises:
            TypeError: For an unknown or missing field.
            ValueError: For a wrong one.
        """
        kinds: dict[str, Callable[..., Any]] = {
            "cases": Case, "metrics": Metric, "published": Published, "known": Known, "targets": Target,
            "pictures": Picture,
        }  # fmt: skip
        parts = {name: tuple(kind(**fields) for fields in plain.get(name, ())) for name, kind in kinds.items()}
        return cls(**{**plain, **parts})
