"""boto3 clients, one for each service, region, role and patience."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from skylift.compute.services.catalogue import boto_name
from skylift.compute.services.failure import ServiceFailure

if TYPE_CHECKING:
    from skylift.config import ServiceSettings

_CONNECT_S = 10
_READ_S = 70
_LONG_READ_S = 930
"""Of services that answer when something has run to its end: a function may take 15 minutes."""
_LONG = frozenset({"bedrock-runtime", "lambda", "sagemaker-runtime", "stepfunctions"})
_RENEW = timedelta(minutes=5)
_MOST_CLIENTS = 500
_FALLBACK_REGION = "us-east-1"


class Clients:
    """Made on first use and kept. Thread-safe: boto3 clients are, its sessions are not.

    Clients do not try again by themselves: what a service answers is what the state gets, and its Retry decides.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._session: Any = None
        self._clients: dict[tuple[str, str, str], Any] = {}
        self._roles: dict[tuple[str, str], tuple[Any, datetime]] = {}

    def client(self, service: str, region: str, role: str | None = None) -> Any:
        """`service` as boto3 calls it."""
        key = (service, self.region(region), role or "")
        keys = self._assumed(role, key[1]) if role else {}
        with self._lock:
            found = self._clients.get(key)
            if found is None:
                if len(self._clients) >= _MOST_CLIENTS:
                    self._clients.clear()
                found = self._clients[key] = self._make(service, key[1], keys)
            return found

    def named(self, service: str) -> str:
        """boto3's name of what Step Functions calls `service`. Raises ServiceFailure for an unknown one."""
        with self._lock:
            found = boto_name(service, self._boto().get_available_services())
        if found is None:
            raise ServiceFailure("States.Runtime", f"There is no service '{service}' in the AWS SDK installed here")
        return found

    def region(self, region: str) -> str:
        if self._settings.region or region:
            return self._settings.region or region
        with self._lock:
            return self._boto().region_name or _FALLBACK_REGION

    def endpoint(self, service: str) -> str | None:
        """`service` in any of its spellings that the settings may use."""
        return self._settings.endpoints.get(service, self._settings.endpoint_url)

    def own_endpoint(self, service: str) -> str | None:
        """One that the settings name for this service alone."""
        return self._settings.endpoints.get(service)

    def credentials(self, region: str, role: str | None) -> Any:
        """To sign with; None where there are none."""
        if role:
            from botocore.credentials import Credentials

            keys = self._assumed(role, self.region(region))
            return Credentials(keys["aws_access_key_id"], keys["aws_secret_access_key"], keys["aws_session_token"])
        with self._lock:
            return self._boto().get_credentials()

    def close(self) -> None:
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def _boto(self) -> Any:
        if self._session is None:
            try:
                import boto3
            except ImportError:
                raise ServiceFailure(
                    "States.Runtime",
                    "Service integrations need boto3, which is not installed here: pip install 'skylift[aws]'",
                ) from None
            self._session = boto3.session.Session()
        return self._session

    def _make(self, service: str, region: str, keys: dict[str, str]) -> Any:
        session = self._boto()
        from botocore.config import Config

        endpoint = self._endpoint_of(service)
        config = Config(
            connect_timeout=_CONNECT_S,
            read_timeout=_LONG_READ_S if service in _LONG else _READ_S,
            retries={"total_max_attempts": 1, "mode": "standard"},
            parameter_validation=False,
            max_pool_connections=64,
            response_checksum_validation="when_required",
            user_agent_extra="skylift",
            s3={"addressing_style": "path"} if endpoint else None,
            inject_host_prefix=endpoint is None,
        )
        client = session.client(service, region_name=region, endpoint_url=endpoint, config=config, **keys)
        client.meta.events.register("after-call", _keep_headers)
        return client

    def _endpoint_of(self, service: str) -> str | None:
        step_functions = {"stepfunctions": "sfn", "events": "eventbridge", "logs": "cloudwatchlogs"}.get(service)
        if step_functions in self._settings.endpoints:
            return self._settings.endpoints[step_functions]
        return self.endpoint(service)

    def _assumed(self, role: str, region: str) -> dict[str, str]:
        """Keys of the role, renewed before they end; clients made with the old ones go."""
        now = datetime.now(UTC)
        with self._lock:
            kept = self._roles.get((role, region))
        if kept is None or kept[1] - _RENEW <= now:
            answer = self._assume(role, region)
            kept = (answer, answer["Expiration"])
            with self._lock:
                self._roles[(role, region)] = kept
                for key in [key for key in self._clients if key[1:] == (region, role)]:
                    del self._clients[key]
        keys = kept[0]
        return {
            "aws_access_key_id": keys["AccessKeyId"],
            "aws_secret_access_key": keys["SecretAccessKey"],
            "aws_session_token": keys["SessionToken"],
        }

    def _assume(self, role: str, region: str) -> dict[str, Any]:
        client = self.client("sts", region)
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return client.assume_role(RoleArn=role, RoleSessionName="skylift")["Credentials"]  # type: ignore[no-any-return]
        except (BotoCoreError, ClientError) as problem:
            raise ServiceFailure("States.Permissions", f"The role '{role}' cannot be assumed: {problem}") from problem


def _keep_headers(http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
    """The parsed answer has header names in small letters only; Step Functions shows them as they came."""
    parsed.setdefault("ResponseMetadata", {})["Headers"] = {str(k): v for k, v in http_response.headers.items()}
