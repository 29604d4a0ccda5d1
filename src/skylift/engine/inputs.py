"""What may be put into a turn of the engine. Plain data; whoever waits for an answer leaves a `Reply`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from skylift.asl.events import AnyEvent
from skylift.engine.reply import Reply
from skylift.ports.compute import Outcome, Submitted
from skylift.ports.journal import LimitsName, MachineType, RunRecord


class StartRun(msgspec.Struct, kw_only=True):
    """Start a run, or find the one that was started before by the same name with the same input."""

    definition: str
    """Digest of the States Language document, as `Journal.put_document` gave it."""
    pipeline: str
    """Its name; of a server's state machine the ARN, without version or alias."""
    tasks: str | None = None
    """Digest of the encoded TaskTable."""
    input: Any = None
    input_text: str | None = None
    name: str | None = None
    """None for a name that nobody else has."""
    parent: str | None = None
    run_id: str | None = None
    """Chosen by a starter that must know whether its start made the run or found it: it compares."""
    context: Mapping[str, Any] = {}
    """Further parts of the context object, by its top keys (`Execution`, `StateMachine`); they win over ours."""
    attributes: dict[str, str] = {}
    account: str = ""
    type: MachineType = "STANDARD"
    limits: LimitsName = "local"
    started: Reply[str] | None = None
    """Gets the run's id once the start is durable."""
    finished: Reply[RunRecord] | None = None


class Reported(msgspec.Struct, frozen=True, gc=False):
    """A backend tells how an attempt ended."""

    token: str
    outcome: Outcome | Submitted


class FailureAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A task failed; who says so need not say why."""

    error: str | None = None
    cause: str | None = None


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """SendTaskSuccess and SendTaskFailure: the outcome of a task that waits for one, by its global token."""

    token: str
    outcome: Outcome | FailureAnswer
    reply: Reply[None] | None = None


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """SendTaskHeartbeat: the task lives."""

    token: str
    reply: Reply[None] | None = None


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """Stop, pause, resume, redrive or change a run."""

    run_id: str
    event: AnyEvent
    reply: Reply[None] | None = None
    """Answered when the request is durable, here or as a signal to the run's owner."""


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """Tell when the run has ended."""

    run_id: str
    reply: Reply[RunRecord]


class ItemsDone(msgspec.Struct, frozen=True, kw_only=True):
    """A page of an ItemReader was read, or results were written, or failed to be."""

    run_id: str
    ticket: int
    event: AnyEvent


class Recover(msgspec.Struct, frozen=True, kw_only=True):
    """Take over runs that nobody alive drives: these, or all."""

    run_ids: Sequence[str] | None = None
    reply: Reply[list[str]] | None = None


Input = StartRun | Reported | Callback | Heartbeat | Send | Watch | ItemsDone | Recover
