"""Every integration's request: which client, which shape of result, which failures of their own."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from skylift.compute.services import function
from skylift.compute.services.calling import Answer, call, idempotency_token, operation_of, send
from skylift.compute.services.catalogue import OPTIMIZED, SDK_SHAPED, optimized
from skylift.compute.services.clients import Clients
from skylift.compute.services.dialect import Dialect, sdk_dialect
from skylift.compute.services.failure import ServiceFailure
from skylift.compute.services.jobs import JOBS, JobKind
from skylift.compute.services.policy import ServicePolicy
from skylift.compute.services.request import build_request, json_text
from skylift.compute.services.resource import Target
from skylift.compute.services.result import build_result
from skylift.compute.services.web import Web

if TYPE_CHECKING:
    from skylift.ports.compute import TaskCall


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job that a service has accepted."""

    kind: JobKind
    call: TaskCall
    target: Target
    submitted: dict[str, Any]


class Actions:
    """Makes the requests. Blocking; thread-safe. Everything raises ServiceFailure."""

    def __init__(self, clients: Clients, policy: ServicePolicy, web: Web) -> None:
        self._clients = clients
        self._policy = policy
        self._web = web

    def perform(self, call_: TaskCall, target: Target) -> Any:
        """Make the request; its result as the state (or TaskSubmitted) shows it."""
        self._allow(call_, target)
        region, role = target.region or call_.region, role_of(call_.credentials)
        if role is not None:
            self._policy.check_service(call_.account, "sts", "assumeRole")
        if target.kind == "optimized" and target.action == "invoke" and target.service in ("http", "apigateway"):
            if target.pattern != "request":
                raise ServiceFailure("States.Runtime", f"The resource '{target.arn}' cannot be waited for")
            web = self._web.invoke if target.service == "http" else self._web.gateway
            return web(call_, region, role)
        if target.kind == "function":
            client = self._clients.client("lambda", region, role)
            name, token = target.arn, idempotency_token(call_.token)
            return function.invoke_function(client, OPTIMIZED["lambda"].dialect, name, call_.arguments, token)
        if target.kind == "sdk" or target.action in SDK_SHAPED.get(target.service, ()):
            return self._sdk(call_, target, region, role)
        return self._optimized(call_, target, region, role)

    def job(self, call_: TaskCall, target: Target, submitted: Any) -> Job:
        optimized(target)
        found = submitted if isinstance(submitted, dict) else {}
        return Job(kind=JOBS[target.service, target.action], call=call_, target=target, submitted=found)

    def look(self, job: Job) -> dict[str, Any] | None:
        """The job's description now; None where the service does not know of it."""
        return job.kind.job(self._job_request(job, job.kind.describe, job.kind.asks(_lower(job), job.submitted)))

    def stop(self, job: Job) -> None:
        if job.kind.stop is not None:
            self._job_request(job, job.kind.stop, job.kind.stops(_lower(job), job.submitted))

    def _allow(self, call_: TaskCall, target: Target) -> None:
        if target.service == "http":
            return  # allow_http says which
        service, action = target.service.lower(), target.action.lower()
        names = [target.action, "invokeFunction"] if (service, action) == ("lambda", "invoke") else [target.action]
        self._policy.check_service(call_.account, target.service, *names)

    def _sdk(self, call_: TaskCall, target: Target, region: str, role: str | None) -> dict[str, Any]:
        client = self._clients.client(self._clients.named(target.service), region, role)
        dialect = sdk_dialect(client.meta.service_model)
        return call(client, dialect, target.action, call_.arguments, idempotency_token(call_.token)).result

    def _optimized(self, call_: TaskCall, target: Target, region: str, role: str | None) -> dict[str, Any]:
        known = optimized(target)
        client = self._clients.client(known.boto, region, role)
        token = idempotency_token(call_.token)
        if target.service == "lambda":
            return _sorted(function.invoke(client, known.dialect, call_.arguments, token))
        arguments = call_.arguments
        if target.service == "sqs":
            _check_queue(known.dialect, arguments, client.meta.endpoint_url)
        if isinstance(arguments, dict):
            arguments = {**_defaults(target, token), **arguments}
        answer = call(client, known.dialect, target.action, arguments, token)
        _check_entries(target, answer)
        return _sorted(answer)

    def _job_request(self, job: Job, action: str, arguments: dict[str, Any]) -> dict[str, Any]:
        known, role = OPTIMIZED[job.target.service], role_of(job.call.credentials)
        client = self._clients.client(known.boto, job.call.region, role)
        operation = operation_of(client, known.dialect, action)
        request, _ = build_request(operation, arguments, idempotency_token(job.call.token, action))
        return build_result(operation, send(client, known.dialect, operation, request), known.dialect)


def role_of(credentials: Any) -> str | None:
    """Raises ServiceFailure for credentials that are none."""
    if credentials is None:
        return None
    role = credentials.get("RoleArn") if isinstance(credentials, dict) else None
    if not isinstance(role, str) or not role.startswith("arn:"):
        raise ServiceFailure(
            "States.Runtime", f"Credentials must be an object with the RoleArn of a role: {credentials}"
        )
    return role


def _sorted(answer: Answer) -> dict[str, Any]:
    return answer.with_metadata()


def _defaults(target: Target, token: str) -> dict[str, Any]:
    """What Step Functions says itself unless the state does. CodeBuild's token is none that its model tells of."""
    if target.service == "ecs":
        return {"StartedBy": "AWS Step Functions"}
    return {"IdempotencyToken": token} if target.action == "startBuild" else {}


def _lower(job: Job) -> dict[str, Any]:
    return {name.lower(): value for name, value in job.call.arguments.items()}


def _check_queue(dialect: Dialect, arguments: Any, endpoint: str) -> None:
    """The SDK sends a message to the host in the queue's URL; one that does not exist is told in the SDK's words."""
    url = arguments.get("QueueUrl") if isinstance(arguments, dict) else None
    host = urlsplit(url).hostname if isinstance(url, str) and "://" in url else None
    if not host or "." in host or host in ("localhost", urlsplit(endpoint).hostname):
        return
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        cause = f"Unable to execute HTTP request: {host}: Name or service not known"
        raise ServiceFailure(dialect.client_error, cause, passing=True) from None


def _check_entries(target: Target, answer: Answer) -> None:
    """A request that was accepted, and yet did not do what it was to do."""
    if target.service == "events" and answer.result.get("FailedEntryCount"):
        raise ServiceFailure("EventBridge.FailedEntry", json_text(answer.result))
    if target.service == "ecs" and answer.result.get("Failures") and not answer.result.get("Tasks"):
        raise ServiceFailure("AmazonECS.Unknown", json_text(answer.result))
