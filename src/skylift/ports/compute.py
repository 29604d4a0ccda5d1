"""Where attempts run: the protocol of a backend, what it is given and what it reports."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from skylift.asl.events import Usage


class Requirements(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a task needs, whatever the backend. Stays with the task; where it runs does not."""

    cpus: float = 1.0
    memory_mib: int | None = None
    gpu: str | None = None
    """`"1"`, `"V100"` or `"V100:2"`."""
    spot: bool = False
    timeout_ms: int | None = None
    heartbeat_ms: int | None = None
    env: dict[str, str] = {}
    """Environment variables of the attempt."""
    secrets: tuple[str, ...] = ()
    """Names only; resolved in the worker."""
    concurrency: int | None = None
    """Most attempts of this task at once, over all runs of this engine."""
    environment: str | None = None
    """A lock or requirements file; the digest of an environment once built."""
    image: str | None = None
    nodes: int = 1


class CodeRef(msgspec.Struct, frozen=True, kw_only=True):
    """Which code: a callable inside a content-addressed bundle."""

    bundle: str | None
    """Digest of the bundle; None for code that is importable where the worker runs (`[functions]`, tests)."""
    target: str
    """`module:qualname`."""


class TaskCall(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to run. Plain data, so that it can cross any wire."""

    token: str
    """Globally unique: the idempotency token. A call given again with the same token is the same attempt."""
    run_id: str
    task: str
    """The task's name, the unit of `concurrency` and of duration statistics."""
    label: str
    """Where in the run, for people: `train[3]`."""
    attempt: int
    code: CodeRef
    arguments: Any
    """JSON. For convention `task`: an object of keyword arguments, values encoded by skylift.values.
    For convention `handler`: the event of a Lambda-style `handler(event, context)`, plain JSON.
    For convention `service`: the arguments of a service integration, whose resource ARN is `code.target`."""
    convention: Literal["task", "handler", "service"] = "task"
    inline_result: bool = False
    """The graph looks inside the result: JSON parts of it must not become references, however large."""
    requirements: Requirements = Requirements()
    credentials: Any = None
    """The state's evaluated Credentials, for convention `service`."""
    account: str = ""
    """The account that the run belongs to; empty for a run of this project."""
    region: str = ""
    """The region of the run's state machine, for convention `service`; empty for a run of this project."""
    submitted: Any = msgspec.UNSET
    """For convention `service`, after a restart of the engine: the output that was reported as Submitted before. The
    request must not be made again, only its end awaited."""
    log: str | None = None
    """File to which stdout, stderr and logging of the attempt are appended."""


class Succeeded(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    output: Any
    """JSON."""
    usage: Usage | None = None


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """User code raised. `cause` is the JSON text Lambda would give: errorType, errorMessage, stackTrace."""

    error: str
    classes: tuple[str, ...] = ()
    cause: str = ""
    usage: Usage | None = None


class TimedOut(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    heartbeat: bool = False
    usage: Usage | None = None


class OutOfMemory(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    limit_mib: int | None
    peak_mib: float | None = None
    usage: Usage | None = None


class Lost(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The worker died or vanished through no fault of the task that can be shown (a crash of the interpreter counts:
    `reason` says what was seen). The engine tries again a bounded number of times without touching the user's Retry."""

    reason: str
    preempted: bool = False
    usage: Usage | None = None


class Cancelled(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The attempt ended because `cancel` asked for it."""


Outcome = Succeeded | Failed | TimedOut | OutOfMemory | Lost | Cancelled


class Submitted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """No outcome yet: the service has accepted the request of a `.sync` integration and goes on with it."""

    output: Any


Report = Callable[[str, Outcome | Submitted], None]
"""`report(token, outcome)`: the one way a backend tells how an attempt ended. Thread-safe, never blocks, may be called
again for the same token (the first call counts)."""


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A purchasable way to run an attempt."""

    backend: str
    instance_type: str
    vcpus: float
    memory_mib: int
    gpu: str | None = None
    gpu_count: int = 0
    market: Literal["on-demand", "spot", "reserved"] = "on-demand"
    region: str = "local"
    price_usd_micro_per_hour: int = 0
    startup_ms: int = 0


class Backend(Protocol):
    """Runs attempts. All methods are thread-safe, return at once, and are idempotent by token.

    `skylift.testing.BackendConformance` is this contract as tests.
    """

    name: str

    def offers(self, requirements: Requirements) -> Sequence[Offer]:
        """The ways this backend could run such a task now; empty when it never can."""
        ...

    def submit(self, calls: Sequence[TaskCall]) -> None:
        """Accept attempts. Never raises for what is wrong with a call: that is reported. A known token is ignored,
        unless the attempt ended Lost or Cancelled: then it runs anew."""
        ...

    def poll(self, tokens: Collection[str]) -> Mapping[str, Literal["queued", "running"]]:
        """Which of these this backend still holds; a token it does not know is absent (the engine submits it again)."""
        ...

    def cancel(self, tokens: Collection[str]) -> None:
        """Stop attempts, with everything they started. Ends in a report, Cancelled unless it ended by itself first."""
        ...

    def sweep(self, live: Collection[str]) -> None:
        """Stop whatever this backend still runs for tokens that are not in `live` (left behind by a dead engine)."""
        ...

    def close(self) -> None:
        """Stop everything and give back every process, file and thread. Nothing is reported afterwards."""
        ...
