"""The pure transition function of the States Language.

    machine = Machine(document)            compiles every expression once
    state = machine.begin()
    commands = machine.advance(state, RunStarted(...), now_ms)

The shell carries out the commands and reports what came of them as further events; after a crash it replays the events,
or goes on from a snapshot and `state.pending()`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skylift.asl import events
from skylift.asl.commands import CancelTask, Command, FinishRun
from skylift.asl.compiler import compile_document
from skylift.asl.context import is_express
from skylift.asl.document import Document
from skylift.asl.history import HistoryEvent
from skylift.asl.limits import LOCAL, Limits
from skylift.asl.retry import RUNTIME
from skylift.asl.state import NO_VARIABLES, ROOT, Failure, Frame, RunState
from skylift.asl.states.task import TaskStep
from skylift.asl.turn import Turn


class Machine:
    """A document, compiled. Immutable and shared by all runs of it; use one per thread."""

    reraise = False
    """Set by tests: a bug raises instead of failing the run."""

    def __init__(self, document: Document, limits: Limits = LOCAL) -> None:
        self.document = document
        self.limits = limits
        self._flows = compile_document(document)

    def begin(self) -> RunState:
        """The state of a run before its first event."""
        return RunState()

    def advance(
        self, state: RunState, event: events.Event, now_ms: int, history: list[HistoryEvent] | None = None
    ) -> list[Command]:
        """Take one event in: change `state` and say what the shell must now do.

        Deterministic, and never raises: what does not matter any more is ignored; a bug ends the run with
        States.Runtime.
        With `history`, the service's history events are appended to it.
        """
        turn = Turn(self._flows, self.limits, state, now_ms, history)
        state.sequence += 1
        try:
            _HANDLERS[type(event)](self, turn, event)
            if turn.agenda:
                turn.run()
        except Exception as bug:
            if self.reraise:
                raise
            _break_down(turn, bug)
        return turn.commands

    # Beginning and ending

    def _started(self, turn: Turn, event: events.RunStarted) -> None:
        state = turn.state
        if state.started:
            return
        state.started = True
        state.input, state.input_text, state.seed = event.input, event.input_text, event.seed
        state.context = event.context
        state.started_ms = turn.now_ms
        flow = self._flows[0]
        root = Frame(turn.new_frame_number(), 0, 0, 0, ROOT, (), flow.start, event.input, NO_VARIABLES)
        turn.start_thread(root)
        turn.aside(root, "ExecutionStarted", {"input": event.input, "roleArn": turn.role_arn})
        self._limit_run(turn)

    def _limit_run(self, turn: Turn) -> None:
        """Arm the shorter of the document's TimeoutSeconds, which counts anew after a redrive, and the longest life."""
        state, limits = turn.state, self.limits
        longest = limits.express_run_ms if is_express(state) else limits.standard_run_ms
        left = None if longest is None else max(0, state.started_ms + longest - turn.now_ms)
        own = self.document.timeout_seconds
        if own is not None:
            turn.limit_run(own * 1000 if left is None else min(own * 1000, left))
        elif left is not None:
            turn.limit_run(left)

    def _stopped(self, turn: Turn, event: events.StopRequested) -> None:
        if not turn.live:
            return
        failure = Failure(event.error, event.cause)
        turn.end_run("ABORTED", "ExecutionAborted", failure)

    def _paused(self, turn: Turn, event: events.PauseRequested) -> None:
        if turn.state.status == "RUNNING":
            turn.state.status = "PAUSED"

    def _resumed(self, turn: Turn, event: events.ResumeRequested) -> None:
        state = turn.state
        state.budget = event.budget or state.budget
        if state.status != "PAUSED":
            return
        state.status = "RUNNING"
        for number in state.held.values():
            task = state.frames[number].task
            if task is not None:
                turn.commands.append(task)
        state.held.clear()

    def _noted(self, turn: Turn, event: events.BudgetReached | events.TaskGivenUp) -> None:
        """For those who read the journal."""

    def _redriven(self, turn: Turn, event: events.RedriveRequested) -> None:
        state = turn.state
        if state.status not in ("FAILED", "TIMED_OUT", "ABORTED") or ROOT not in state.frames:
            return
        state.status = "RUNNING"
        state.output = state.error = state.cause = None
        state.redrives += 1
        state.redriven_ms = turn.now_ms
        root = state.frames[ROOT]
        turn.emit(root, "ExecutionRedriven", {"redriveCount": state.redrives})
        self._limit_run(turn)
        turn.redrive_thread(root)

    # Tasks

    def _task_started(self, turn: Turn, event: events.TaskStarted) -> None:
        found = _task_of(turn, event.token)
        if found is not None:
            found[0].started(turn, found[1], event)

    def _task_submitted(self, turn: Turn, event: events.TaskSubmitted) -> None:
        found = _task_of(turn, event.token)
        if found is not None:
            found[0].submitted(turn, found[1], event)

    def _task_succeeded(self, turn: Turn, event: events.TaskSucceeded) -> None:
        found = _task_of(turn, event.token)
        if found is not None:
            found[0].succeeded(turn, found[1], event)

    def _task_failed(self, turn: Turn, event: events.TaskFailed) -> None:
        found = _task_of(turn, event.token)
        if found is not None:
            found[0].failed(turn, found[1], event)

    def _task_timed_out(self, turn: Turn, event: events.TaskTimedOut) -> None:
        found = _task_of(turn, event.token)
        if found is not None:
            found[0].timed_out(turn, found[1], event)

    def _task_redelivered(self, turn: Turn, event: events.TaskRedelivered) -> None:
        found = _task_of(turn, event.token)
        if found is not None:
            found[0].redelivered(turn, found[1], event)

    # Timers

    def _timer_fired(self, turn: Turn, event: events.TimerFired) -> None:
        state = turn.state
        timer = state.timers.pop(event.timer, None)
        if timer is None:
            return
        if timer.frame == 0:
            state.run_timer = 0
            turn.end_run("TIMED_OUT", "ExecutionTimedOut", Failure("States.Timeout", None))
            return
        frame = state.frames[timer.frame]
        frame.timer = 0
        if frame.phase == "retry":
            turn.attempt(turn.step_of(frame), frame)
        elif frame.phase == "wait":
            turn.step_of(frame).timer_fired(turn, frame)
        else:
            turn.agenda.append(frame)

    # Distributed Maps

    def _port_answered(self, turn: Turn, event: Any) -> None:
        port = event.reader if isinstance(event, events.ItemsRead | events.ItemsReadFailed) else event.writer
        number = turn.state.ports.get(port)
        if number is not None:
            frame = turn.state.frames[number]
            turn.step_of(frame).port_answered(turn, frame, event)

    def _map_run_updated(self, turn: Turn, event: events.MapRunUpdated) -> None:
        for frame in list(turn.state.frames.values()):
            run = frame.fan.map_run if frame.fan is not None else None
            if run is not None and run.arn == event.map_run and frame.phase == "fan":
                turn.step_of(frame).limits_changed(turn, frame, event)
                return


def _task_of(turn: Turn, token: str) -> tuple[TaskStep, Frame] | None:
    """The Task state that waits for this token; None for a token that is late, answered or never given out."""
    number, _, _ = token.partition("-")
    frame = turn.frames.get(int(number)) if number.isdecimal() and len(number) < 19 else None
    if frame is None or frame.task is None or frame.task.token != token or token in turn.state.held:
        return None
    step = turn.step_of(frame)
    return (step, frame) if isinstance(step, TaskStep) else None


def _break_down(turn: Turn, bug: Exception) -> None:
    """Fail the run for a bug of ours or a document beyond all bounds."""
    if not turn.live:
        return
    turn.agenda.clear()
    cause = f"Skylift could not handle this event: {type(bug).__name__}: {bug}"
    try:
        turn.end_run("FAILED", "ExecutionFailed", Failure(RUNTIME, cause))
    except Exception:  # noqa: BLE001
        _give_up(turn, cause)


def _give_up(turn: Turn, cause: str) -> None:
    """End a run whose state is beyond repair: nothing of it can be redriven."""
    state = turn.state
    waiting = [CancelTask(token=frame.task.token) for frame in state.frames.values() if frame.task is not None]
    for table in (state.frames, state.timers, state.ports, state.held):
        table.clear()
    state.status, state.output, state.error, state.cause = "FAILED", None, RUNTIME, cause
    turn.commands[:] = [*waiting, FinishRun(status="FAILED", error=RUNTIME, cause=cause)]


_HANDLERS: dict[type, Callable[[Machine, Turn, Any], None]] = {
    events.RunStarted: Machine._started,
    events.TaskStarted: Machine._task_started,
    events.TaskSubmitted: Machine._task_submitted,
    events.TaskSucceeded: Machine._task_succeeded,
    events.TaskFailed: Machine._task_failed,
    events.TaskTimedOut: Machine._task_timed_out,
    events.TaskRedelivered: Machine._task_redelivered,
    events.TaskGivenUp: Machine._noted,
    events.TimerFired: Machine._timer_fired,
    events.ItemsRead: Machine._port_answered,
    events.ItemsReadFailed: Machine._port_answered,
    events.ResultsWritten: Machine._port_answered,
    events.ResultsWriteFailed: Machine._port_answered,
    events.StopRequested: Machine._stopped,
    events.PauseRequested: Machine._paused,
    events.ResumeRequested: Machine._resumed,
    events.BudgetReached: Machine._noted,
    events.RedriveRequested: Machine._redriven,
    events.MapRunUpdated: Machine._map_run_updated,
}
