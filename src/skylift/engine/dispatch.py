"""Attempts on their way to backends: fair over runs, a bounded number in each backend's hands."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from msgspec import UNSET

from skylift.engine.guard import Guard
from skylift.engine.run import Attempt
from skylift.ports.compute import Backend, Lost, Report, Requirements, SpotSight, Standing, TaskCall

_log = logging.getLogger("skylift.engine")

CallOf = Callable[[Attempt], TaskCall]
"""What a backend is given for an attempt."""
TURN = 64
"""Attempts of one run before the next run's come."""


class Dispatcher:
    """One lane a backend. Runs take turns, so that a wide map does not keep a short run waiting."""

    def __init__(
        self, backends: Mapping[str, Backend], window: int, report: Report, guard: Guard, call_of: CallOf
    ) -> None:
        self._guard = guard
        self._lanes = {name: Lane(backend, window, report, guard.given, call_of) for name, backend in backends.items()}

    def add(self, attempt: Attempt) -> None:
        assert attempt.backend is not None
        self._lanes[attempt.backend].add(attempt)

    def may_have(self, attempt: Attempt) -> bool:
        """Whether its backend may still have what an engine before this one gave to it."""
        assert attempt.backend is not None
        return self._lanes[attempt.backend].backend.capabilities.outlives_engine

    def adopt(self, attempt: Attempt) -> None:
        """The backend has it already."""
        assert attempt.backend is not None
        attempt.sent = True
        self._guard.given(attempt, attempt.command.scheduled_ms)
        self._lanes[attempt.backend].count(attempt, 1)

    def accepted(self, attempt: Attempt, output: Any) -> None:
        """A service has taken the job on: it may take days, and nobody else waits for its place meanwhile."""
        lane = self._lanes[attempt.backend] if attempt.sent and attempt.backend is not None else None
        if lane is not None:
            lane.count(attempt, -1)
        attempt.submitted = output
        if lane is not None:
            lane.count(attempt, 1)

    def ended(self, attempt: Attempt) -> None:
        """The backend no longer has it, or never got it."""
        if attempt.sent and attempt.backend is not None:
            attempt.sent = False
            self._guard.ended(attempt)
            self._lanes[attempt.backend].count(attempt, -1)

    def flush(self) -> None:
        """Give each backend what fits, in one call."""
        for lane in self._lanes.values():
            if lane.queues and lane.outstanding < lane.window:
                lane.flush()

    def busy(self, but: Collection[str]) -> bool:
        """Whether any backend but these has something of ours."""
        lanes = self._lanes.items()
        return any(lane.outstanding or lane.taken_on for name, lane in lanes if name not in but)

    def recall(self, attempts: Iterable[Attempt]) -> None:
        """Ask for these back: each ends in a report, Cancelled unless it ended by itself first."""
        for attempt in attempts:
            if attempt.open and attempt.sent and attempt.backend is not None:
                self._lanes[attempt.backend].backend.cancel([attempt.token])

    def release(self, attempts: Iterable[Attempt]) -> None:
        """Ask for these back once they have saved their state. What cannot be asked goes on."""
        for attempt in attempts:
            if attempt.open and attempt.sent and attempt.backend is not None:
                with _told_of(attempt.backend):
                    self._lanes[attempt.backend].backend.release([attempt.token])

    def sight(self, backend: str, requirements: Requirements) -> SpotSight | None:
        with _told_of(backend):
            return self._lanes[backend].backend.sight(requirements)
        return None

    def standing(self, attempt: Attempt) -> Standing | None:
        if attempt.backend is not None:
            with _told_of(attempt.backend):
                return self._lanes[attempt.backend].backend.standings([attempt.token]).get(attempt.token)
        return None

    def explain(self, attempts: Iterable[Attempt]) -> dict[str, str]:
        """What the backends say of them, by token."""
        answer: dict[str, str] = {}
        for name, asked in _by_backend(attempts).items():
            answer.update(self._lanes[name].backend.explain(asked))
        return answer

    def held(self, attempts: Iterable[Attempt]) -> dict[str, str]:
        """`queued` or `running` by token, as the backends say."""
        answer: dict[str, str] = {}
        for name, asked in _by_backend(attempts).items():
            answer.update(self._lanes[name].backend.poll(asked))
        return answer

    def cancel(self, attempts: Iterable[Attempt]) -> None:
        tokens: dict[str, list[str]] = {}
        for attempt in attempts:
            if attempt.backend is not None and attempt.sent:
                tokens.setdefault(attempt.backend, []).append(attempt.token)
            self.ended(attempt)
        for name, asked in tokens.items():
            self._lanes[name].backend.cancel(asked)

    def stop(self, sent: Iterable[tuple[str, str]]) -> None:
        """Cancel by name of the backend and token, what no attempt here stands for any more."""
        tokens: dict[str, list[str]] = {}
        for name, token in sent:
            tokens.setdefault(name, []).append(token)
        for name, asked in tokens.items():
            self._lanes[name].backend.cancel(asked)

    def sweep(self, live: Iterable[Attempt]) -> None:
        tokens: dict[str, set[str]] = {name: set() for name in self._lanes}
        for attempt in live:
            if attempt.backend is not None:
                tokens[attempt.backend].add(attempt.token)
        for name, lane in self._lanes.items():
            lane.backend.sweep(tokens[name])


@contextlib.contextmanager
def _told_of(backend: str) -> Iterator[None]:
    """What helps a step to a better market and fails (a full disk, a provider in trouble) must not stop the engine."""
    try:
        yield
    except Exception as problem:  # noqa: BLE001  # whatever it is, its steps go on where they are
        _log.warning("backend %s could not be asked about the markets of its attempts: %r", backend, problem)


def _by_backend(attempts: Iterable[Attempt]) -> dict[str, list[str]]:
    tokens: dict[str, list[str]] = {}
    for attempt in attempts:
        if attempt.backend is not None:
            tokens.setdefault(attempt.backend, []).append(attempt.token)
    return tokens


class Lane:
    """The way to one backend."""

    def __init__(
        self, backend: Backend, window: int, report: Report, given: Callable[[Attempt], None], call_of: CallOf
    ) -> None:
        self.backend = backend
        self._given = given
        self._call_of = call_of
        self.window = window
        self.outstanding = 0
        self.taken_on = 0
        """Jobs that a service goes on with: they take no room here."""
        self.queues: dict[str, deque[Attempt]] = {}
        """By run; the order of the keys is the order of turns."""
        self._report = report

    def add(self, attempt: Attempt) -> None:
        run_id = attempt.run.record.run_id
        queue = self.queues.get(run_id)
        if queue is None:
            queue = self.queues[run_id] = deque()
        queue.append(attempt)

    def count(self, attempt: Attempt, change: int) -> None:
        """The backend has one more, or one less. Only what no service has taken on takes room in its window."""
        if attempt.submitted is UNSET:
            self.outstanding += change
        else:
            self.taken_on += change

    def flush(self) -> None:
        calls: list[TaskCall] = []
        while self.queues and self.outstanding < self.window:
            run_id = next(iter(self.queues))
            queue = self.queues.pop(run_id)
            self._take(queue, calls)
            if queue:
                self.queues[run_id] = queue
        if calls:
            self._submit(calls)

    def _take(self, queue: deque[Attempt], calls: list[TaskCall]) -> None:
        for _ in range(min(TURN, self.window - self.outstanding)):
            attempt = queue.popleft()
            if attempt.open and attempt.backend is not None:
                attempt.sent = True
                self._given(attempt)
                self.count(attempt, 1)
                calls.append(self._call_of(attempt))
            if not queue:
                return

    def _submit(self, calls: list[TaskCall]) -> None:
        try:
            self.backend.submit(calls)
        except Exception as problem:  # noqa: BLE001  # a backend that breaks its contract must not stop the engine
            for call in calls:
                self._report(call.token, Lost(reason=f"backend {self.backend.name} refused the call: {problem!r}"))
