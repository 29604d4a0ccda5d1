"""Finds what a request names: an execution by its ARN, as the caller's account may see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import msgspec

from skylift.asl.map_names import run_of
from skylift.ports.journal import Journal, RunRecord
from skylift.server.caller import Caller
from skylift.server.context import ServerContext
from skylift.server.errors import ApiError
from skylift.server.names import EXECUTION, EXPRESS, MAP_RUN, Arn, read_arn
from skylift.stores.sqlite import SqliteJournal

P = ParamSpec("P")
T = TypeVar("T")


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """An execution, or a child execution of a Distributed Map, which is a part of its run."""

    arn: str
    record: RunRecord
    child: str | None = None
    """Name of the child execution."""


async def quick(context: ServerContext, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Read a few rows: at once where that costs less than a change of thread, which is in SQLite, where a reader waits
    for nobody."""
    if isinstance(context.journal, SqliteJournal):
        return function(*args, **kwargs)
    return await context.blocking(function, *args, **kwargs)


def find_execution(journal: Journal, caller: Caller, text: str) -> Execution:
    """Raises ApiError: InvalidArn, ExecutionDoesNotExist."""
    arn = read_arn(text, EXECUTION, EXPRESS)
    if arn.kind == EXPRESS:
        raise ApiError("InvalidArn", f"Invalid Arn: 'Resource type not valid in this context: {EXPRESS}'")
    name = arn.rest[0] if arn.rest else ""
    if arn.label is None:
        record = journal.run_named(arn.machine, name) if name else None
        if record is None or record.type != "STANDARD" or record.account != caller.account:
            raise does_not_exist(text)
        return Execution(arn=text, record=record)
    found = run_around(journal, caller, arn, name)
    if found is None:
        raise does_not_exist(text)
    return Execution(arn=text, record=found, child=name)


def find_map_run(journal: Journal, caller: Caller, text: str) -> RunRecord:
    """The run that the Map Run of this ARN is part of. Raises ApiError: InvalidArn, ResourceNotFound."""
    arn = read_arn(text, MAP_RUN)
    found = run_around(journal, caller, arn, arn.rest[0] if arn.rest else "")
    if found is None:
        raise no_map_run(text)
    return found


def run_around(journal: Journal, caller: Caller, arn: Arn, name: str) -> RunRecord | None:
    """The run that a Map Run or child execution of this name is part of."""
    run_id = run_of(name)
    record = journal.run(run_id) if run_id is not None else None
    return (
        record if record is not None and record.account == caller.account and record.pipeline == arn.machine else None
    )


def does_not_exist(arn: str) -> ApiError:
    return ApiError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")


def no_map_run(arn: str) -> ApiError:
    return ApiError("ResourceNotFound", f"Resource not found: '{arn}'", details={"resourceName": arn})


def not_supported() -> ApiError:
    """What an EXPRESS machine, or only a STANDARD one, cannot be asked."""
    return ApiError("StateMachineTypeNotSupported", "This operation is not supported by this type of state machine")
