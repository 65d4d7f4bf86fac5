"""Rows, one for each case and metric: ours beside what is published, what is true, the peers and what is required."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from walras.benchmarks.display import brief
from walras.benchmarks.statistics import mean_interval
from walras.benchmarks.store import Record, Store, code_version, fingerprint
from walras.benchmarks.suite import Case, Known, Metric, Published, Suite, Target

if TYPE_CHECKING:
    from rich.table import Table

Row: TypeAlias = dict[str, Any]


def case_records(
    store: Store, suite: str, case: Case, *, seeds: int | None = None, any_version: bool = False
) -> list[Record]:
    """Return the results of a case, with the parameters it has now, under the running code, sorted by seed.

    Args:
        store: Where the results are.
        suite: Name of the suite.
        case: The case; results of another run function or of other parameters are left out.
        seeds: Take seeds below this number only; None for all.
        any_version: Fall back on the newest other code version where the running code has no finished seed.
    """
    mark = fingerprint(case.run, case.params)
    records = store.records(suite, case.name, code_version(), mark)
    if any_version and not any(record.status == "done" for record in records):
        versions = store.versions(suite, case.name, mark)
        if versions:
            records = store.records(suite, case.name, versions[0], mark)
    return [record for record in records if seeds is None or record.seed < seeds]


def status_of(records: Sequence[Record], seeds: int) -> str:
    """Return `done`, `partial (3 of 5 seeds)`, `failed: ...`, `skipped: ...` or `not run`."""
    for kind in ("failed", "skipped"):
        for record in records:
            if record.status == kind:
                return f"{kind}: {brief(record)}"
    done = len(records)
    if done == 0:
        return "not run"
    return "done" if done >= seeds else f"partial ({done} of {seeds} seeds)"


def build_rows(
    suite: Suite,
    results: Mapping[str, Sequence[Record]],
    *,
    cases: Sequence[str] | None = None,
    seeds: int | None = None,
) -> list[Row]:
    """Return the rows of a suite, JSON values only (null where there is no number).

    Every case has a row for each metric that it reports or that something is published, known or required of; a case
    without any has one row whose metric is null.

    Args:
        suite: The suite.
        results: Case name to results, sorted by seed, from `case_records`; all of them are used.
        cases: The cases wanted; None for all.
        seeds: Number of seeds without which a case is partial; None for each case's own.

    Returns:
        Dicts with `suite, case, metric, unit, better, kind, value, ci_low, ci_high, published, publications, truth,
        truths, peer, peers, target, targets, reached, seeds, seconds, cost, status, code_version`. `value` is the
        mean over seeds, `ci_low` and `ci_high` its 95 % Student-t interval, `seconds` the wall time of all seeds of
        the case together.
    """
    done = {case: [record for record in records if record.status == "done"] for case, records in results.items()}
    rows: list[Row] = []
    for case in suite.cases:
        if cases is not None and case.name not in cases:
            continue
        ours = done.get(case.name, [])
        reported = {name for record in ours for name in record.metrics}
        references: tuple[Published | Known | Target, ...] = (*suite.published, *suite.known, *suite.targets)
        asked = {row.metric for row in references if row.case == case.name}
        base: Row = {
            "suite": suite.name,
            "case": case.name,
            "seeds": len(ours),
            "seconds": math.fsum(record.seconds for record in ours),
            "cost": case.cost,
            "status": status_of(results.get(case.name, []), seeds or case.seeds),
            "code_version": ours[0].code_version if ours else None,
        }
        metrics = [metric for metric in suite.metrics if metric.name in reported | asked]
        rows.extend(_row(suite, case, metric, done, base) for metric in metrics or (None,))
    return rows


def _mean(records: Sequence[Record], metric: str) -> dict[str, Any]:
    values = [record.metrics[metric] for record in records if metric in record.metrics]
    estimate = mean_interval(values)
    return {"value": _finite(estimate.mean), "ci_low": _finite(estimate.low), "ci_high": _finite(estimate.high)}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _row(suite: Suite, case: Case, metric: Metric | None, done: Mapping[str, Sequence[Record]], base: Row) -> Row:
    name = metric.name if metric else ""
    better = metric.better if metric else "none"
    ours = _mean(done.get(case.name, []), name)
    value: float | None = ours["value"]
    publications = [
        {"value": row.value, "source": row.source, "note": row.note}
        for row in suite.published
        if (row.case, row.metric) == (case.name, name)
    ]
    truths = [
        {
            "value": row.value,
            "source": row.source,
            "kind": row.kind,
            "tolerance": row.tolerance,
            "met": None if value is None else row.met(value, better),
        }
        for row in suite.known
        if (row.case, row.metric) == (case.name, name)
    ]
    peers = []
    for peer in suite.peers(case.name):
        theirs = _mean(done.get(peer.name, []), name)
        if theirs["value"] is not None:
            peers.append({"case": peer.name, **theirs, "ratio": _ratio(value, theirs["value"])})
    targets = [
        _target(target, value, done) for target in suite.targets if (target.case, target.metric) == (case.name, name)
    ]
    verdicts = [target["reached"] for target in targets]
    return {
        "suite": base["suite"],
        "case": base["case"],
        "metric": name or None,
        "unit": metric.unit if metric else "",
        "better": better,
        "kind": metric.kind if metric else "value",
        **ours,
        "published": publications[0]["value"] if publications else None,
        "truth": truths[0]["value"] if truths else None,
        "peer": peers[0]["value"] if peers else None,
        "target": "; ".join(target["text"] for target in targets) or None,
        "reached": None if not verdicts or None in verdicts else all(verdicts),
        **{key: base[key] for key in ("seeds", "seconds", "cost", "status", "code_version")},
        "publications": publications,
        "truths": truths,
        "peers": peers,
        "targets": targets,
    }


def _ratio(value: float | None, other: float | None) -> float | None:
    return None if value is None or not other else _finite(value / other)


def _target(target: Target, value: float | None, done: Mapping[str, Sequence[Record]]) -> Row:
    measured = value
    if target.relative_to is not None:
        measured = _ratio(value, _mean(done.get(target.relative_to, []), target.metric)["value"])
    return {
        "text": target.text or bounds_text(target),
        "bounds": bounds_text(target),
        "at_least": target.at_least,
        "at_most": target.at_most,
        "relative_to": target.relative_to,
        "measured": measured,
        "reached": target.reached(measured),
    }


def bounds_text(target: Target) -> str:
    """Return the bounds of a target as text, such as `≥ 0.97` or `≥ 100 × econgym`."""
    unit = f" × {target.relative_to}" if target.relative_to else ""
    parts = []
    if target.at_least is not None:
        parts.append(f"≥ {number(target.at_least)}{unit}")
    if target.at_most is not None:
        parts.append(f"≤ {number(target.at_most)}{unit}")
    return " and ".join(parts)


def number(value: float | None, half_width: float | None = None) -> str:
    """Return a number for reading, thousands separated by commas.

    Two digits of its uncertainty are kept; without one, five significant digits and all digits before the point.
    """
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0 and not half_width:
        return "0"
    if half_width:
        decimals = 1 - math.floor(math.log10(abs(half_width)))
    else:
        decimals = max(4 - math.floor(math.log10(abs(value))), 0)
    if decimals > 9:
        return f"{value:.4g}"
    rounded = round(value, decimals)
    text = f"{rounded:,.{max(decimals, 0)}f}"
    if not half_width and "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", "\N{MINUS SIGN}")


def measured_text(row: Mapping[str, Any]) -> str:
    """Return `0.6660 ± 0.0044 s` for a row (or for a peer's entry), a dash where there is no number."""
    value, low, high = row["value"], row["ci_low"], row["ci_high"]
    if value is None:
        return "–"
    half = (high - low) / 2 if low is not None and high is not None else 0.0
    unit = f" {row['unit']}" if row.get("unit") else ""
    if half == 0.0:
        return number(value) + unit
    return f"{number(value, half)} ± {number(half, half)}{unit}"


def to_json(rows: Sequence[Row]) -> str:
    """Return the rows as one strict JSON array (no NaN, no infinity)."""
    return json.dumps(rows, indent=1, allow_nan=False)


def as_table(rows: Sequence[Row]) -> Table:
    """Return the rows as a rich table; columns that are empty throughout are left out."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    columns = [
        ("case", "left"),
        ("metric", "left"),
        ("ours (95 %)", "right"),
        ("published", "right"),
        ("truth", "right"),
    ]
    columns += [("peer", "right"), ("required", "left"), ("seeds", "right"), ("seconds", "right"), ("status", "left")]
    body = []
    previous = None
    for row in rows:
        place = f"{row['suite']}/{row['case']}"
        first = place != previous
        previous = place
        peers = ", ".join(f"{number(peer['value'])} {peer['case']}" for peer in row["peers"])
        truth = number(row["truth"]) if row["truths"] else ""
        for known in row["truths"]:
            truth += {True: " [green]✓[/]", False: " [red]✗[/]", None: ""}[known["met"]]
        marks = {True: "[green]reached[/]", False: "[red]short[/]", None: "[dim]open[/]"}
        required = "\n".join(f"{escape(target['bounds'])} {marks[target['reached']]}" for target in row["targets"])
        kind = row["status"].partition(":")[0]
        colour = {"done": "green", "failed": "red"}.get(kind, "yellow")
        body.append(
            [
                escape(place) if first else "",
                escape(row["metric"] or ""),
                escape(measured_text(row)) if row["metric"] else "",
                number(row["published"]) if row["publications"] else "",
                truth,
                escape(peers),
                required,
                str(row["seeds"]) if first else "",
                f"{row['seconds']:.2f}" if first else "",
                f"[{colour}]{escape(row['status'])}[/]" if first else "",
            ]
        )
    used = [index for index in range(len(columns)) if index < 3 or any(line[index] for line in body)]
    table = Table(header_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for index in used:
        name, justify = columns[index]
        table.add_column(name, justify="right" if justify == "right" else "left", overflow="fold")
    for line in body:
        table.add_row(*(line[index] for index in used))
    return table
