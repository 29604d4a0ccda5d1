"""One HTTP request to a checked address: the name is looked up once, and nothing is followed anywhere."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult

from skylift.compute.services.addresses import Address, resolve
from skylift.compute.services.failure import ServiceFailure
from skylift.compute.services.result import MOST_BYTES
from skylift.compute.services.timers import Timers

CONNECT_S = 10.0
TOTAL_S = 60.0
_MOST_TRIED = 4

Check = Callable[[str, Address], None]
"""`check(host, address)` raises ServiceFailure for an address that must not be connected to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    status: int
    reason: str
    headers: dict[str, list[str]]
    body: bytes

    def header(self, name: str) -> str:
        found = next((values for key, values in self.headers.items() if key.lower() == name), [])
        return found[0] if found else ""


class Transport:
    """Thread-safe. `total_s` holds for a whole exchange: a timer cuts the connection, whatever it does."""

    def __init__(self, timers: Timers, *, total_s: float = TOTAL_S, most_bytes: int = MOST_BYTES) -> None:
        self._timers = timers
        self._total_s = total_s
        self._most_bytes = most_bytes
        self._tls: ssl.SSLContext | None = None

    def send(
        self, method: str, url: SplitResult, headers: Mapping[str, str], body: bytes | None, check: Check
    ) -> HttpAnswer:
        """Raises ServiceFailure: States.Http.Socket where no answer comes."""
        host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
        addresses = resolve(host, port)
        for address in addresses:
            check(host, address)
        connection = http.client.HTTPConnection(host, port, timeout=self._total_s)
        cut = _Cut()
        self._timers.after(self._total_s, cut.now)
        try:
            connection.sock = self._connect(addresses, port, host if url.scheme == "https" else None, cut)
            connection.request(method, _target(url), body=body, headers=dict(headers))
            return self._read(connection.getresponse())
        except ValueError:  # says what it saw, which may be a secret
            raise ServiceFailure(
                "States.Runtime", f"{method} {host}:{port}: a header cannot be sent as it is"
            ) from None
        except (OSError, http.client.HTTPException) as problem:
            said = f"no answer within {self._total_s:g} s" if cut.done else f"{type(problem).__name__}: {problem}"
            raise ServiceFailure("States.Http.Socket", f"{method} {host}:{port}: {said}", passing=True) from problem
        finally:
            connection.close()
            cut.forget()

    def _connect(self, addresses: list[Address], port: int, tls_name: str | None, cut: _Cut) -> socket.socket:
        problem: OSError | None = None
        for address in addresses[:_MOST_TRIED]:
            try:
                plain = socket.create_connection((str(address), port), timeout=CONNECT_S)
            except OSError as failed:
                problem = failed
                continue
            plain.settimeout(self._total_s)
            return cut.guard(plain) if tls_name is None else self._encrypted(plain, tls_name, cut)
        raise problem or OSError("no address")

    def _encrypted(self, plain: socket.socket, name: str, cut: _Cut) -> socket.socket:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        try:
            secure = self._tls.wrap_socket(plain, server_hostname=name, do_handshake_on_connect=False)
        except BaseException:
            plain.close()
            raise
        cut.guard(secure)
        try:
            secure.do_handshake()
        except BaseException:
            secure.close()
            raise
        return secure

    def _read(self, response: http.client.HTTPResponse) -> HttpAnswer:
        body = response.read(self._most_bytes + 1)
        if len(body) > self._most_bytes:
            raise ServiceFailure("States.DataLimitExceeded", f"the answer is longer than {self._most_bytes} bytes")
        headers: dict[str, list[str]] = {}
        for name, value in response.getheaders():
            headers.setdefault(name, []).append(value)
        return HttpAnswer(status=response.status, reason=response.reason, headers=headers, body=body)


class _Cut:
    """Ends a connection that takes too long, from the timers' thread."""

    def __init__(self) -> None:
        self.done = False
        self._socket: socket.socket | None = None
        self._over = False

    def guard(self, connected: socket.socket) -> socket.socket:
        self._socket = connected
        if self.done:
            connected.close()
            raise OSError("too late")
        return connected

    def now(self) -> None:
        if self._over:
            return
        self.done = True
        if self._socket is not None:
            with contextlib.suppress(OSError):  # not connected any more: what was wanted
                # not through an SSLSocket's own method, which forgets its session under the thread that reads
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def forget(self) -> None:
        """The exchange is over: hold on to nothing until the timer comes."""
        self._over = True
        self._socket = None


def _target(url: SplitResult) -> str:
    return (url.path or "/") + (f"?{url.query}" if url.query else "")
