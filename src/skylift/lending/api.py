"""The part of the Step Functions API that workers use, on a Skylift server or AWS itself, signed by Signature V4."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, Protocol
from urllib.parse import SplitResult, urlsplit

import msgspec

from skylift.errors import SetupError, SkyliftError
from skylift.remote.problems import ServerUnreachable
from skylift.sigv4 import sign

PREFIX = "AWSStepFunctions."
CONTENT_TYPE = "application/x-amz-json-1.0"
TIMEOUT_S = 30.0
POLL_S = 65.0
"""GetActivityTask answers within a minute, with a task or without one."""
OUTPUT_BYTES = 262_144
"""Longest output that SendTaskSuccess takes."""
ERROR_CHARS, CAUSE_CHARS = 256, 32_768
_GONE = ("TaskTimedOut", "TaskDoesNotExist", "InvalidToken")
_DENIED = ("AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException")
_LATER = (408, 429, 500, 502, 503, 504)
_UNSIGNED = (400, 401, 403)
CLOCKS_APART = timedelta(minutes=1)
"""AWS refuses signatures that are five minutes from its own time."""


class Away(ServerUnreachable):
    """Nobody answers, or whoever does cannot now: the same request later."""


class Refused(SetupError):
    """The API does not do what it was asked; the same request would be refused again."""

    code = "ACTIVITY-REFUSED"

    def __init__(self, message: str, kind: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        """The API's own name of the error."""


class TaskGone(SkyliftError):
    """Nobody waits for this task's answer any more."""

    code = "TASK-GONE"


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """What a request is signed with."""

    key_id: str
    secret: str
    token: str | None = None
    """Of temporary credentials."""


class GivenTask(msgspec.Struct, frozen=True):
    """What GetActivityTask gave."""

    token: str
    input: str
    """JSON text."""


class Activities(Protocol):
    """What a worker needs. Thread-safe; methods raise Away, Refused and TaskGone."""

    def find(self, name: str) -> str: ...

    def next(self, activity: str, worker: str) -> GivenTask | None:
        """Blocks for about a minute."""
        ...

    def success(self, token: str, output: str) -> None: ...

    def failure(self, token: str, error: str, cause: str) -> None: ...

    def heartbeat(self, token: str) -> None: ...

    def hang_up(self) -> None:
        """Ask for no more tasks: waiting calls of `next` end soon, with a task if one is on its way."""
        ...


class ActivityApi:
    """`Activities` over HTTP. `keys` is asked for each request, so that temporary ones can be renewed."""

    def __init__(self, url: str, region: str, keys: Callable[[], Keys | None]) -> None:
        parts = _address(url)
        self.url = url.rstrip("/")
        self.region = region
        self._keys = keys
        self._secure = parts.scheme == "https"
        self._host, self._port, self._authority = parts.hostname or "", parts.port, parts.netloc
        self._path = f"{parts.path.rstrip('/')}/"
        self._lock = threading.Lock()
        self._polling: set[http.client.HTTPConnection] = set()
        self._hung_up = False
        self._ahead = timedelta()
        """How far the server's clock is ahead of ours, where that is so far that signatures are refused for it."""

    def find(self, name: str) -> str:
        """The ARN of an activity of the caller's account. Raises Refused."""
        if name.startswith("arn:"):
            self.call("DescribeActivity", {"activityArn": name})
            return name
        given: dict[str, Any] = {"maxResults": 1000}
        while True:
            page = self.call("ListActivities", given)
            for one in _member(page, "activities", list, self.url):
                if isinstance(one, dict) and one.get("name") == name:
                    return str(_member(one, "activityArn", str, self.url))
            if not page.get("nextToken"):
                hint = f"make it once: skylift worker --activity {name} --create, or CreateActivity"
                message = f"there is no activity {name!r} in the account of this key, in {self.region}"
                raise Refused(message, "ActivityDoesNotExist", hint=hint)
            given["nextToken"] = page["nextToken"]

    def create(self, name: str) -> str:
        """The ARN of the activity, which may have been there."""
        return str(_member(self.call("CreateActivity", {"name": name}), "activityArn", str, self.url))

    def next(self, activity: str, worker: str) -> GivenTask | None:
        if self._hung_up:
            return None
        asked = {"activityArn": activity, "workerName": worker[:80]}
        given = self.call("GetActivityTask", asked, timeout_s=POLL_S, polling=True)
        if not given.get("taskToken"):
            return None
        token = _member(given, "taskToken", str, self.url)
        return GivenTask(token, _member({"input": given.get("input") or "null"}, "input", str, self.url))

    def success(self, token: str, output: str) -> None:
        self.call("SendTaskSuccess", {"taskToken": token, "output": output})

    def failure(self, token: str, error: str, cause: str) -> None:
        cut = {"error": error[:ERROR_CHARS], "cause": cause[:CAUSE_CHARS]}
        self.call("SendTaskFailure", {"taskToken": token, **cut})

    def heartbeat(self, token: str) -> None:
        self.call("SendTaskHeartbeat", {"taskToken": token})

    def hang_up(self) -> None:
        """By closing our half of the connection: a Skylift server then offers the task to others, or has sent it
        already, and we read it. TLS has no half: such polls end by themselves, within a minute."""
        with self._lock:
            self._hung_up = True
            waiting = list(self._polling)
        for connection in waiting:
            if not self._secure and connection.sock is not None:
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_WR)

    def call(
        self, action: str, request: Mapping[str, Any], *, timeout_s: float = TIMEOUT_S, polling: bool = False
    ) -> dict[str, Any]:
        """One request and its answer. Raises Away, Refused, TaskGone."""
        body = json.dumps(request).encode()
        said = self._exchange(self._headers(action, body), body, timeout_s, polling)
        if said.status in _UNSIGNED and self._learns_the_time(said.date):
            said = self._exchange(self._headers(action, body), body, timeout_s, polling)
        if said.status == 200:
            return _json(said.body, self.url)
        raise _problem(action, said.status, said.body, self.url)

    def _learns_the_time(self, date: str) -> bool:
        """Whether the request may have been refused for our clock: signatures are good for some minutes. From then on
        the server's time is taken."""
        try:
            ahead = parsedate_to_datetime(date) - datetime.now(UTC)
        except (ValueError, TypeError):
            return False
        if abs(ahead - self._ahead) < CLOCKS_APART:
            return False
        self._ahead = ahead
        return True

    def _exchange(self, headers: dict[str, str], body: bytes, timeout_s: float, polling: bool) -> _Said:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=timeout_s)
        try:
            connection.connect()
            with self._watched(connection) if polling else contextlib.nullcontext():
                connection.request("POST", self._path, body, headers)
                response = connection.getresponse()
                return _Said(response.status, response.headers.get("date") or "", response.read())
        except ssl.SSLCertVerificationError as problem:
            hint = "for a certificate of your own, set SSL_CERT_FILE to the file of who signed it"
            raise SetupError(f"{self.url}: {problem.verify_message}", hint=hint, code="TLS") from problem
        except (OSError, http.client.HTTPException, UnicodeError) as problem:  # a name that can be none of a host
            if polling and self._hung_up:
                return _Said(200, "", b"{}")
            reason = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
            raise Away(f"{self.url} does not answer: {reason}") from problem
        finally:
            connection.close()

    @contextlib.contextmanager
    def _watched(self, connection: http.client.HTTPConnection) -> Iterator[None]:
        with self._lock:
            if self._hung_up:
                raise ConnectionAbortedError("asked to end")
            self._polling.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._polling.discard(connection)

    def _headers(self, action: str, body: bytes) -> dict[str, str]:
        headers = {"host": self._authority, "content-type": CONTENT_TYPE, "x-amz-target": PREFIX + action}
        keys = self._keys()
        if keys is None:
            return headers
        if keys.token is not None:
            headers["x-amz-security-token"] = keys.token
        signed = sign(
            key_id=keys.key_id,
            secret=keys.secret,
            region=self.region,
            method="POST",
            path=self._path,
            headers=headers,
            digest=hashlib.sha256(body).hexdigest(),
            now=datetime.now(UTC) + self._ahead,
        )
        return {**headers, **signed}


class _Said(NamedTuple):
    """An answer: when it was given, by the server's clock, and what."""

    status: int
    date: str
    body: bytes


def _address(url: str) -> SplitResult:
    """Raises SetupError. A password in it would be in every log."""
    hint = "use one like http://127.0.0.1:8083"
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or brackets that are none
        good = False
    if not good or re.search(r"[\s\x00-\x1f\x7f]", url):
        raise SetupError(f"{url!r} is not the address of a server", hint=hint)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise SetupError(
            f"the address of the server at {parts.hostname} has more than host, port and path",
            hint=f"{hint}; a key goes into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    return parts


def _member(found: Mapping[str, Any], name: str, kind: type, url: str) -> Any:
    """Of an answer. Raises Away where somebody else answers."""
    value = found.get(name)
    if not isinstance(value, kind):
        raise Away(f"{url} answered something else than the Step Functions API: no {name}")
    return value


def _json(body: bytes, url: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Away(f"{url} answered something else than the Step Functions API") from None


def _problem(action: str, status: int, body: bytes, url: str) -> SkyliftError:
    """As the API spells it: `__type` may have a prefix, and the message either case."""
    try:
        told = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = {}
    kind = str(told.get("__type", "")).rpartition("#")[2]
    message = str(told.get("message") or told.get("Message") or f"status {status}")
    if kind in _GONE:
        return TaskGone(message)
    if status in _LATER or kind in ("ThrottlingException", "ActivityWorkerLimitExceeded"):
        return Away(f"{url}: {action}: {kind or status}: {message}")
    hint = None
    if kind in _DENIED or status in (401, 403):
        hint = "set SKYLIFT_ACCESS_KEY_ID and SKYLIFT_SECRET_ACCESS_KEY (or their AWS_ forms) to a key that may do this"
    return Refused(f"{action} was refused: {kind or status}: {message}", kind, hint=hint)
