"""Pictures: the same file for the same numbers, names that are text, many bars, and what cannot be drawn."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from skylift.cli.plots import MOST_BARS, Mark, Point, front, lines, picture_file, stacked
from skylift.errors import SetupError


def texts(file: Path) -> str:
    return " ".join(ElementTree.parse(file).getroot().itertext())


def test_the_same_numbers_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        front([Point(7200, 1.0, "slow"), Point(60, 5.0)], tmp_path / name, chosen=Point(60, 5.0, "chosen one"))
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert "time (hours)" in texts(tmp_path / "a.svg") and "chosen one" in texts(tmp_path / "a.svg")


def test_names_are_text_and_no_mathematics_or_markup(tmp_path: Path) -> None:
    file = tmp_path / "s.svg"
    stacked(["a $x$ b", "<b>&", "bad\x00\x1b"], {"work $": [1, 2, 3], "idle": [0, 1, 0]}, file, title="$5 & more")
    said = texts(file)
    assert "a $x$ b" in said and "<b>&" in said and "$5 & more" in said and "bad\N{REPLACEMENT CHARACTER}" in said


def test_beyond_so_many_bars_the_smallest_are_one(tmp_path: Path) -> None:
    file = tmp_path / "many.svg"
    count = MOST_BARS + 60
    stacked([f"run{number}" for number in range(count)], {"work": [float(n) for n in range(count)]}, file, title="t")
    said = texts(file)
    assert f"{count - MOST_BARS + 1} others" in said and "run0 " not in said and f"run{count - 1}" in said


def test_curves_with_marks_on_a_scale_of_powers(tmp_path: Path) -> None:
    file = tmp_path / "l.svg"
    points = [(1e3, 1.0), (1e6, 900.0)]
    lines({"function": points}, file, title="t", x="requests", y="USD", marks=[Mark(3.1e6, "break-even")], scale="log")
    assert {"break-even", "1 k", "1 M"} <= {text.strip() for text in ElementTree.parse(file).getroot().itertext()}


def test_a_png_is_one(tmp_path: Path) -> None:
    lines({"a": [(0, 0), (1, 1)]}, tmp_path / "l.PNG", title="t", x="x", y="y")
    assert (tmp_path / "l.PNG").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "said"), [("x.gif", "ends in '.gif'"), ("x", "ends in ''"), ("no/x.svg", "no folder")]
)
def test_where_no_picture_can_be(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(SetupError, match=said):
        picture_file(tmp_path / name)


def test_without_matplotlib_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SetupError, match="need matplotlib") as refused:
        lines({"a": [(0, 0)]}, tmp_path / "l.svg", title="t", x="x", y="y")
    assert refused.value.hint == "pip install 'skylift[plots]'"
