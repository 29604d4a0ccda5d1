"""A box of a pool whose server goes away: it keeps what has ended, and leaves in order all the same."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from test_lending_worker import Manual, call_of

from skylift.compute.batch.joined import BoxOrders, BoxSays
from skylift.errors import JournalUnavailable
from skylift.lending import pool
from skylift.lending.pool import PoolWorker
from skylift.ports.compute import Succeeded
from skylift.remote.problems import ServerUnreachable

SAYS = BoxSays(vcpus=1, memory_mib=1024)


class Client:
    """A server that gives one task, and then is what the test says."""

    url = "http://server"

    def __init__(self, trouble: Callable[[], Exception]) -> None:
        self.trouble = trouble
        self.gave = self.away = False
        self.told: list[BoxSays] = []

    def json(self, kind: Any, method: str, path: str, says: BoxSays) -> BoxOrders:
        if self.away:
            raise self.trouble()
        self.told.append(says)
        run = [] if self.gave else [call_of()]
        self.gave = True
        return BoxOrders(id="box-1", run=run, stop=[], lease_ms=30_000, every_ms=1)


@pytest.mark.parametrize("trouble", [ServerUnreachable, JournalUnavailable])
def test_a_server_that_comes_back_is_told_and_its_absence_is_said_once(trouble: Callable[[str], Exception]) -> None:
    """A server without its database ended the box, and what ran on it."""
    client, backend, lines = Client(lambda: trouble("gone")), Manual(), list[str]()
    away, back = threading.Event(), threading.Event()

    def say(event: str, **facts: Any) -> None:
        lines.append(event)
        {"away": away, "back": back}.get(event, threading.Event()).set()

    worker = PoolWorker(client, "box", SAYS, backend.make, "logs", say=say)  # type: ignore[arg-type]
    thread = threading.Thread(target=worker.run)
    thread.start()
    call = backend.calls.get(timeout=60)
    client.away = True
    assert away.wait(60)
    backend.report(call.token, Succeeded(output=1))
    client.away = False
    assert back.wait(60)
    worker.drain()
    thread.join(60)
    assert not thread.is_alive() and backend.closed
    assert [ended.token for says in client.told for ended in says.ended] == [call.token]
    assert lines.count("away") == lines.count("back") == 1


def test_a_box_that_is_to_leave_does_not_wait_for_a_server_that_is_gone_for_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It asked for ever."""
    monkeypatch.setattr(pool, "ANSWER_S", 0.0)
    client, backend, lines = Client(lambda: ServerUnreachable("gone")), Manual(), list[str]()
    away = threading.Event()

    def say(event: str, **facts: Any) -> None:
        lines.append(event)
        if event == "away":
            away.set()

    worker = PoolWorker(client, "box", SAYS, backend.make, "logs", say=say)  # type: ignore[arg-type]
    thread = threading.Thread(target=worker.run)
    thread.start()
    call = backend.calls.get(timeout=60)
    client.away = True
    assert away.wait(60)
    worker.drain()
    thread.join(0.3)
    assert thread.is_alive(), "what runs is finished first"
    backend.report(call.token, Succeeded(output=1))
    thread.join(60)
    assert not thread.is_alive()
    assert lines[-2:] == ["answers_lost", "ended"]
