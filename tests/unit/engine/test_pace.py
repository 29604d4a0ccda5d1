"""How time passes around the engine."""

from __future__ import annotations

import time

import pytest

from skylift.engine.pace import FastPace, JumpingPace, RealPace, SpeedInvalid, pace_of, parse_speed

START = 1_767_225_600_000


class Part:
    """Something that is due at times, and may be at work."""

    name = "part"

    def __init__(self, *due: int) -> None:
        self.due = list(due)
        self.works = False
        self.ticks: list[int] = []

    def next_due(self) -> int | None:
        return self.due[0] if self.due else None

    def busy(self) -> bool:
        return self.works

    def tick(self, now_ms: int) -> None:
        while self.due and self.due[0] <= now_ms:
            self.due.pop(0)
            self.ticks.append(now_ms)


def alone() -> bool:
    return False


def test_time_jumps_to_whatever_is_due_first() -> None:
    pace, part = JumpingPace(START), Part(START + 5_000, START + 90_000)
    pace.attach(part)
    pace.attach(part)
    assert pace.pause_s(START + 60_000) == 0.0
    for expected in (5_000, 60_000):
        assert pace.idle(START + 60_000, alone)
        pace.tick()
        assert pace.clock.now_ms() == START + expected
    assert part.ticks == [START + 5_000]
    assert pace.idle(None, alone)
    pace.tick()
    assert part.ticks == [START + 5_000, START + 90_000]


def test_time_stands_still_while_something_works() -> None:
    pace, part = JumpingPace(START), Part(START + 5_000)
    pace.attach(part)
    part.works = True
    assert pace.pause_s(START + 1) > 0 and not pace.idle(START + 1, alone)
    part.works = False
    assert not pace.idle(START + 1, lambda: True), "another backend works"
    assert pace.pause_s(START + 1) > 0, "and its report is waited for"
    assert pace.pause_s(START + 1) == 0.0
    assert pace.clock.now_ms() == START


def test_nothing_due_is_nothing_to_jump_to() -> None:
    pace = JumpingPace(START)
    assert not pace.idle(None, alone) and pace.pause_s(None) > 0
    assert pace.clock.now_ms() == START


def test_an_alarm_is_due_too() -> None:
    pace = JumpingPace(START)
    woken: list[bool] = []
    pace.on_wake = lambda: woken.append(True)
    alarm = pace.sleep_until(START + 7)
    assert woken and not alarm.is_set()
    assert pace.idle(START + 3, alone) and not alarm.is_set()
    assert pace.idle(START + 100, alone) and alarm.is_set()
    assert pace.clock.now_ms() == START + 7


def test_time_passes_faster() -> None:
    pace = FastPace(START, 1_000.0)
    part = Part(START + 60_000)
    pace.attach(part)
    assert 0 < pace.pause_s(None) <= 0.06
    assert pace.pause_s(START) == 0.0
    time.sleep(0.07)
    pace.tick()
    assert part.ticks and part.ticks[0] >= START + 60_000
    assert pace.idle(None, alone)


def test_real_time_is_the_machines() -> None:
    pace = RealPace()
    assert abs(pace.clock.now_ms() - time.time() * 1000) < 1_000
    assert pace.pause_s(None) == 0.1
    assert pace.pause_s(pace.clock.now_ms() - 5) == 0.0
    assert pace.attached == ()


def test_speeds() -> None:
    assert parse_speed("max") is None
    assert parse_speed("600") == parse_speed("600x") == parse_speed(600) == 600.0
    assert isinstance(pace_of("max", START), JumpingPace)
    assert pace_of("60", START).speed == 60.0


@pytest.mark.parametrize("speed", ["", "fast", "0", "-3", "0.5", "nan", "inf", "1e9"])
def test_what_is_no_speed(speed: str) -> None:
    with pytest.raises(SpeedInvalid) as caught:
        parse_speed(speed)
    assert repr(speed) in caught.value.message and caught.value.hint is not None
