"""The server's figures as Markdown."""

# ruff: noqa: RUF001  # typography of the report

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

OURS, PEER = "skylift-sqlite", "moto"
BUDGETS = (
    ("state transitions per second, 100 Pass states, 16 clients", "chain100", 16, "transitions_per_s", 10.0),
    ("state transitions per second, Choice loop, 16 clients", "loop100", 16, "transitions_per_s", 10.0),
    ("state transitions per second, Map of 1,000, 4 clients", "map1000", 4, "transitions_per_s", 10.0),
    ("executions per second, 3 states, 16 clients", "chain3", 16, "executions_per_s", 3.0),
    ("executions per second, 3 states, 64 clients", "chain3", 64, "executions_per_s", 3.0),
)
MOST_P50_MS = 5.0
MOST_MIB = 500.0


def as_markdown(results: dict[str, Any]) -> str:
    return "\n".join([*_head(results), *_budgets(results), *_table(results), *_notes(results), ""])


def _head(results: dict[str, Any]) -> Iterator[str]:
    yield "# Measurements of the server"
    yield ""
    yield f"Written by `python -m bench.service` on {results['date']}: {results['rounds']} rounds in one run, each"
    yield f"server in a process of its own, {results['seconds']:.0f} s a figure after a warm-up, medians of the rounds."
    yield "One raw keep-alive HTTP client for all (`bench/service/client.py`), in a closed loop: StartExecution, then"
    yield "DescribeExecution until SUCCEEDED. Client and server share the machine's cores."
    yield ""
    yield "| machine | |"
    yield "|---|---|"
    for name, value in results["machine"].items():
        yield f"| {name} | {value} |"
    yield ""


def _budgets(results: dict[str, Any]) -> Iterator[str]:
    yield "## Against the budgets"
    yield ""
    yield "| what | moto | Skylift on SQLite | ratio | asked | met |"
    yield "|---|---|---|---|---|---|"
    for title, definition, concurrency, field, least in BUDGETS:
        ours, peer = (_median(results, name, definition, concurrency, field) for name in (OURS, PEER))
        if ours is None or peer is None:
            yield f"| {title} | {_shown(peer)} | {_shown(ours)} | | ≥ {least:g} × | not measured |"
            continue
        ratio = ours / peer
        yield f"| {title} | {peer:,.0f} | {ours:,.0f} | {ratio:.1f} × | ≥ {least:g} × | {_yes(ratio >= least)} |"
    p50 = _median(results, OURS, "chain3", 1, "p50_ms")
    peer = _median(results, PEER, "chain3", 1, "p50_ms")
    if p50 is not None:
        met = _yes(p50 <= MOST_P50_MS)
        yield f"| p50 of 3 states, 1 client | {_shown(peer)} ms | {p50:.2f} ms | | ≤ {MOST_P50_MS:g} ms | {met} |"
    for name, mib in results["memory_mib"].items():
        title = f"memory with {results['open executions']:,} open executions, {name}"
        yield f"| {title} | | {mib:.0f} MiB | | ≤ {MOST_MIB:g} MiB | {_yes(mib <= MOST_MIB)} |"
    yield ""


def _table(results: dict[str, Any]) -> Iterator[str]:
    yield "## Everything"
    yield ""
    yield "| definition | clients | server | p50, ms | p99, ms | executions/s | transitions/s |"
    yield "|---|---|---|---|---|---|---|"
    seen = dict.fromkeys(
        (figure["definition"], figure["concurrency"]) for found in results["figures"].values() for figure in found
    )
    for definition, concurrency in seen:
        for name in results["figures"]:
            values = [
                _median(results, name, definition, concurrency, field)
                for field in ("p50_ms", "p99_ms", "executions_per_s", "transitions_per_s")
            ]
            if None not in values:
                p50, p99, executions, transitions = (value or 0.0 for value in values)
                yield (
                    f"| {definition} | {concurrency} | {name} | {p50:.2f} | {p99:.2f} | {executions:,.0f} "
                    f"| {transitions:,.0f} |"
                )
    yield ""


def _notes(results: dict[str, Any]) -> Iterator[str]:
    for name, problem in results["problems"].items():
        yield f"- {name} was not measured: {problem}"
    yield "- moto keeps nothing on disk and executes in threads of its server process; Skylift's executions are durable"
    yield "  before StartExecution answers. PostgreSQL ran with its usual settings on the same machine."


def _median(results: dict[str, Any], server: str, definition: str, concurrency: int, field: str) -> float | None:
    found = [
        figure[field]
        for figure in results["figures"].get(server, [])
        if figure["definition"] == definition and figure["concurrency"] == concurrency
    ]
    return statistics.median(found) if found else None


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"


def _yes(met: bool) -> str:
    return "yes" if met else "**no**"
