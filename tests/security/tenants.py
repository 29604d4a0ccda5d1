"""Keys of several accounts, and requests signed with them, down to the bytes."""

from __future__ import annotations

import hashlib
import http.client
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from skylift.server.auth.keys import IssuedKey, Keys
from skylift.server.auth.sealing import open_sealer
from skylift.server.caller import Role
from skylift.sigv4 import sign
from skylift.stores.open import open_store

MINE, THEIRS = "111122223333", "444455556666"
"""The attacker's account and the victim's."""
REGION = "us-east-1"
ROLE = "arn:aws:iam::444455556666:role/r"


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def kind(self) -> str:
        """The error's name."""
        return str(self.json.get("__type") or self.json["error"]["code"])


class Tenant:
    """One key, and what its holder asks of a server."""

    def __init__(self, url: str, key: IssuedKey | None) -> None:
        self.url = url
        self.key = key

    def signed(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, **change: Any
    ) -> dict[str, str]:
        """All headers of a request. `change` replaces arguments of `sign`."""
        assert self.key is not None
        path, _, query = path.partition("?")
        given = {"host": urlsplit(self.url).netloc, **(headers or {})}
        arguments: dict[str, Any] = {
            "key_id": self.key.key_id,
            "secret": self.key.secret,
            "region": REGION,
            "method": method,
            "path": path,
            "query": query,
            "headers": given,
            "digest": hashlib.sha256(body).hexdigest(),
            "now": datetime.now(UTC),
        }
        return {**given, **sign(**{**arguments, **change})}

    def send(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, **change: Any
    ) -> Answer:
        if self.key is None:
            return raw(self.url, method, path, body, headers or {})
        return raw(self.url, method, path, body, self.signed(method, path, body, headers, **change))

    def api(self, method: str, path: str, value: Any = None) -> Answer:
        """Skylift's own API, with JSON."""
        return self.send(method, path, b"" if value is None else json.dumps(value).encode())

    def act(self, action: str, request: Mapping[str, Any]) -> Answer:
        """The Step Functions API."""
        headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": f"AWSStepFunctions.{action}"}
        return self.send("POST", "/", json.dumps(request).encode(), headers)

    def put_document(self, value: Any) -> str:
        text = json.dumps(value).encode()
        digest = hashlib.sha256(text).hexdigest()
        assert self.send("PUT", f"/v1/documents/{digest}", text).status == 201
        return digest

    def run(self, **request: Any) -> Any:
        """A run of the own API once it has ended."""
        made = self.api("POST", "/v1/runs", request)
        assert made.status == 201, made.body
        return self.api("GET", f"/v1/runs/{made.json['run_id']}/wait?timeout=60").json

    def machine(self, name: str, definition: Any, **members: Any) -> str:
        made = self.act(
            "CreateStateMachine", {"name": name, "definition": json.dumps(definition), "roleArn": ROLE, **members}
        )
        assert made.status == 200, made.body
        return str(made.json["stateMachineArn"])

    def ended(self, execution: str, within_s: float = 90.0) -> Any:
        deadline = time.monotonic() + within_s
        while (found := self.act("DescribeExecution", {"executionArn": execution}).json)["status"] == "RUNNING":
            assert time.monotonic() < deadline, f"{execution} still runs"
            time.sleep(0.02)
        return found

    def executed(self, machine: str, given: Any = None) -> Any:
        started = self.act("StartExecution", {"stateMachineArn": machine, "input": json.dumps(given)})
        assert started.status == 200, started.body
        return self.ended(started.json["executionArn"])


def raw(url: str, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
    """Exactly these headers, Host among them unless they name one, and the length of the body."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=90)
    try:
        given = dict(headers or {})
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        if not any(name.lower() == "host" for name in given):
            connection.putheader("Host", where.netloc)
        for name, value in given.items():
            connection.putheader(name, value)
        if body or method in ("POST", "PUT"):
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def issue(home: Path, account: str, role: str = "admin", store: str | None = None) -> IssuedKey:
    opened = open_store(store, home=home)
    try:
        keys = Keys(opened.resources, lambda: open_sealer(home, {}))
        return keys.create(account=account, role=Role[role.upper()], now_ms=time.time_ns() // 1_000_000)
    finally:
        opened.close()
