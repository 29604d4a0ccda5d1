"""The page of backends says of each what its capabilities say."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import msgspec
import pytest

from skylift.ports.compute import Capabilities
from skylift.wiring import backend_names

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "backends.md"
LIKE_ALL = {name for name in Capabilities.__struct_fields__ if getattr(Capabilities(), name)}
"""What backends can do unless they say otherwise: told of all at once, below the table."""


def _table() -> tuple[list[str], dict[str, list[str]]]:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines[: lines.index("|---|---|---|---|---|---|---|")]
    ]
    head = re.findall(r"\[(\w+)\]", lines[0])
    return head, {row[0].strip("`"): row[1:] for row in rows if row[0].startswith("`")}


def test_every_backend_has_a_column() -> None:
    assert sorted(_table()[0]) == sorted(backend_names())


@pytest.mark.parametrize("name", backend_names())
def test_its_column_is_what_it_says_of_itself(name: str) -> None:
    head, rows = _table()
    told = {row: cells[head.index(name)] == "yes" for row, cells in rows.items()}
    said = msgspec.structs.asdict(importlib.import_module(f"skylift.compute.{name}.capabilities").CAPABILITIES)
    assert told == {row: able for row, able in said.items() if row not in LIKE_ALL}
    assert all(said[row] for row in LIKE_ALL)
