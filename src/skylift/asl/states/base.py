"""What all compiled states share: entering, leaving, retrying and catching."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skylift.asl.dataflow import compile_dataflow
from skylift.asl.document import Catcher, Retrier, State
from skylift.asl.events import MapRunUpdated
from skylift.asl.retry import delay_ms, find_catcher, find_retrier
from skylift.asl.scope import EvaluationFailed
from skylift.asl.state import Failure, Frame

if TYPE_CHECKING:
    from skylift.asl.turn import Turn


class CompiledFlow:
    """A flow of the document: its first state and its compiled states by name."""

    __slots__ = ("number", "start", "steps")

    def __init__(self, number: int, start: str) -> None:
        self.number = number
        self.start = start
        self.steps: dict[str, Step] = {}


class Step:
    """A state, compiled. Holds nothing of any run."""

    kind = ""
    retryable = False
    """Whether the state may have Retry and Catch."""

    def __init__(self, state: State) -> None:
        self.name = state.name
        self.next = state.next
        self.jsonata = state.query_language == "JSONata"
        self.entered_type = self.kind + "StateEntered"
        self.exited_type = self.kind + "StateExited"
        self.flow = compile_dataflow(state)
        self.retriers: tuple[Retrier, ...] = getattr(state, "retry", ())
        self.catchers: tuple[Catcher, ...] = getattr(state, "catch", ())

    def begin(self, turn: Turn, frame: Frame) -> None:
        """Start the state's work; may raise EvaluationFailed."""
        raise NotImplementedError

    def timer_fired(self, turn: Turn, frame: Frame) -> None:
        """The time that the state waited for has come."""

    def child_succeeded(self, turn: Turn, frame: Frame, child: Frame, output: Any) -> None:
        raise NotImplementedError

    def child_failed(self, turn: Turn, frame: Frame, child: Frame, failure: Failure) -> None:
        raise NotImplementedError

    def port_answered(self, turn: Turn, frame: Frame, event: Any) -> None:
        """A reader or writer of the state's Distributed Map has answered."""

    def limits_changed(self, turn: Turn, frame: Frame, event: MapRunUpdated) -> None:
        """UpdateMapRun."""

    def record_aborted(self, turn: Turn, frame: Frame, child: Frame) -> None:
        """Tell the history that a child was stopped, where the service does."""

    def record_failed(self, turn: Turn, frame: Frame, failure: Failure) -> None:
        """Tell the history that the state itself has failed, where the service does."""

    def redrive(self, turn: Turn, frame: Frame) -> None:
        """Go on after a redrive: by default from the state's entry."""
        frame.phase = "ready"
        turn.agenda.append(frame)

    def succeed(self, turn: Turn, frame: Frame, result: Any) -> None:
        """The work is done: shape the output and leave."""
        scope = turn.scope(frame, self)
        try:
            output, assigned = self.flow.finish(scope, frame.input, result)
            turn.leave(self, frame, output, assigned, self.next)
        except EvaluationFailed as problem:
            turn.evaluation_failed(self, frame, problem)

    def recover(self, turn: Turn, frame: Frame, failure: Failure) -> bool:
        """Retry or catch. False: nothing here answers the failure."""
        if self.retriers and self._retry(turn, frame, failure):
            return True
        self.record_failed(turn, frame, failure)
        index = find_catcher(self.catchers, failure) if self.catchers else None
        if index is None:
            return False
        return self._catch(turn, frame, failure, index)

    def _retry(self, turn: Turn, frame: Frame, failure: Failure) -> bool:
        index = find_retrier(self.retriers, failure, frame.retried)
        if index is None:
            return False
        if frame.retried is None:
            frame.retried = [0] * len(self.retriers)
        delay = delay_ms(self.retriers[index], frame.retried[index], turn.random)
        frame.retried[index] += 1
        frame.retry_count += 1
        turn.drop_children(frame)
        frame.phase = "retry"
        turn.wait_until(frame, turn.now_ms + delay)
        return True

    def _catch(self, turn: Turn, frame: Frame, failure: Failure, index: int) -> bool:
        turn.drop_children(frame)
        scope = turn.scope(frame, self)
        try:
            output, assigned = self.flow.caught(index, scope, failure.as_output())
            turn.leave(self, frame, output, assigned, self.catchers[index].next)
        except EvaluationFailed as problem:
            turn.thread_failed(frame, turn.describe(self, frame, problem))
        return True
