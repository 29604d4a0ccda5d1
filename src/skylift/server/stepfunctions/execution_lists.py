"""ListExecutions: of a state machine, a version, an alias, or a Map Run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from skylift.asl.status import OPEN
from skylift.engine.names import arn_of, plain_name
from skylift.ports.journal import Journal, RunRecord
from skylift.server.caller import Caller, Role
from skylift.server.context import ServerContext
from skylift.server.errors import ApiError
from skylift.server.machines import Machines, does_not_exist
from skylift.server.names import Arn, machine_arn_of
from skylift.server.stepfunctions.actions import Actions
from skylift.server.stepfunctions.child_executions import listed_child
from skylift.server.stepfunctions.executions import shown_status, version_and_alias
from skylift.server.stepfunctions.lookup import find_map_run, no_map_run, not_supported
from skylift.server.stepfunctions.paging import invalid_token, make_token, page_size, read_token
from skylift.server.stepfunctions.replays import Replay, replays
from skylift.server.stepfunctions.run_facts import FactsReader, run_facts
from skylift.server.stepfunctions.wire import seconds

actions = Actions()

MOST_SEEN = 5_000
"""Executions looked at for one page: a filter that few of them pass gives short pages rather than slow ones."""
_BATCH = 200


@actions.add("ListExecutions", Role.VIEWER)
async def list_executions(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    if ("stateMachineArn" in request) == ("mapRunArn" in request):
        raise ApiError("ValidationException", "Exactly one of stateMachineArn and mapRunArn must be given")
    if "mapRunArn" in request:
        return await context.blocking(_of_map_run, context, caller, request)
    if request.get("statusFilter") == "PENDING_REDRIVE":
        raise ApiError("ValidationException", "The status filter PENDING_REDRIVE needs a mapRunArn")
    return await context.blocking(_of_machine, context, caller, request)


def _scope(caller: Caller, request: dict[str, Any]) -> list[str]:
    members = ("stateMachineArn", "mapRunArn", "statusFilter", "redriveFilter")
    return ["ListExecutions", caller.account, *(str(request.get(member)) for member in members)]


# -- of a machine ------------------------------------------------------------------------------------------------------


def _of_machine(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    arn = _check_machine(context, caller, request["stateMachineArn"])
    scope, most = _scope(caller, request), page_size(request)
    facts = context.part(run_facts)
    items: list[dict[str, Any]] = []
    seen: RunRecord | None = None
    count = 0
    for record in _records(context.journal, caller, arn, request.get("statusFilter"), _before(scope, request)):
        if len(items) == most or count == MOST_SEEN:
            assert seen is not None
            token = make_token(scope, [seen.created_ms, seen.run_id])
            return {"executions": items, "nextToken": token}
        seen, count = record, count + 1
        if _is_of(record, arn):
            item = _listed(record, facts)
            if _wanted(item["redriveCount"], request):
                items.append(item)
    return {"executions": items}


def _check_machine(context: ServerContext, caller: Caller, text: str) -> Arn:
    """Raises InvalidArn, StateMachineDoesNotExist, StateMachineTypeNotSupported."""
    arn = machine_arn_of(text)
    machines = Machines(context.resources)
    machine = machines.get(arn.machine) if arn.account == caller.account else None
    known = machine is not None
    if arn.qualifier is not None:
        known = known and (machines.version(text) or machines.alias(text)) is not None
    if machine is None or not known:
        raise does_not_exist(text)
    if machine.type != "STANDARD":
        raise not_supported()
    return arn


def _records(
    journal: Journal, caller: Caller, arn: Arn, status: str | None, before: tuple[int, str] | None
) -> Iterator[RunRecord]:
    """The machine's executions, newest first."""
    wanted = None if status is None else list(OPEN) if status == "RUNNING" else [status]
    while True:
        page = journal.runs(pipeline=arn.machine, account=caller.account, status=wanted, before=before, limit=_BATCH)
        yield from page
        if len(page) < _BATCH:
            return
        before = page[-1].created_ms, page[-1].run_id


def _before(scope: list[str], request: dict[str, Any]) -> tuple[int, str] | None:
    if "nextToken" not in request:
        return None
    match read_token(scope, request["nextToken"]):
        case [int(created_ms), str(run_id)] if 0 <= created_ms < 2**63:
            return created_ms, run_id
        case _:
            raise invalid_token()


def _is_of(record: RunRecord, arn: Arn) -> bool:
    if record.type != "STANDARD":
        return False
    return arn.qualifier is None or arn.text in (record.attributes.get("version"), record.attributes.get("alias"))


def _listed(record: RunRecord, facts: FactsReader) -> dict[str, Any]:
    known = facts.redrives(record)
    item: dict[str, Any] = {
        "executionArn": arn_of(record),
        "stateMachineArn": record.pipeline,
        "name": plain_name(record),
        "status": shown_status(record),
        "startDate": seconds(record.created_ms),
        "redriveCount": known.redrives,
        **version_and_alias(record),
    }
    if record.stopped_ms is not None:
        item["stopDate"] = seconds(record.stopped_ms)
    if known.redriven_ms is not None:
        item["redriveDate"] = seconds(known.redriven_ms)
    return item


def _wanted(redrives: int, request: dict[str, Any]) -> bool:
    wanted = request.get("redriveFilter")
    return wanted is None or (wanted == "REDRIVEN") == (redrives > 0)


# -- of a Map Run ------------------------------------------------------------------------------------------------------


def _of_map_run(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    arn = request["mapRunArn"]
    record = find_map_run(context.journal, caller, arn)
    scope, most = _scope(caller, request), page_size(request)
    end = read_token(scope, request["nextToken"]) if "nextToken" in request else None
    if end is not None and not isinstance(end, int):
        raise invalid_token()

    def cut(replay: Replay) -> tuple[list[dict[str, Any]], int]:
        facts = replay.map_runs.get(arn)
        if facts is None:
            raise no_map_run(arn)
        items: list[dict[str, Any]] = []
        index = len(facts.children) if end is None else min(end, len(facts.children))
        while index > 0 and len(items) < most:
            index -= 1
            item = listed_child(record, facts, facts.children[index])
            if request.get("statusFilter") in (None, item["status"]) and _wanted(item["redriveCount"], request):
                items.append(item)
        return items, index

    items, index = context.part(replays).look(record, cut)
    return {"executions": items} if index <= 0 else {"executions": items, "nextToken": make_token(scope, index)}
