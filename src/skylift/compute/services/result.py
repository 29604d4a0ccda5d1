"""A service's answer as the result of a state."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from skylift.compute.services.dialect import Dialect
from skylift.compute.services.failure import ServiceFailure

if TYPE_CHECKING:
    from botocore.model import OperationModel

MOST_BYTES = 8 * 1024 * 1024
"""Of a streamed body: it is held in memory, and a result is never larger on the service either."""


def build_result(operation: OperationModel, answer: dict[str, Any], dialect: Dialect) -> dict[str, Any]:
    """The members of the answer that its model knows, in the dialect's names; a streamed body last."""
    shape = operation.output_shape
    if shape is None:
        return {}
    if operation.has_event_stream_output:
        raise ServiceFailure("States.Runtime", f"{operation.name} answers with a stream of events, which is no result")
    streamed = operation.get_streaming_output()
    body = next((name for name, member in shape.members.items() if member is streamed), None)
    result = _structure(shape, {name: part for name, part in answer.items() if name != body}, dialect)
    if body is not None and body in answer:
        result[dialect.member(body)] = text_of(read_body(answer[body]))
    return result


def build_value(shape: Any, value: Any, dialect: Dialect) -> Any:
    kind = shape.type_name
    if kind == "structure" and not getattr(shape, "is_document_type", False):
        return _structure(shape, value, dialect)
    if kind == "list":
        return [build_value(shape.member, part, dialect) for part in value]
    if kind == "map":
        return {key: build_value(shape.value, part, dialect) for key, part in value.items()}
    if isinstance(value, (bytes, bytearray)):
        return text_of(bytes(value))
    if isinstance(value, datetime):
        return round(value.timestamp() * 1000) if dialect.first else instant(value)
    return value


def _structure(shape: Any, value: dict[str, Any], dialect: Dialect) -> dict[str, Any]:
    known = {dialect.member(name): name for name in value if name in shape.members and value[name] is not None}
    return {shown: build_value(shape.members[name], value[name], dialect) for shown, name in sorted(known.items())}


def read_body(body: Any) -> bytes:
    """All of a stream. Raises ServiceFailure for one that is longer than a result may be."""
    data: bytes = body.read(MOST_BYTES + 1)
    body.close()
    if len(data) > MOST_BYTES:
        raise ServiceFailure("States.DataLimitExceeded", f"the service's answer is longer than {MOST_BYTES} bytes")
    return data


def text_of(data: bytes) -> str:
    """Text stays text; what is none travels as base64."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return base64.b64encode(data).decode()


def instant(moment: datetime) -> str:
    """ISO 8601 in UTC, with milliseconds where there are any."""
    utc = moment.astimezone(UTC)
    fraction = f".{utc.microsecond // 1000:03d}" if utc.microsecond >= 1000 else ""
    return utc.strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"


def http_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """What an optimized integration tells of the HTTP answer."""
    headers: dict[str, str] = metadata.get("Headers") or metadata.get("HTTPHeaders", {})
    return {
        "SdkHttpMetadata": {
            "AllHttpHeaders": {name: [value] for name, value in headers.items()},
            "HttpHeaders": dict(sorted(headers.items(), key=lambda pair: pair[0].lower())),
            "HttpStatusCode": metadata.get("HTTPStatusCode", 200),
        },
        "SdkResponseMetadata": {"RequestId": metadata.get("RequestId", "")},
    }
