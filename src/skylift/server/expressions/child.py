"""A process that evaluates: `python -m skylift.server.expressions.child MEMORY_BYTES`.

Requests and replies are JSON texts, each after its length; a request begins with the processor time that it may take.
"""

from __future__ import annotations

import os
import resource
import signal
import struct
import sys
from pathlib import Path
from typing import BinaryIO

from skylift.asl.jsonata.outside import answer

REQUEST = struct.Struct("!dI")
"""Seconds of processor time, bytes."""
REPLY = struct.Struct("!dI")
"""Seconds that were taken, bytes."""


def main() -> None:
    import jsonatapy  # noqa: F401  # now, not in the time of the first request

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    _bound(int(sys.argv[1]))
    requests, replies = os.fdopen(0, "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while head := requests.read(REQUEST.size):
        _one(head, requests, replies)


def _one(head: bytes, requests: BinaryIO, replies: BinaryIO) -> None:
    seconds, length = REQUEST.unpack(head)
    request = requests.read(length).decode("utf-8", "surrogatepass")
    signal.setitimer(signal.ITIMER_PROF, seconds)
    reply = answer(request).encode("utf-8", "surrogatepass")
    left, _ = signal.setitimer(signal.ITIMER_PROF, 0)
    replies.write(REPLY.pack(seconds - left, len(reply)) + reply)
    replies.flush()


def _bound(more: int) -> None:
    pages = Path("/proc/self/statm")
    now = int(pages.read_text().split()[0]) * resource.getpagesize() if pages.exists() else 0
    resource.setrlimit(resource.RLIMIT_AS, (now + more, now + more))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
