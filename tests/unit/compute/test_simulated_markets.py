"""Spot markets: traces from files of both formats, and generated ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from skylift.compute.simulated.market import GAP_MS, GeneratedMarket, Market
from skylift.compute.simulated.traces import TraceMarket, choose_trace
from skylift.pricing.spot.traces import Trace, TraceInvalid, read_traces

ORIGIN = 1_767_225_600_000
HOUR_MS = 3_600_000


def changes(market: Market, until_ms: int) -> list[int]:
    """All times after the origin at which the market turns."""
    found, at_ms = [], ORIGIN
    while (turn := market.next_change(at_ms)) is not None and turn < until_ms:
        found.append(turn)
        at_ms = turn
    return found


def test_a_trace_turns_where_its_runs_end() -> None:
    market = TraceMarket(Trace(name="t", gap_ms=600_000, first=False, runs=(3, 4, 1)), ORIGIN)
    assert [market.up(ORIGIN + tick * 600_000) for tick in range(8)] == [False] * 3 + [True] * 4 + [False]
    assert not market.up(ORIGIN + 3 * 600_000 - 1) and market.up(ORIGIN + 3 * 600_000)
    assert changes(market, ORIGIN + 16 * 600_000) == [
        ORIGIN + tick * 600_000 for tick in (3, 7, 11, 15)
    ]  # after its end it begins again, and nothing turns between two runs of the same value


def test_a_trace_that_never_turns() -> None:
    market = TraceMarket(Trace(name="t", gap_ms=1000, first=True, runs=(5,)), ORIGIN)
    assert market.up(ORIGIN + 12_345) and market.next_change(ORIGIN) is None


def test_both_formats_say_the_same(tmp_path: Path) -> None:
    encoded = {"traces": {"a/zone": {"first": 0, "runs": [2, 3, 1], "summary": {"gap_seconds": 120}}}}
    (tmp_path / "encoded.json").write_text(json.dumps(encoded))
    folder = tmp_path / "published" / "deep"
    folder.mkdir(parents=True)
    published = {"metadata": {"gap_seconds": 120}, "data": [0, 0, 1, 1, 1, 0]}
    (folder / "zone.json").write_text(json.dumps(published))
    one = choose_trace(read_traces(tmp_path / "encoded.json"), "zone")
    other = choose_trace(read_traces(tmp_path / "published"), None)
    assert (one.gap_ms, one.first, one.runs) == (other.gap_ms, other.first, other.runs) == (120_000, False, (2, 3, 1))
    assert other.name == "deep/zone"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot be read"),
        ("[1]", "holds no spot traces"),
        ('{"traces": {"a": 1}}', "a is int"),
        ('{"traces": {"a": {"first": 2, "runs": [1], "gap_seconds": 1}}}', "first is 2"),
        ('{"traces": {"a": {"first": 1, "runs": [0], "gap_seconds": 1}}}', "runs must be"),
        ('{"traces": {"a": {"first": 1, "runs": [1]}}}', "gap_seconds is None"),
        ('{"traces": {}}', "no spot traces in"),
        ('{"metadata": {}, "data": [1]}', "gap_seconds is None"),
        ('{"metadata": {"gap_seconds": 0}, "data": [1]}', "gap_seconds is 0"),
        ('{"metadata": {"gap_seconds": 60}, "data": [1, 2]}', "list of 0 and 1"),
        ('{"metadata": {"gap_seconds": 60}, "data": []}', "list of 0 and 1"),
    ],
)
def test_files_that_are_none(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(TraceInvalid) as caught:
        read_traces(path)
    assert words in caught.value.message and str(path) in caught.value.message


def test_a_trace_must_be_named_so_that_one_is_meant(tmp_path: Path) -> None:
    traces = {name: Trace(name=name, gap_ms=1, first=True, runs=(1,)) for name in ("west-2a", "west-2b", "west-2b-old")}
    assert choose_trace(traces, "west-2b").name == "west-2b"
    assert choose_trace(traces, "2a").name == "west-2a"
    for wanted, words in ((None, "there are 3 traces"), ("west", "3 traces have"), ("east", "no trace 'east'")):
        with pytest.raises(TraceInvalid, match=words):
            choose_trace(traces, wanted)
    with pytest.raises(TraceInvalid, match="no spot traces at"):
        read_traces(tmp_path / "nowhere")


def generated(seed: str = "s", up_hours: float = 4, down_hours: float = 0.5) -> GeneratedMarket:
    return GeneratedMarket(seed, ORIGIN, round(up_hours * HOUR_MS), round(down_hours * HOUR_MS))


def test_a_generated_market_is_its_seeds_whatever_is_asked_first() -> None:
    one, other = generated(), generated()
    far = ORIGIN + 40 * 24 * HOUR_MS
    assert other.up(far) == generated().up(far)
    assert changes(one, far) == changes(other, far)
    assert changes(one, far) != changes(generated("another"), far)
    assert all((turn - ORIGIN) % GAP_MS == 0 for turn in changes(one, far))


def test_a_generated_market_says_the_same_in_both_questions() -> None:
    market = generated()
    turns = changes(market, ORIGIN + 10 * 24 * HOUR_MS)
    assert len(turns) > 20
    for turn in turns:
        assert market.up(turn) != market.up(turn - 1)
        assert market.next_change(turn - 1) == turn


def test_means_and_the_time_of_day() -> None:
    market, days = generated("means", up_hours=4, down_hours=1), 400
    minutes = [market.up(ORIGIN + minute * 60_000) for minute in range(0, days * 24 * 60, 7)]
    share = sum(minutes) / len(minutes)
    assert 0.70 < share < 0.85  # 4 of 5 hours, the day's swing aside
    night, afternoon = _losses(market, days, 5), _losses(market, days, 18)
    assert afternoon > 1.5 * night, "machines are scarcest in the afternoon"


def _losses(market: GeneratedMarket, days: int, hour: int) -> float:
    """How often it turns down in the three hours around that one, for each minute that it is up."""
    up = lost = 0
    for day in range(days):
        start = ORIGIN + (day * 24 + hour - 1) * HOUR_MS
        for minute in range(180):
            if market.up(start + minute * 60_000):
                up += 1
                lost += not market.up(start + (minute + 1) * 60_000)
    return lost / up


def test_the_shared_traces_are_read() -> None:
    place = Path(__file__).resolve().parents[4] / "shared" / "data" / "spot_traces.json"
    if not place.exists():
        pytest.skip(f"no spot traces at {place}")
    traces: dict[str, Any] = read_traces(place)
    trace = choose_trace(traces, "aws-10-26-2022/us-west-2b_v100_1")
    assert trace.gap_ms == 600_000 and sum(trace.runs) == 3895
