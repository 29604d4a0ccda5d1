"""Published figures of what clouds cost: each is computed again, and the page about them is what the tool writes."""

from __future__ import annotations

import csv
import importlib.util
import sys
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SEED = ROOT.parent / "shared/data/seed_checks.csv"


def _tool() -> ModuleType:
    path = ROOT / "tools/published_claims.py"
    spec = importlib.util.spec_from_file_location("published_claims", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["published_claims"] = module
    spec.loader.exec_module(module)
    return module


TOOL = _tool()
CLAIMS = TOOL.claims()
NAMES = TOOL.numbers(CLAIMS)
SEEDED = [claim for section in CLAIMS.sections if section.seed for claim in section.claims]
FURTHER = {section.title: section.claims for section in CLAIMS.sections if not section.seed}


def seed_rows() -> list[dict[str, str]]:
    if not SEED.exists():
        pytest.skip("the table of claims that the project began with is not beside the project: ../shared/data")
    with SEED.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_page_is_what_the_tool_writes() -> None:
    assert TOOL.PAGE.read_text(encoding="utf-8") == TOOL.page(CLAIMS)


def test_every_row_of_the_seed_is_there() -> None:
    assert len(SEEDED) == len(seed_rows()) == 38


@pytest.mark.parametrize("at", range(38))
def test_each_row_of_the_seed_has_the_value_and_the_verdict_it_should(at: int) -> None:
    row, checked = seed_rows()[at], TOOL.check(SEEDED[at], NAMES)
    if checked.value is None:  # inf1.large: no number, but a machine that there is not
        assert (row["claim"], checked.verdict) == ("inf1.large", TOOL.FAILS)
        return
    assert float(checked.value) == pytest.approx(float(row["value"]), rel=3e-6)  # the table has six digits
    assert Fraction(checked.claim.published) == Fraction(row["deck_value"])
    verdict = row["verdict"]
    if verdict == "exact":
        assert checked.verdict == TOOL.EXACT
    else:
        assert (checked.verdict == TOOL.FAILS) == (verdict == "DOES NOT HOLD")
        assert verdict == "DOES NOT HOLD" or checked.verdict.startswith("holds")


@pytest.mark.parametrize(
    ("claim", "value", "verdict"),
    [
        # by hand: 1 / (3 x 2.9 x 0.00001667) = 1 / 0.000145029
        (0, 6895.17, TOOL.CUT),
        (1, 33326.67, TOOL.SECONDS),
        (2, 11108.89, TOOL.FAILS),
        (3, 36356.37, TOOL.SECONDS),
        (4, 2352.47, TOOL.CUT),
        (5, 49990.00, TOOL.SECONDS),
        (6, 4544.55, TOOL.ROUNDED),
        (7, 57131.43, TOOL.SECONDS),
    ],
)
def test_invocations_for_a_dollar(claim: int, value: float, verdict: str) -> None:
    checked = TOOL.check(FURTHER["Inception V3 on Lambda: invocations for a dollar"][claim], NAMES)
    assert float(checked.value) == pytest.approx(value, abs=0.005)
    assert checked.verdict == verdict


@pytest.mark.parametrize(
    ("claim", "value", "verdict"),
    [
        (0, 23.04, TOOL.EXACT),
        (1, 23.04 / 1.79e-5, TOOL.ROUNDED),
        (2, 648, TOOL.EXACT),
        (3, 648 / 1.79e-5, TOOL.ROUNDED),
        (4, 194.4, TOOL.EXACT),
        (5, 194.4 / 1.79e-5, TOOL.ROUNDED),
        (6, 264.96, TOOL.EXACT),
        (7, 264.96 / 1.79e-5, TOOL.ROUNDED),
        (8, 79.488, TOOL.ROUNDED),
        (9, 79.488 / 1.79e-5, TOOL.ROUNDED),
    ],
)
def test_further_break_evens(claim: int, value: float, verdict: str) -> None:
    title = "Further break-evens: Lambda predictions a month that cost as much as a machine"
    checked = TOOL.check(FURTHER[title][claim], NAMES)
    assert float(checked.value) == pytest.approx(value, rel=1e-12)
    assert checked.verdict == verdict


@pytest.mark.parametrize(
    ("published", "value", "verdict"),
    [
        ("0.18", "0.18", TOOL.EXACT),
        ("0.18", "0.1849", TOOL.ROUNDED),
        ("0.18", "0.1751", TOOL.ROUNDED),
        ("0.18", "0.1899", TOOL.CUT),
        ("0.18", "0.19", TOOL.FAILS),
        ("0.18", "0.1749", TOOL.FAILS),
        ("3.1e6", "3149999", TOOL.ROUNDED),
        ("3.1e6", "3199999", TOOL.CUT),
        ("3.1e6", "3200000", TOOL.FAILS),
    ],
)
def test_a_figure_holds_to_the_digits_that_it_was_published_with(published: str, value: str, verdict: str) -> None:
    assert TOOL.check(TOOL.Claim(claim="", published=published, formula=value), {}).verdict == verdict


def test_why_says_nothing_without_a_number_for_it() -> None:
    said = TOOL.check(SEEDED[12], NAMES)
    assert said.why == "of 720 hours; a month of 730 is 56.21"
    assert "{beside}" not in TOOL.PAGE.read_text(encoding="utf-8")
