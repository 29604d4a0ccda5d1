"""A server for tests: real, over HTTP, on a free port, in a thread of this process.

with running_server(tmp_path) as server:
    client = boto3.client("stepfunctions", endpoint_url=server.url, ...)
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from skylift.config import Config, ServerSettings, ServiceSettings
from skylift.server.serve import Server

START_S = 30.0
"""How long a server may take to answer."""


@contextmanager
def running_server(
    home: Path,
    *,
    store: str | None = None,
    services: ServiceSettings | None = None,
    config: Config | None = None,
    **settings: Any,
) -> Iterator[Server]:
    """A server that answers at `server.url` until the block ends. `settings` are those of `[server]`; authentication is
    off unless they say otherwise. Raises what keeps it from starting or running."""
    chosen = ServerSettings(**{"host": "127.0.0.1", "port": 0, "log_level": "warning", "drain_seconds": 2, **settings})
    config = config or Config(project=home, home=home)
    config = msgspec.structs.replace(config, store=store or config.store, server=chosen)
    if services is not None:
        config = msgspec.structs.replace(config, services=services)
    told: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    server = Server(config, announce=lambda _: told.put(None))
    ended: list[BaseException] = []

    def work() -> None:
        try:
            server.run()
        except BaseException as problem:  # noqa: BLE001  # raised where the server was started
            ended.append(problem)
            told.put(problem)

    thread = threading.Thread(target=work, name="skylift-test-server")
    thread.start()
    try:
        problem = told.get(timeout=START_S)
        if problem is not None:
            raise problem
        yield server
    finally:
        server.end()
        thread.join()
    if ended:
        raise ended[0]
