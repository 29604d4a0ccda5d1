"""The child of the supervisor: runs the one attempt with the worker's own parts, and tells what became of it."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import socket
from types import FrameType
from typing import Any, NoReturn

import msgspec

from skylift.compute.worker import current
from skylift.compute.worker.attempt import Stopping
from skylift.compute.worker.main import STOPPED_STATUS, Worker
from skylift.compute.worker.secrets import GIVEN
from skylift.compute.worker.solo_files import CRASH, SoloOrder, take_secrets
from skylift.compute.worker.wire import Order, WorkerConfig

_FIRST_TO_GO = b"500"
"""Where memory runs out, the kernel is to end the attempt rather than the supervisor, which can tell of it."""


def run_attempt(folder: str, order: SoloOrder, stream: socket.socket) -> NoReturn:
    """Ends the process. What it says on `stream` is what a worker says to its backend."""
    status = 1
    try:
        status = _run(folder, order, stream)
    finally:
        os._exit(status)


def _run(folder: str, order: SoloOrder, stream: socket.socket) -> int:
    _settle(folder)
    config = _told(order.config, take_secrets(folder))
    inbox: Any = _OneOrder(config, Order(1, order.call))
    worker = Worker(inbox, stream)
    signal.signal(signal.SIGTERM, _warned)
    signal.signal(signal.SIGINT, _stopped)
    try:
        worker.serve()
    except Stopping:
        worker.leave()
        return STOPPED_STATUS
    return 0


def _settle(folder: str) -> None:
    """A process group of its own, no input, and a file for what the interpreter says when it crashes."""
    os.setpgid(0, 0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    faulthandler.enable(os.open(os.path.join(folder, CRASH), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "wb") as score:
        score.write(_FIRST_TO_GO)


def _told(config: WorkerConfig, values: dict[str, str]) -> WorkerConfig:
    """With secrets as they were handed over, and variables (`$NAME`) that nobody else may read."""
    secrets = {name: f"{GIVEN}:{value}" for name, value in values.items() if not name.startswith("$")}
    variables = {name[1:]: value for name, value in values.items() if name.startswith("$")}
    return msgspec.structs.replace(config, secrets={**config.secrets, **secrets}, env={**config.env, **variables})


class _OneOrder:
    """What a worker reads, where there is one order and it is here already."""

    def __init__(self, config: WorkerConfig, order: Order) -> None:
        self._config = config
        self._orders = [order]

    def config(self) -> WorkerConfig:
        return self._config

    def next(self) -> Order | None:
        return self._orders.pop() if self._orders else None


def _warned(_signal: int, _frame: FrameType | None) -> None:
    current.warn()


def _stopped(_signal: int, _frame: FrameType | None) -> None:
    raise Stopping
