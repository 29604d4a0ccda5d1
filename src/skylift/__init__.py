"""Skylift: plain Python pipelines that run durably, here or anywhere, as one open States Language graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skylift.version import VERSION

if TYPE_CHECKING:
    from skylift import checkpoint
    from skylift.blocks.block import Block
    from skylift.blocks.fetch import fetch
    from skylift.compute.worker.current import Attempt, attempt, heartbeat
    from skylift.errors import RunFailed, SkyliftError
    from skylift.sdk.compiler.refuse import CompileError
    from skylift.sdk.handles import Run, find_run
    from skylift.sdk.pipeline import Pipeline, pipeline
    from skylift.sdk.resources import Resources
    from skylift.sdk.retry import Retry
    from skylift.sdk.split import split
    from skylift.sdk.steps import approve, parallel, sleep
    from skylift.sdk.task import Task, task
    from skylift.values.files import Directory, File

__version__ = VERSION

_MODULES = frozenset({"checkpoint"})
"""Public names that are modules of this package."""

_HOMES = {
    "Attempt": "skylift.compute.worker.current",
    "Block": "skylift.blocks.block",
    "CompileError": "skylift.sdk.compiler.refuse",
    "Directory": "skylift.values.files",
    "File": "skylift.values.files",
    "Pipeline": "skylift.sdk.pipeline",
    "Resources": "skylift.sdk.resources",
    "Retry": "skylift.sdk.retry",
    "Run": "skylift.sdk.handles",
    "RunFailed": "skylift.errors",
    "SkyliftError": "skylift.errors",
    "Task": "skylift.sdk.task",
    "approve": "skylift.sdk.steps",
    "attempt": "skylift.compute.worker.current",
    "fetch": "skylift.blocks.fetch",
    "find_run": "skylift.sdk.handles",
    "heartbeat": "skylift.compute.worker.current",
    "parallel": "skylift.sdk.steps",
    "pipeline": "skylift.sdk.pipeline",
    "sleep": "skylift.sdk.steps",
    "split": "skylift.sdk.split",
    "task": "skylift.sdk.task",
}

__all__ = [
    "Attempt",
    "Block",
    "CompileError",
    "Directory",
    "File",
    "Pipeline",
    "Resources",
    "Retry",
    "Run",
    "RunFailed",
    "SkyliftError",
    "Task",
    "approve",
    "attempt",
    "checkpoint",
    "fetch",
    "find_run",
    "heartbeat",
    "parallel",
    "pipeline",
    "sleep",
    "split",
    "task",
]


def __getattr__(name: str) -> Any:
    """Public names are loaded when they are first used."""
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
