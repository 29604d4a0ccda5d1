"""Spot policies as Markdown."""

# ruff: noqa: RUF001  # typography of the report

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

TITLES = {
    "greedy": "greedy",
    "time_sliced": "time-sliced",
    "uniform_progress": "Uniform Progress",
    "uniform_progress_from_0.7": "UP from 0.7",
    "bar": "bar",
    "skylift": "**Skylift**",
    "omniscient": "omniscient",
}
REFERENCE = {
    0.3: {
        "greedy": 0.6760,
        "time_sliced": 0.6715,
        "uniform_progress": 0.6784,
        "uniform_progress_from_0.7": 0.6641,
        "bar": 0.6583,
        "omniscient": 0.6042,
    },
    0.1: {
        "greedy": 0.5671,
        "time_sliced": 0.5567,
        "uniform_progress": 0.5620,
        "uniform_progress_from_0.7": 0.5444,
        "bar": 0.5395,
        "omniscient": 0.4756,
    },
}
"""Another implementation's means over the same configurations, traces and 40 starts."""


def as_markdown(results: dict[str, Any]) -> str:
    return "\n".join(
        [
            *_head(results),
            *means_table(results),
            "",
            *_against(results, "## Skylift against each"),
            *(line for one in results["held_out"] for line in _held_out(one)),
            *_each(results),
            *_notes(results),
            "",
        ]
    )


def means_table(results: dict[str, Any]) -> Iterator[str]:
    """The means over all configurations, beside the reference."""
    names = [name for name in TITLES if name in results["prices"][0]["means"]]
    yield f"| spot ratio | | {' | '.join(TITLES[name] for name in names)} |"
    yield f"|---|---|{'---|' * len(names)}"
    for price in results["prices"]:
        means, ratio = price["means"], price["spot_ratio"]
        yield f"| {ratio:g} | mean | {' | '.join(_known(means[name]['cost']) for name in names)} |"
        yield f"| | 95 % | {' | '.join(_range(means[name]) for name in names)} |"
        if not results["published"]:
            continue
        reference = REFERENCE[ratio]
        yield f"| | reference | {' | '.join(_known(reference.get(name)) for name in names)} |"


def _head(results: dict[str, Any]) -> Iterator[str]:
    yield "# Spot policies"
    yield ""
    yield f"Written by `python -m bench.spot` on {results['date']}. One job with a deadline on one spot market, as in"
    yield '"Can\'t Be Late" (NSDI 2024): work of 12, 24 and 48 h, deadlines of 1.25, 1.5 and 2 times that, launches'
    where = f"{results['starts']} starts on each of {len(results['traces'])} recorded markets"
    yield f"that take 0.1, 0.2 and 0.5 h; {where}."
    yield "Cost 1 is on-demand only. `bar` is the best of the four published policies, chosen for each configuration in"
    yield "hindsight; `omniscient` is the least there can be for who knows the whole market."
    yield ""
    yield "| machine | |"
    yield "|---|---|"
    for name, value in results["machine"].items():
        yield f"| {name} | {value} |"
    yield ""


def held_out_table(results: dict[str, Any]) -> Iterator[str]:
    """Skylift's policy in one line for each table and price."""
    yield "| markets | spot ratio | against the bar | 95 % | below Uniform Progress | late |"
    yield "|---|---|---|---|---|---|"
    for one in ({**results, "title": "those the prior is fitted to"}, *results["held_out"]):
        for price in one["prices"]:
            bar, uniform = price["against"]["bar"], price["against"]["uniform_progress"]
            change = f"{_change(bar['ratio'])} | {_change(bar['low'])} to {_change(bar['high'])}"
            below = f"{uniform['below']} of {len(price['configurations'])}"
            late = f"{price['means']['skylift']['late']:.1%}"
            yield f"| {one['title']} | {price['spot_ratio']:g} | {change} | {below} | {late} |"


def _held_out(one: dict[str, Any]) -> Iterator[str]:
    yield f"## {one['title']}"
    yield ""
    yield f"The same 27 configurations, {one['starts']} starts on each of {len(one['traces'])} traces: {one['what']}."
    yield ""
    yield from means_table(one)
    yield ""
    yield from _against(one, f"### Skylift against each: {one['title'].lower()}")


def _against(results: dict[str, Any], title: str) -> Iterator[str]:
    yield title
    yield ""
    yield "| spot ratio | against | cost | 95 % | configurations in which it is cheaper | late |"
    yield "|---|---|---|---|---|---|"
    for price in results["prices"]:
        late = price["means"]["skylift"]["late"]
        for name, found in price["against"].items():
            change = f"{_change(found['ratio'])} | {_change(found['low'])} to {_change(found['high'])}"
            below = f"{found['below']} of {len(price['configurations'])}"
            yield f"| {price['spot_ratio']:g} | {TITLES[name]} | {change} | {below} | {late:.1%} |"
    yield ""


def _each(results: dict[str, Any]) -> Iterator[str]:
    for price in results["prices"]:
        names = [name for name in TITLES if name in price["means"]]
        yield f"## Each configuration, spot at {price['spot_ratio']:g}"
        yield ""
        yield f"| work | deadline | launch | {' | '.join(TITLES[name] for name in names)} | late | processor seconds |"
        yield f"|---|---|---|{'---|' * len(names)}---|---|"
        for row in price["configurations"]:
            yield _row(row, names)
        yield ""


def _row(row: dict[str, Any], names: list[str]) -> str:
    times = f"{row['work_hours']:g} h | {row['deadline_hours']:g} h | {row['restart_hours']:g} h"
    cells = [f"{row['costs'][name]:.4f}" for name in names]
    cells[names.index("time_sliced")] += f" ({', '.join(map(str, row['slices']))})"
    return f"| {times} | {' | '.join(cells)} | {max(row['late'].values()):.1%} | {row['seconds']:.1f} |"


def _notes(results: dict[str, Any]) -> Iterator[str]:
    yield "- Time-sliced is the best of 2, 4, 6, 8, 12, 16 and 24 slices, and of idling and staying where a slice's"
    yield "  share is done; the number of slices is in brackets."
    yield "- Late is the largest share of late jobs among all policies; processor seconds are of one evaluation, all"
    yield "  policies and the optimum."
    yield "- The prior of Skylift's policy, a few rates, is fitted to the markets of the first table. For markets that"
    yield "  are held out it is fitted without them."
    yield "- Intervals are of 95 %, from a bootstrap over the traces and the starts within each. Those of a comparison"
    yield "  are of pairs: both policies met the same windows."


def _range(found: dict[str, float]) -> str:
    return f"{found['low']:.3f} – {found['high']:.3f}"


def _known(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _change(ratio: float) -> str:
    return f"{(ratio - 1) * 100:+.1f} %"
