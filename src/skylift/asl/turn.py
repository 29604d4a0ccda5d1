"""One call of `advance`: the tools that states use to move a run on.

Threads that can move stand in an agenda, first in first out; each takes one state at a time, so that branches and
iterations go on side by side as they do in the service, and no nesting of calls grows with the length of a run.
"""

from __future__ import annotations

import random
from collections import deque
from typing import TYPE_CHECKING, Any

from skylift.asl.commands import CancelTask, CancelTimer, Command, FinishRun, SetTimer, StartTask
from skylift.asl.context import build_context
from skylift.asl.history import HistoryEvent
from skylift.asl.jsonata.library import begin_event, library_evaluations
from skylift.asl.limits import Limits
from skylift.asl.retry import DATA_LIMIT, RUNTIME
from skylift.asl.scope import EvaluationFailed, Scope
from skylift.asl.sizes import too_large, too_large_cause
from skylift.asl.state import ROOT, Failure, Fan, Frame, MapRun, RunState, Timer, Variables
from skylift.asl.status import OPEN

if TYPE_CHECKING:
    from skylift.asl.states.base import CompiledFlow, Step

MOST_VARIABLES = 40
"""Of the largest size that there may be."""
EVALUATION = 100
"""An expression that needs the library counts as so many transitions: it may take as long as thousands."""


class Turn:
    """What one event does to a run. Made anew for each event and thrown away."""

    __slots__ = (
        "_evaluations",
        "_random",
        "_transitions",
        "agenda",
        "commands",
        "flows",
        "frames",
        "history",
        "limits",
        "now_ms",
        "state",
    )

    def __init__(
        self,
        flows: list[CompiledFlow],
        limits: Limits,
        state: RunState,
        now_ms: int,
        history: list[HistoryEvent] | None,
    ) -> None:
        self.flows = flows
        self.limits = limits
        self.state = state
        self.frames = state.frames
        self.now_ms = now_ms
        self.history = history
        self.commands: list[Command] = []
        self.agenda: deque[Frame] = deque()
        self._random: random.Random | None = None
        self._transitions = 0
        self._evaluations = begin_event()

    # History

    def emit(
        self,
        frame: Frame,
        kind: str,
        details: dict[str, Any] | None = None,
        token: str | None = None,
        about: Any = None,
    ) -> int:
        """Add an event after the frame's last one; it becomes the last one."""
        event_id = self.aside(frame, kind, details, token, about)
        frame.last_id = event_id
        return event_id

    def aside(
        self,
        frame: Frame,
        kind: str,
        details: dict[str, Any] | None = None,
        token: str | None = None,
        about: Any = None,
    ) -> int:
        """Add an event after the frame's last one; the next one will follow the same."""
        home = self.frames[frame.home]
        event_id = home.events = home.events + 1
        if self.history is not None:
            self.history.append(
                HistoryEvent(
                    id=event_id,
                    previous_id=frame.last_id,
                    at_ms=self.now_ms,
                    type=kind,
                    details=details or {},
                    child=home.name,
                    token=token,
                    about=about,
                )
            )
        return event_id

    # Evaluation

    def scope(self, frame: Frame, step: Step) -> Scope:
        """The surroundings of the state's expressions; `input` is its raw input."""
        state = self.state
        return Scope(
            input=frame.input,
            context=lambda: build_context(state, frame, step.retryable),
            variables=frame.variables,
            random=self.random,
        )

    def random(self) -> random.Random:
        """The source of randomness of this event: the same whenever the event is replayed."""
        if self._random is None:
            self._random = random.Random(f"{self.state.seed}:{self.state.sequence}")
        return self._random

    # Threads

    def step_of(self, frame: Frame) -> Step:
        return self.flows[frame.flow].steps[frame.state]

    def run(self) -> None:
        """Let every thread go on until each waits for something or has ended."""
        agenda = self.agenda
        frames = self.frames
        while agenda:
            frame = agenda.popleft()
            if frame.number in frames and frame.phase == "ready":
                self._enter(frame)

    def _enter(self, frame: Frame) -> None:
        """Enter the state that the frame stands before."""
        self._transitions += 1
        evaluations = library_evaluations() - self._evaluations
        if self._transitions + evaluations * EVALUATION > self.limits.transitions_per_event:
            self.wait_until(frame, self.now_ms)
            return
        step = self.flows[frame.flow].steps[frame.state]
        frame.entered_previous = frame.last_id
        frame.entered_ms = self.now_ms
        home = self.frames[frame.home]
        if self.history is None:
            frame.last_id = frame.entered_id = home.events = home.events + 1
        else:
            frame.entered_id = self.emit(frame, step.entered_type, {"input": frame.input, "name": frame.state})
        if self.limits.history_events is not None and home.events >= self.limits.history_events:
            self._history_full(frame)
            return
        self.attempt(step, frame)

    def attempt(self, step: Step, frame: Frame) -> None:
        """Do the state's work: on entering it, on a retry and on a redrive."""
        try:
            step.begin(self, frame)
        except EvaluationFailed as problem:
            self.evaluation_failed(step, frame, problem)

    def leave(
        self, step: Step, frame: Frame, output: Any, assigned: dict[str, Any] | None, following: str | None
    ) -> None:
        """Leave the state with its output: on to `following`, or to the end of the thread if that is None."""
        variables = Variables({**frame.variables, **assigned}) if assigned else frame.variables
        if self.limits.payload_bytes is not None:
            _check_sizes(step, output, assigned or {}, variables, self.limits.payload_bytes)
        if self.history is None:
            home = self.frames[frame.home]
            frame.last_id = home.events = home.events + 1
        else:
            details: dict[str, Any] = {"name": frame.state, "output": output}
            if assigned:
                details["assignedVariables"] = assigned
            self.emit(frame, step.exited_type, details)
        if frame.retried is not None:
            frame.retried = None
        frame.retry_count = frame.attempt = frame.entered_id = 0
        frame.fan = None
        frame.variables = variables
        if following is None:
            self.thread_succeeded(frame, output)
            return
        frame.state = following
        frame.input = output
        frame.phase = "ready"
        self.agenda.append(frame)

    def thread_succeeded(self, frame: Frame, output: Any) -> None:
        if frame.home == frame.number:
            self.emit(frame, "ExecutionSucceeded", {"output": output})
        if frame.number == ROOT:
            self.finish("SUCCEEDED", output, None)
            return
        parent = self.frames[frame.parent]
        del self.frames[frame.number]
        self.step_of(parent).child_succeeded(self, parent, frame, output)

    def start_thread(self, frame: Frame) -> None:
        self.frames[frame.number] = frame
        self.agenda.append(frame)

    def new_frame_number(self) -> int:
        number = self.state.next_frame
        self.state.next_frame = number + 1
        return number

    @property
    def role_arn(self) -> str:
        execution = self.state.context.get("Execution")
        return str(execution.get("RoleArn", "")) if isinstance(execution, dict) else ""

    # Waiting

    def wait_until(self, frame: Frame, due_ms: int) -> None:
        """Have the frame's phase go on at that time."""
        state = self.state
        number = state.next_timer
        state.next_timer = number + 1
        state.timers[number] = Timer(frame.number, due_ms)
        frame.timer = number
        self.commands.append(SetTimer(timer=number, due_ms=due_ms))

    def start_task(self, frame: Frame, task: StartTask) -> None:
        frame.task = task
        frame.phase = "task"
        if self.state.status == "PAUSED":
            self.state.held[task.token] = frame.number
        else:
            self.commands.append(task)

    # Failing

    def evaluation_failed(self, step: Step, frame: Frame, problem: EvaluationFailed) -> None:
        """An expression of the state failed, on the way in or out."""
        self.fail(step, frame, self.describe(step, frame, problem))

    def describe(self, step: Step, frame: Frame, problem: EvaluationFailed) -> Failure:
        """The failure, in the service's words; a JSONata state's is also an event of its own."""
        cause = self.in_state(frame, problem.cause)
        if step.jsonata:
            self._record_evaluation(frame, problem, cause)
        return Failure(problem.error, cause, terminal=problem.error == DATA_LIMIT)

    @staticmethod
    def in_state(frame: Frame, what: str) -> str:
        """A cause with the service's words about where it happened."""
        where = f"the state '{frame.state}' (entered at the event id #{frame.entered_id})"
        return f"An error occurred while executing {where}. {what}"

    def _record_evaluation(self, frame: Frame, problem: EvaluationFailed, cause: str) -> None:
        details = {"cause": cause, "error": problem.error, "state": frame.state}
        if problem.location is not None:
            details["location"] = problem.location
        if frame.last_id == frame.entered_id:
            frame.last_id = frame.entered_previous
        self.emit(frame, "EvaluationFailed", details)

    def fail(self, step: Step, frame: Frame, failure: Failure) -> None:
        """The state failed: retry it, catch it, or let the thread fail."""
        if failure.error == RUNTIME:
            self.fail_home(frame, failure)
        elif not step.recover(self, frame, failure):
            self.thread_failed(frame, failure)

    def thread_failed(self, frame: Frame, failure: Failure) -> None:
        """Nothing in the thread answers the failure: its parent's Parallel or Map must, or the execution fails."""
        frame.phase = "stopped"
        if frame.home == frame.number:
            self.emit(frame, "ExecutionFailed", failure_details(failure))
        if frame.number == ROOT:
            self.finish("FAILED", None, failure)
            return
        parent = self.frames[frame.parent]
        self.step_of(parent).child_failed(self, parent, frame, failure)

    def fail_home(self, frame: Frame, failure: Failure) -> None:
        """Fail the whole execution (or child execution) that the frame belongs to, whatever stands around the frame."""
        home = self.frames[frame.home]
        home.last_id = frame.last_id
        self.stop_children(home)
        self._quiet(home)
        self.thread_failed(home, failure)

    def _history_full(self, frame: Frame) -> None:
        most = self.limits.history_events
        self.fail_home(frame, Failure(RUNTIME, f"The execution reached the maximum number of history events ({most})."))

    # Stopping

    def stop_children(self, frame: Frame, recorded: bool = False) -> None:
        """Stop everything under a frame where it stands; the frames stay for a redrive."""
        fan = frame.fan
        if fan is None:
            return
        step = self.step_of(frame)
        for index, number in fan.active.items():
            self.stop_thread(self.frames[number], recorded)
            fan.stopped[index] = number
            if recorded:
                step.record_aborted(self, frame, self.frames[number])
        fan.active.clear()

    def stop_thread(self, frame: Frame, recorded: bool = False) -> None:
        self.stop_children(frame, recorded)
        if recorded and frame.phase != "ready":
            self.emit(frame, self.step_of(frame).kind + "StateAborted")
        if frame.home == frame.number != ROOT:
            self.emit(frame, "ExecutionAborted")
        self._quiet(frame)
        frame.phase = "stopped"

    def _quiet(self, frame: Frame) -> None:
        """Call back what the frame itself has asked of the shell."""
        if frame.task is not None:
            if self.state.held.pop(frame.task.token, None) is None:
                self.commands.append(CancelTask(token=frame.task.token))
            frame.task = None
        if frame.timer:
            del self.state.timers[frame.timer]
            self.commands.append(CancelTimer(timer=frame.timer))
            frame.timer = 0
        if frame.fan is not None and frame.fan.map_run is not None:
            self.close_ports(frame.fan.map_run)

    def open_port(self, frame: Frame) -> int:
        """A number for a reader or writer of the frame's Distributed Map."""
        port = self.state.next_port
        self.state.next_port = port + 1
        self.state.ports[port] = frame.number
        return port

    def close_ports(self, run: MapRun) -> None:
        for port in (run.reader, run.writer):
            if port is not None:
                self.state.ports.pop(port.port, None)

    def drop_children(self, frame: Frame) -> None:
        """Forget everything under a frame whose state is being left or tried again."""
        fan = frame.fan
        if fan is None:
            return
        self._quiet(frame)
        for number in (*fan.active.values(), *fan.stopped.values()):
            self._drop(number)
        if fan.map_run is not None:
            self.drop_tolerated(fan.map_run)
        frame.fan = None

    def drop_tolerated(self, run: MapRun) -> None:
        """Forget the child executions whose failure was tolerated."""
        for number in run.tolerated.values():
            self._drop(number)
        run.tolerated.clear()

    def _drop(self, number: int) -> None:
        child = self.frames[number]
        self.drop_children(child)
        self._quiet(child)
        del self.frames[number]

    # Going on after a redrive

    def redrive_thread(self, frame: Frame) -> None:
        """Go on with a stopped thread from the state it stands in or before."""
        frame.retried = None
        frame.retry_count = frame.attempt = 0
        if frame.entered_id == 0:
            frame.phase = "ready"
            self.agenda.append(frame)
        else:
            self.step_of(frame).redrive(self, frame)

    def redrive_children(self, frame: Frame, fan: Fan) -> None:
        """Go on with all stopped children of a Parallel or Map; those that succeeded keep their results."""
        fan.active.update(sorted(fan.stopped.items()))
        fan.stopped.clear()
        for number in list(fan.active.values()):
            self.redrive_thread(self.frames[number])

    # Ending

    @property
    def live(self) -> bool:
        return self.state.status in OPEN

    def limit_run(self, timeout_ms: int) -> None:
        """End the run as TIMED_OUT after that time."""
        state = self.state
        state.run_timer = state.next_timer
        state.next_timer += 1
        due_ms = self.now_ms + timeout_ms
        state.timers[state.run_timer] = Timer(0, due_ms)
        self.commands.append(SetTimer(timer=state.run_timer, due_ms=due_ms))

    def end_run(self, status: Any, kind: str, failure: Failure) -> None:
        """End the run from outside, wherever its threads stand."""
        root = self.frames.get(ROOT)
        if root is None:
            self.state.status, self.state.error, self.state.cause = status, failure.error, failure.cause
            self.commands.append(FinishRun(status=status, error=failure.error, cause=failure.cause))
            return
        self.emit(root, kind, failure_details(failure))
        self.finish(status, None, failure)

    def finish(self, status: Any, output: Any, failure: Failure | None) -> None:
        """End the run. A run that did not succeed keeps its frames for a redrive."""
        state = self.state
        root = self.frames[ROOT]
        if failure is None:
            self.drop_children(root)
            self._quiet(root)
            self.frames.clear()
        else:
            self.stop_children(root)
            self._quiet(root)
            root.phase = "stopped"
        if state.run_timer:
            del state.timers[state.run_timer]
            self.commands.append(CancelTimer(timer=state.run_timer))
            state.run_timer = 0
        self.agenda.clear()
        state.status = status
        state.output = output
        state.error = failure.error if failure is not None else None
        state.cause = failure.cause if failure is not None else None
        self.commands.append(FinishRun(status=status, output=output, error=state.error, cause=state.cause))


def _check_sizes(step: Step, output: Any, assigned: dict[str, Any], variables: Variables, most: int) -> None:
    """Each variable is bounded as a payload is, and all of them together."""
    beyond = too_large(output, most) or any(too_large(value, most) for value in assigned.values())
    if assigned and len(variables) > MOST_VARIABLES:
        beyond = beyond or too_large(dict(variables), most * MOST_VARIABLES)
    if beyond:
        raise EvaluationFailed(DATA_LIMIT, too_large_cause(step.name))


def failure_details(failure: Failure) -> dict[str, Any]:
    """Error and cause as the service's failure events show them: absent where there is none."""
    details = {}
    if failure.cause is not None:
        details["cause"] = failure.cause
    if failure.error is not None:
        details["error"] = failure.error
    return details
