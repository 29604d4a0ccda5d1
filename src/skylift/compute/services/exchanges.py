"""What an HTTP Task sent and got, for whoever tests one: nothing is kept of any other."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from skylift.compute.services.transport import HttpAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None


@dataclass(slots=True)
class Exchange:
    """Of a run that is watched. The last one counts."""

    revealing: bool
    """Whether what a connection adds to the request is shown."""
    sent: Sent | None = None
    answer: HttpAnswer | None = None


class Exchanges:
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[str, Exchange] = {}

    @contextmanager
    def watch(self, run_id: str, *, revealing: bool) -> Iterator[Exchange]:
        """Keep what the run's HTTP Task sends and gets while the block lasts."""
        exchange = Exchange(revealing)
        with self._lock:
            self._watched[run_id] = exchange
        try:
            yield exchange
        finally:
            with self._lock:
                self._watched.pop(run_id, None)

    def of(self, run_id: str) -> Exchange | None:
        """None for a run that nobody watches."""
        return self._watched.get(run_id)


EXCHANGES = Exchanges()
"""Of this process: an engine and the server around it share it."""
