"""The outputs of `advance`: what the shell must now do. Carried out only after the event that caused them is durable.

Every command is idempotent by its token, timer, reader or writer number: after a crash the shell gives out again what
`RunState.pending` lists.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all outputs of `advance`."""


class StartTask(Command, frozen=True, kw_only=True):
    """Run a task. `token` is unique in the run and never reused; a late outcome for a superseded token is ignored.

    The shell enforces the two time limits and reports a miss as TaskTimedOut: for work that may queue locally the
    timeout counts from when the work began, otherwise from `scheduled_ms`.
    """

    token: str
    state: str
    """Name of the Task state."""
    path: tuple[str | int, ...]
    """Where: names of enclosing states and iteration or branch indexes, outermost first, this state's name last."""
    attempt: int
    """1 for the first try of this entering of the state; a retry or redrive gets a new token and the next number."""
    resource: str
    arguments: Any
    scheduled_ms: int
    timeout_ms: int | None = None
    heartbeat_ms: int | None = None
    credentials: Any = None


class CancelTask(Command, frozen=True, kw_only=True):
    token: str


class SetTimer(Command, frozen=True, kw_only=True):
    """Report TimerFired(timer) at `due_ms` or as soon after as possible."""

    timer: int
    due_ms: int


class CancelTimer(Command, frozen=True, kw_only=True):
    timer: int


class ReadItems(Command, frozen=True, kw_only=True):
    """Read the next page of an ItemReader and report ItemsRead. `cursor` is None for the first page."""

    reader: int
    resource: str
    arguments: dict[str, Any]
    """The evaluated Parameters or Arguments: Bucket, Key, Prefix, …"""
    config: dict[str, Any]
    """The evaluated ReaderConfig: InputType, CSVHeaderLocation, CSVHeaders, CSVDelimiter, MaxItems, …"""
    cursor: Any
    limit: int
    """Most items wanted in this page."""


class WriteResults(Command, frozen=True, kw_only=True):
    """Store the results of a Distributed Map's child executions; the last write also stores the manifest."""

    writer: int
    resource: str
    arguments: dict[str, Any]
    config: dict[str, Any]
    """The evaluated WriterConfig: Transformation, OutputType."""
    map_run: str
    results: list[dict[str, Any]]
    """One record a child: Input, Output or Error and Cause, Status, StartDate, StopDate, Name, ExecutionArn."""
    part: int = 0
    """Counts the writes of this writer from 0: the same part written again replaces itself."""
    last: bool = True
    """Whether this is the last write, which also stores the manifest."""


class FinishRun(Command, frozen=True, kw_only=True):
    """The run has ended. Given out once for each ending (a redriven run may end again)."""

    status: str
    """SUCCEEDED, FAILED, TIMED_OUT or ABORTED."""
    output: Any = None
    error: str | None = None
    cause: str | None = None


AnyCommand = StartTask | CancelTask | SetTimer | CancelTimer | ReadItems | WriteResults | FinishRun
