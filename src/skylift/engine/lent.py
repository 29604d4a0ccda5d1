"""Tasks of ours that the workers of an activity run: offered, taken, answered, and offered again when a worker is lost.

What a foreign activity's task has beside its answer, heartbeats and a time limit, these have not: the worker keeps the
limits of the task itself, and its signs of life are the lease of the attempt (decision 0270).
"""

from __future__ import annotations

from typing import Any

from skylift.asl.json_text import json_text
from skylift.engine.calls import worker_call
from skylift.engine.deadlines import Deadlines
from skylift.engine.limits import EngineLimits
from skylift.engine.routes import ActivityRoute, WorkerRoute
from skylift.engine.run import Attempt
from skylift.engine.turn import Turn
from skylift.ports.compute import Lost, Outcome, Succeeded
from skylift.ports.envelope import Envelope, open_answer, seal
from skylift.ports.journal import OfferedTask


def work_of(attempt: Attempt) -> WorkerRoute | None:
    """The task of ours that is offered to workers; None for all other attempts."""
    route = attempt.route
    return route.work if type(route) is ActivityRoute else None


def offer(attempt: Attempt, turn: Turn) -> None:
    """To whoever asks for the activity's tasks."""
    route = attempt.route
    assert type(route) is ActivityRoute
    attempt.started = False
    turn.offered[attempt.token] = OfferedTask(
        queue=route.queue,
        token=attempt.token,
        run_id=attempt.run.record.run_id,
        input=json_text(attempt.command.arguments) if route.work is None else _envelope(attempt, route.work),
        offered_ms=turn.now_ms,
    )


def _envelope(attempt: Attempt, work: WorkerRoute) -> str:
    return seal(Envelope(call=worker_call(attempt, work, None)))


def taken(attempt: Attempt, deadlines: Deadlines, limits: EngineLimits, now_ms: int) -> None:
    """A worker has it and must show that it lives."""
    attempt.started = True
    work = work_of(attempt)
    deadlines.expect_heartbeats(attempt, now_ms, None if work is None else limits.worker_lease_ms)


def lease_over(limits: EngineLimits) -> Lost:
    return Lost(reason=f"its worker gave no sign of life for {limits.worker_lease_ms // 1000} s")


def answer_of(attempt: Attempt, output: Any, *, delivery: int) -> Outcome | None:
    """What a worker says in its own words; None for an answer by anybody else's hand, and for what an earlier worker
    than the present one failed with."""
    if work_of(attempt) is None:
        return None
    answer = open_answer(output)
    if answer is None:
        return Succeeded(output=output)
    stale = answer.delivery != delivery and type(answer.outcome) is not Succeeded
    return None if stale else answer.outcome
