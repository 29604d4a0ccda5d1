"""Ports for servers that are started later, or again on the same port."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST = 10_000
_chance = random.SystemRandom()


def free_port() -> int:
    """Of the loopback interface, and none that the system gives to connections: while nobody listens there, one of
    those could take it, a client's that tries to reach the very server among them."""
    end = _first_of_connections()
    while True:
        port = _chance.randrange(_FIRST, end)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _first_of_connections() -> int:
    try:
        return max(int(_RANGE.read_text().split()[0]), _FIRST + 1_000)
    except OSError:
        return 32_768
