"""How time passes around the engine: as it does, N times as fast, or in jumps from one event to the next."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from skylift.engine.clock import SystemClock
from skylift.errors import SetupError
from skylift.ports.clock import Clock, Ticking

IDLE_S = 0.1
"""How often an idle engine looks into the journal for what other processes left there."""
MAX = "max"


class SpeedInvalid(SetupError):
    """A speed at which virtual time cannot pass."""

    code = "SPEED"


class RealPace:
    """The Pace port on a clock that moves by itself: that of the machine, or a faster one."""

    speed: float | None = 1.0

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock: Clock = SystemClock() if clock is None else clock
        self.on_wake: Callable[[], None] = lambda: None
        """Set by whoever waits."""
        self._parts: list[Ticking] = []
        self._lock = threading.Lock()

    def attach(self, part: Ticking) -> None:
        with self._lock:
            if part not in self._parts:
                self._parts.append(part)

    def wake(self) -> None:
        self.on_wake()

    @property
    def attached(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(part.name for part in self._parts)

    def pause_s(self, due: int | None) -> float:
        """How long to wait for something else when the engine has nothing to do before `due`."""
        return self._real_s(self._earliest(due))

    def idle(self, due: int | None, works_outside: Callable[[], bool]) -> bool:
        """Nothing came in that pause. Whether time passes all the same."""
        return True

    def tick(self) -> None:
        """Let all parts do what is due."""
        if self._parts:
            now = self.clock.now_ms()
            for part in tuple(self._parts):
                part.tick(now)

    def _earliest(self, due: int | None) -> int | None:
        if not self._parts:
            return due
        times = [when for part in tuple(self._parts) if (when := part.next_due()) is not None]
        return min(times if due is None else [due, *times], default=None)

    def _real_s(self, due: int | None) -> float:
        if due is None:
            return IDLE_S
        return min(IDLE_S, max(0.0, (due - self.clock.now_ms()) / 1000 / (self.speed or 1.0)))


class FastClock:
    """Real time, so many times as fast, from a start on."""

    def __init__(self, start_ms: int, speed: float) -> None:
        self._start_ms = start_ms
        self._speed = speed
        self._from_s = time.monotonic()

    def now_ms(self) -> int:
        return self._start_ms + int((time.monotonic() - self._from_s) * 1000 * self._speed)


class FastPace(RealPace):
    """`speed` seconds of the engine's time pass in one of ours, with everything that really runs meanwhile."""

    def __init__(self, start_ms: int, speed: float) -> None:
        super().__init__(FastClock(start_ms, speed))
        self.speed: float | None = speed


class StillClock:
    """Stands still until it is put forward."""

    def __init__(self, start_ms: int) -> None:
        self._now_ms = start_ms

    def now_ms(self) -> int:
        return self._now_ms

    def advance_to(self, at_ms: int) -> None:
        self._now_ms = max(self._now_ms, at_ms)


class JumpingPace(RealPace):
    """Time stands still while anything really works, and else jumps to the next thing that is due. What is done by it
    depends on no clock of ours: the same parts do the same things at the same times."""

    def __init__(self, start_ms: int) -> None:
        self._still = StillClock(start_ms)
        super().__init__(self._still)
        self.speed: float | None = None
        self._alarms: list[tuple[int, threading.Event]] = []
        self._waits = False
        """Another backend works, which takes its own time and ends in a report."""

    def pause_s(self, due: int | None) -> float:
        earliest = self._earliest(due)
        waits, self._waits = self._waits, False
        return IDLE_S if earliest is None or waits or self._busy() else 0.0

    def idle(self, due: int | None, works_outside: Callable[[], bool]) -> bool:
        earliest = self._earliest(due)
        if earliest is None or self._busy():
            return False
        if works_outside():
            self._waits = True
            return False
        self._still.advance_to(earliest)
        self._ring()
        return True

    def sleep_until(self, at_ms: int) -> threading.Event:
        """Set once time has come to it: something else that is due."""
        alarm = threading.Event()
        with self._lock:
            self._alarms.append((at_ms, alarm))
        self.wake()
        return alarm

    def _earliest(self, due: int | None) -> int | None:
        with self._lock:
            alarms = [at_ms for at_ms, _ in self._alarms]
        earliest = super()._earliest(due)
        return min(alarms if earliest is None else [earliest, *alarms], default=None)

    def _ring(self) -> None:
        now = self._still.now_ms()
        with self._lock:
            rung = [alarm for at_ms, alarm in self._alarms if at_ms <= now]
            self._alarms = [(at_ms, alarm) for at_ms, alarm in self._alarms if at_ms > now]
        for alarm in rung:
            alarm.set()

    def _busy(self) -> bool:
        return any(part.busy() for part in tuple(self._parts))


def pace_of(speed: str | float, start_ms: int) -> RealPace:
    """`max` jumps; a number is how many seconds of its time pass in one of ours. Raises SpeedInvalid."""
    factor = parse_speed(speed)
    return JumpingPace(start_ms) if factor is None else FastPace(start_ms, factor)


def parse_speed(speed: str | float) -> float | None:
    """Raises SpeedInvalid."""
    if speed == MAX:
        return None
    try:
        factor = float(str(speed).removesuffix("x"))
    except ValueError:
        factor = 0.0
    if not 1 <= factor <= 1_000_000 or math.isnan(factor):
        raise SpeedInvalid(
            f"speed {speed!r} is not one at which time can pass",
            hint='write "max", or from 1 to 1000000 how many seconds pass in one of ours: 600',
        )
    return factor
