"""Results as Markdown."""

# ruff: noqa: RUF001  # typography of the report

from __future__ import annotations

from collections.abc import Iterator

from bench.registry import SYSTEMS, System
from bench.results import Cell, Results
from bench.works import Work

NOTES = (
    "- Durable means here: the result of each step is kept on disk before anything follows from it. The limit, joblib,",
    "  Dask and Ray keep nothing: they are what a task costs without that.",
    "- Warm works are done by a process whose workers are up and have done the same work before, smaller.",
    "- The limit is `map` as it is, a message for each task. joblib and Skylift put several short tasks into one",
    "  message by themselves; Skylift still records and reports each one. So a map may take less than the limit.",
    "- An extrapolated figure is what the measured part took, times the steps of the whole over its own steps. It is",
    "  no measurement: a system whose cost grows with the number of steps would take longer.",
    "- Peers run as they come, with their defaults for a single machine, without telemetry, and where the system",
    "  allows it in a network that has only loopback. How each is used: its script in `systems/`.",
)

OURS = next(system for system in SYSTEMS if system.name == "skylift")


def as_markdown(results: Results) -> str:
    """The whole report; made to be read by people, `results.json` holds the samples."""
    return "\n".join(
        [*_head(results), *_summary(results), *_tables(results), *_versions(results), *_how_to_read(results), ""]
    )


def _head(results: Results) -> Iterator[str]:
    yield "# Measurements"
    yield ""
    yield f"Written by `make bench` on {results.date}: everything below was measured in one run of it, in"
    yield f"{results.rounds} rounds in which every system was started in turn, each in a process of its own. Medians,"
    yield "with least and most."
    yield ""
    yield "| machine | |"
    yield "|---|---|"
    for name, value in results.machine.items():
        yield f"| {name} | {value} |"
    yield ""


def _summary(results: Results) -> Iterator[str]:
    yield "## Skylift against its budgets"
    yield ""
    yield "| work | limit | Skylift | least – most | × limit | budget | met |"
    yield "|---|---|---|---|---|---|---|"
    for work in results.works:
        cell = results.cells.get((OURS.name, work.name))
        if cell is None:
            continue
        limit = results.limit(work)
        if not cell.samples:
            problem = cell.problem or "not measured"
            yield f"| {work.title} | {_or_dash(limit, work)} | {problem} | – | – | {_budget(work)} | **no** |"
            continue
        yield (
            f"| {work.title} | {_or_dash(limit, work)} | **{value_of(cell.median, work)}** | {_spread(cell, work)} "
            f"| {_ratio(cell, limit)} | {_budget(work)} | {_met(cell, work, limit)} |"
        )
    yield ""


def _tables(results: Results) -> Iterator[str]:
    yield "## Beside its peers"
    yield ""
    for work in results.works:
        if work.kind != "own":
            yield from _table(results, work)


def _table(results: Results, work: Work) -> Iterator[str]:
    yield f"### {work.title}"
    yield ""
    yield work.how
    yield ""
    yield "| system | durable | tasks run in | median | least – most | × limit |"
    yield "|---|---|---|---|---|---|"
    limit = results.limit(work)
    measured = [(s, c) for s in results.systems if (c := results.cells.get((s.name, work.name))) and c.samples]
    for system, cell in sorted(measured, key=lambda pair: pair[1].median):
        yield _row(system, cell, work, limit)
    yield ""
    left_out = [(s, c) for s in results.systems if (c := results.cells.get((s.name, work.name))) and not c.samples]
    for system, cell in left_out:
        yield f"- {system.title}: not measured: {cell.problem or 'it told nothing'}."
    if left_out:
        yield ""


def _row(system: System, cell: Cell, work: Work, limit: float | None) -> str:
    title = f"**{system.title}**" if system.name == OURS.name else system.title
    value = value_of(cell.median, work)
    if cell.is_extrapolated:
        value = f"≈ {value}, extrapolated from {cell.size:,}"
    elif cell.size != work.size:
        value += f" (of {cell.size:,})"
    if cell.problem is not None:
        value += f" ({len(cell.samples)} times, then: {cell.problem})"
    durable = "yes" if system.durable else "no"
    return f"| {title} | {durable} | {system.where} | {value} | {_spread(cell, work)} | {_ratio(cell, limit)} |"


def _versions(results: Results) -> Iterator[str]:
    yield "## Versions"
    yield ""
    yield ", ".join(f"{s.title} {results.versions[s.name]}" for s in results.systems if s.name in results.versions)
    yield ""


def _how_to_read(results: Results) -> Iterator[str]:
    yield "## How to read this"
    yield ""
    yield from NOTES


def value_of(value: float, work: Work) -> str:
    """With a unit that suits its size."""
    unit = work.unit
    if unit == "s" and value >= 600:
        return f"{value / 60:,.0f} min"
    return f"{_three_digits(value)} {unit}"


def _three_digits(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def _spread(cell: Cell, work: Work) -> str:
    least, most = value_of(cell.least, work), value_of(cell.most, work)
    suffix = f" {work.unit}"
    return f"{least.removesuffix(suffix)} – {most}" if most.endswith(suffix) else f"{least} – {most}"


def _or_dash(value: float | None, work: Work) -> str:
    return "–" if value is None else value_of(value, work)


def _ratio(cell: Cell, limit: float | None) -> str:
    if limit is None:
        return "–"
    ratio = cell.median / limit
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.1f}" if ratio >= 10 else f"{ratio:.2f}"


def _budget(work: Work) -> str:
    if work.budget is None:
        return "–"
    if work.budget.of == "limit":
        return f"≤ {work.budget.most:g} × limit"
    return f"≤ {work.budget.most:g} {work.unit}"


def _met(cell: Cell, work: Work, limit: float | None) -> str:
    if work.budget is None:
        return "–"
    allowed = work.budget.allows(cell.median, limit)
    return "?" if allowed is None else "yes" if allowed else "**no**"
