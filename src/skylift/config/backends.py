"""`[backends.NAME]`: how each backend runs attempts. What a task needs stays with the task."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class LeaseSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base: how long what a backend makes may live without a sign of life from whoever made it."""

    lease: str = "10m"
    """Renewed at a third of it while an engine drives the run. What outlives it ends."""


class ContainerSettings(LeaseSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[backends.container]`."""

    engine: Literal["auto", "podman", "docker"] = "auto"
    image: str | None = None
    """For tasks without an image of their own; None for one that is built from the running interpreter."""
    network: str = "default"
    """`default` is the engine's, `none` and `host`, or the name of a network."""
    pids: Annotated[int, Meta(ge=1)] = 4096
    """Most processes and threads of an attempt."""
    containers: Annotated[int, Meta(ge=1)] | None = None
    """Most at once; None for what processors and memory of this machine allow."""
    mounts: tuple[str, ...] = ()
    """What attempts see of this machine besides: `SOURCE[:TARGET][:ro]`."""


class MachineType(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of machine that a provider may start."""

    name: str
    vcpus: Annotated[float, Meta(gt=0)]
    memory: str
    gpu: str | None = None
    """`V100` or `V100:4`."""
    market: Literal["on-demand", "spot"] = "on-demand"
    most: Annotated[int, Meta(ge=1)] | None = None
    price: str | Annotated[float, Meta(gt=0)] | None = None
    """US dollars an hour, `"3.06"`: what the ledger counts, and by which spot is weighed against on-demand."""


class QueueSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job queue. Of several queues the one with the highest priority is served first."""

    priority: int = 1
    shares: dict[str, Annotated[float, Meta(gt=0)]] = {}
    """Weight by pipeline: of two that both wait, one with weight 2 gets twice the machines. Those not named weigh 1."""
    half_life: str = "10m"
    """After so long, what a pipeline has used counts half."""


class BatchSettings(LeaseSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[backends.batch]`: a queue before machines that come with the queue and go with it."""

    provider: Literal["local", "workers", "simulated"] = "local"
    machines: tuple[MachineType, ...] = ()
    """What may be started; empty for what the provider has."""
    most_vcpus: Annotated[float, Meta(gt=0)] | None = None
    """Of all machines at once; None for what the provider has."""
    idle: str = "60s"
    """How long a machine is kept that has nothing to do."""
    queues: dict[str, QueueSettings] = {}
    """Beside `default`, which is always there."""
    queue: dict[str, str] = {}
    """Which task goes to which queue; `*` for all others."""


class RaySettings(LeaseSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[backends.ray]`."""

    address: str | None = None
    """Of an existing cluster (`ray://…`, `HOST:6379`, `auto`); None to start one on this machine."""
    cpus: Annotated[int, Meta(ge=1)] | None = None
    """Of a cluster that is started here; None for this machine's processors."""
    gangs: Literal["pack", "spread", "strict-spread"] = "pack"
    """Where the members of a gang go: close together, apart where there is room, or each on a node of its own."""
    grows: bool = False
    """The cluster has an autoscaler: what no node of it has now is waited for instead of refused."""


class SimulatedSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[backends.simulated]`: a cloud in virtual time."""

    traces: str | None = None
    """File or folder of spot traces; None for generated ones."""
    trace: str | None = None
    """Which trace of them: its name, or a part of it that no other has."""
    up: str = "4h"
    """How long spot machines can be had on average, where there is no trace."""
    down: str = "30m"
    """And how long then not."""
    warning: str | None = None
    """How long before it is taken away a spot machine is told; None for not at all."""
    checkpoint: str | None = None
    """How often the work of a task with `work=` is kept, at `--speed max`; None for never: it begins anew."""
    results: str | None = None
    """JSON file of outputs by task or step: a task with `work=` that stands in it is not run."""
    seed: int = 0
    region: str = "us-east-1"
    services: tuple[Literal["function", "container", "batch", "managed-training"], ...] = (
        "function",
        "container",
        "batch",
    )
    """Classes to choose from: the first one that a task fits."""
    functions: Annotated[int, Meta(ge=1)] = 1_000
    """Most functions at once."""
    container_vcpus: Annotated[float, Meta(gt=0)] = 256
    """Most processors of containers at once."""
    machine_vcpus: Annotated[float, Meta(gt=0)] = 1_024
    """Most processors of machines at once, of each market."""
    gpus: Annotated[int, Meta(ge=1)] = 64
    """Most GPUs at once."""
    speed: str = "max"
    """`max`, or how many seconds of its time pass in one of ours."""


class BackendsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[backends]`."""

    container: ContainerSettings = ContainerSettings()
    batch: BatchSettings = BatchSettings()
    ray: RaySettings = RaySettings()
    simulated: SimulatedSettings = SimulatedSettings()


class ComputeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[compute]`: what holds for all backends."""

    escalate: tuple[str, ...] = ()
    """Backends from the smallest to the largest: where a step goes on that ran out of the largest memory of one."""
    memory_steps: Annotated[int, Meta(ge=0)] = 3
    """How often the memory of an attempt that ran out of it is doubled before that is a failure."""
