"""The fixed part of the API's description: its operations and the schemas of what goes in and out."""

from __future__ import annotations

from typing import Any

import msgspec

from skylift.asl.status import STATUSES
from skylift.compute.batch.joined import BoxOrders, BoxSays
from skylift.remote.wire import (
    ENTRIES_PAGE,
    Digest,
    ErrorBody,
    LogPositions,
    Registration,
    RunPage,
    RunState,
    SignalRequest,
    StartRequest,
)
from skylift.server.api.logs import MOST_TOKENS
from skylift.server.api.pipelines import PipelineState, Started
from skylift.server.api.runs import LONGEST_WAIT_S, MOST_RUNS
from skylift.server.triggers.actions import TriggerAnswer, TriggerRequest

_KINDS = (
    BoxOrders,
    BoxSays,
    Digest,
    ErrorBody,
    LogPositions,
    PipelineState,
    Registration,
    RunPage,
    RunState,
    StartRequest,
    Started,
    TriggerRequest,
    TriggerAnswer,
)
_REF = "#/components/schemas/{name}"
_SIGNALS, COMPONENTS = msgspec.json.schema_components([SignalRequest, *_KINDS], ref_template=_REF)
COMPONENTS["SignalRequest"] = _SIGNALS[0]
COMPONENTS["StartRequest"] |= {
    "oneOf": [
        {"required": [one], "properties": {one: {"type": kind}, other: {"type": "null"}}}
        for one, kind, other in (("definition", "string", "document"), ("document", "object", "definition"))
    ]
}
_RUN = {"name": "run", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[a-z2-7]{16}$"}}
_ANY_RUN = {
    "name": "run",
    "in": "path",
    "required": True,
    "description": "Id or name of a run, or the beginning of one.",
    "schema": {"type": "string", "minLength": 1},
}
_DIGEST = {
    "name": "digest",
    "in": "path",
    "required": True,
    "description": "SHA-256 of the content.",
    "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
}
_NAME = {
    "name": "name",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,80}$"},
}
_TOKEN = {
    "name": "token",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
}
_REFUSALS = {
    400: "The request is not what is expected.",
    404: "There is no such thing in the caller's account.",
    408: "The body did not come in time.",
    409: "Not in the present state of things.",
    413: "The body is too long.",
}
_ALWAYS = {
    401: "The signature is missing or wrong.",
    403: "The key may not do this.",
    429: "Too many requests of this key; Retry-After says how long to wait.",
    503: "Not now; try again.",
}


def error_responses(*statuses: int) -> dict[str, Any]:
    """What may be refused: these statuses, and what any request may be refused with."""
    texts = {status: _REFUSALS[status] for status in statuses} | _ALWAYS
    return {str(status): {"description": text, **_json("ErrorBody")} for status, text in sorted(texts.items())}


def _json(name: str) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": {"$ref": _REF.format(name=name)}}}}


def _query(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _operation(
    name: str,
    summary: str,
    parameters: list[dict[str, Any]],
    answers: dict[int, dict[str, Any]],
    refusals: tuple[int, ...],
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    operation: dict[str, Any] = {"operationId": name, "summary": summary, "parameters": parameters}
    if body is not None:
        operation["requestBody"] = {"required": True, **body}
    described = {str(status): {"description": summary, **content} for status, content in answers.items()}
    return {**operation, "responses": {**described, **error_responses(*refusals)}}


def _content(kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {kind: {"schema": schema}}}


_BYTES = _content("application/octet-stream", {})
_RUNS_HINT = _query("runs", "Ids of own runs, joined by commas, that refer to it.", type="string")
_PAGE = _content(
    "application/json",
    {
        "type": "object",
        "required": ["pipelines"],
        "properties": {"pipelines": {"type": "array", "items": {"$ref": _REF.format(name="PipelineState")}}},
    },
)

_TRIGGERS = _content(
    "application/json",
    {
        "type": "object",
        "required": ["triggers"],
        "properties": {"triggers": {"type": "array", "items": {"$ref": _REF.format(name="TriggerAnswer")}}},
    },
)

OPERATIONS: dict[tuple[str, str], dict[str, Any]] = {
    ("get", "/openapi.json"): _operation(
        "describe", "This description.", [], {200: _content("application/json", {"type": "object"})}, ()
    ),
    ("get", "/v1/runs"): _operation(
        "listRuns",
        "Runs of the account, newest first.",
        [
            _query("pipeline", "Name of a pipeline, or ARN of a state machine.", type="string"),
            _query("name", "With `pipeline`: the run of this name.", type="string"),
            _query("prefix", "Instead: runs whose id or name begins so.", type="string"),
            _query(
                "status",
                f"Some of {', '.join(STATUSES)}, joined by commas.",
                type="string",
                pattern=f"^({'|'.join(STATUSES)})(,({'|'.join(STATUSES)}))*$",
            ),
            _query("parent", "Token of the task that started them.", type="string"),
            _query("before", "The `next` of the page before.", type="string", pattern="^[0-9]{1,15}-[a-z2-7]{16}$"),
            _query("limit", "Most runs of a page.", type="integer", minimum=1, maximum=MOST_RUNS),
        ],
        {200: _json("RunPage")},
        (400,),
    ),
    ("post", "/v1/runs"): _operation(
        "startRun",
        "Start a run of a document, with its task table if it has one.",
        [],
        {201: _json("RunState")},
        (400, 404, 408, 409, 413),
        _json("StartRequest"),
    ),
    ("get", "/v1/runs/{run}"): _operation(
        "getRun",
        "One run.",
        [_ANY_RUN, _query("exact", "Only by the whole id.", type="boolean")],
        {200: _json("RunState")},
        (400, 404),
    ),
    ("get", "/v1/runs/{run}/wait"): _operation(
        "waitForRun",
        "The run when it has ended, or as it is after `timeout` seconds.",
        [_RUN, _query("timeout", "Seconds.", type="number", minimum=0, maximum=LONGEST_WAIT_S)],
        {200: _json("RunState")},
        (400, 404),
    ),
    ("get", "/v1/runs/{run}/entries"): _operation(
        "getEntries",
        "What was journaled of the run, one JSON array a line: position, time in milliseconds, event.",
        [
            _RUN,
            _query("after", "Position of the last one that is known.", type="integer", minimum=0, maximum=2**53),
            _query("limit", f"Most of them; {ENTRIES_PAGE} unless given.", type="integer", minimum=1, maximum=100_000),
        ],
        {200: _content("application/x-ndjson", {"type": "string"})},
        (400, 404),
    ),
    ("post", "/v1/runs/{run}/signals"): _operation(
        "sendSignal",
        "Stop, pause, resume or redrive a run, or answer a task of it.",
        [_RUN],
        {200: _json("RunState")},
        (400, 404, 408, 409, 413),
        _json("SignalRequest"),
    ),
    ("post", "/v1/runs/{run}/logs"): _operation(
        "getLogs",
        f"New lines of up to {MOST_TOKENS} attempts as MessagePack: bytes by token.",
        [_RUN],
        {200: _content("application/msgpack", {})},
        (400, 404, 408, 413),
        _json("LogPositions"),
    ),
    ("get", "/v1/runs/{run}/logs/{token}"): _operation(
        "getLog",
        "The log of one attempt from an offset.",
        [
            _RUN,
            _TOKEN,
            _query("offset", "In bytes.", type="integer", minimum=0, maximum=2**53),
            _query("limit", "Most bytes.", type="integer", minimum=1, maximum=4 * 1024 * 1024),
        ],
        {200: _content("text/plain", {"type": "string"})},
        (400, 404),
    ),
    ("put", "/v1/documents/{digest}"): _operation(
        "putDocument",
        "Store a States Language document or a task table.",
        [_DIGEST],
        {201: _json("Digest")},
        (400, 408, 409, 413),
        _BYTES,
    ),
    ("get", "/v1/documents/{digest}"): _operation(
        "getDocument",
        "A document of the account.",
        [_DIGEST, _RUNS_HINT],
        {200: _content("application/json", {})},
        (400, 404),
    ),
    ("put", "/v1/blobs/{digest}"): _operation(
        "putArtifact", "Store an artifact.", [_DIGEST], {201: _json("Digest")}, (400, 408, 409, 413), _BYTES
    ),
    ("get", "/v1/blobs/{digest}"): _operation(
        "getArtifact", "An artifact of the account.", [_DIGEST, _RUNS_HINT], {200: _BYTES}, (400, 404)
    ),
    ("get", "/v1/pipelines"): _operation("listPipelines", "Pipelines and state machines.", [], {200: _PAGE}, ()),
    ("put", "/v1/pipelines/{name}"): _operation(
        "registerPipeline",
        "Register a pipeline, or replace it.",
        [_NAME],
        {200: _json("PipelineState"), 201: _json("PipelineState")},
        (400, 408, 409, 413),
        _json("Registration"),
    ),
    ("get", "/v1/pipelines/{name}"): _operation(
        "getPipeline", "One pipeline.", [_NAME], {200: _json("PipelineState")}, (404,)
    ),
    ("get", "/v1/triggers"): _operation("listTriggers", "Triggers of the account, by name.", [], {200: _TRIGGERS}, ()),
    ("put", "/v1/triggers/{name}"): _operation(
        "putTrigger",
        "Make or replace what starts runs by itself.",
        [_NAME],
        {200: _json("TriggerAnswer")},
        (400, 404, 408, 413),
        _json("TriggerRequest"),
    ),
    ("get", "/v1/triggers/{name}"): _operation(
        "getTrigger", "One trigger, with what it has done.", [_NAME], {200: _json("TriggerAnswer")}, (404,)
    ),
    ("delete", "/v1/triggers/{name}"): _operation("deleteTrigger", "Delete it.", [_NAME], {204: {}}, (404,)),
    ("post", "/v1/workers/{name}"): _operation(
        "tellOfBox",
        "A box of a pool says what it has, holds and has ended, and is told what to run.",
        [_NAME],
        {200: _json("BoxOrders")},
        (400, 408, 409, 413),
        _json("BoxSays"),
    ),
    ("delete", "/v1/pipelines/{name}"): _operation("deletePipeline", "Delete it.", [_NAME], {204: {}}, (404,)),
}
