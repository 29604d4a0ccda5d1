"""What an attempt's outcome means to the run: the event for the journal."""

from __future__ import annotations

from typing import Any

from skylift.asl.events import TaskFailed, TaskSucceeded, TaskTimedOut
from skylift.engine.inputs import FailureAnswer
from skylift.engine.routes import WorkerRoute
from skylift.ports.compute import Cancelled, Failed, Lost, Outcome, OutOfMemory, Succeeded, TimedOut

TASK_FAILED = "States.TaskFailed"


def event_of(token: str, outcome: Outcome | FailureAnswer) -> TaskSucceeded | TaskFailed | TaskTimedOut | None:
    """The event to journal, or None for an outcome that is none: an attempt that we cancelled ourselves.

    For Lost this is the end of the engine's own tries; before, see `lost_again_in_ms`.
    """
    if type(outcome) is Succeeded:
        return TaskSucceeded(token=token, output=outcome.output, usage=outcome.usage)
    if type(outcome) is Failed:
        return TaskFailed(
            token=token, error=outcome.error, cause=outcome.cause, classes=outcome.classes, usage=outcome.usage
        )
    if type(outcome) is FailureAnswer:
        return TaskFailed(token=token, error=outcome.error, cause=outcome.cause)
    if type(outcome) is TimedOut:
        return TaskTimedOut(token=token, heartbeat=outcome.heartbeat, usage=outcome.usage)
    if type(outcome) is OutOfMemory:
        return _out_of_memory(token, outcome)
    if type(outcome) is Lost:
        cause = f"The worker was lost: {outcome.reason}. The engine's own tries are used up."
        return TaskFailed(token=token, error="Lost", classes=(TASK_FAILED,), cause=cause, usage=outcome.usage)
    assert type(outcome) is Cancelled
    return None


def _out_of_memory(token: str, outcome: OutOfMemory) -> TaskFailed:
    limit = "no limit was set" if outcome.limit_mib is None else f"the limit is {outcome.limit_mib} MiB"
    peak = "" if outcome.peak_mib is None else f", the most seen {outcome.peak_mib:.0f} MiB"
    return TaskFailed(
        token=token,
        error="OutOfMemory",
        classes=("MemoryError", TASK_FAILED),
        cause=f"The attempt used more memory than it may: {limit}{peak}. Give the task more with memory=…",
        usage=outcome.usage,
    )


def lost_again_in_ms(losses: int, lost: Lost, most: int) -> int | None:
    """How long after the loss number `losses` (1, 2, …) the same attempt is tried again; None for never.

    A preemption is the market's doing, not the task's: it is tried again for ever. Anything else at most `most` times.
    """
    if not lost.preempted and losses > most:
        return None
    return 0 if losses == 1 else int(min(60_000, 100 * 2 ** min(losses, 12)))


def wrap_result(route: WorkerRoute, output: Any) -> Any:
    """What the state sees of a worker's result."""
    if not route.payload:
        return output
    return {"ExecutedVersion": "$LATEST", "Payload": output, "StatusCode": 200}
