"""What may be asked about triggers: make, look at, delete. Blocks; the HTTP face calls it off the event loop."""

from __future__ import annotations

from typing import Any

import msgspec

from skylift.config import ServerSettings, ServiceSettings
from skylift.server.caller import Caller
from skylift.server.errors import ApiError
from skylift.server.names import read_machine
from skylift.server.triggers.allowed import check_allowed
from skylift.server.triggers.book import TriggerBook
from skylift.server.triggers.files import FilesWatcher
from skylift.server.triggers.trigger import (
    Files,
    InvalidTrigger,
    Source,
    Trigger,
    TriggerState,
    check,
)

MOST = 1_000
"""Triggers of one account."""


class TriggerRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of PUT /v1/triggers/NAME."""

    start: str
    """ARN of a state machine, version or alias, or the name of a state machine or pipeline of the account."""
    source: Source
    input: Any = msgspec.UNSET
    enabled: bool = True


class TriggerAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A trigger and what it has done."""

    name: str
    start: str
    source: Source
    input: Any = msgspec.UNSET
    enabled: bool
    created_ms: int
    runs: int
    last_run: str | None = None
    last_run_ms: int | None = None
    error: str | None = None
    error_ms: int | None = None


def put_trigger(
    book: TriggerBook,
    settings: ServerSettings,
    services: ServiceSettings,
    caller: Caller,
    name: str,
    request: TriggerRequest,
    now_ms: int,
) -> TriggerAnswer:
    """Create or replace. Raises InvalidTrigger, SetupError for a place that cannot be listed, ApiError where the server
    does not allow the source."""
    trigger = Trigger(
        name=name,
        account=caller.account,
        region=caller.region,
        start=read_machine(caller, request.start),
        source=request.source,
        input=request.input,
        enabled=request.enabled,
        created_ms=now_ms,
    )
    check(trigger)
    check_allowed(trigger, settings, services)
    before = book.get(caller.account, name)
    if before is None and len(book.of(caller.account)) >= MOST:
        raise InvalidTrigger(f"account {caller.account} has {MOST} triggers, which is the most", hint="delete some")
    if isinstance(trigger.source, Files) and (before is None or before.source != trigger.source):
        FilesWatcher(trigger, trigger.source, book).begin()
    return _answer(book.put(trigger), book.state(trigger.key))


def list_triggers(book: TriggerBook, caller: Caller) -> list[TriggerAnswer]:
    """By name."""
    return [_answer(trigger, book.state(trigger.key)) for trigger in book.of(caller.account)]


def get_trigger(book: TriggerBook, caller: Caller, name: str) -> TriggerAnswer:
    """Raises ApiError."""
    found = book.get(caller.account, name)
    if found is None:
        raise ApiError("TRIGGER-NOT-FOUND", f"there is no trigger {name!r}", status=404)
    return _answer(found, book.state(found.key))


def delete_trigger(book: TriggerBook, caller: Caller, name: str) -> None:
    """Runs that it has started go on. Raises ApiError."""
    if not book.delete(caller.account, name):
        raise ApiError("TRIGGER-NOT-FOUND", f"there is no trigger {name!r}", status=404)


def _answer(trigger: Trigger, state: TriggerState) -> TriggerAnswer:
    return TriggerAnswer(
        name=trigger.name,
        start=trigger.start,
        source=trigger.source,
        input=trigger.input,
        enabled=trigger.enabled,
        created_ms=trigger.created_ms,
        runs=state.runs,
        last_run=state.last_run,
        last_run_ms=state.last_run_ms,
        error=state.error,
        error_ms=state.error_ms,
    )
