"""Where attempts run: the protocol of a backend, what it is given and what it reports."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from skylift.asl.events import Usage

Market = Literal["on-demand", "spot", "reserved"]
"""How a machine is bought. What runs on spot may lose its machine at any instant."""

ServiceClass = Literal["process", "function", "container", "batch", "managed-training"]
"""Kinds of compute, from the quickest to start to the largest. What outgrows one goes on in the next."""


class Bought(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a plan buys for a step: one way to run it, of one backend. The backend runs it on exactly that, or not at
    all; only what runs out of its memory goes on elsewhere."""

    backend: str
    service: ServiceClass
    instance_type: str
    vcpus: float
    memory_mib: int
    gpu: str | None = None
    gpus: int = 0
    market: Market = "on-demand"
    region: str = "local"
    cloud: str = "aws"

    def __str__(self) -> str:
        gpu = f", {self.gpus} x {self.gpu}" if self.gpus else ""
        size = f"{self.vcpus:g} vCPU, {self.memory_mib} MiB{gpu}"
        return f"{self.service} {self.instance_type} ({size}), {self.market} in {self.region}"


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
    """Digest of the document of the packages it needs beside ours, see `skylift.ports.environments`."""
    image: str | None = None
    nodes: int = 1
    """Workers that start together or not at all, and work on one attempt."""
    work_ms: int | None = None
    """How long it takes on one machine of its own that is never taken away, as the author says."""
    deadline_ms: int | None = None
    """How long after it was first given out the step should have ended, preemptions and repetitions included."""
    place: Bought | None = None
    """What a plan has bought for it; None where the backend chooses."""


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
    pipeline: str = ""
    """What the run is a run of: by it queues share out machines."""
    account: str = ""
    """The account that the run belongs to; empty for a run of this project."""
    region: str = ""
    """The region of the run's state machine, for convention `service`; empty for a run of this project."""
    visit: str = ""
    """Names the entering of the state in its run: the same for all attempts and deliveries of it, so that a later one
    finds what an earlier one left (checkpoints)."""
    delivery: int = 1
    """How often this attempt has been given out, this time included. More than 1 after a loss."""
    market: Market = "on-demand"
    """Where the backend should buy a machine, where it has both."""
    keep_ms: int | None = None
    """Keep the place of an attempt that failed for so long, to be looked at."""
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
    market: Market = "on-demand"
    region: str = "local"
    price_usd_micro_per_hour: int = 0
    startup_ms: int = 0
    service: ServiceClass = "process"
    longest_ms: int | None = None
    """The longest an attempt may take on it; None where nothing but its own timeout ends it."""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a backend can do beyond running a call and reporting its end. Its conformance suite tests what it says."""

    stops: bool = True
    """Ends what has started: cancellation, timeouts, heartbeats."""
    isolates: bool = True
    """A crash of the interpreter is one attempt's, not everyone's."""
    captures: bool = True
    """Writes what an attempt prints to its log, while it runs."""
    limits_memory: bool = True
    limits_concurrency: bool = True
    environments: bool = False
    """Runs a task in an environment of its own."""
    images: bool = False
    """Runs a task in a container image of its own."""
    gangs: bool = False
    """Starts several workers for one attempt, together or not at all."""
    outlives_engine: bool = False
    """Attempts go on when the engine dies, and are adopted when the next one submits them again."""
    warns: bool = False
    """Tells an attempt that its machine is about to be taken away (SIGTERM), where the market does."""
    leases: bool = False
    """What it makes carries a lease, is found by `leased` and ended by `end`, also by another process."""
    keeps: bool = False
    """Can keep the place of a failed attempt (`TaskCall.keep_ms`)."""
    shell: bool = False
    """Can open a prompt beside a running or kept attempt."""
    releases: bool = False
    """Takes a running attempt back that saves its state and leaves (`release`), and knows what it has saved so far."""


class Leased(msgspec.Struct, frozen=True, kw_only=True):
    """Something that exists until its lease ends, as it says of itself: read from its own metadata, not from memory."""

    backend: str
    kind: Literal["worker", "container", "machine", "cluster", "box"]
    id: str
    """What its maker calls it: unique in the backend."""
    until_ms: int
    """UTC. Whoever holds it renews this in time; what is past it may be ended by anybody."""
    token: str | None = None
    """The attempt it was made for, if it was made for one."""
    run_id: str | None = None
    note: str = ""
    """For people: `kept after a failure`, `train[3]`."""


class SpotSight(msgspec.Struct, frozen=True, kw_only=True):
    """What a backend sees of the market that a task's spot machine would be bought on."""

    available: bool
    """Whether one could be had now."""
    ratio: float
    """Its price over that of the on-demand machine that would be bought instead."""
    startup_ms: int = 0
    """What a launch may take, as far as is known: deadlines are kept by it."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt stands that a backend holds."""

    market: Market
    """What it is bought as, or waits to be."""
    saved_ms: float = 0.0
    """Work that its checkpoints keep by now, this delivery's and earlier ones'; 0 while there is none."""
    usage: Usage | None = None
    """What it has used by now of a place that somebody is sent a bill for; None where there is no such place yet."""


class Backend(Protocol):
    """Runs attempts. All methods are thread-safe, return at once, and are idempotent by token.

    `skylift.testing.BackendConformance` is this contract as tests.
    """

    name: str
    capabilities: Capabilities

    def offers(self, requirements: Requirements) -> Sequence[Offer]:
        """The ways this backend could run such a task now; empty when it never can."""
        ...

    def submit(self, calls: Sequence[TaskCall]) -> None:
        """Accept attempts. Never raises for what is wrong with a call: that is reported. A known token is ignored,
        unless it comes with a higher `delivery` (whatever came of the one before), or ended Lost or Cancelled: then it
        runs anew.

        After a restart the engine submits what it waits for again. A backend whose attempts outlive the engine adopts
        what it finds of them: it renews the lease and reports the outcome, also one that came while nobody listened.
        A delivery that was lost is not told of a second time: it may have been counted already.
        """
        ...

    def poll(self, tokens: Collection[str]) -> Mapping[str, Literal["queued", "running"]]:
        """Which of these this backend object holds; a token it does not know is absent (the engine submits it again).
        Changes nothing."""
        ...

    def explain(self, tokens: Collection[str]) -> Mapping[str, str]:
        """Why these are queued or what they are doing, in a few words for people: `needs 8 GiB, the largest machine
        allowed has 4 GiB`. Only what there is something to say of."""
        ...

    def cancel(self, tokens: Collection[str]) -> None:
        """Stop attempts, with everything they started. Ends in a report, Cancelled unless it ended by itself first."""
        ...

    def sight(self, requirements: Requirements) -> SpotSight | None:
        """The spot market for such a task, at this moment; None where it cannot be told before a machine is asked for,
        or where there is none."""
        ...

    def standings(self, tokens: Collection[str]) -> Mapping[str, Standing]:
        """Of these that it holds, where it can tell. Changes nothing."""
        ...

    def release(self, tokens: Collection[str]) -> None:
        """Ask these to save their state and leave, as if their machine were about to be taken away. Each ends Lost and
        preempted, or by itself; what does not save its state goes on as if nothing had been said."""
        ...

    def sweep(self, live: Collection[str]) -> None:
        """Stop whatever this backend object still runs for tokens that are not in `live`. What other engines of the
        project hold is theirs: only the end of its lease makes it anybody's."""
        ...

    def leased(self) -> Sequence[Leased]:
        """What exists of this backend in this project, whoever made it, and until when it may."""
        ...

    def end(self, leased: Sequence[Leased]) -> None:
        """End these, whoever made them, with all they started. Waits until they are gone; what is gone already is no
        error."""
        ...

    def shell(self, token: str) -> Sequence[str] | None:
        """The command line that opens a prompt in the place of a running or kept attempt; None where there is none."""
        ...

    def close(self) -> None:
        """Give back every process, file and thread; attempts that cannot be adopted later are stopped. Nothing is
        reported afterwards."""
        ...
