"""From what an activity gives to a call that a backend runs, and from its outcome to the answer. Pure."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import msgspec

from skylift.asl.json_text import json_text, parse_json
from skylift.lending.api import OUTPUT_BYTES, GivenTask
from skylift.ports.compute import (
    Cancelled,
    CodeRef,
    Failed,
    Lost,
    Outcome,
    OutOfMemory,
    Requirements,
    Succeeded,
    TaskCall,
    TimedOut,
)
from skylift.ports.envelope import Answer, open_call, seal

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,80}")


class Success(msgspec.Struct, frozen=True):
    """SendTaskSuccess."""

    output: str


class Failure(msgspec.Struct, frozen=True):
    """SendTaskFailure."""

    error: str
    cause: str


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A task that was taken."""

    given: GivenTask
    call: TaskCall | None
    """None for one that cannot be run here: `refusal` says why."""
    ours: bool = False
    """Its answer is a marked document."""
    refusal: Failure | None = None


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker does with tasks."""

    handler: str | None = None
    """`module:function` for tasks that are not ours."""
    name: str = "activity"
    requirements: Requirements = Requirements()
    """Of such tasks."""
    logs: str | None = None
    """Folder for what attempts print."""


def read(given: GivenTask, rules: Rules) -> Work:
    """What is to be run for it."""
    try:
        value = parse_json(given.input)
        call = open_call(value)
    except ValueError as problem:
        return Work(
            given=given, call=None, refusal=Failure("Skylift.BadTask", f"this worker cannot read it: {problem}")
        )
    if call is not None and call.token == given.token:  # else it only looks like one: data may come from anywhere
        return Work(
            given=given, call=msgspec.structs.replace(call, log=_log(rules, call.token, call.run_id)), ours=True
        )
    if rules.handler is None:
        cause = "the task is not one of Skylift's, and this worker was started without --handler module:function"
        return Work(given=given, call=None, refusal=Failure("Skylift.NoHandler", cause))
    foreign = TaskCall(
        token=given.token,
        run_id="",
        task=rules.name,
        label=rules.name,
        attempt=1,
        code=CodeRef(bundle=None, target=rules.handler),
        arguments=value,
        convention="handler",
        requirements=rules.requirements,
        log=_log(rules, given.token, ""),
    )
    return Work(given=given, call=foreign)


def answer(work: Work, outcome: Outcome) -> Success | Failure:
    """What is said to whoever gave the task."""
    if work.ours and work.call is not None:
        return Success(seal(Answer(delivery=work.call.delivery, outcome=outcome)))
    if type(outcome) is not Succeeded:
        return _failure(outcome)
    output = json_text(outcome.output)
    size = len(output.encode())
    if size > OUTPUT_BYTES:
        cause = f"the handler's result has {size} bytes as JSON, more than the {OUTPUT_BYTES} that an activity may give"
        return Failure("States.DataLimitExceeded", f"{cause}: store it, and give back where it is")
    return Success(output)


def leaving(work: Work) -> Success | None:
    """For a task that comes when the worker is about to leave: ours is given back at no cost to it."""
    if not work.ours or work.call is None:
        return None
    lost = Lost(reason="its worker was leaving", preempted=True)
    return Success(seal(Answer(delivery=work.call.delivery, outcome=lost)))


def _failure(outcome: Outcome) -> Failure:
    if type(outcome) is Failed:
        return Failure(outcome.error, outcome.cause)
    if type(outcome) is TimedOut:
        return Failure("States.Timeout", "the worker's own time limit for this task was over")
    if type(outcome) is OutOfMemory:
        limit = "" if outcome.limit_mib is None else f" of {outcome.limit_mib} MiB"
        return Failure("OutOfMemory", f"the task used more memory than the limit{limit}")
    if type(outcome) is Lost:
        return Failure("Lost", f"the process that ran the task died: {outcome.reason}")
    assert type(outcome) is Cancelled
    return Failure("Lost", "the worker ended before the task did")


def _log(rules: Rules, token: str, run_id: str) -> str | None:
    if rules.logs is None:
        return None
    return str(
        Path(rules.logs) / plain_name(run_id or rules.name) / f"{plain_name(token.removeprefix(f'{run_id}:'))}.log"
    )


def plain_name(name: str) -> str:
    """A file's name. Tokens of AWS are long and have slashes in them, and nobody shall choose a place by a name."""
    return name if _PLAIN.fullmatch(name) else hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:16]
