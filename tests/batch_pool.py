"""Batch backends over one place on disk, for tests: made as often as wanted, and all that they started ended."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from skylift.compute.batch.backend import BatchBackend
from skylift.compute.batch.local import LocalProvider
from skylift.compute.batch.provider import Kind
from skylift.compute.batch.queues import QueuePolicy
from skylift.compute.batch.scheduler import PoolPolicy
from skylift.compute.worker.wire import WorkerConfig
from skylift.ports.compute import Report

SMALL = Kind(name="small", vcpus=1, memory_mib=1024)
LARGE = Kind(name="large", vcpus=2, memory_mib=2048)
SPOT = Kind(name="spot", vcpus=2, memory_mib=2048, market="spot")


class Pool:
    def __init__(self, home: Path, kinds: tuple[Kind, ...] = (SMALL, LARGE), **policy: object) -> None:
        self.root = home / "attempts" / "batch"
        self._worker = WorkerConfig(
            name="batch", backend="batch", blobs=str(home / "blobs"), cache_dir=str(home / "bundles")
        )
        self._kinds = kinds
        self._policy = {"most_mcpus": 2000, "idle_ms": 400, "patience_ms": 500, **policy}
        self.backends: list[BatchBackend] = []

    def provider(self) -> LocalProvider:
        return LocalProvider(self.root, self._worker, kinds=self._kinds, grace_ms=300, idle_ms=400)

    def make(
        self,
        report: Report,
        *,
        lease_ms: int = 600_000,
        queue_of: Mapping[str, str] | None = None,
        queues: Mapping[str, QueuePolicy] | None = None,
    ) -> BatchBackend:
        policy = PoolPolicy(kinds=self._kinds, queues={"default": QueuePolicy(), **(queues or {})}, **self._policy)  # type: ignore[arg-type]
        backend = BatchBackend(report, self.provider(), policy, lease_ms=lease_ms, queue_of=queue_of)
        self.backends.append(backend)
        return backend

    def close(self) -> None:
        """Nothing that they started is left."""
        for backend in self.backends:
            backend.close()
        provider = self.provider()
        provider.stop([machine.id for machine in provider.look() if machine.phase != "gone"])
        assert [machine for machine in provider.look() if machine.phase != "gone"] == []
        provider.close()
