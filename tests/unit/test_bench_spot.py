"""The report on spot policies: means and comparisons follow from the windows; its table stands in RESULTS.md."""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench import spot  # noqa: E402
from bench.beside import MARK, with_tables_of_others  # noqa: E402
from bench.spot_folds import Fold, sections  # noqa: E402
from bench.spot_report import as_markdown, held_out_table, means_table  # noqa: E402
from skylift.pricing.spot.named import POLICIES  # noqa: E402
from skylift.pricing.spot.traces import Trace  # noqa: E402


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    jobs = [spot.Job(work=30, deadline=60, changeover=d, ratio=Fraction(3, 10)) for d in (1, 3)]
    monkeypatch.setattr(spot, "jobs", lambda ratio: iter(jobs))
    monkeypatch.setattr(spot, "RATIOS", ("0.3",))
    traces = [Trace(name=name, gap_ms=600_000, first=name == "a", runs=(3, 2, 5, 4, 9, 1) * 5) for name in "ab"]
    found = spot.measure([Fold(judged=traces, policies=POLICIES)], 4)
    return {"date": "2026-01-01", "machine": {}, "published": False, **found, "held_out": []}


def test_means_are_those_of_the_configurations(results: dict[str, object]) -> None:
    [price] = json.loads(json.dumps(results["prices"]))
    rows = price["configurations"]
    assert [row["restart_hours"] for row in rows] == [pytest.approx(1 / 30), 0.1]
    for name, found in price["means"].items():
        assert found["cost"] == pytest.approx(sum(row["costs"][name] for row in rows) / 2)
        assert found["low"] <= found["cost"] <= found["high"] and found["late"] == 0
    for row in rows:
        assert row["costs"]["bar"] == min(row["costs"][name] for name in spot.PUBLISHED) == row["costs"][row["bar"]]


def test_the_report_has_a_row_for_each_configuration(results: dict[str, object]) -> None:
    text = as_markdown(results)
    assert "4 starts on each of 2 recorded markets" in text
    assert text.count("| 1 h | 2 h | 0.") == 2 and "reference" not in text
    other = {**results, "title": "Other zones", "what": "machines"}
    beside = as_markdown({**results, "held_out": [other]})
    assert "## Other zones\n\nThe same 27 configurations, 4 starts on each of 2 traces: machines." in beside
    assert "| | reference | 0.6760 | 0.6715 |" in "\n".join(means_table({**results, "published": True}))


def test_skylift_is_compared_window_by_window(results: dict[str, object]) -> None:
    [price] = json.loads(json.dumps(results["prices"]))
    ours, rows = price["means"]["skylift"]["cost"], price["configurations"]
    for name, found in price["against"].items():
        assert found["ratio"] == pytest.approx(ours / price["means"][name]["cost"])
        assert found["below"] == sum(row["costs"]["skylift"] < row["costs"][name] for row in rows)
        assert found["low"] <= found["ratio"] <= found["high"]
    lines = list(held_out_table({**results, "held_out": [{**results, "title": "others"}]}))
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| those the prior is fitted to", "| others"]


def test_what_is_judged_was_not_fitted_to() -> None:
    def trace(name: str) -> Trace:
        return Trace(name=f"x/{name}", gap_ms=600_000, first=True, runs=(3, 2, 5))

    space, time, other = sections([trace("east-a_v100"), trace("east-b_v100"), trace("east-b_k80")], [trace("west")])
    assert [[one.name for one in fold.judged] for fold in space.folds] == [
        ["x/east-a_v100"],
        ["x/east-b_v100", "x/east-b_k80"],
    ]
    first, second = (fold.judged[0] for fold in time.folds)
    assert (first.first, first.runs, second.first, second.runs) == (True, (3, 2), True, (5,))
    assert [one.name for one in other.folds[0].judged] == ["x/west"]
    makers = [fold.policies["skylift"][0].make for fold in (*space.folds, *time.folds, *other.folds)]
    assert len(set(makers)) == 5, "each has a prior of its own"


def test_its_table_stands_at_the_end_of_the_other_report(results: dict[str, object], tmp_path: Path) -> None:
    assert with_tables_of_others("# Measurements\n", tmp_path) == "# Measurements\n"
    (tmp_path / "spot.json").write_text(json.dumps(results))
    once = with_tables_of_others("# Measurements\n", tmp_path)
    assert once.startswith(f"# Measurements\n\n{MARK}\n\n## Spot policies\n") and "| 0.3 | mean |" in once
    assert with_tables_of_others(once, tmp_path) == once


def test_without_traces_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert spot.main(["--traces", str(tmp_path / "none.json")]) == 0
    assert f"skipped, for there are no traces at {tmp_path / 'none.json'}" in capsys.readouterr().err
