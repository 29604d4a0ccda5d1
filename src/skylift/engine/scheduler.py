"""Starts runs by schedule: each tick once, whoever restarts when; after downtime one run, not all that were missed."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from skylift.engine.inputs import StartRun
from skylift.engine.schedule import InvalidSchedule, next_due
from skylift.ports.journal import Journal, Schedule


class Tick(msgspec.Struct, frozen=True):
    """A run to start."""

    schedule: Schedule
    due_ms: int

    def start(self) -> StartRun:
        """The run is named by the tick: started a second time it is the same run."""
        schedule = self.schedule
        return StartRun(
            definition=schedule.definition,
            tasks=schedule.tasks,
            pipeline=schedule.pipeline,
            input=schedule.input,
            name=f"{schedule.name}-{self.due_ms}",
            attributes={"schedule": schedule.name, "scheduled_ms": str(self.due_ms)},
        )


class Scheduler:
    """The schedules of a journal, and what is due of them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._schedules: list[Schedule] = []
        self._due: dict[str, int] = {}

    def read(self, now_ms: int) -> None:
        """Look at the journal's schedules. One that is new counts from now on."""
        self._schedules = [schedule for schedule in self._journal.schedules() if schedule.enabled]
        self._due = {}
        for schedule in self._schedules:
            if schedule.last_ms is None:
                schedule.last_ms = now_ms
                self._journal.put_schedule(schedule)
            self._set_due(schedule)

    def next_due(self) -> int | None:
        return min(self._due.values(), default=None)

    def ticks(self, now_ms: int) -> Iterator[Tick]:
        """The runs to start now. Each is given again until `done`."""
        for schedule in self._schedules:
            due = self._due.get(schedule.name)
            if due is not None and due <= now_ms:
                yield Tick(schedule, due)

    def done(self, tick: Tick, now_ms: int) -> None:
        """The tick's run is durable: go on after now, also past ticks that were missed."""
        schedule = tick.schedule
        before, schedule.last_ms = schedule.last_ms, now_ms
        self._set_due(schedule)
        for kept in self._journal.schedules():
            if kept.name == schedule.name and kept.last_ms == before:
                kept.last_ms = now_ms
                self._journal.put_schedule(kept)

    def _set_due(self, schedule: Schedule) -> None:
        self._due.pop(schedule.name, None)
        try:
            due = next_due(schedule.expression, schedule.last_ms or 0, schedule.timezone)
        except InvalidSchedule:
            return  # was checked when it was made; one that another version wrote must not stop the rest
        if due is not None:
            self._due[schedule.name] = due
