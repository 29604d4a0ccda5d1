"""One call that the backend holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skylift.compute.process.machine import gpu_count
from skylift.ports.compute import Outcome, TaskCall

if TYPE_CHECKING:
    from skylift.compute.process.gang import Gang
    from skylift.compute.process.worker import WorkerProcess


class Entry:
    """A call, where it is, and what was decided about it."""

    __slots__ = (
        "batchable",
        "call",
        "concurrency",
        "cpus",
        "environment",
        "gang",
        "gone",
        "gpus",
        "key",
        "limit_mib",
        "memory_mib",
        "nodes",
        "number",
        "rank",
        "saved_ms",
        "verdict",
        "warned_until",
        "watched",
        "worker",
    )

    def __init__(self, call: TaskCall) -> None:
        needs = call.requirements
        self.call = call
        self.key = call.task if call.code.bundle is None else f"{call.task}@{call.code.bundle}"
        """The task: the unit of concurrency limits and of measured durations."""
        self.environment = needs.environment
        if self.environment is not None:
            self.key = f"{self.key}+{self.environment}"
        self.nodes = needs.nodes
        self.cpus = needs.cpus * self.nodes
        self.limit_mib = needs.memory_mib
        self.memory_mib = (needs.memory_mib or 0) * self.nodes
        self.gpus = gpu_count(needs.gpu)
        self.concurrency = needs.concurrency
        self.batchable = needs.memory_mib is None and not self.gpus and needs.concurrency is None and self.nodes == 1
        """May wait on a busy worker. Not with limits that the backend must prepare for each call."""
        self.watched = needs.timeout_ms is not None or needs.heartbeat_ms is not None
        self.number = 0
        """Its number among the orders of the worker it was handed to; 0 while it waits."""
        self.worker: WorkerProcess | None = None
        self.verdict: Outcome | None = None
        """Decided by the backend (timed out, cancelled, …): what the worker may still say no longer counts."""
        self.gone = False
        self.saved_ms: float | None = None
        """Work that its last checkpoint keeps."""
        self.warned_until: float | None = None
        """When its place goes, by `time.monotonic()`, if that was said before its worker had said a word."""
        self.gang: Gang | None = None
        """Of a call with several nodes, once it has started, and of each of its members."""
        self.rank = -1
        """Of a member of a gang."""
