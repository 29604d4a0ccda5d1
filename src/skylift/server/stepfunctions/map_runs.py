"""Map Runs: describe, list, update. Their facts are replayed from the run that they are part of."""

from __future__ import annotations

from typing import Any

from skylift.asl.events import MapRunUpdated
from skylift.asl.state import MapRun
from skylift.asl.status import OPEN
from skylift.engine.inputs import Send
from skylift.engine.names import arn_of
from skylift.engine.reply import Reply
from skylift.ports.journal import RunRecord
from skylift.server.caller import Caller, Role
from skylift.server.context import ServerContext
from skylift.server.errors import ApiError
from skylift.server.stepfunctions.actions import Actions
from skylift.server.stepfunctions.child_executions import child_arn, child_machine, shown_status
from skylift.server.stepfunctions.history import thread_of
from skylift.server.stepfunctions.lookup import Execution, find_execution, find_map_run, no_map_run, quick
from skylift.server.stepfunctions.paging import invalid_token, make_token, page_size, read_token
from skylift.server.stepfunctions.replays import MapRunFacts, Replay, replays
from skylift.server.stepfunctions.wire import seconds

actions = Actions()

_STATUSES = ("running", "succeeded", "failed", "timedOut", "aborted")
_COUNTED = {"RUNNING": "running", "SUCCEEDED": "succeeded", "FAILED": "failed"}
_COUNTED |= {"TIMED_OUT": "timedOut", "ABORTED": "aborted"}


@actions.add("DescribeMapRun", Role.VIEWER)
async def describe_map_run(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    record = await quick(context, find_map_run, context.journal, caller, request["mapRunArn"])
    return await context.blocking(_describe, context, record, request["mapRunArn"])


@actions.add("ListMapRuns", Role.VIEWER)
async def list_map_runs(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    execution = await quick(context, find_execution, context.journal, caller, request["executionArn"])
    return await context.blocking(_list, context, caller, execution, request)


@actions.add("UpdateMapRun", Role.OPERATOR)
async def update_map_run(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    arn = request["mapRunArn"]
    record = await quick(context, find_map_run, context.journal, caller, arn)
    facts = await context.blocking(_facts, context, record, arn)
    if record.status not in OPEN or facts.status != "RUNNING":
        raise ApiError("ValidationException", f"Map Run is not in progress and cannot be updated: '{arn}'")
    event = MapRunUpdated(
        map_run=arn,
        max_concurrency=request.get("maxConcurrency"),
        tolerated_failure_count=request.get("toleratedFailureCount"),
        tolerated_failure_percentage=request.get("toleratedFailurePercentage"),
    )
    reply: Reply[None] = Reply()
    context.engine.put(Send(run_id=record.run_id, event=event, reply=reply))
    await context.reply(reply)
    return {}


def _facts(context: ServerContext, record: RunRecord, arn: str) -> MapRunFacts:
    return context.part(replays).look(record, lambda replay: _found(replay, arn))


def _found(replay: Replay, arn: str) -> MapRunFacts:
    facts = replay.map_runs.get(arn)
    if facts is None:
        raise no_map_run(arn)
    return facts


def _describe(context: ServerContext, record: RunRecord, arn: str) -> dict[str, Any]:
    return context.part(replays).look(record, lambda replay: _described(replay, record, _found(replay, arn)))


def _described(replay: Replay, record: RunRecord, facts: MapRunFacts) -> dict[str, Any]:
    live = replay.live_map_run(facts.arn)
    status, stopped_ms = _ending(record, facts)
    children, items = _counts(record, facts, live)
    answer: dict[str, Any] = {
        "mapRunArn": facts.arn,
        "executionArn": _started_in(replay, record, facts),
        "status": status,
        "startDate": seconds(facts.started_ms),
        **facts.limits,
        "itemCounts": items,
        "executionCounts": children,
        "redriveCount": facts.redrives,
    }
    if stopped_ms is not None:
        answer["stopDate"] = seconds(stopped_ms)
    if facts.redriven_ms is not None:
        answer["redriveDate"] = seconds(facts.redriven_ms)
    return answer


def _ending(record: RunRecord, facts: MapRunFacts) -> tuple[str, int | None]:
    """A Map Run that was under way when its run ended was aborted with it."""
    if facts.status == "RUNNING" and record.status not in OPEN:
        return "ABORTED", record.stopped_ms
    return facts.status, facts.stopped_ms


def _counts(record: RunRecord, facts: MapRunFacts, live: MapRun | None) -> tuple[dict[str, int], dict[str, int]]:
    """Of child executions, and of items."""
    children, items = dict.fromkeys(_STATUSES, 0), dict.fromkeys(_STATUSES, 0)
    for child in facts.children:
        name = _COUNTED[shown_status(record, child)]
        children[name] += 1
        items[name] += child.items
    waiting = len(live.items) - live.taken if live is not None else 0
    written = {"resultsWritten": facts.written}, {"resultsWritten": facts.written_items}
    return (
        {"pending": 0, **children, "total": sum(children.values()), **written[0], **_NOT_REDRIVEN},
        {"pending": waiting, **items, "total": sum(items.values()) + waiting, **written[1], **_NOT_REDRIVEN},
    )


_NOT_REDRIVEN = {"failuresNotRedrivable": 0, "pendingRedrive": 0}
"""Children are redriven all at once, when their run is, and all that failed can be."""


def _started_in(replay: Replay, record: RunRecord, facts: MapRunFacts) -> str:
    """The execution that started the Map Run: the run's own, or a child of another Map Run."""
    if facts.home is None:
        return arn_of(record)
    around = replay.children[facts.home].map_run
    return child_arn(record, around or facts.arn, facts.home)


def _machine(replay: Replay, record: RunRecord, facts: MapRunFacts) -> str:
    around = replay.children[facts.home].map_run if facts.home is not None else None
    return record.pipeline if around is None else child_machine(record, around)


def _list(context: ServerContext, caller: Caller, execution: Execution, request: dict[str, Any]) -> dict[str, Any]:
    scope, most = ["ListMapRuns", caller.account, execution.arn], page_size(request)
    end = read_token(scope, request["nextToken"]) if "nextToken" in request else None
    if end is not None and not isinstance(end, int):
        raise invalid_token()
    record = execution.record

    def cut(replay: Replay) -> tuple[list[dict[str, Any]], int]:
        thread_of(replay, execution)
        all_of_it = [facts for facts in replay.map_runs.values() if facts.home == execution.child]
        stop = len(all_of_it) if end is None else min(end, len(all_of_it))
        start = max(0, stop - most)
        return [_listed(replay, record, facts) for facts in reversed(all_of_it[start:stop])], start

    items, start = context.part(replays).look(record, cut)
    return {"mapRuns": items} if start <= 0 else {"mapRuns": items, "nextToken": make_token(scope, start)}


def _listed(replay: Replay, record: RunRecord, facts: MapRunFacts) -> dict[str, Any]:
    item: dict[str, Any] = {
        "executionArn": _started_in(replay, record, facts),
        "mapRunArn": facts.arn,
        "stateMachineArn": _machine(replay, record, facts),
        "startDate": seconds(facts.started_ms),
    }
    stopped_ms = _ending(record, facts)[1]
    return item if stopped_ms is None else {**item, "stopDate": seconds(stopped_ms)}
