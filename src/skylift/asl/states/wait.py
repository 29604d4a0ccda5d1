"""Wait: for some seconds or until a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skylift.asl.dataflow import Evaluate, named_path_reader, template
from skylift.asl.document import Wait
from skylift.asl.json_text import json_text
from skylift.asl.result_types import out_of_range, require
from skylift.asl.scope import EvaluationFailed, Scope
from skylift.asl.state import Frame
from skylift.asl.states.base import Step
from skylift.asl.states.seconds import waiting_time
from skylift.asl.timestamps import parse_timestamp

if TYPE_CHECKING:
    from skylift.asl.turn import Turn


class WaitStep(Step):
    kind = "Wait"

    def __init__(self, state: Wait) -> None:
        super().__init__(state)
        language = state.query_language
        self._seconds = waiting_time(state.seconds, state.seconds_path, language)
        self._until = None if self._seconds is not None else moment_field(state)

    def begin(self, turn: Turn, frame: Frame) -> None:
        scope = turn.scope(frame, self)
        self.flow.effective(scope)
        due_ms = turn.now_ms
        if self._seconds is not None:
            due_ms += self._seconds(scope)
        elif self._until is not None:
            due_ms = max(due_ms, self._until(scope))
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


def moment_field(state: Wait) -> Evaluate | None:
    """Timestamp or TimestampPath, evaluated to milliseconds since 1970."""
    path = state.timestamp_path
    if isinstance(path, str):
        return _moment_at(path)
    evaluate = template(state.timestamp, state.query_language, "Timestamp")
    if evaluate is None:
        return None

    def read(scope: Scope) -> int:
        value = evaluate(scope)
        require("string", value, state.timestamp, "Timestamp")
        moment = to_ms(value)
        if moment is None:
            cause = _NO_TIMESTAMP.format("Timestamp", json_text(value))
            raise out_of_range(state.query_language == "JSONata", "Timestamp", cause)
        return moment

    return read


def _moment_at(path: str) -> Evaluate:
    evaluate = named_path_reader(path, "TimestampPath")
    assert evaluate is not None

    def read(scope: Scope) -> int:
        value = evaluate(scope)
        moment = to_ms(value)
        if moment is None:
            shown = value if isinstance(value, str) else json_text(value)
            cause = _NO_TIMESTAMP.format("TimestampPath", f"{path} == {shown}")
            raise EvaluationFailed("States.Runtime", cause)
        return moment

    return read


_NO_TIMESTAMP = "The {} parameter does not reference a valid ISO-8601 extended offset date-time format string: {}"


def to_ms(value: Any) -> int | None:
    """Milliseconds since 1970; None if the value is no timestamp."""
    parsed = parse_timestamp(value) if isinstance(value, str) else None
    if parsed is None:
        return None
    seconds, nanoseconds = parsed
    return seconds * 1000 + nanoseconds // 1_000_000
