"""Where machines come from: the port between the batch backend and whatever starts, holds and ends machines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from skylift.errors import ComputeError
from skylift.ports.compute import Capabilities, Market, Outcome, TaskCall


class NoCapacity(ComputeError):
    """There is no such machine to be had now. The backend asks again later, or for another kind."""

    code = "NO-CAPACITY"


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of machine that may be had."""

    name: str
    vcpus: float
    memory_mib: int
    gpu: str | None = None
    """Model; None without GPUs."""
    gpus: int = 0
    market: Market = "on-demand"
    most: int | None = None
    """At once; None for as many as the pool's limit allows."""
    usd_micro_per_hour: int = 0
    startup_ms: int = 0
    """What it takes until it can work, as far as is known."""
    region: str = "local"
    account: str = ""
    """Only attempts of this account, one machine each; empty for anybody's, gangs among them."""
    fixed: bool = False
    """It is there or not (boxes that join): cannot be started."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that is on a machine, as the machine itself says."""

    token: str
    """Of the attempt; of a gang's attempt the token of the member."""
    run_id: str = ""
    label: str = ""
    vcpus: float = 1.0
    memory_mib: int = 0
    gpus: int = 0


Phase = Literal["starting", "ready", "warned", "gone"]
"""`warned`: it will be taken away soon, so it gets nothing more. `gone` is final."""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A machine as it is now, read from its own metadata: any process of the project sees the same."""

    id: str
    kind: Kind
    phase: Phase
    since_ms: int
    """UTC, when it was asked for."""
    until_ms: int
    """The end of its lease: it ends itself then, with all that is on it."""
    holder: str = ""
    """The backend object that gives it work. Empty for a machine that any may use."""
    holds: tuple[Held, ...] = ()
    standing: bool = False
    """It is there anyway (a box that joined): the pool neither started it nor may stop it."""
    reason: str = ""
    """Why it is gone, for people."""
    preempted: bool = False
    """It was taken away by the market."""


class Provider(Protocol):
    """Machines of one kind of place. All methods are thread-safe and idempotent; none but `stop` waits for a machine.

    What is known of a machine and its attempts lies with the machine or in a place that all processes of the project
    share, never only in this object: a backend that starts after the death of another finds everything here.
    """

    name: str
    capabilities: Capabilities
    """Of a backend on these machines."""
    open: bool
    """Other kinds may turn up later (boxes that join), so that what fits none is not refused but waits."""
    most_vcpus: float | None
    """Of all machines at once, unless the settings say otherwise; None for no limit."""
    pause_s: float
    """How often the backend should look while attempts run. A provider that calls what `listen` was given can be
    patient."""

    def kinds(self) -> Sequence[Kind]:
        """What may be had, or is there (`standing`)."""
        ...

    def start(self, kind: Kind, holder: str, until_ms: int) -> str:
        """Ask for a machine; its id. It carries holder and lease from the first moment. Raises NoCapacity."""
        ...

    def in_stock(self, kind: Kind) -> bool | None:
        """Whether one more could be had now; None where that is not known before it is asked for."""
        ...

    def look(self) -> Sequence[Machine]:
        """All machines of the project, whoever started them. What is gone may be listed as `gone` with its reason for a
        while; what is not listed at all is gone as well."""
        ...

    def renew(self, machine: str, until_ms: int, holder: str | None = None) -> None:
        """Extend its lease, and take it over if `holder` is given. What is gone is passed over."""
        ...

    def stop(self, machines: Collection[str]) -> None:
        """End these with all that is on them, whoever started them; returns when they are gone (or are certain to go
        by themselves). A standing one is only told to stop what it does for us."""
        ...

    def run(self, machine: str, calls: Sequence[tuple[TaskCall, Held]]) -> None:
        """Give attempts to a machine that is ready, each with how it is to be listed. Twice the same
        token is once, until its outcome was dropped. Raises TypeError, ValueError and the like for arguments that have
        no JSON form. A machine
        that is gone loses them: `look` tells. The machine keeps time limits, heartbeats and memory limits by itself
        and writes the log."""
        ...

    def cancel(self, machine: str, tokens: Collection[str]) -> None:
        """Each ends in an outcome, Cancelled unless it ended by itself first."""
        ...

    def release(self, machine: str, tokens: Collection[str]) -> None:
        """Tell these that their machine is about to be taken away, so that they may save their state and leave."""
        ...

    def saved_ms(self, tokens: Collection[str]) -> Mapping[str, float]:
        """Work that checkpoints of these keep, where it is known."""
        ...

    def outcomes(self, tokens: Collection[str]) -> Mapping[str, Outcome]:
        """The ends of these that are known, also those that came while nobody listened. Told again until `forget`."""
        ...

    def call(self, token: str) -> TaskCall | None:
        """An attempt as it was given to `run`, for as long as it runs or its outcome is kept."""
        ...

    def forget(self, tokens: Collection[str]) -> None:
        """Their outcomes were told: they may be removed after a while. Not at once, for who was told may die before it
        is written down."""
        ...

    def drop(self, tokens: Collection[str]) -> None:
        """Their outcomes mean that they will run anew (lost, cancelled): remove them now."""
        ...

    def rendezvous(self, machine: str) -> tuple[str, int]:
        """Address and port at which rank 0 of a gang on this machine can listen for the others."""
        ...

    def listen(self, wake: Callable[[], None]) -> None:
        """`wake` may be called from any thread whenever there is something new to see."""
        ...

    def close(self) -> None:
        """Let go of threads and files. Machines stay: their leases end them if nobody comes."""
        ...
