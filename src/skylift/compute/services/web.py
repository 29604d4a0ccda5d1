"""The integrations that speak HTTP themselves, put together: policy, connection, request, answer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, urlsplit

from skylift.compute.services.calling import call
from skylift.compute.services.clients import Clients
from skylift.compute.services.connection import Additions, Connections, TokenRequest, connection_name
from skylift.compute.services.dialect import sdk_dialect
from skylift.compute.services.encoding import form
from skylift.compute.services.exchanges import EXCHANGES, Exchange, Sent
from skylift.compute.services.failure import ServiceFailure
from skylift.compute.services.http_call import Parameters, body_of, check_status, checked_url, result_of
from skylift.compute.services.policy import ServicePolicy
from skylift.compute.services.transport import HttpAnswer, Transport

if TYPE_CHECKING:
    from skylift.ports.compute import TaskCall

_INVOKE = frozenset({"ApiEndpoint", "Method", "Headers", "QueryParameters", "RequestBody", "Transform",
                     "Authentication", "InvocationConfig"})  # fmt: skip
_GATEWAY = frozenset({"ApiEndpoint", "Method", "Headers", "Stage", "Path", "QueryParameters", "RequestBody",
                      "AllowNullValues", "AuthType"})  # fmt: skip
_AUTH_TYPES = ("", "NO_AUTH", "IAM_ROLE", "RESOURCE_POLICY")


class Web:
    def __init__(self, clients: Clients, policy: ServicePolicy, transport: Transport) -> None:
        self._clients = clients
        self._policy = policy
        self._transport = transport
        self._connections = Connections()

    def invoke(self, call_: TaskCall, region: str, role: str | None) -> dict[str, Any]:
        """`http:invoke`. Raises ServiceFailure."""
        parameters = Parameters(call_.arguments, _INVOKE)
        method, headers = parameters.method(), parameters.headers()
        endpoint, asked = parameters.text("ApiEndpoint"), parameters.table("QueryParameters")
        arn = parameters.table("Authentication").get("ConnectionArn")
        checked_url(parameters, endpoint, asked)
        parameters.done()
        if arn is not None:
            self._policy.check_host(call_.account, urlsplit(endpoint).hostname or "")
        added = self._additions(call_, str(arn), region, role) if arn is not None else Additions()
        body = parameters.any("RequestBody")
        if added.body:
            body = {**(body if isinstance(body, dict) else {}), **added.body}
        headers |= added.headers
        headers.setdefault("User-Agent", "Skylift|HttpInvoke")
        url = checked_url(parameters, endpoint, {**asked, **added.query})
        sent = body_of(parameters, headers, body)
        parameters.done()
        watched = EXCHANGES.of(call_.run_id)
        if watched is not None:
            watched.sent = self._shown(
                parameters, watched, added, Sent(method=method, url=url.geturl(), headers=headers, body=sent)
            )
        answer = self._send(call_.account, method, url, headers, sent)
        if watched is not None:
            watched.answer = answer
        check_status(answer, "States.Http.StatusCode")
        return result_of(answer)

    @staticmethod
    def _shown(parameters: Parameters, watched: Exchange, added: Additions, sent: Sent) -> Sent:
        """The request as whoever watches it may see it: without what the connection adds, unless that is revealed."""
        if watched.revealing:
            return sent
        headers = {name: value for name, value in sent.headers.items() if name not in added.headers}
        url = checked_url(parameters, parameters.text("ApiEndpoint"), parameters.table("QueryParameters"))
        body = body_of(parameters, dict(sent.headers), parameters.any("RequestBody")) if added.body else sent.body
        return Sent(method=sent.method, url=url.geturl(), headers=headers, body=body)

    def gateway(self, call_: TaskCall, region: str, role: str | None) -> dict[str, Any]:
        """`apigateway:invoke`. Raises ServiceFailure."""
        parameters = Parameters(call_.arguments, _GATEWAY)
        method, headers = parameters.method(), parameters.headers()
        parts = [parameters.text("Stage", required=False), parameters.text("Path", required=False).lstrip("/")]
        path = "/".join(quote(part, safe="/~-._!$&'()*+,;=:@") for part in parts if part)
        host, signing = parameters.text("ApiEndpoint"), parameters.text("AuthType", required=False)
        if signing not in _AUTH_TYPES:
            parameters.problems.append(
                "The value for the field 'AuthType' must be NO_AUTH, IAM_ROLE or RESOURCE_POLICY"
            )
        elsewhere = self._clients.own_endpoint("apigateway")
        base = (elsewhere or (host if "://" in host else f"https://{host}")).rstrip("/")
        url = checked_url(parameters, f"{base}/{path}", parameters.table("QueryParameters"))
        body = body_of(parameters, headers, _sent_body(parameters))
        headers.setdefault("Content-Type", "application/json")
        headers.setdefault("User-Agent", "Skylift|ApiGatewayInvoke")
        parameters.done()
        if signing == "IAM_ROLE":
            headers = self._signed(method, url, headers, body, region, role)
        answer = self._send("" if elsewhere else call_.account, method, url, headers, body)
        check_status(answer, "ApiGateway")
        return result_of(answer)

    def _send(
        self, account: str, method: str, url: SplitResult, headers: dict[str, str], body: bytes | None
    ) -> HttpAnswer:
        self._policy.check_host(account, url.hostname or "")
        return self._transport.send(method, url, headers, body, partial(self._policy.check_address, account))

    def _additions(self, call_: TaskCall, arn: str, region: str, role: str | None) -> Additions:
        self._policy.check_service(call_.account, "events", "retrieveConnectionCredentials")
        where, name = connection_name(arn)
        described = self._ask("events", "describeConnection", {"Name": name}, where or region, role)
        asked = {"SecretId": described.get("SecretArn")}
        secret = self._ask("secretsmanager", "getSecretValue", asked, where or region, role)
        fetch = partial(self._token, call_.account)
        return self._connections.additions(arn, described, str(secret.get("SecretString", "")), fetch)

    def _ask(
        self, service: str, action: str, arguments: dict[str, Any], region: str, role: str | None
    ) -> dict[str, Any]:
        client = self._clients.client(service, region, role)
        return call(client, sdk_dialect(client.meta.service_model), action, arguments, "").raw

    def _token(self, account: str, asked: TokenRequest) -> tuple[int, str]:
        parameters = Parameters({}, frozenset())
        added = asked.additions
        in_query = {**added.query, **(added.body if asked.method == "GET" else {})}
        url = checked_url(parameters, asked.url, in_query)
        if parameters.problems:
            raise ServiceFailure("States.Runtime", f"The connection's authorization endpoint {asked.url!r} is no URL")
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json", **added.headers}
        body = None if asked.method == "GET" else form(added.body).encode()
        answer = self._send(account, asked.method, url, headers, body)
        return answer.status, answer.body.decode(errors="replace")

    def _signed(
        self, method: str, url: SplitResult, headers: dict[str, str], body: bytes | None, region: str, role: str | None
    ) -> dict[str, str]:
        found = self._clients.credentials(region, role)
        if found is None:
            raise ServiceFailure("ApiGateway.SdkClientException", "Unable to load credentials to sign the request with")
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        request = AWSRequest(method=method, url=url.geturl(), data=body or b"", headers=headers)
        SigV4Auth(found, "execute-api", self._clients.region(region)).add_auth(request)
        return dict(request.headers.items())


def _sent_body(parameters: Parameters) -> Any:
    """API Gateway gets nulls only if the state says so."""
    body = parameters.any("RequestBody")
    return body if parameters.any("AllowNullValues") is True else _without_nulls(body)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(part) for key, part in value.items() if part is not None}
    return [_without_nulls(part) for part in value] if isinstance(value, list) else value
