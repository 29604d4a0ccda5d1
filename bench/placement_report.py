"""The optimizer's figures as Markdown."""

# ruff: noqa: E501, RUF001  # lines and typography of the report

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

MOST_S = 2.0


def as_markdown(results: dict[str, Any]) -> str:
    return "\n".join([*_head(results), *_scale(results), *_beside(results), ""])


def tables(results: dict[str, Any]) -> Iterator[str]:
    """For the report of all measurements."""
    first = results["scale"][0]
    yield f"{first['steps']:,} steps with {first['offers']:,} offers each; how it was measured: [PLACEMENT.md](PLACEMENT.md)."
    yield ""
    yield from scale_table(results)
    if not isinstance(results["beside"], str):
        yield ""
        yield "Beside SkyPilot's optimizer, on the same rows and run times:"
        yield ""
        yield from costs_table(results["beside"]["cases"])


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
    yield from scale_table(results)
    yield ""
    yield "- The time is that of `optimise()`: all offers of all steps are read, those that others beat are dropped,"
    yield "  the rest is solved and added up exactly. The offers come as columns (`Table`), as made-up machines of"
    yield "  which the quicker are on the whole the dearer, with scatter."
    yield "- A chain with a deadline is solved to the end. Wide graphs whose deadline binds are hard: the solver gets what"
    yield "  is left of a second and a half (`seconds=`), and the plan says how much better another could be at most."
    yield "- Processor seconds are what the work takes; other work on the machine lengthens the time beside them."
    yield ""


def scale_table(results: dict[str, Any]) -> Iterator[str]:
    yield "| graph | asked for | time | least – most | processor | asked | met | gap | method |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in results["scale"]:
        took = statistics.median(row["seconds"])
        spread = f"{min(row['seconds']):.2f} – {max(row['seconds']):.2f} s"
        gap = "0, proven" if row["gap"] == 0 else f"at most {row['gap']:.2%}"
        met = "yes" if took <= MOST_S else "**no**"
        yield (
            f"| {row['shape']} | {row['what']} | **{took:.2f} s** | {spread} | "
            f"{statistics.median(row['processor_s']):.2f} s | ≤ {MOST_S:g} s | {met} | {gap} | {row['method']} |"
        )


def _beside(results: dict[str, Any]) -> Iterator[str]:
    yield "## Beside SkyPilot's optimizer"
    yield ""
    beside = results["beside"]
    if isinstance(beside, str):
        yield beside[0].upper() + beside[1:] + "."
        return
    yield f"SkyPilot {beside['version']}, fed with the same {beside['rows']} rows of the catalogue (on-demand and spot of"
    yield "each) and the same run times through its own API. Both plans are added up in one cost model: hourly price x"
    yield "run time, and SkyPilot's own egress prices for what goes from one cloud to another. Processor time in"
    yield "parentheses."
    yield ""
    yield from costs_table(beside["cases"])
    yield ""
    yield "With a deadline half-way between SkyPilot's two plans, of which only the quicker keeps it:"
    yield ""
    yield from deadlines_table(beside["cases"])
    yield ""
    yield "- SkyPilot minimises cost or time; it has no deadline and no budget. Of plans that end as soon it takes any,"
    yield "  Skylift the cheapest."
    yield "- Its times are of `Optimizer.optimize`, after a first call that reads its catalogue. They hold the look-up of"
    yield "  each offer's price in its catalogue, which is part of its way to work; Skylift's hold the reading and"
    yield "  checking of priced offers, not the pricing. Times as quick: processor seconds by processor seconds."
    yield "- Egress and bandwidth between clouds are SkyPilot's figures here, so that both solve the same problem."


def costs_table(cases: list[dict[str, Any]]) -> Iterator[str]:
    yield "| pipeline | least | SkyPilot's plan | Skylift's plan | Skylift / SkyPilot | SkyPilot took | Skylift took | times as quick |"
    yield "|---|---|---|---|---|---|---|---|"
    for case in cases:
        for aim in ("cost", "time"):
            theirs, mine = case["theirs"][aim], case["ours"][aim]
            quicker = statistics.median(theirs["processor_s"]) / max(statistics.median(mine["processor_s"]), 1e-6)
            yield (
                f"| {case['name']}, {case['offers']} offers a step | {aim} | {_plan(theirs)} | {_plan(mine)} | "
                f"{_ratio(mine, theirs)} | {_ms(theirs)} | {_ms(mine)} | {quicker:,.0f} |"
            )


def deadlines_table(cases: list[dict[str, Any]]) -> Iterator[str]:
    yield "| pipeline | deadline | SkyPilot's plan that keeps it | Skylift's plan | cost, Skylift / SkyPilot | Skylift took | gap |"
    yield "|---|---|---|---|---|---|---|"
    for case in cases:
        theirs, mine = case["theirs"]["time"], case["ours"]["deadline"]
        plans = f"{_plan(theirs)} | {_plan(mine)} | {mine['usd'] / theirs['usd']:.3f}"
        yield f"| {case['name']} | {case['deadline_s'] / 3600:.1f} h | {plans} | {_ms(mine)} | {mine['gap']:.2%} |"


def _plan(figures: dict[str, Any]) -> str:
    return f"${figures['usd']:,.2f}, {figures['time_s'] / 3600:,.1f} h"


def _ratio(mine: dict[str, Any], theirs: dict[str, Any]) -> str:
    return f"cost {mine['usd'] / theirs['usd']:.4f}, time {mine['time_s'] / theirs['time_s']:.4f}"


def _ms(figures: dict[str, Any]) -> str:
    return f"{statistics.median(figures['seconds']) * 1000:,.0f} ms ({_processor(figures)} ms)"


def _processor(figures: dict[str, Any]) -> str:
    return f"{statistics.median(figures['processor_s']) * 1000:,.1f}"
