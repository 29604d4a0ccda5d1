"""The end of `bench/RESULTS.md`: tables that other measurements have written, each beside its own report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import placement_report, spot_report

MARK = "<!-- What follows is taken from the reports of other measurements. -->"


def with_tables_of_others(report: str, folder: Path) -> str:
    """The report with the newest tables there are in place of those it had."""
    own = report.partition(MARK)[0].rstrip()
    tables = "\n".join(line for found in _tables(folder) for line in ("", *found))
    return f"{own}\n\n{MARK}\n{tables}\n" if tables else f"{own}\n"


def _tables(folder: Path) -> Iterator[list[str]]:
    spot = _read(folder / "spot.json")
    if spot is not None:
        head = ["## Spot policies", "", "Mean cost over on-demand only; how it was measured: [SPOT.md](SPOT.md)."]
        yield [*head, "", *spot_report.means_table(spot), "", *spot_report.held_out_table(spot)]
    placement = _read(folder / "placement.json")
    if placement is not None:
        yield ["## Placement", "", *placement_report.tables(placement)]


def _read(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
