"""Parallel: one thread for each branch; all must succeed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skylift.asl.document import Parallel
from skylift.asl.state import Failure, Fan, Frame
from skylift.asl.states.base import CompiledFlow, Step

if TYPE_CHECKING:
    from skylift.asl.turn import Turn


class ParallelStep(Step):
    kind = "Parallel"
    retryable = True

    def __init__(self, state: Parallel, branches: list[CompiledFlow]) -> None:
        super().__init__(state)
        self._branches = branches

    def begin(self, turn: Turn, frame: Frame) -> None:
        scope = turn.scope(frame, self)
        self.flow.effective(scope)
        given = self.flow.payload(scope)
        turn.emit(frame, "ParallelStateStarted")
        frame.phase = "fan"
        fan = frame.fan = Fan(len(self._branches), len(self._branches))
        for index in range(fan.length):
            self._start(turn, frame, fan, index, given)

    def _start(self, turn: Turn, frame: Frame, fan: Fan, index: int, given: Any) -> None:
        flow = self._branches[index]
        number = turn.new_frame_number()
        fan.active[index] = number
        fan.next_index = index + 1
        turn.start_thread(
            Frame(
                number,
                frame.number,
                index,
                flow.number,
                frame.home,
                (*frame.path, self.name, index),
                flow.start,
                given,
                frame.variables,
                "ready",
                frame.last_id,
            )
        )

    def child_succeeded(self, turn: Turn, frame: Frame, child: Frame, output: Any) -> None:
        fan = frame.fan
        assert fan is not None
        del fan.active[child.index]
        fan.results[child.index] = output
        frame.last_id = child.last_id
        if len(fan.results) == fan.length:
            self._complete(turn, frame, fan)

    def _complete(self, turn: Turn, frame: Frame, fan: Fan) -> None:
        turn.aside(frame, "ParallelStateSucceeded")
        self.succeed(turn, frame, [fan.results[index] for index in range(fan.length)])

    def child_failed(self, turn: Turn, frame: Frame, child: Frame, failure: Failure) -> None:
        fan = frame.fan
        assert fan is not None
        fan.stopped[child.index] = fan.active.pop(child.index)
        frame.last_id = child.last_id
        turn.stop_children(frame, recorded=True)
        turn.fail(self, frame, failure)

    def record_failed(self, turn: Turn, frame: Frame, failure: Failure) -> None:
        turn.emit(frame, "ParallelStateFailed")

    def redrive(self, turn: Turn, frame: Frame) -> None:
        fan = frame.fan
        if fan is None:
            turn.attempt(self, frame)
            return
        frame.phase = "fan"
        turn.redrive_children(frame, fan)
        if not fan.active:
            self._complete(turn, frame, fan)
