"""A turn that stops once the state under test has been left, and knows how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from skylift.asl.commands import StartTask
from skylift.asl.limits import SERVICE
from skylift.asl.retry import find_catcher, matches
from skylift.asl.scope import Scope
from skylift.asl.state import ROOT, Failure, Frame, RunState
from skylift.asl.states.base import CompiledFlow, Step
from skylift.asl.turn import Turn


class InspectedTurn(Turn):
    """One state of a run: entered, worked through, left. What would follow stays in the agenda, which is not run; what
    the state waits for has come at once."""

    def __init__(self, flows: list[CompiledFlow], state: RunState, context: Mapping[str, Any] | None) -> None:
        super().__init__(flows, SERVICE, state, state.started_ms, None)
        self._context = context
        self.output: Any = UNSET
        self.following: str | None = None
        self.assigned: dict[str, Any] = {}
        self.failure: Failure | None = None
        self.caught = False
        self.retry_ms: int | None = None
        """How long the state would wait before it is tried again."""
        self.task: StartTask | None = None
        self.retry_index: int | None = None
        self.catch_index: int | None = None

    def enter(self, frame: Frame) -> None:
        self.frames[ROOT] = frame
        self._enter(frame)

    @property
    def decided(self) -> bool:
        """Whether the state has been left, has failed or would be retried."""
        return self.output is not UNSET or self.failure is not None

    def scope(self, frame: Frame, step: Step) -> Scope:
        scope = super().scope(frame, step)
        if self._context is not None:
            scope.context = lambda: dict(self._context or {})
        return scope

    def leave(
        self, step: Step, frame: Frame, output: Any, assigned: dict[str, Any] | None, following: str | None
    ) -> None:
        super().leave(step, frame, output, assigned, following)
        self.output, self.following, self.assigned = output, following, assigned or {}
        if self.failure is not None:
            self.caught = True
            self.catch_index = find_catcher(step.catchers, self.failure)

    def fail(self, step: Step, frame: Frame, failure: Failure) -> None:
        self.failure = failure
        answering = (index for index, retrier in enumerate(step.retriers) if matches(retrier.error_equals, failure))
        self.retry_index = next(answering, None)
        super().fail(step, frame, failure)

    def thread_failed(self, frame: Frame, failure: Failure) -> None:
        self.failure = failure
        super().thread_failed(frame, failure)

    def start_task(self, frame: Frame, task: StartTask) -> None:
        super().start_task(frame, task)
        self.task = task

    def wait_until(self, frame: Frame, due_ms: int) -> None:
        if frame.phase == "wait":
            self.step_of(frame).timer_fired(self, frame)
        else:
            self.retry_ms = due_ms - self.now_ms
