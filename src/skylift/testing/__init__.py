"""Help for tests of pipelines, documents and backends. Loaded name by name: importing this needs no pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skylift.sdk.direct import answers
    from skylift.testing.backends import BackendConformance
    from skylift.testing.blobs import BlobStoreConformance
    from skylift.testing.clock import VirtualClock
    from skylift.testing.faults import FaultPlan
    from skylift.testing.journals import JournalConformance
    from skylift.testing.parity import assert_same, assert_same_after_crashes, durable
    from skylift.testing.simulation import Simulation
    from skylift.testing.virtual import After, TaskError, VirtualRun, run_document

_HOMES = {
    "After": "skylift.testing.virtual",
    "BackendConformance": "skylift.testing.backends",
    "BlobStoreConformance": "skylift.testing.blobs",
    "FaultPlan": "skylift.testing.faults",
    "JournalConformance": "skylift.testing.journals",
    "Simulation": "skylift.testing.simulation",
    "TaskError": "skylift.testing.virtual",
    "VirtualClock": "skylift.testing.clock",
    "VirtualRun": "skylift.testing.virtual",
    "answers": "skylift.sdk.direct",
    "assert_same": "skylift.testing.parity",
    "assert_same_after_crashes": "skylift.testing.parity",
    "durable": "skylift.testing.parity",
    "run_document": "skylift.testing.virtual",
}

__all__ = [
    "After",
    "BackendConformance",
    "BlobStoreConformance",
    "FaultPlan",
    "JournalConformance",
    "Simulation",
    "TaskError",
    "VirtualClock",
    "VirtualRun",
    "answers",
    "assert_same",
    "assert_same_after_crashes",
    "durable",
    "run_document",
]


def __getattr__(name: str) -> Any:
    """Public names are loaded when they are first used."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
