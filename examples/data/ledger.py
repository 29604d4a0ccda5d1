"""What each step of a run took: time, processor, memory, bytes, and where it ran at which price.

python ledger.py RUN
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from skylift import Run, find_run
from skylift.pricing.bill import cost_of, is_own, usd
from skylift.pricing.catalogue import catalogue

HEAD = ("step", "attempts", "ran", "processor", "peak", "read", "written", "where", "cost")


def ledger(run: Run[Any]) -> str:
    """One line a step, in the order in which they began."""
    steps: dict[str, list[Any]] = {}
    for attempt in run.view().attempts:
        usages = [*(delivery.usage for delivery in attempt.lost), attempt.usage]
        steps.setdefault(attempt.state, []).extend(usage for usage in usages if usage is not None)
    rows = [HEAD, *(_row(name, usages) for name, usages in steps.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return "\n".join("  ".join(_cells(row, widths)).rstrip() for row in rows)


def _row(name: str, usages: list[Any]) -> tuple[str, ...]:
    paid = [cost_of(usage, catalogue()) for usage in usages if not is_own(usage)]
    return (
        name,
        str(len(usages)),
        f"{_sum(usage.duration_ms for usage in usages) / 1000:.2f} s",
        f"{_sum(usage.cpu_ms for usage in usages) / 1000:.2f} s",
        f"{max((usage.peak_memory_mib or 0 for usage in usages), default=0):.0f} MiB",
        f"{_sum(usage.in_bytes for usage in usages) / 2**20:.1f} MiB",
        f"{_sum(usage.out_bytes for usage in usages) / 2**20:.1f} MiB",
        ", ".join(sorted({str(usage.backend) for usage in usages})),
        usd(sum((amount for amount in paid if amount is not None), Fraction(0))) if paid else "own machine",
    )


def _sum(amounts: Iterable[float | None]) -> float:
    return sum(amount or 0 for amount in amounts)


def _cells(row: tuple[str, ...], widths: list[int]) -> list[str]:
    return [
        cell.ljust(width) if index in (0, 7) else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


if __name__ == "__main__":
    print(ledger(find_run(sys.argv[1])))
