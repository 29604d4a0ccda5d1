"""Requests to a server: kept connections, signatures, and patience while the server is away."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import IO, Any, TypeVar
from urllib.parse import SplitResult, quote, urlencode, urlsplit

import msgspec

from skylift.errors import SetupError
from skylift.remote.keys import Signer
from skylift.remote.problems import ServerUnreachable, not_ours, problem_of

T = TypeVar("T")

TIMEOUT_S = 30.0
"""How long an answer may be silent, beyond the time that was asked for."""
FIRST_S = 1.0
"""How long a server that was never reached is tried."""
PATIENCE_S = 300.0
"""How long one that has answered before is tried: a restart must not end whoever waits for a run."""
LONGEST_PAUSE_S = 1.0
MOST_IDLE = 8
CHUNK = 1 << 20
_BUSY = (429, 502, 503, 504)
"""Statuses that say: the same request later."""

Headers = Mapping[str, str]


class Answer(msgspec.Struct, frozen=True):
    """What came back, whole."""

    status: int
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes


class ServerClient:
    """Thread-safe. `on_trouble` is told when the server has gone, and with None when it is back."""

    def __init__(
        self, url: str, signer: Signer | None = None, *, on_trouble: Callable[[SetupError | None], None] | None = None
    ) -> None:
        self.url = url.rstrip("/")
        parts = _address(self.url)
        self._secure = parts.scheme == "https"
        self._host, self._port, self._base = parts.hostname or "", parts.port, parts.path.rstrip("/")
        self._authority = parts.netloc
        self._signer = signer
        self.on_trouble = on_trouble
        self.trouble: SetupError | None = None
        self._reached = False
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def json(self, kind: type[T], method: str, path: str, body: Any = None, **options: Any) -> T:
        """An exchange of JSON; the answer as `kind`. Options as for `request`."""
        data = b"" if body is None else msgspec.json.encode(body)
        answer = self.request(method, path, body=data, content_type="application/json", **options)
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise not_ours(self.url, answer.status) from None

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: bytes = b"",
        content_type: str = "application/octet-stream",
        timeout_s: float = 0.0,
        repeatable: bool = True,
        accept: Collection[int] = (),
    ) -> Answer:
        """One request, sent again while the server is away; only `repeatable` ones where the server may have taken it.

        `path` begins with a slash and is quoted here; `accept` names refusals to be returned. Raises ServerUnreachable,
        or what the server's refusal means.
        """
        request = _Request(method, path, query, body, content_type, self._base)

        def exchange(connection: http.client.HTTPConnection) -> Answer:
            connection.request(method, request.target, body or None, self._headers(request))
            return _read(connection.getresponse())

        answer = self._until_answered(exchange, TIMEOUT_S + timeout_s, repeatable)
        if answer.status >= 400 and answer.status not in accept:
            raise problem_of(answer.status, answer.body, self.url)
        return answer

    def download(self, path: str, query: Mapping[str, Any], sink: IO[bytes]) -> None:
        """Write the body of a GET into `sink`, from its beginning."""
        request = _Request("GET", path, query, b"", "", self._base)

        def exchange(connection: http.client.HTTPConnection) -> Answer:
            connection.request("GET", request.target, None, self._headers(request))
            response = connection.getresponse()
            if response.status != 200:
                return _read(response)
            sink.seek(0)
            sink.truncate()
            while chunk := response.read(CHUNK):
                sink.write(chunk)
            return Answer(response.status, {}, b"")

        answer = self._until_answered(exchange, TIMEOUT_S, repeatable=True)
        if answer.status >= 400:
            raise problem_of(answer.status, answer.body, self.url)

    def upload(self, path: str, source: IO[bytes], size: int, digest: str) -> None:
        """PUT a file whose SHA-256 is known."""
        request = _Request("PUT", path, None, b"", "application/octet-stream", self._base, digest)

        def exchange(connection: http.client.HTTPConnection) -> Answer:
            source.seek(0)
            connection.request("PUT", request.target, source, {**self._headers(request), "Content-Length": str(size)})
            return _read(connection.getresponse())

        answer = self._until_answered(exchange, TIMEOUT_S, repeatable=True)
        if answer.status >= 400:
            raise problem_of(answer.status, answer.body, self.url)

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    # -- connections ---------------------------------------------------------------------------------------------------

    def _until_answered(
        self, exchange: Callable[[http.client.HTTPConnection], Answer], timeout_s: float, repeatable: bool
    ) -> Answer:
        began, pause = time.monotonic(), 0.05
        while True:
            before = time.monotonic() - began
            try:
                answer = self._once(exchange, timeout_s, fresh=not repeatable)
            except _Lost as lost:
                spent = before if self._reached else time.monotonic() - began  # a first answer that hangs is enough
                if spent > self._patience() or (lost.sent and not repeatable):
                    raise self._unreachable(lost) from lost.__cause__
                if self._reached:
                    self._tell(self._unreachable(lost))
            else:
                self._reached = True
                if before > self._patience() or answer.status not in _BUSY or (answer.status != 429 and not repeatable):
                    self._tell(None)
                    return answer
                pause = max(pause, _asked_pause(answer))
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    def _patience(self) -> float:
        return PATIENCE_S if self._reached else FIRST_S

    def _once(
        self, exchange: Callable[[http.client.HTTPConnection], Answer], timeout_s: float, *, fresh: bool
    ) -> Answer:
        connection = None if fresh else self._take()
        if connection is not None:
            try:
                return self._finish(connection, exchange, timeout_s)
            except _Lost:
                pass  # the server has closed a connection that was idle
        connection = self._connect(timeout_s)
        return self._finish(connection, exchange, timeout_s)

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=timeout_s)
        try:
            connection.connect()
        except OSError as problem:
            raise _Lost(problem, sent=False) from problem
        return connection

    def _finish(
        self,
        connection: http.client.HTTPConnection,
        exchange: Callable[[http.client.HTTPConnection], Answer],
        timeout_s: float,
    ) -> Answer:
        connection.timeout = timeout_s
        if connection.sock is not None:
            connection.sock.settimeout(timeout_s)
        try:
            answer = exchange(connection)
        except (BrokenPipeError, ConnectionResetError) as problem:
            return _refused_early(connection, problem)
        except (OSError, http.client.HTTPException) as problem:
            connection.close()
            raise _Lost(problem, sent=True) from problem
        except BaseException:
            connection.close()
            raise
        with self._lock:
            if connection.sock is not None and len(self._idle) < MOST_IDLE:
                self._idle.append(connection)
                return answer
        connection.close()
        return answer

    def _take(self) -> http.client.HTTPConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _headers(self, request: _Request) -> dict[str, str]:
        headers = {"host": self._authority}
        if request.content_type:
            headers["content-type"] = request.content_type
        if self._signer is None:
            return headers
        return self._signer.sign(request.method, request.target, headers, request.body, request.digest)

    def _unreachable(self, lost: _Lost) -> ServerUnreachable:
        if isinstance(lost.__cause__, ssl.SSLCertVerificationError):
            hint = "for a certificate of your own, set SSL_CERT_FILE to the file of who signed it"
        else:
            hint = "is `skylift server` running there? Without SKYLIFT_URL, --server and [skylift] url runs are local"
        return ServerUnreachable(f"{self.url} does not answer: {lost.reason}", hint=hint)

    def _tell(self, trouble: SetupError | None) -> None:
        changed = (trouble is None) != (self.trouble is None)
        self.trouble = trouble
        if changed and self.on_trouble is not None:
            self.on_trouble(trouble)


def _address(url: str) -> SplitResult:
    """Raises SetupError."""
    hint = "SKYLIFT_URL is like http://127.0.0.1:8083"
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole:
        raise SetupError(f"{url!r} is not the address of a server", hint=hint)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise SetupError(
            f"the address of the server at {parts.hostname} has more than host, port and path",
            hint=f"{hint}; a key goes into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    return parts


class _Request:
    """The parts of a request that are signed."""

    def __init__(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: bytes,
        content_type: str,
        base: str,
        digest: str | None = None,
    ) -> None:
        given = [(key, value) for key, value in (query or {}).items() if value is not None]
        self.method = method
        self.target = base + quote(path, safe="/-_.~") + ("?" + urlencode(given, quote_via=quote) if given else "")
        self.body = body
        self.content_type = content_type if body or digest else ""
        self.digest = digest


class _Lost(Exception):
    """The connection could not be made, or broke before the whole answer was here."""

    def __init__(self, problem: BaseException, *, sent: bool) -> None:
        super().__init__(str(problem))
        self.sent = sent
        text = getattr(problem, "strerror", None) or str(problem)
        self.reason = text or type(problem).__name__


def _refused_early(connection: http.client.HTTPConnection, problem: OSError) -> Answer:
    """A server may answer before it has read a body that it does not want. Raises _Lost where it has not."""
    try:
        return _read(connection.getresponse())
    except (OSError, http.client.HTTPException):
        raise _Lost(problem, sent=True) from problem
    finally:
        connection.close()


def _read(response: http.client.HTTPResponse) -> Answer:
    body = response.read()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)


def _asked_pause(answer: Answer) -> float:
    try:
        return min(float(answer.headers.get("retry-after", "0")), 30.0)
    except ValueError:
        return 0.0
