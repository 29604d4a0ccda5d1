"""Whatever the width of the terminal, the report fits it and no word is broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skylift.advice.advise import advise
from skylift.advice.reading import read_project
from skylift.advice.report import Report
from skylift.advice.terminal import NARROWEST, WIDEST, terminal
from skylift.advice.wrapping import width_of, wrapped
from skylift.pricing.catalogue import catalogue

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "advice").glob("*.yaml"))
WORDS = st.lists(st.text(st.sampled_from("ab-/,\u65e5\u672c\u0301"), min_size=1, max_size=30), max_size=20)


def report(path: Path) -> Report:
    return advise(read_project(path.read_text(encoding="utf-8"), path.name), catalogue())


@given(WORDS, st.integers(1, 60), st.sampled_from(["", "- ", "    "]))
def test_words_are_kept_whole_and_lines_short(words: list[str], width: int, first: str) -> None:
    lines = wrapped(" ".join(words), width, first=first, rest=" " * len(first)).splitlines() or [""]
    assert " ".join(lines).removeprefix(first).split() == " ".join(words).split()
    for line in lines:
        assert width_of(line) <= width or len(line[len(first) :].split()) <= 1


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
@settings(max_examples=15, deadline=None)
@given(st.integers(1, 200))
def test_a_report_fits_and_says_the_same_at_every_width(path: Path, width: int) -> None:
    found = report(path)
    text = terminal(found, width)
    allowed = max(min(width, WIDEST), NARROWEST)
    for line in text.splitlines():
        assert width_of(line) <= allowed or len(line.split()) == 1 or line.lstrip("- ").count(" ") == 0, line
    words = " ".join(text.split())
    assert found.verdict in words
    for reason in found.ranking[0].reasons:
        assert reason.text in words and reason.source in words


def test_wide_letters_count_double_and_marks_nothing() -> None:
    assert width_of("\u65e5\u672c") == 4 and width_of("e\u0301") == 1
    assert wrapped("\u65e5\u672c \u65e5\u672c", 8).count("\n") == 1
    assert wrapped("\u65e5\u672c \u65e5\u672c", 9).count("\n") == 0
