"""Lambda functions, invoked: by `lambda:invoke` and by their own ARNs."""

from __future__ import annotations

import json
from typing import Any

from skylift.compute.services.calling import Answer, operation_of, prepare, send
from skylift.compute.services.dialect import Dialect
from skylift.compute.services.failure import ServiceFailure
from skylift.compute.services.request import json_text
from skylift.compute.services.result import build_result, read_body, text_of

_UNKNOWN = "The cause could not be determined because Lambda did not return an error type."


def invoke(client: Any, dialect: Dialect, arguments: Any, token: str) -> Answer:
    """`lambda:invoke`: the payload of the answer as JSON. Raises ServiceFailure, also for an error of the function."""
    operation = operation_of(client, dialect, "invoke")
    given = dict(arguments) if isinstance(arguments, dict) else arguments
    payload = given.pop("Payload", None) if isinstance(given, dict) else None
    context = given.get("ClientContext") if isinstance(given, dict) else None
    if isinstance(context, dict):
        given["ClientContext"] = _base64(json_text(context))
    request = prepare(client, dialect, operation, given, token)
    if payload is not None:
        request["Payload"] = json_text(payload).encode()
    raw = send(client, dialect, operation, request)
    data = read_body(raw.pop("Payload")) if "Payload" in raw else b""
    if raw.get("FunctionError"):
        raise function_error(text_of(data))
    result = build_result(operation, raw, dialect)
    result["Payload"] = _parsed(text_of(data))
    return Answer(result=result, raw=raw)


def invoke_function(client: Any, dialect: Dialect, arn: str, arguments: Any, token: str) -> Any:
    """A function's ARN as the resource: the state's arguments are the event, what the function returns the result."""
    parts = {"FunctionName": arn, "Payload": {} if arguments is None else arguments}
    return invoke(client, dialect, parts, token).result["Payload"]


def function_error(payload: str) -> ServiceFailure:
    """The function raised: its error type is the error, all it said the cause."""
    try:
        said = json.loads(payload)
    except ValueError:
        said = None
    kind = said.get("errorType") if isinstance(said, dict) else None
    if not isinstance(kind, str) or not kind:
        return ServiceFailure("Lambda.Unknown", f"{_UNKNOWN} Returned payload: {payload}")
    return ServiceFailure(kind, payload)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _base64(text: str) -> str:
    from base64 import b64encode

    return b64encode(text.encode()).decode()
