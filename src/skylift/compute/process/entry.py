"""One call that the backend holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skylift.compute.process.machine import gpu_count
from skylift.ports.compute import Outcome, TaskCall

if TYPE_CHECKING:
    from skylift.compute.process.worker import WorkerProcess


class Entry:
    """A call, where it is, and what was decided about it."""

    __slots__ = (
        "batchable",
        "call",
        "concurrency",
        "cpus",
        "gone",
        "gpus",
        "key",
        "limit_mib",
        "memory_mib",
        "number",
        "verdict",
        "watched",
        "worker",
    )

    def __init__(self, call: TaskCall) -> None:
        needs = call.requirements
        self.call = call
        self.key = call.task if call.code.bundle is None else f"{call.task}@{call.code.bundle}"
        """The task: the unit of concurrency limits and of measured durations."""
        self.cpus = needs.cpus
        self.limit_mib = needs.memory_mib
        self.memory_mib = needs.memory_mib or 0
        self.gpus = gpu_count(needs.gpu)
        self.concurrency = needs.concurrency
        self.batchable = needs.memory_mib is None and not self.gpus and needs.concurrency is None
        """May wait on a busy worker. Not with limits that the backend must prepare for each call."""
        self.watched = needs.timeout_ms is not None or needs.heartbeat_ms is not None
        self.number = 0
        """Its number among the orders of the worker it was handed to; 0 while it waits."""
        self.worker: WorkerProcess | None = None
        self.verdict: Outcome | None = None
        """Decided by the backend (timed out, cancelled, …): what the worker may still say no longer counts."""
        self.gone = False
