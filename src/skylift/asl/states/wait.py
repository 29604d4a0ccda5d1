"""Wait: for some seconds or until a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from skylift.asl.dataflow import Evaluate, named_path_reader, template
from skylift.asl.document import Wait
from skylift.asl.scope import EvaluationFailed
from skylift.asl.state import Frame
from skylift.asl.states.base import Step

if TYPE_CHECKING:
    from skylift.asl.turn import Turn

MOST_SECONDS = 99_999_999
"""The longest wait of the service: about three years."""


class WaitStep(Step):
    kind = "Wait"

    def __init__(self, state: Wait) -> None:
        super().__init__(state)
        language = state.query_language
        self._seconds = template(state.seconds, language, "Seconds")
        self._field = "Seconds"
        if self._seconds is None:
            self._seconds = named_path_reader(state.seconds_path, "SecondsPath")
            self._field = "SecondsPath"
        self._until: Evaluate | None = None
        if self._seconds is None:
            self._until = template(state.timestamp, language, "Timestamp")
            self._field = "Timestamp" if state.timestamp is not UNSET else "TimestampPath"
            if self._until is None:
                self._until = named_path_reader(state.timestamp_path, "TimestampPath")

    def begin(self, turn: Turn, frame: Frame) -> None:
        scope = turn.scope(frame, self)
        self.flow.effective(scope)
        due_ms = turn.now_ms
        if self._seconds is not None:
            due_ms += seconds_to_ms(self._seconds(scope), self)
        elif self._until is not None:
            due_ms = max(due_ms, timestamp_to_ms(self._until(scope), self))
        if due_ms <= turn.now_ms:
            self.timer_fired(turn, frame)
            return
        frame.phase = "wait"
        turn.wait_until(frame, due_ms)

    def timer_fired(self, turn: Turn, frame: Frame) -> None:
        scope = turn.scope(frame, self)
        try:
            effective = self.flow.effective(scope)
            output, assigned = self.flow.finish(scope, frame.input, effective)
            turn.leave(self, frame, output, assigned, self.next)
        except EvaluationFailed as problem:
            turn.evaluation_failed(self, frame, problem)

    def refuse(self, what: str, value: Any) -> EvaluationFailed:
        error = "States.QueryEvaluationError" if self.jsonata else "States.Runtime"
        location = self._field if self.jsonata else None
        return EvaluationFailed(error, f"The {self._field} field must be {what} but was: {value!r}", location)


def seconds_to_ms(value: Any, step: WaitStep) -> int:
    number = not isinstance(value, bool) and isinstance(value, int | float) and value == value
    if not number or not 0 <= value <= MOST_SECONDS or value != int(value):
        raise step.refuse(f"a whole number of seconds from 0 to {MOST_SECONDS}", value)
    return int(value) * 1000


def timestamp_to_ms(value: Any, step: WaitStep) -> int:
    """RFC 3339; digits beyond the microsecond are dropped."""
    if isinstance(value, str) and len(value) >= 20 and value[10] == "T":
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None:
            return round((moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)
    raise step.refuse("a timestamp such as 2026-11-21T09:00:00Z", value)
