"""Pass, Succeed, Fail and Choice: states that are done as soon as they are entered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import UNSET

from skylift.asl.choice import compile_rule
from skylift.asl.dataflow import Evaluate, named_path_reader, template
from skylift.asl.document import Choice, Fail, Pass, Succeed
from skylift.asl.result_types import require
from skylift.asl.scope import EvaluationFailed, Scope
from skylift.asl.state import Failure, Frame
from skylift.asl.states.base import Step

if TYPE_CHECKING:
    from skylift.asl.turn import Turn


class PassStep(Step):
    kind = "Pass"

    def __init__(self, state: Pass) -> None:
        super().__init__(state)
        self._result = state.result

    def begin(self, turn: Turn, frame: Frame) -> None:
        scope = turn.scope(frame, self)
        self.flow.effective(scope)
        result = self.flow.payload(scope) if self._result is UNSET else self._result
        output, assigned = self.flow.finish(scope, frame.input, result)
        turn.leave(self, frame, output, assigned, self.next)


class SucceedStep(Step):
    kind = "Succeed"

    def __init__(self, state: Succeed) -> None:
        super().__init__(state)

    def begin(self, turn: Turn, frame: Frame) -> None:
        scope = turn.scope(frame, self)
        result = self.flow.effective(scope)
        output, assigned = self.flow.finish(scope, frame.input, result)
        turn.leave(self, frame, output, assigned, None)


class FailStep(Step):
    kind = "Fail"

    def __init__(self, state: Fail) -> None:
        super().__init__(state)
        language = state.query_language
        self._sources = {"Error": state.error, "Cause": state.cause}
        self._error = template(state.error, language, "Error") or named_path_reader(state.error_path, "ErrorPath")
        self._cause = template(state.cause, language, "Cause") or named_path_reader(state.cause_path, "CausePath")

    def begin(self, turn: Turn, frame: Frame) -> None:
        scope = turn.scope(frame, self)
        error = self._text(self._error, scope, "Error")
        cause = self._text(self._cause, scope, "Cause")
        turn.fail(self, frame, Failure(error, cause))

    def _text(self, evaluate: Evaluate | None, scope: Scope, field: str) -> str | None:
        if evaluate is None:
            return None
        value = evaluate(scope)
        if isinstance(value, str):
            return value
        if self.jsonata:
            require("string", value, self._sources[field], field)
        raise EvaluationFailed("States.Runtime", f"The {field}Path field must refer to a string.")


class ChoiceStep(Step):
    kind = "Choice"

    def __init__(self, state: Choice) -> None:
        super().__init__(state)
        self._default = state.default
        language = state.query_language
        self._rules: list[tuple[Callable[[Scope], bool], str, Evaluate | None, Evaluate | None]] = [
            (
                compile_rule(rule),
                rule.next,
                template(rule.output, language, f"Choices[{index}]/Output"),
                template(rule.assign, language, f"Choices[{index}]/Assign"),
            )
            for index, rule in enumerate(state.choices)
        ]

    def begin(self, turn: Turn, frame: Frame) -> None:
        scope = turn.scope(frame, self)
        effective = self.flow.effective(scope)
        for rule, following, write, assign in self._rules:
            if rule(scope):
                self._chosen(turn, frame, scope, following, write, assign)
                return
        if self._default is None:
            self._no_choice(turn, frame)
            return
        output, assigned = self.flow.finish(scope, frame.input, effective)
        turn.leave(self, frame, output, assigned, self._default)

    def _chosen(
        self, turn: Turn, frame: Frame, scope: Scope, following: str, write: Evaluate | None, assign: Evaluate | None
    ) -> None:
        assigned = None if assign is None else assign(scope)
        output = self.flow.chosen(scope) if write is None else write(scope)
        turn.leave(self, frame, output, assigned, following)

    def _no_choice(self, turn: Turn, frame: Frame) -> None:
        cause = turn.in_state(frame, "Failed to transition out of the state. The state does not point to a next state.")
        turn.fail(self, frame, Failure("States.NoChoiceMatched", cause))
