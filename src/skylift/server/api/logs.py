"""`/v1/runs/RUN/logs`: what attempts printed, from the log files of this server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from skylift.errors import RunNotFound
from skylift.remote.wire import LOG_BYTES, LogPositions
from skylift.server.api.answers import Refusal, read_json, whole_number
from skylift.server.api.limits import REQUEST_BYTES, TOKEN
from skylift.server.api.runs import own_run
from skylift.server.api.services import Services
from skylift.server.caller import Caller

MOST_TOKENS = 10_000


async def post_logs(services: Services, caller: Caller, request: Request) -> Response:
    """MessagePack: by token the whole lines behind each position; ask until it is empty, for one answer is limited."""
    given: LogPositions = await read_json(request, LogPositions, REQUEST_BYTES)
    if len(given.positions) > MOST_TOKENS:
        raise Refusal(400, "BODY", f"more than {MOST_TOKENS} positions")
    for token in given.positions:
        _check(token)
    context = services.context
    record = await context.blocking(own_run, context.journal, caller, request.path_params["run"])
    found = await context.blocking(_added, _folder(services, record.run_id), given.positions)
    return Response(msgspec.msgpack.encode(found), media_type="application/msgpack")


async def get_log(services: Services, caller: Caller, request: Request) -> Response:
    """One attempt's log as it stands in the file, from an offset."""
    token = request.path_params["token"]
    _check(token)
    offset = whole_number(request, "offset", 0, 0, 2**53)
    limit = whole_number(request, "limit", LOG_BYTES, 1, LOG_BYTES)
    context = services.context
    record = await context.blocking(own_run, context.journal, caller, request.path_params["run"])
    data = await context.blocking(_read, _folder(services, record.run_id) / f"{token}.log", offset, limit)
    if data is None:
        raise RunNotFound(f"run {record.run_id} has no log of an attempt {token}")
    return Response(data, headers={"Skylift-Next-Offset": str(offset + len(data))}, media_type="text/plain")


def _check(token: str) -> None:
    """It becomes part of a path."""
    if TOKEN.fullmatch(token) is None:
        raise Refusal(400, "TOKEN", f"{token[:100]!r} is no attempt's token")


def _folder(services: Services, run_id: str) -> Path:
    return services.context.runtime.config.home / "logs" / run_id


def _added(folder: Path, positions: Mapping[str, int]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    left = LOG_BYTES
    for token, position in positions.items():
        data = _read(folder / f"{token}.log", position, left) or b""
        whole = data[: data.rfind(b"\n") + 1] or (data if len(data) == LOG_BYTES else b"")
        if whole:
            found[token] = whole
            left -= len(whole)
        if left <= 0:
            break
    return found


def _read(file: Path, offset: int, limit: int) -> bytes | None:
    """None where there is no such log."""
    try:
        with file.open("rb") as source:
            source.seek(offset)
            return source.read(limit)
    except FileNotFoundError:
        return None
