"""Ticks of a schedule."""

from __future__ import annotations

from datetime import UTC, datetime

from skylift.engine.schedule import latest_due, next_due
from skylift.server.triggers.book import TriggerBook
from skylift.server.triggers.trigger import Occurrence, Schedule, Trigger, TriggerState

LONGEST_PAUSE_S = 30.0
"""Clocks are set: a far tick is looked for again and again."""


class ScheduleWatcher:
    """Gives the latest tick that is due and was not started."""

    def __init__(self, trigger: Trigger, source: Schedule, book: TriggerBook) -> None:
        self._trigger = trigger
        self._source = source
        self._book = book
        self._last_ms: int | None = None

    def look(self, now_ms: int) -> list[Occurrence]:
        state = self._book.state(self._trigger.key)
        self._last_ms = state.last_tick_ms if state.last_tick_ms is not None else self._trigger.created_ms
        tick = latest_due(self._source.expression, self._last_ms, now_ms, self._source.timezone)
        if tick is None:
            return []
        at = datetime.fromtimestamp(tick / 1000, UTC)
        event = {"time": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "trigger": self._trigger.name}
        return [Occurrence(at.strftime("%Y%m%dT%H%M%SZ"), event)]

    def done(self, occurrence: Occurrence) -> None:
        at = datetime.strptime(occurrence.key, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        tick = int(at.timestamp() * 1000)

        def advance(state: TriggerState) -> None:
            state.last_tick_ms = max(tick, state.last_tick_ms or 0)

        self._book.change_state(self._trigger.key, advance)
        self._last_ms = tick

    def pause_s(self, now_ms: int) -> float:
        due = None if self._last_ms is None else self._next(self._last_ms)
        if due is None:
            return LONGEST_PAUSE_S
        return min(LONGEST_PAUSE_S, max(0.0, (due - now_ms) / 1000))

    def _next(self, after_ms: int) -> int | None:
        return next_due(self._source.expression, after_ms, self._source.timezone)
