"""Time limits of tasks, and the signs of life that are awaited from whoever has one."""

from __future__ import annotations

from skylift.engine.book import AttemptDue, Book
from skylift.engine.run import Attempt


class Deadlines:
    """Arms them in the book's timers."""

    def __init__(self, book: Book) -> None:
        self._timers = book.timers

    def limit(self, attempt: Attempt) -> None:
        """Arm the task's time limit, once."""
        command = attempt.command
        if command.timeout_ms is not None and not attempt.limited:
            attempt.limited = True
            self._timers.add(command.scheduled_ms + command.timeout_ms, AttemptDue(attempt, "timeout"))

    def expect_heartbeats(self, attempt: Attempt, now_ms: int, lease_ms: int | None = None) -> None:
        """From now on somebody has the task and must show that he lives: as often as the task says, or within the
        lease."""
        silence_ms = lease_ms or attempt.command.heartbeat_ms
        attempt.beat_ms = now_ms
        if silence_ms is not None:
            self._timers.add(now_ms + silence_ms, AttemptDue(attempt, "heartbeat"))

    def wait_for_callback(self, attempt: Attempt, now_ms: int) -> None:
        """Arm the time limits of a task that nobody but us can time out."""
        self.limit(attempt)
        self.expect_heartbeats(attempt, now_ms)
