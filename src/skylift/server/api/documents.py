"""`/v1/documents` and `/v1/blobs`: content by the SHA-256 of it, put and read by an account."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from skylift.errors import BlobMissing, JournalDamaged
from skylift.remote.wire import Digest
from skylift.server.api.answers import READ_S, Refusal, json_response, read_body, too_long
from skylift.server.api.limits import BLOB_BYTES, DOCUMENT_BYTES, check_digest
from skylift.server.api.services import Services
from skylift.server.caller import Caller

CHUNK = 1 << 20


async def put_document(services: Services, caller: Caller, request: Request) -> Response:
    """A States Language document or a task table. It stays while something needs it."""
    digest = _digest(request)
    text = await read_body(request, DOCUMENT_BYTES)
    _check(hashlib.sha256(text).hexdigest(), digest)
    await services.context.blocking(services.context.journal.put_document, text)
    await services.context.blocking(services.visible.grant, caller.account, digest)
    return json_response(Digest(digest=digest), 201)


async def get_document(services: Services, caller: Caller, request: Request) -> Response:
    digest = _digest(request)
    runs = request.query_params.get("runs")
    lacking = Refusal(404, "DOCUMENT-MISSING", f"there is no document {digest}")
    if not await services.context.blocking(services.visible.document, caller.account, digest, runs):
        raise lacking
    try:
        text = await services.context.blocking(services.context.journal.document, digest)
    except JournalDamaged:
        raise lacking from None
    return Response(text, media_type="application/json")


async def put_blob(services: Services, caller: Caller, request: Request) -> Response:
    """Written beside its place while it comes, and kept only if it is what the digest says."""
    digest = _digest(request)
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and len(announced) < 20 and int(announced) > BLOB_BYTES:
        raise too_long(BLOB_BYTES)
    folder = services.context.runtime.config.home / "tmp"
    blocking = services.context.blocking
    await blocking(lambda: folder.mkdir(parents=True, exist_ok=True))
    with await blocking(lambda: tempfile.NamedTemporaryFile(dir=folder)) as file:
        _check(await _receive(services, request, file), digest)
        await blocking(services.context.blobs.put_file, Path(file.name))
    await blocking(services.visible.grant, caller.account, digest)
    return json_response(Digest(digest=digest), 201)


async def _receive(services: Services, request: Request, file: IO[bytes]) -> str:
    """The SHA-256 of what came. Raises Refusal for too much, and for a client that sends nothing for long."""
    hasher, size = hashlib.sha256(), 0

    def take(data: bytes) -> None:
        hasher.update(data)
        file.write(data)

    chunks = aiter(request.stream())
    while True:
        try:
            chunk = await asyncio.wait_for(anext(chunks, None), READ_S)
        except TimeoutError:
            raise Refusal(408, "TOO-SLOW", f"nothing came for {READ_S:g} s") from None
        if chunk is None:
            break
        size += len(chunk)
        if size > BLOB_BYTES:
            raise too_long(BLOB_BYTES)
        await services.context.blocking(take, chunk)
    await services.context.blocking(file.flush)
    return hasher.hexdigest()


async def get_blob(services: Services, caller: Caller, request: Request) -> Response:
    """GET and HEAD. `runs` names runs of the account that refer to it, where the account did not put it itself."""
    digest = _digest(request)
    blocking, blobs = services.context.blocking, services.context.blobs
    if not await blocking(services.visible.blob, caller.account, digest, request.query_params.get("runs")):
        raise BlobMissing(f"there is no artifact {digest}")
    headers = {"Content-Length": str(await blocking(blobs.size, digest))}
    if request.method == "HEAD":
        return Response(headers=headers, media_type="application/octet-stream")
    source = await blocking(blobs.open, digest)

    async def content() -> AsyncIterator[bytes]:
        with source:
            while chunk := await blocking(source.read, CHUNK):
                yield chunk

    return StreamingResponse(content(), headers=headers, media_type="application/octet-stream")


def _digest(request: Request) -> str:
    digest: str = request.path_params["digest"]
    check_digest("the digest", digest)
    return digest


def _check(actual: str, digest: str) -> None:
    if actual != digest:
        raise Refusal(409, "DIGEST", f"what came has the SHA-256 {actual}, not {digest}")
