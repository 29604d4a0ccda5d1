"""The task table: what the engine must know of each task of a run to hand it to a backend."""

from __future__ import annotations

from typing import Literal

import msgspec

from skylift.ports.compute import Bought, Requirements


class TaskSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One task of a pipeline, stored with each run. Retry, timeouts and catches stand in the definition."""

    name: str
    """As in the resource `arn:aws:states:::skylift:NAME`."""
    target: str
    """`module:qualname` inside the run's bundle."""
    requirements: Requirements = Requirements()
    cache: bool = False
    fingerprint: str = ""
    """Digest of the task's code and of the project code it uses; with inputs and environment the cache key."""
    inline_result: bool = False
    """The graph looks inside the result, so its JSON parts may not become references."""
    convention: Literal["task", "handler"] = "task"
    on: str | None = None
    """Default backend."""


class TaskTable(msgspec.Struct, frozen=True, kw_only=True):
    bundle: str | None
    tasks: dict[str, TaskSpec]
    """By name; the tasks of the pipeline and of every pipeline it calls."""
    machines: dict[str, str] = {}
    """Name of each pipeline that may be started as a nested run (the last part of its StateMachineArn) → digest of its
    definition. A nested run uses this same table, so that a pipeline may call itself."""
    plan: dict[str, Bought] | msgspec.UnsetType = msgspec.UNSET
    """Where the steps of a planned run go: by state, those of a called pipeline as `STEP/INNER`. They go there whatever
    attributes and settings say."""
    budget: str | msgspec.UnsetType = msgspec.UNSET
    """What one run may cost, in US dollars: decimal text. It holds where the run itself says nothing."""
