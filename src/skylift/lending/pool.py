"""A box of a batch pool: tells the server what it has and does, runs what it is told, and leaves in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from skylift.compute.batch.joined import BoxOrders, BoxSays, Ended
from skylift.errors import JournalUnavailable
from skylift.lending.tasks import plain_name
from skylift.lending.worker import ANSWER_S, Say
from skylift.ports.compute import Backend, Lost, Outcome, Report, Submitted, TaskCall
from skylift.remote.client import ServerClient
from skylift.remote.problems import ServerUnreachable

LOOK_S = 0.1
SOONEST_S = 0.05


class PoolWorker:
    """`run` blocks until it was asked to `drain` and what ran has ended and was told."""

    def __init__(
        self,
        client: ServerClient,
        name: str,
        says: BoxSays,
        make_backend: Callable[[Report], Backend],
        logs: str,
        *,
        say: Say,
    ) -> None:
        self._client = client
        self._name = name
        self._says = says
        self._logs = logs
        self._say = say
        self._asked = False
        self._away_since: float | None = None
        """By `time.monotonic()`; None while the server answers."""
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._holds: set[str] = set()
        self._ended: dict[str, Outcome] = {}
        self._backend = make_backend(self._reported)

    def drain(self) -> None:
        """Safe in a signal handler: it takes no lock."""
        self._asked = True

    def run(self) -> None:
        """Raises what the server refuses: a key that may not, a server without a pool."""
        box: str | None = None
        leaving = False
        try:
            while not (leaving and not self._holds and not self._ended):
                leaving = self._asked
                orders = self._tell(box, leaving)
                if orders is None:
                    if leaving and self._is_given_up():
                        break
                    continue
                if orders.id != box:
                    self._say("joined", box=orders.id, at=self._client.url)
                    box = orders.id
                self._do(orders)
                self._wait(orders.every_ms / 1000)
        finally:
            self._backend.close()
        self._say("ended", box=box)

    def _tell(self, box: str | None, leaving: bool) -> BoxOrders | None:
        """None while the server is away: what is known stays, and is told again."""
        with self._lock:
            ended = dict(self._ended)
            holds = sorted(self._holds - ended.keys())
            self._news.clear()
        says = msgspec.structs.replace(
            self._says,
            id=box,
            holds=holds,
            ended=[Ended(token=token, outcome=outcome) for token, outcome in ended.items()],
            leaving=leaving,
        )
        try:
            orders = self._client.json(BoxOrders, "POST", f"/v1/workers/{self._name}", says)
        except (ServerUnreachable, JournalUnavailable) as problem:
            if box is None:
                raise
            if self._away_since is None:
                self._away_since = time.monotonic()
                self._say("away", message=problem.message)
            time.sleep(LOOK_S)
            return None
        if self._away_since is not None:
            self._away_since = None
            self._say("back")
        with self._lock:
            for token in ended:
                self._ended.pop(token, None)
                self._holds.discard(token)
        return orders

    def _is_given_up(self) -> bool:
        """Whether all has ended and nobody has taken it for so long that nobody will."""
        with self._lock:
            untold = sorted(self._ended)
            running = self._holds - self._ended.keys()
        if running or self._away_since is None or time.monotonic() - self._away_since < ANSWER_S:
            return False
        self._say("answers_lost", tasks=untold)
        return True

    def _do(self, orders: BoxOrders) -> None:
        for call in orders.run:
            with self._lock:
                if call.token in self._holds:
                    continue
                self._holds.add(call.token)
            self._say("began", task=call.label, run=call.run_id, attempt=call.attempt, delivery=call.delivery)
            self._backend.submit([msgspec.structs.replace(call, log=self._log(call))])
        if orders.stop:
            self._backend.cancel(orders.stop)

    def _log(self, call: TaskCall) -> str:
        name = plain_name(call.token.removeprefix(f"{call.run_id}:"))
        return str(Path(self._logs) / plain_name(call.run_id) / f"{name}.log")

    def _reported(self, token: str, outcome: Outcome | Submitted) -> None:
        if isinstance(outcome, Submitted):
            outcome = Lost(reason="a box of a pool calls no services")
        with self._lock:
            if token in self._holds:
                self._ended[token] = outcome
                self._news.set()

    def _wait(self, seconds: float) -> None:
        """Until something has ended; in short waits, so that a wish to end is heard."""
        until = time.monotonic() + seconds
        time.sleep(SOONEST_S)
        while time.monotonic() < until and not self._asked:
            if self._news.wait(LOOK_S):
                return
