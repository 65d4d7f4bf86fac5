"""The report: one self-contained HTML file made of what is in the results store."""

from __future__ import annotations

import importlib.resources
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from walras.benchmarks.execute import install_hint
from walras.benchmarks.store import Record, Store, code_version
from walras.benchmarks.suite import Suite
from walras.benchmarks.suites import UnknownNameError, get_suite, list_suites
from walras.benchmarks.table import Row, build_rows, case_records, measured_text, number

FILE_NAME = "report.html"


class MissingTemplateEngineError(ImportError):
    """jinja2 is not installed."""


def write_report(store: Store, *, suites: Sequence[str] = ()) -> tuple[Path, tuple[str, ...]]:
    """Write `report.html` beside the results and return its path, with what could not be shown, in words.

    One store gives one file, byte for byte. Where the running code has no finished result of a case, the newest
    result of other code is shown, marked with its code version.

    Args:
        store: Where the results are.
        suites: Names of the suites to show; empty for every suite that has results.

    Raises:
        UnknownNameError: For an unknown suite.
        MissingTemplateEngineError: If jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingTemplateEngineError(f"the report needs jinja2: {install_hint('jinja2')}") from error
    chosen, problems = _chosen(store, suites)
    sections = [_section(suite, store, problems) for suite in chosen]
    page = {
        **_summary(sections),
        "sections": sections,
        "unrun": sorted(set(list_suites(hidden=False)) - {suite.name for suite in chosen}),
        "code_version": code_version(),
        "problems": problems,
    }
    folder = importlib.resources.files("walras.benchmarks.templates")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["number"] = number
    template = environment.from_string(folder.joinpath("report.html").read_text(encoding="utf-8"))
    text = template.render(**page, css=folder.joinpath("report.css").read_text(encoding="utf-8"))
    path = store.path.with_name(FILE_NAME)
    _replace(path, text)
    return path, tuple(problems)


def _replace(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".report-", suffix=".html")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _chosen(store: Store, names: Sequence[str]) -> tuple[list[Suite], list[str]]:
    stored = store.suites()
    if names:
        return [_suite(name, stored.get(name, "")) for name in dict.fromkeys(names)], []
    suites, problems = [], []
    for name, entry in stored.items():
        try:
            suites.append(_suite(name, entry))
        except (UnknownNameError, TypeError) as error:
            problems.append(f"the results of suite {name!r} are not shown: {error}")
    return suites, problems


def _suite(name: str, entry: str) -> Suite:
    """Return a suite by what the store says of it: the suite itself as JSON, where it is, or nothing."""
    if not entry.startswith("{"):
        return get_suite(name if name in list_suites() else entry or name)
    try:
        return Suite.from_dict(json.loads(entry))
    except ValueError as error:
        raise TypeError(f"its stored definition cannot be read: {error}") from error


def _section(suite: Suite, store: Store, problems: list[str]) -> dict[str, Any]:
    results = {case.name: case_records(store, suite.name, case, any_version=True) for case in suite.cases}
    done = {case: [record for record in records if record.status == "done"] for case, records in results.items()}
    done = {case: records for case, records in done.items() if records}
    rows = build_rows(suite, results)
    notes: list[str] = []
    cases = []
    for case in suite.cases:
        of_case = [row for row in rows if row["case"] == case.name]
        cases.append(
            {
                "case": case,
                "rows": [_cells(row, notes) for row in of_case],
                "first": of_case[0],
                "kind": of_case[0]["status"].partition(" ")[0].rstrip(":"),
                "old": _other_code(of_case[0]["code_version"]),
                "errors": [record for record in results[case.name] if record.status == "failed"],
            }
        )
    return {
        "suite": suite,
        "cases": cases,
        "rows": rows,
        "notes": notes,
        "columns": {
            "peers": any(row["peers"] for row in rows),
            "targets": any(row["targets"] for row in rows),
            "published": any(row["publications"] for row in rows),
            "truths": any(row["truths"] for row in rows),
        },
        "charts": _charts(suite, done),
        "pictures": _pictures(suite, done, problems),
        "records": [record for records in results.values() for record in records],
    }


def _other_code(version: str | None) -> str:
    """Return a code version if it is not the running one, else an empty string."""
    return version if version and version != code_version() else ""


def _cells(row: Row, notes: list[str]) -> dict[str, Any]:
    """Return a row with its texts, its one-line plot and the numbers of its footnotes."""
    from walras.benchmarks.charts import interval_plot

    def note(text: str) -> int:
        if text not in notes:
            notes.append(text)
        return notes.index(text) + 1

    published = [
        {**each, "index": note(each["source"] + (f" {each['note']}" if each["note"] else ""))}
        for each in row["publications"]
    ]
    truths = [{**each, "index": note(each["source"])} for each in row["truths"]]
    plot = interval_plot(
        row["value"],
        row["ci_low"],
        row["ci_high"],
        published=[each["value"] for each in published],
        truths=[each["value"] for each in truths],
    )
    peers = [{**peer, "text": measured_text({**peer, "unit": ""})} for peer in row["peers"]]
    return {
        **row,
        "text": measured_text(row),
        "plot": plot,
        "publications": published,
        "truths": truths,
        "peers": peers,
    }


def _charts(suite: Suite, done: Mapping[str, Sequence[Record]]) -> list[dict[str, Any]]:
    """Return one chart for each name of a curve, with a line for each case that has it."""
    from walras.benchmarks.charts import COLOURS, Reference, line_chart, pool

    names = dict.fromkeys(name for case in suite.cases for record in done.get(case.name, ()) for name in record.curves)
    charts = []
    for name in names:
        series, x_label, y_label = [], "", ""
        for case in suite.cases:
            curves = [record.curves[name] for record in done.get(case.name, ()) if name in record.curves]
            curves = [curve for curve in curves if len(curve.x)]
            if curves:
                series.append(pool(case.name, curves))
                x_label, y_label = x_label or curves[0].x_label, y_label or curves[0].y_label
        labels = {line.label for line in series}
        references = [
            Reference(f"truth {number(k.value)}", k.value, "truth")
            for k in suite.known
            if k.metric == name and k.case in labels
        ]
        references += [
            Reference(f"published {number(p.value)}", p.value, "published")
            for p in suite.published
            if p.metric == name and p.case in labels
        ]
        chart = line_chart(series, tuple(dict.fromkeys(references)), title=name, x_label=x_label, y_label=y_label)
        legend = [(line.label, index % COLOURS) for index, line in enumerate(series)]
        charts.append(
            {
                "name": name,
                "svg": chart,
                "legend": legend,
                "seeds": max((len(done[label]) for label in labels), default=0),
            }
        )
    return charts


def _pictures(suite: Suite, done: Mapping[str, Sequence[Record]], problems: list[str]) -> list[dict[str, Any]]:
    from walras.benchmarks.pictures import PictureError, draw

    pictures = []
    for picture in suite.pictures:
        results = {case: done[case] for case in picture.cases if case in done}
        svg, problem = "", ""
        if results:
            try:
                svg = draw(picture, results, f"{suite.name}-{picture.name}")
            except PictureError as error:
                problem = str(error)
                problems.append(f"picture {suite.name}/{picture.name}: {error}")
        else:
            problem = f"waits for results of {', '.join(picture.cases)}"
        pictures.append({"picture": picture, "svg": svg, "problem": problem})
    return pictures


def _summary(sections: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the head of the page says: required figures, counts, failed and skipped cases, machines, time."""
    cases = [{"suite": section["suite"], **case} for section in sections for case in section["cases"]]
    records: list[Record] = [record for section in sections for record in section["records"]]
    figures = [
        {"suite": section["suite"], "row": row, **target}
        for section in sections
        for case in section["cases"]
        for row in case["rows"]
        for target in row["targets"]
    ]
    kinds = [case["kind"] for case in cases]
    return {
        "figures": figures,
        "reached": sum(figure["reached"] is True for figure in figures),
        "short": sum(figure["reached"] is False for figure in figures),
        "counts": {kind: kinds.count(kind) for kind in ("done", "partial", "failed", "skipped", "not")},
        "total": len(cases),
        "failed": [case for case in cases if case["kind"] == "failed"],
        "skipped": [case for case in cases if case["kind"] == "skipped"],
        "seconds": sum(record.seconds for record in records),
        "seeds": sum(record.status == "done" for record in records),
        "machines": _machines(record.machine for record in records if record.status == "done"),
        "finished": max((record.finished for record in records), default=""),
    }


def _machines(facts: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return one line for each machine that the results come from."""
    lines = {
        f"{fact.get('cpu') or fact.get('system', '')}, {fact.get('cpus')} cores, {fact.get('system')}, "
        f"Python {fact.get('python')}, NumPy {fact.get('numpy')}"
        for fact in facts
        if fact
    }
    return sorted(lines)
