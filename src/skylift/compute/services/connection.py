"""EventBridge connections: how `http:invoke` proves who it is."""

from __future__ import annotations

import json
import re
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from skylift.compute.services.failure import ServiceFailure

_ARN = re.compile(r"arn:aws[\w-]*:events:(?P<region>[\w-]+):\d+:connection/(?P<name>[\w.-]+)(?:/[\w-]+)?")
_RENEW_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Additions:
    """What a connection adds to a request."""

    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    body: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """The client-credentials request of OAuth."""

    url: str
    method: str
    additions: Additions


FetchToken = Callable[[TokenRequest], tuple[int, str]]
"""Gives the status and the text of the answer."""


def connection_name(arn: str) -> tuple[str, str]:
    """The connection's region and name. Raises ServiceFailure for what is no connection's ARN."""
    found = _ARN.fullmatch(arn)
    if found is None:
        raise ServiceFailure("States.Runtime", f"The ConnectionArn '{arn}' is not the ARN of an EventBridge connection")
    return found["region"], found["name"]


class Connections:
    """Makes additions from a connection's description and secret; keeps OAuth tokens as long as they hold."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens: dict[tuple[str, str], tuple[str, float]] = {}

    def additions(self, arn: str, described: dict[str, Any], secret: str, fetch: FetchToken) -> Additions:
        words = _words(secret)
        kind = described.get("AuthorizationType")
        parameters = described.get("AuthParameters") or {}
        shared = _invocation(
            parameters.get("InvocationHttpParameters") or {}, _table(secret, "invocationhttpparameters")
        )
        if kind == "BASIC":
            shared.headers["Authorization"] = _basic(words.get("username", ""), words.get("password", ""))
        elif kind == "API_KEY":
            shared.headers[words.get("apikeyname", "")] = words.get("apikeyvalue", "")
        elif kind == "OAUTH_CLIENT_CREDENTIALS":
            request = _token_request(parameters.get("OAuthParameters") or {}, words, secret)
            shared.headers["Authorization"] = f"Bearer {self._token(arn, secret, request, fetch)}"
        else:
            raise ServiceFailure(
                "States.Runtime", f"The connection '{arn}' has the unknown authorization type {kind!r}"
            )
        return shared

    def _token(self, arn: str, secret: str, request: TokenRequest, fetch: FetchToken) -> str:
        now = self._clock()
        with self._lock:
            kept = self._tokens.get((arn, secret))
        if kept is not None and now < kept[1]:
            return kept[0]
        status, text = fetch(request)
        token, lasts_s = _granted(arn, status, text)
        with self._lock:
            self._tokens = {key: value for key, value in self._tokens.items() if value[1] > now}
            self._tokens[(arn, secret)] = (token, now + lasts_s - _RENEW_S)
        return token


def _granted(arn: str, status: int, text: str) -> tuple[str, float]:
    try:
        answer = json.loads(text)
        token, lasts = answer["access_token"], float(answer.get("expires_in", 0))
    except (ValueError, TypeError, KeyError, AttributeError):
        token, lasts = None, 0.0
    if status >= 300 or not isinstance(token, str):
        raise ServiceFailure(
            "States.Http.Socket", f"The connection '{arn}' got no access token: its endpoint answered {status}"
        )
    return token, lasts


def _token_request(described: dict[str, Any], words: dict[str, str], secret: str) -> TokenRequest:
    client = described.get("ClientParameters", {}).get("ClientID") or words.get("clientid", "")
    additions = _invocation(described.get("OAuthHttpParameters") or {}, _table(secret, "oauthhttpparameters"))
    additions.body.setdefault("grant_type", "client_credentials")
    additions.headers.setdefault("Authorization", _basic(quote(client), quote(words.get("clientsecret", ""))))
    return TokenRequest(
        url=described.get("AuthorizationEndpoint") or words.get("authorizationendpoint", ""),
        method=described.get("HttpMethod") or words.get("httpmethod", "POST"),
        additions=additions,
    )


def _invocation(described: dict[str, Any], secret: dict[str, Any]) -> Additions:
    """Parameters from the description, and over them those that only the secret holds."""
    parts: list[dict[str, str]] = []
    for name in ("HeaderParameters", "QueryStringParameters", "BodyParameters"):
        hidden = next((value for key, value in secret.items() if _plain(key) == name.lower()), None)
        found: dict[str, str] = {}
        for entry in (*(described.get(name) or ()), *(hidden or ())):
            words = {_plain(key): value for key, value in entry.items()}
            if isinstance(words.get("value"), str):
                found[str(words.get("key"))] = words["value"]
        parts.append(found)
    return Additions(headers=parts[0], query=parts[1], body=parts[2])


def _words(secret: str) -> dict[str, str]:
    """Every text of the secret by its key, whatever way that is spelt and however deep it lies."""
    found: dict[str, str] = {}

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for key, part in value.items():
                if isinstance(part, str):
                    found.setdefault(_plain(key), part)
                walk(part)

    walk(_loaded(secret))
    return found


def _table(secret: str, name: str) -> dict[str, Any]:
    loaded = _loaded(secret)
    found = next((value for key, value in loaded.items() if _plain(key) == name), None)
    return found if isinstance(found, dict) else {}


def _loaded(secret: str) -> dict[str, Any]:
    try:
        value = json.loads(secret)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _plain(key: str) -> str:
    return key.replace("_", "").lower()


def _basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()
