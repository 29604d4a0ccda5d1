"""Cells of a ledger in CSV: none is a formula to a spreadsheet, and every one is read back as it was."""

from __future__ import annotations

import csv
import io

import pytest

from skylift.cli.ledger_output import _csv, safe_cell


@pytest.mark.parametrize(
    "name",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "|calc", "%0A=1", " =1", "\u00a0=1", "＝1", "＠x"],  # noqa: RUF001
)
def test_what_could_be_a_formula_is_text(name: str) -> None:
    assert safe_cell(name) == f"'{name}"


@pytest.mark.parametrize("name", ["train", "a-b", "a=b", "1", "", "ä", "x;=1", "x,y", 'say "no"', "x\t=1", "x\n=1"])
def test_what_is_none_stays_as_it_is_in_one_cell(name: str) -> None:
    assert safe_cell(name) == name
    line = _csv([name, 1, "2.5"])
    assert list(csv.reader(io.StringIO(line, newline=""))) == [[name, "1", "2.5"]]
    assert ";" not in line or line.startswith('"')  # where cells are parted by semicolons it is one cell, too
