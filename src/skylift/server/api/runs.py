"""`/v1/runs`: list, start, look at, wait for and ask things of an account's runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import islice
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from skylift.asl import events as e
from skylift.asl.status import ENDED, STATUSES
from skylift.engine.names import arn_of, machine_arn, machine_name
from skylift.errors import RunNotFound
from skylift.ports.journal import Entry, Journal, RunRecord
from skylift.reader import FOUND, the_one
from skylift.remote.wire import (
    ENTRIES_PAGE,
    Fail,
    Pause,
    Redrive,
    Resume,
    RunPage,
    RunState,
    SignalRequest,
    StartRequest,
    Stop,
    Succeed,
)
from skylift.runtime import WrongStatus
from skylift.server.api.answers import Refusal, json_response, read_json, seconds, whole_number
from skylift.server.api.limits import REQUEST_BYTES, RUN_ID, TOKEN
from skylift.server.api.services import Services
from skylift.server.api.starting import start_run
from skylift.server.caller import Caller
from skylift.server.names import read_machine
from skylift.units import parse_usd

MOST_RUNS = 1_000
LONGEST_WAIT_S = 60.0
MOST_LOOKED_AT = 5_000
"""Runs of all accounts among which those are looked for whose id or name begins with a text."""
CHUNK = 200
"""Entries that are read at once."""


def run_state(record: RunRecord) -> RunState:
    """As clients see it: nobody outside needs to know which engine drives it."""
    facts = {field: getattr(record, field) for field in RunRecord.__struct_fields__}
    facts["pipeline"] = machine_name(record.pipeline)
    facts["owner"] = None if record.status in ENDED else "server"
    return RunState(**facts, execution_arn=arn_of(record), machine_arn=machine_arn(record.pipeline))


def own_run(journal: Journal, caller: Caller, run_id: str) -> RunRecord:
    """Raises RunNotFound, also for another account's."""
    record = journal.run(run_id) if RUN_ID.fullmatch(run_id) else None
    if record is None or record.account != caller.account:
        raise RunNotFound(f"no run is called {run_id!r}", hint="see the runs there are: skylift runs")
    return record


async def get_run(services: Services, caller: Caller, request: Request) -> Response:
    """By id, or by the name or the beginning of one of the two."""
    text = request.path_params["run"]
    exact = {None: False, "false": False, "true": True}.get(request.query_params.get("exact"))
    if exact is None:
        raise Refusal(400, "QUERY", f"exact is {request.query_params['exact']!r}", hint="use true or false")
    return json_response(run_state(await _find(services, caller, text, exact=exact)))


async def _find(services: Services, caller: Caller, text: str, *, exact: bool = False) -> RunRecord:
    journal = services.context.journal
    try:
        return await services.context.blocking(own_run, journal, caller, text)
    except RunNotFound:
        if exact:
            raise
    return the_one(text, await services.context.blocking(_starting_with, journal, caller, text, FOUND))


def _starting_with(journal: Journal, caller: Caller, prefix: str, limit: int) -> list[RunRecord]:
    """Of the caller's account. Others' runs are passed over, however many begin so."""
    asked = limit
    while True:
        found = journal.find_runs(prefix, asked)
        own = [record for record in found if record.account == caller.account]
        if len(own) >= limit or len(found) < asked or asked > MOST_LOOKED_AT:
            return own[:limit]
        asked *= 4


async def list_runs(services: Services, caller: Caller, request: Request) -> Response:
    query = request.query_params
    limit = whole_number(request, "limit", 100, 1, MOST_RUNS)
    statuses, before = _statuses(query.get("status")), _before(query.get("before"))
    journal, blocking = services.context.journal, services.context.blocking
    if (prefix := query.get("prefix")) is not None:
        found = await blocking(_starting_with, journal, caller, prefix, limit)
        return json_response(RunPage(runs=[run_state(record) for record in found]))
    pipeline = query.get("pipeline")
    arn = None if pipeline is None else read_machine(caller, pipeline)
    if arn is not None and (name := query.get("name")) is not None:
        named = await blocking(journal.run_named, arn, name)
        own = [named] if named is not None and named.account == caller.account else []
        return json_response(RunPage(runs=[run_state(record) for record in own]))
    found = await blocking(
        journal.runs,
        pipeline=arn,
        account=caller.account,
        status=statuses,
        parent=query.get("parent"),
        before=before,
        limit=limit,
    )
    last = found[-1] if len(found) == limit else None
    following = None if last is None else f"{last.created_ms}-{last.run_id}"
    return json_response(RunPage(runs=[run_state(record) for record in found], next=following))


def _statuses(text: str | None) -> list[str] | None:
    if text is None:
        return None
    wanted = text.split(",")
    for status in wanted:
        if status not in STATUSES:
            raise Refusal(400, "QUERY", f"status is {status!r}", hint=f"use some of {', '.join(STATUSES)}")
    return wanted


def _before(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    ms, _, run_id = text.partition("-")
    if not (ms.isascii() and ms.isdigit() and len(ms) < 16) or RUN_ID.fullmatch(run_id) is None:
        raise Refusal(400, "QUERY", f"before is {text!r}", hint="use the `next` of the page before")
    return int(ms), run_id


async def post_run(services: Services, caller: Caller, request: Request) -> Response:
    given: StartRequest = await read_json(request, StartRequest, REQUEST_BYTES)
    record = await start_run(services, caller, given, read_machine(caller, given.pipeline))
    return json_response(run_state(record), 201)


async def wait_for_run(services: Services, caller: Caller, request: Request) -> Response:
    """Answers when the run has ended, or when the time is over with the run as it is then."""
    timeout_s = seconds(request, "timeout", LONGEST_WAIT_S)
    record = await services.context.blocking(own_run, services.context.journal, caller, request.path_params["run"])
    return json_response(run_state(await services.ends.wait(record, 0.0 if timeout_s is None else timeout_s)))


async def get_entries(services: Services, caller: Caller, request: Request) -> Response:
    """What was journaled, a line of JSON each: position, time, event."""
    journal = services.context.journal
    record = await services.context.blocking(own_run, journal, caller, request.path_params["run"])
    after = whole_number(request, "after", 0, 0, 2**53)
    limit = whole_number(request, "limit", ENTRIES_PAGE, 1, 100_000)

    async def lines() -> AsyncIterator[bytes]:
        last, left = after, limit
        while left > 0:
            page = await services.context.blocking(_page, journal, record.run_id, last, min(left, CHUNK))
            if page:
                yield b"".join(msgspec.json.encode(entry) + b"\n" for entry in page)
                last, left = page[-1].sequence, left - len(page)
            if len(page) < CHUNK:
                return

    return StreamingResponse(lines(), media_type="application/x-ndjson")


def _page(journal: Journal, run_id: str, after: int, limit: int) -> list[Entry]:
    return list(islice(journal.entries(run_id, after), limit))


async def post_signal(services: Services, caller: Caller, request: Request) -> Response:
    """Durable when it is answered."""
    given: SignalRequest = await read_json(request, SignalRequest, REQUEST_BYTES)
    context = services.context
    record = await context.blocking(own_run, context.journal, caller, request.path_params["run"])
    if record.status in ENDED and not isinstance(given, Redrive):
        raise WrongStatus(f"run {record.run_id} has ended already: {record.status}")
    if isinstance(given, Redrive) and (record.status not in ENDED or record.status == "SUCCEEDED"):
        raise WrongStatus(
            f"run {record.run_id} is {record.status}",
            hint="only a run that failed, timed out or was stopped can be redriven",
        )
    await context.blocking(context.engine.send, record.run_id, _event(given))
    return json_response(run_state(await context.blocking(own_run, context.journal, caller, record.run_id)))


def _event(given: Any) -> e.AnyEvent:
    match given:
        case Stop():
            return e.StopRequested(error=given.error, cause=given.cause)
        case Pause():
            return e.PauseRequested()
        case Resume():
            return e.ResumeRequested(budget=None if given.budget is None else parse_usd(given.budget, "budget"))
        case Redrive():
            return e.RedriveRequested()
        case Succeed():
            return e.TaskSucceeded(token=_token(given.token), output=given.output)
        case Fail():
            return e.TaskFailed(token=_token(given.token), error=given.error, cause=given.cause)
        case _:
            raise AssertionError(given)


def _token(text: str) -> str:
    if TOKEN.fullmatch(text) is None:
        raise Refusal(400, "TOKEN", f"{text[:100]!r} is no task's token")
    return text
