"""The optimizer's figures as Markdown."""

# ruff: noqa: E501, RUF001  # lines and typography of the report

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

MOST_S = 2.0


def as_markdown(results: dict[str, Any]) -> str:
    return "\n".join([*_head(results), *_scale(results), *_beside(results), ""])


def _head(results: dict[str, Any]) -> Iterator[str]:
    yield "# Measurements of placement"
    yield ""
    yield f"Written by `python -m bench.placement` on {results['date']}. Medians of {results['turns']} turns."
    yield ""
    yield "| machine | |"
    yield "|---|---|"
    for name, value in results["machine"].items():
        yield f"| {name} | {value} |"
    yield ""


def _scale(results: dict[str, Any]) -> Iterator[str]:
    first = results["scale"][0]
    yield f"## {first['steps']:,} steps with {first['offers']:,} offers each"
    yield ""
    yield "| graph | asked for | time | least – most | gap | asked | met | method |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in results["scale"]:
        took = statistics.median(row["seconds"])
        spread = f"{min(row['seconds']):.2f} – {max(row['seconds']):.2f}"
        gap = "0, proven" if row["gap"] == 0 else f"at most {row['gap']:.2%}"
        met = "yes" if took <= MOST_S else "**no**"
        what = f"| {row['shape']} | {row['what']} | **{took:.2f} s** | {spread} | {gap} "
        yield f"{what}| ≤ {MOST_S:g} s | {met} | {row['method']} |"
    yield ""
    yield "- The time is that of `optimise()`: all offers of all steps are read, those that others beat are dropped, the"
    yield "  rest is solved and added up exactly. The offers come as columns (`Table`), as made-up machines of which the"
    yield "  quicker are on the whole the dearer, with scatter."
    yield "- A chain with a deadline is solved to the end. Wide graphs with a deadline that binds are hard: the solver"
    yield "  stops after a second (`seconds=`) and the plan says how much cheaper another could be at most."
    yield ""


def _beside(results: dict[str, Any]) -> Iterator[str]:
    yield "## Beside SkyPilot's optimizer"
    yield ""
    beside = results["beside"]
    if isinstance(beside, str):
        yield beside[0].upper() + beside[1:] + "."
        return
    yield f"SkyPilot {beside['version']}, fed with the same {beside['rows']} rows of the catalogue (on-demand and spot of"
    yield "each) and the same run times through its own API. Both plans are added up in one cost model: hourly price x"
    yield "run time, and SkyPilot's own egress prices for what goes from one cloud to another."
    yield ""
    yield from _costs(beside["cases"])
    yield from _deadlines(beside["cases"])
    yield "- SkyPilot minimises cost or time; it has no deadline and no budget. Of plans of the same least time it takes"
    yield "  any, ours the cheapest."
    yield "- Its times are of `Optimizer.optimize` after a first call that reads its catalogue. They hold the look-up of"
    yield "  each offer's price in its catalogue, which is part of its way to work; ours hold the reading and checking of"
    yield "  the priced offers, not their pricing."
    yield "- Egress and bandwidth between clouds are SkyPilot's figures here, taken so that both solve the same problem."


def _costs(cases: list[dict[str, Any]]) -> Iterator[str]:
    yield "| pipeline | least | SkyPilot's plan | Skylift's plan | Skylift / SkyPilot | SkyPilot took | Skylift took | times as quick |"
    yield "|---|---|---|---|---|---|---|---|"
    for case in cases:
        for aim in ("cost", "time"):
            theirs, mine = case["theirs"][aim], case["ours"][aim]
            yield (
                f"| {case['name']}, {case['offers']} offers a step | {aim} | {_plan(theirs)} | {_plan(mine)} | "
                f"{_ratio(mine, theirs)} | {_ms(theirs)} | {_ms(mine)} | {_median(theirs) / _median(mine):.0f} |"
            )
    yield ""


def _deadlines(cases: list[dict[str, Any]]) -> Iterator[str]:
    yield "With a deadline half-way between SkyPilot's two plans, of which only the quicker keeps it:"
    yield ""
    yield "| pipeline | deadline | SkyPilot's plan that keeps it | Skylift's plan | cost, Skylift / SkyPilot | Skylift took | gap |"
    yield "|---|---|---|---|---|---|---|"
    for case in cases:
        theirs, mine = case["theirs"]["time"], case["ours"]["deadline"]
        cost = mine["usd"] / theirs["usd"]
        plans = f"{_plan(theirs)} | {_plan(mine)} | {cost:.3f}"
        yield f"| {case['name']} | {case['deadline_s'] / 3600:.2f} h | {plans} | {_ms(mine)} | {mine['gap']:.2%} |"
    yield ""


def _plan(figures: dict[str, Any]) -> str:
    return f"${figures['usd']:.4f}, {figures['time_s'] / 3600:.3f} h"


def _ratio(mine: dict[str, Any], theirs: dict[str, Any]) -> str:
    return f"cost {mine['usd'] / theirs['usd']:.4f}, time {mine['time_s'] / theirs['time_s']:.4f}"


def _median(figures: dict[str, Any]) -> float:
    return statistics.median(figures["seconds"])


def _ms(figures: dict[str, Any]) -> str:
    return f"{_median(figures) * 1000:,.1f} ms"
