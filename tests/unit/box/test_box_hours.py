"""Office hours, and what they and a lease mean for a box at some time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skylift.box.box import HOURS, STOPPED, UNTIL, ZONE, Box, BoxTrouble
from skylift.box.hours import HoursInvalid, read_hours
from skylift.box.keeping import Keeping, plan

HOUR = 3_600_000
WEEK = read_hours("mon-fri 08:00-19:00, sat 10:00-14:00", "Europe/Zurich")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "opened"),
    [
        ("2026-11-20T06:59", None),  # Friday, 07:59 in Zurich
        ("2026-11-20T07:00", "2026-11-20T07:00"),
        ("2026-11-20T17:59", "2026-11-20T07:00"),
        ("2026-11-20T18:00", None),
        ("2026-11-21T09:30", "2026-11-21T09:00"),
        ("2026-11-22T12:00", None),
        ("2026-07-03T06:00", "2026-07-03T06:00"),  # summer time
    ],
)
def test_when_it_is_open(text: str, opened: str | None) -> None:
    assert WEEK.opened(at(text)) == (None if opened is None else at(opened))


def test_the_next_change() -> None:
    assert WEEK.next_change(at("2026-11-20T12:00")) == at("2026-11-20T18:00")
    assert WEEK.next_change(at("2026-11-20T18:00")) == at("2026-11-21T09:00")
    assert WEEK.next_change(at("2026-11-21T13:00")) == at("2026-11-23T07:00")


def test_over_a_change_of_the_clock() -> None:
    hours = read_hours("mon-sun 01:00-08:00", "Europe/Zurich")
    assert hours.opened(at("2026-03-29T05:30")) == at("2026-03-29T00:00")
    assert hours.next_change(at("2026-03-29T00:30")) == at("2026-03-29T06:00")


def test_nights_and_weekends_in_parts() -> None:
    night = read_hours("fri-mon 22:00-24:00, sat-tue 00:00-06:00", "UTC")
    assert night.opened(at("2026-11-20T23:59")) is not None
    assert night.opened(at("2026-11-21T05:59")) is not None
    assert night.next_change(at("2026-11-20T23:00")) == at("2026-11-21T06:00")
    assert night.opened(at("2026-11-18T23:00")) is None


def test_parts_that_touch_or_overlap_have_opened_once() -> None:
    """A box that somebody had stopped was started again where the next part began."""
    night = read_hours("fri 22:00-24:00, sat 00:00-06:00", "UTC")
    assert night.opened(at("2026-11-21T03:00")) == at("2026-11-20T22:00")
    lunch = read_hours("fri 08:00-12:00, fri 12:00-19:00", "UTC")
    assert lunch.opened(at("2026-11-20T13:00")) == at("2026-11-20T08:00")
    overlapping = read_hours("fri 08:00-12:00, fri 10:00-14:00", "UTC")
    assert overlapping.opened(at("2026-11-20T13:00")) == at("2026-11-20T08:00")
    stopped = {HOURS: night.text, STOPPED: "2026-11-20T23:00:00Z"}
    box = Box(id="i-1", name="dev", state="stopped", type="m5.large", launched_ms=0, tags=stopped)
    assert plan(box, at("2026-11-21T03:00"), 12 * HOUR).wish is None


def test_hours_within_the_hour_that_comes_twice_are_open_twice() -> None:
    """Zurich sets its clock back from 3 to 2 at 01:00 UTC: it closes at 00:30, and once more at 01:30."""
    hours = read_hours("sun 01:00-02:30", "Europe/Zurich")
    assert hours.next_change(at("2026-10-25T00:00")) == at("2026-10-25T00:30")
    assert hours.next_change(at("2026-10-25T00:40")) == at("2026-10-25T01:00")
    assert hours.opened(at("2026-10-25T01:10")) == at("2026-10-25T01:00")
    assert hours.next_change(at("2026-10-25T01:10")) == at("2026-10-25T01:30")


def test_hours_that_begin_within_the_hour_that_is_left_out() -> None:
    """There is no 02:15 then: it opens at 3, which is 01:00 UTC."""
    hours = read_hours("sun 02:15-04:00", "Europe/Zurich")
    assert hours.next_change(at("2026-03-29T00:00")) == at("2026-03-29T01:00")
    assert hours.opened(at("2026-03-29T01:30")) == at("2026-03-29T01:00")


def test_the_only_hour_in_which_it_is_closed_may_be_left_out() -> None:
    """The next change was a bug report."""
    hours = read_hours("mon-sat 00:00-24:00, sun 00:00-02:00, sun 03:00-24:00", "Europe/Zurich")
    assert hours.next_change(at("2026-03-22T12:00")) == at("2026-04-05T00:00")
    assert hours.opened(at("2026-04-04T12:00")) == at("2026-03-22T02:00")


@given(st.integers(min_value=at("2026-01-01T00:00"), max_value=at("2027-12-31T00:00")))
def test_a_change_is_a_change_and_the_next_one(now: int) -> None:
    change = WEEK.next_change(now)
    before = WEEK.opened(now) is None
    assert change > now
    assert (WEEK.opened(change) is None) != before
    assert all((WEEK.opened(moment) is None) == before for moment in range(now, change, 30 * 60_000))


@pytest.mark.parametrize(
    ("text", "zone", "words"),
    [
        ("", "UTC", "are no hours"),
        ("mon-fri", "UTC", "'mon-fri' in"),
        ("mon-xyz 08:00-09:00", "UTC", "are no hours"),
        ("mon 09:00-08:00", "UTC", "end before they begin"),
        ("mon 08:00-24:01", "UTC", "end before they begin"),
        ("mon 08:60-09:00", "UTC", "end before they begin"),
        ("mon-sun 00:00-24:00", "UTC", "is always"),
        ("mon 08:00-09:00", "Mars/Base", "no time zone"),
        ("mon 08:00-09:00", "../etc/passwd", "no time zone"),
    ],
)
def test_hours_that_are_none(text: str, zone: str, words: str) -> None:
    with pytest.raises(HoursInvalid, match=words) as caught:
        read_hours(text, zone)
    assert caught.value.hint


OPEN, CLOSED = at("2026-11-20T12:00"), at("2026-11-20T20:00")
OFFICE = {HOURS: "mon-fri 08:00-19:00", ZONE: "Europe/Zurich"}


def box(state: str = "running", launched: int = at("2026-11-20T07:00"), **tags: str) -> Box:
    given = {name.replace("_", ":"): value for name, value in tags.items()}
    return Box(id="i-1", name="dev", state=state, type="m5.large", launched_ms=launched, tags=given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "tags", "now", "wish"),
    [
        ("stopped", OFFICE, OPEN, "start"),
        ("stopped", {**OFFICE, STOPPED: "2026-11-20T09:00:00Z"}, OPEN, None),  # by hand, today
        ("stopped", {**OFFICE, STOPPED: "2026-11-19T17:00:00Z"}, OPEN, "start"),  # by hand, yesterday
        ("running", OFFICE, OPEN, None),
        ("running", {**OFFICE, UNTIL: "2026-11-20T08:00:00Z"}, OPEN, None),  # the office is open
        ("running", OFFICE, CLOSED, "stop"),
        ("running", {**OFFICE, UNTIL: "2026-11-20T22:00:00Z"}, CLOSED, None),  # started by hand
        ("running", {**OFFICE, UNTIL: "2026-11-20T19:59:59Z"}, CLOSED, "stop"),
        ("stopped", OFFICE, CLOSED, None),
        ("stopping", OFFICE, OPEN, None),
        ("running", {}, OPEN, None),
        ("running", {UNTIL: "2026-11-20T11:00:00Z"}, OPEN, "stop"),
        ("running", {UNTIL: "soon"}, CLOSED, "stop"),  # 12 hours after it was launched
        ("running", {HOURS: "whenever"}, OPEN, None),
        ("stopped", {}, OPEN, None),
    ],
)
def test_what_the_tags_say(state: str, tags: dict[str, str], now: int, wish: str | None) -> None:
    found = box(state)
    there = Box(**{**{f: getattr(found, f) for f in Box.__struct_fields__}, "tags": tags})
    assert plan(there, now, 12 * HOUR).wish == wish


class Provider:
    """A machine in memory."""

    def __init__(self, found: Box) -> None:
        self.box = found
        self.did: list[str] = []
        self.refuse = ""

    def look(self) -> Box:
        return self.box

    def start(self, found: Box) -> None:
        self._change("start", state="running")

    def stop(self, found: Box) -> None:
        self._change("stop", state="stopped")

    def resize(self, found: Box, type: str) -> None:
        if self.refuse:
            raise BoxTrouble(self.refuse)
        assert self.box.state == "stopped"
        self._change("resize", type=type)

    def check_type(self, found: Box, type: str) -> None:
        if "." not in type:
            raise BoxTrouble("no type")

    def tag(self, found: Box, tags: Mapping[str, str | None]) -> None:
        merged = {**self.box.tags, **tags}
        self._change("tag", tags={key: value for key, value in merged.items() if value is not None})

    def _change(self, what: str, **fields: Any) -> None:
        self.did.append(what)
        self.box = Box(**{**{f: getattr(self.box, f) for f in Box.__struct_fields__}, **fields})


def test_a_start_by_hand_is_a_lease_and_a_stop_lasts_until_the_next_opening() -> None:
    provider = Provider(box("stopped"))
    keeping = Keeping(provider, 2 * HOUR)
    keeping.schedule(WEEK)
    keeping.start(CLOSED)
    assert provider.did[-2:] == ["tag", "start"]
    assert provider.box.tags[UNTIL] == "2026-11-20T22:00:00Z"
    assert keeping.apply(CLOSED + HOUR)[1].wish is None
    (leased,) = keeping.leased(CLOSED + HOUR)
    assert (leased.kind, leased.id, leased.until_ms) == ("box", "i-1", CLOSED + 2 * HOUR)
    keeping.start(CLOSED + HOUR, 5 * HOUR)
    assert keeping.apply(CLOSED + 2 * HOUR)[1].wish is None
    assert keeping.apply(CLOSED + 6 * HOUR)[1].wish == "stop"
    assert provider.box.state == "stopped"
    monday = at("2026-11-23T08:00")
    assert keeping.apply(monday)[1].wish == "start"
    keeping.stop(monday + HOUR)
    assert keeping.apply(monday + 2 * HOUR)[1].wish is None
    assert keeping.leased(monday + 2 * HOUR) == ()
    assert keeping.apply(monday + 24 * HOUR)[1].wish == "start"


def test_a_sweeper_ends_a_box_past_its_lease_by_stopping_it() -> None:
    provider = Provider(box(skylift_until="2026-11-20T10:00:00Z"))
    keeping = Keeping(provider, HOUR)
    (leased,) = keeping.leased(OPEN)
    assert leased.until_ms == at("2026-11-20T10:00")
    keeping.end([leased])
    assert provider.box.state == "stopped"


def test_a_box_that_ran_runs_again_after_it_was_resized_also_when_that_failed() -> None:
    provider = Provider(box())
    keeping = Keeping(provider, HOUR)
    assert keeping.resize("m5.xlarge").type == "m5.xlarge"
    assert provider.did == ["stop", "resize", "start"]
    provider.refuse = "no capacity"
    with pytest.raises(BoxTrouble):
        keeping.resize("m5.metal")
    assert (provider.box.state, provider.box.type) == ("running", "m5.xlarge")
    with pytest.raises(BoxTrouble, match="no type"):
        keeping.resize("huge")
    before = list(provider.did)
    keeping.resize("m5.xlarge")
    assert provider.did == before


def test_a_stopped_box_stays_stopped_when_it_is_resized() -> None:
    provider = Provider(box("stopped"))
    Keeping(provider, HOUR).resize("m5.xlarge")
    assert provider.box.state == "stopped"


def test_a_box_that_is_gone() -> None:
    with pytest.raises(BoxTrouble, match="was terminated"):
        Keeping(Provider(box("gone")), HOUR).start(OPEN)
