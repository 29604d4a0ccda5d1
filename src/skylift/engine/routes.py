"""The ways that a Task state can take: what is settled of its attempts before any of them begins."""

from __future__ import annotations

from typing import Literal

import msgspec

from skylift.engine.jobs import BoundJob
from skylift.ports.tasks import TaskSpec

NestedMode = Literal["fire", "sync", "sync:2", "callback", "express"]
"""`express` is startSyncExecution: the answer is that of the run's end, whatever it is."""


class WorkerRoute(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt on a backend."""

    spec: TaskSpec
    backend: str
    callback: bool = False
    """The worker's answer only submits; the outcome comes by callback."""
    payload: bool = False
    """`lambda:invoke`: the event stands in Payload, the result is wrapped."""
    bundled: bool = True
    """The code is the run's own, not importable where the worker runs."""
    job: BoundJob | None = None
    """The job of a service that the task stands for."""


class ServiceRoute(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a service, by the backend for them."""

    backend: str
    callback: bool = False
    """The service's answer only submits; the outcome comes by callback."""
    waits: bool = False
    """`.sync`: the backend reports Submitted, and the end of the job later."""
    holds: bool = False
    """A callback that overtakes the service's answer waits for it: the service cannot be waiting for the callback."""


class ActivityRoute(msgspec.Struct, frozen=True):
    """Offered to whoever asks for work; the outcome comes by callback."""

    queue: str
    """The activity's ARN."""
    work: WorkerRoute | None = None
    """The task of ours that its workers run; None for a Task state that names the activity itself."""


class CallbackRoute(msgspec.Struct, frozen=True):
    """Nobody works; the outcome comes by callback."""


class NestedRoute(msgspec.Struct, frozen=True):
    """A run of its own."""

    mode: NestedMode
    sdk: bool = False
    """Named as `aws-sdk:sfn`, which answers and fails in words of its own."""


class Refused(msgspec.Struct, frozen=True):
    """It cannot run, and why."""

    error: str
    cause: str


Route = WorkerRoute | ServiceRoute | ActivityRoute | CallbackRoute | NestedRoute | Refused
WAITS = CallbackRoute()
