"""Skylift's figures on Ray as Markdown."""

# ruff: noqa: RUF001  # typography of the report

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

LEAST_SHARE = 0.8
WORKS = (("fan", "fan-out of {tasks:,} tasks", "tasks/s"), ("call", "one warm call", "ms"), ("start", "start", "s"))


def as_markdown(results: dict[str, Any]) -> str:
    return "\n".join([*_head(results), *_table(results), *_notes(results), ""])


def _head(results: dict[str, Any]) -> Iterator[str]:
    yield "# Measurements on Ray"
    yield ""
    yield f"Written by `python -m bench.ray` on {results['date']}, with Ray {results['ray']}. Both sides were started"
    yield f"{results['sittings']} times, and took {results['turns']} turns each. Medians, with least and most."
    yield ""
    yield "| machine | |"
    yield "|---|---|"
    for name, value in results["machine"].items():
        yield f"| {name} | {value} |"
    yield ""


def _table(results: dict[str, Any]) -> Iterator[str]:
    yield "| work | bare Ray | least – most | Skylift on Ray | least – most | Skylift / bare | asked | met |"
    yield "|---|---|---|---|---|---|---|---|"
    for work, title, unit in WORKS:
        bare, ours = (results["figures"][name][work] for name in ("bare", "ours"))
        ratio = statistics.median(ours) / statistics.median(bare)
        asked, met = (f"≥ {LEAST_SHARE:g}", _yes(ratio >= LEAST_SHARE)) if work == "fan" else ("–", "–")
        what = title.format(**results)
        yield f"| {what} | {_cells(bare, unit)} | {_cells(ours, unit)} | {ratio:.2f} | {asked} | {met} |"
    yield ""


def _cells(samples: list[float], unit: str) -> str:
    return f"**{_shown(statistics.median(samples))} {unit}** | {_shown(min(samples))} – {_shown(max(samples))}"


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _yes(met: bool) -> str:
    return "yes" if met else "**no**"


def _notes(results: dict[str, Any]) -> Iterator[str]:
    yield "- The fan-out: a number goes into each task, plus one, and one more task adds the results up. Bare Ray is"
    yield "  `ray.remote` for each task and `ray.get` of the sum, and keeps nothing. Skylift is `pipeline.run()` with"
    yield "  its default durability: each result is on disk before anything follows from it."
    yield f"- A warm call: the median of {results['calls']} runs of one task each, which for Skylift are runs with a"
    yield "  journal of their own."
    yield "- Start: from nothing to the first result, the cluster of this machine included."
