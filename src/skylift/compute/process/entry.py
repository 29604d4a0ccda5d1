"""One call that the backend holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skylift.ports.compute import Outcome, TaskCall

if TYPE_CHECKING:
    from skylift.compute.process.worker import WorkerProcess


class Entry:
    """A call, where it is, and what was decided about it."""

    __slots__ = ("batchable", "call", "cpus", "gone", "gpus", "key", "number", "starts", "verdict", "worker")

    def __init__(self, call: TaskCall, gpus: int = 0) -> None:
        needs = call.requirements
        self.call = call
        self.key = call.task if call.code.bundle is None else f"{call.task}@{call.code.bundle}"
        self.cpus = needs.cpus
        self.gpus = gpus
        self.batchable = needs.memory_mib is None and not gpus and needs.concurrency is None
        """May wait on a busy worker. Not with limits that the backend must prepare for each call."""
        self.number = 0
        self.worker: WorkerProcess | None = None
        self.verdict: Outcome | None = None
        """Decided by the backend (timed out, cancelled, …): what the worker may still say no longer counts."""
        self.gone = False
        self.starts = 0
        """How often it was handed to a worker that died before it could begin."""
