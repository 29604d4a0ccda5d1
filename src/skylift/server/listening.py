"""Where the server listens, and what must be so before it may."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
from pathlib import Path

from skylift.config import ServerSettings
from skylift.errors import SetupError

BACKLOG = 1_024


class ListenError(SetupError):
    """The address cannot be listened on, or must not."""

    code = "LISTEN"


def is_only_loopback(host: str) -> bool:
    """Does whatever this name stands for stay on this machine? Raises ListenError for a name nobody knows."""
    return all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for _, address in _addresses(host))


def check_exposure(settings: ServerSettings, any_key: bool) -> list[str]:
    """Warnings. Raises ListenError for a server that anybody could use from elsewhere."""
    if is_only_loopback(settings.host):
        return []
    where = f"{settings.host} can be reached from other machines"
    if settings.auth == "off":
        raise ListenError(f"{where}, and authentication is off", hint="use --auth required, or --host 127.0.0.1")
    if not any_key:
        raise ListenError(
            f"{where}, and there is no key that a client could use",
            hint="make one first, on the same store: skylift keys create --role admin",
        )
    if settings.tls_cert is None:
        return [f"{where} and answers without TLS: use --tls-cert and --tls-key, or a proxy that does"]
    return []


def certificate_of(settings: ServerSettings, project: Path) -> tuple[str, str] | None:
    """Files of the certificate and its key, which fit each other; None for plain HTTP. Raises ListenError."""
    if settings.tls_cert is None and settings.tls_key is None:
        return None
    if settings.tls_cert is None or settings.tls_key is None:
        raise ListenError("TLS needs a certificate and its key", hint="give both --tls-cert and --tls-key")
    cert, key = project / settings.tls_cert, project / settings.tls_key
    for file in (cert, key):
        try:
            file.read_bytes()
        except OSError as problem:
            raise ListenError(f"the TLS file {file} cannot be read: {problem.strerror}") from problem
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=_no_password)
    except (ssl.SSLError, ListenError) as problem:
        reason = problem.reason if isinstance(problem, ssl.SSLError) else problem
        raise ListenError(
            f"{cert} and {key} cannot be used for TLS: {reason}",
            hint="both are PEM; the key is the certificate's, and without a password",
        ) from problem
    return str(cert), str(key)


def _no_password() -> str:
    raise ListenError("the key has a password")


def listen(host: str, port: int) -> socket.socket:
    """Raises ListenError."""
    family, address = _addresses(host)[0]
    try:
        return socket.create_server((address, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as problem:
        reason = os.strerror(problem.errno) if isinstance(problem, OSError) and problem.errno else problem
        raise ListenError(
            f"cannot listen on {host}:{port}: {reason}", hint="choose another port; --port 0 finds a free one"
        ) from problem


def url_of(listener: socket.socket, secure: bool) -> str:
    address, port = listener.getsockname()[:2]
    shown = f"[{address}]" if ":" in address else address
    return f"{'https' if secure else 'http'}://{shown}:{port}"


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    """IPv4 first."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as problem:
        raise ListenError(f"{host!r} is no address of this machine: {problem}") from problem
    return sorted(
        ((family, str(place[0])) for family, _, _, _, place in found), key=lambda one: one[0] != socket.AF_INET
    )
