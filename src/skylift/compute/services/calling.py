"""One request to a service, from its arguments to its result or the failure that the state sees."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skylift.compute.services.dialect import Dialect, error_name
from skylift.compute.services.failure import ServiceFailure
from skylift.compute.services.request import build_request, missing_message
from skylift.compute.services.result import build_result, http_metadata

if TYPE_CHECKING:
    from botocore.model import OperationModel

_THROTTLED = frozenset({"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded",
                        "ProvisionedThroughputExceededException", "SlowDown", "RequestThrottled"})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`result` as the state gets it, less the HTTP metadata, and the answer as boto3 gives it."""

    result: dict[str, Any]
    raw: dict[str, Any]

    def with_metadata(self) -> dict[str, Any]:
        whole = {**self.result, **http_metadata(self.raw.get("ResponseMetadata", {}))}
        return dict(sorted(whole.items()))


def call(client: Any, dialect: Dialect, action: str, arguments: Any, token: str) -> Answer:
    """Raises ServiceFailure."""
    operation = operation_of(client, dialect, action)
    request = prepare(client, dialect, operation, arguments, token)
    raw = send(client, dialect, operation, request)
    return Answer(result=build_result(operation, raw, dialect), raw=raw)


def prepare(client: Any, dialect: Dialect, operation: OperationModel, arguments: Any, token: str) -> dict[str, Any]:
    """The request, complete. Raises ServiceFailure: for a required member that is not there, as the service would."""
    request, missing = build_request(operation, arguments, token)
    if missing:
        raise failure(dialect, client, 400, "ValidationException", missing_message(missing), str(uuid.uuid4()))
    return request


def operation_of(client: Any, dialect: Dialect, action: str) -> OperationModel:
    """Raises ServiceFailure for an action that the service's model does not have."""
    model = client.meta.service_model
    name = next((name for name in model.operation_names if name.lower() == action.lower()), None)
    if name is None:
        raise ServiceFailure("States.Runtime", f"The service {dialect.prefix} has no action '{action}'")
    return model.operation_model(name)


def send(client: Any, dialect: Dialect, operation: OperationModel, request: dict[str, Any]) -> dict[str, Any]:
    from botocore import xform_name
    from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

    try:
        return getattr(client, xform_name(operation.name))(**request)  # type: ignore[no-any-return]
    except ClientError as problem:
        raise client_failure(dialect, client, problem) from problem
    except (ConnectionError, HTTPClientError) as problem:
        said = f"Unable to execute HTTP request: {problem}"
        raise ServiceFailure(dialect.client_error, said, passing=True) from problem
    except (
        BotoCoreError,
        ValueError,
        TypeError,
        AttributeError,
    ) as problem:  # values that cannot be put into a request
        raise ServiceFailure(dialect.client_error, str(problem)) from problem


def client_failure(dialect: Dialect, client: Any, problem: Any) -> ServiceFailure:
    """The failure for a botocore ClientError."""
    answer = problem.response
    error, metadata = answer.get("Error", {}), answer.get("ResponseMetadata", {})
    code = str(error.get("Code", ""))
    return failure(
        dialect,
        client,
        int(metadata.get("HTTPStatusCode", 400)),
        code,
        str(error.get("Message", "") or answer.get("message", "")),
        str(metadata.get("RequestId", "")),
        metadata.get("HostId") or None,
        str(error.get("QueryErrorCode", code)),
    )


def failure(
    dialect: Dialect,
    client: Any,
    status: int,
    code: str,
    message: str,
    request_id: str,
    extended: str | None = None,
    shape: str | None = None,
) -> ServiceFailure:
    """`shape` is the error's name in the model where its code is another (SQS still answers with codes of old)."""
    name = error_name(dialect, client.meta.service_model, {code, shape or code})
    cause = dialect.cause(message, status, code, request_id, extended)
    return ServiceFailure(name, cause, passing=status >= 500 or status == 429 or code in _THROTTLED)


def idempotency_token(token: str, purpose: str = "") -> str:
    """36 characters that are the same whenever the same attempt asks for the same thing."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"skylift:{token}:{purpose}"))
