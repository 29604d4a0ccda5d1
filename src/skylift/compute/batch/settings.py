"""`[backends.batch]` as the scheduler and its provider understand it. Wrong settings are told with place and mend."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from skylift.compute.batch.provider import Kind, Provider
from skylift.compute.batch.queues import DEFAULT, QueuePolicy
from skylift.compute.batch.scheduler import PoolPolicy
from skylift.compute.batch.work import gpu_of, mcpus_of
from skylift.config import InvalidConfig
from skylift.config.backends import BatchSettings, MachineType
from skylift.units import parse_duration_ms, parse_memory_mib, parse_usd


def kinds_of(settings: BatchSettings) -> tuple[Kind, ...]:
    """The machines that the settings allow; empty for what the provider has. Raises InvalidConfig."""
    names = [machine.name for machine in settings.machines]
    for name in names:
        if names.count(name) > 1:
            raise _wrong(f"two machines are called {name!r}", "give each of [[backends.batch.machines]] its own name")
    return tuple(_kind(machine) for machine in settings.machines)


def _kind(machine: MachineType) -> Kind:
    where = f"[[backends.batch.machines]] {machine.name}"
    model, gpus = gpu_of(machine.gpu)
    if gpus and model is None:
        raise _wrong(f"{where}: gpu = {machine.gpu!r} names no model", 'write for example gpu = "V100:4"')
    return Kind(
        name=machine.name,
        vcpus=machine.vcpus,
        memory_mib=parse_memory_mib(machine.memory, f"{where}: memory"),
        gpu=model,
        gpus=gpus,
        market=machine.market,
        most=machine.most,
        usd_micro_per_hour=0
        if machine.price is None
        else round(Decimal(parse_usd(machine.price, f"{where}: price")) * 10**6),
    )


def policy_of(settings: BatchSettings, provider: Provider) -> PoolPolicy:
    """Raises InvalidConfig."""
    most = settings.most_vcpus if settings.most_vcpus is not None else provider.most_vcpus
    queues = {
        name: QueuePolicy(
            priority=queue.priority,
            weights=dict(queue.shares),
            half_life_ms=float(parse_duration_ms(queue.half_life, f"[backends.batch.queues.{name}] half_life")),
        )
        for name, queue in settings.queues.items()
    }
    return PoolPolicy(
        kinds=tuple(provider.kinds()),
        open=provider.open,
        most_mcpus=None if most is None else mcpus_of(most),
        idle_ms=parse_duration_ms(settings.idle, "[backends.batch] idle"),
        queues=queues,
    )


def queue_names(settings: BatchSettings) -> Mapping[str, str]:
    """Which task goes to which queue, `*` for all others. Raises InvalidConfig."""
    known = {DEFAULT, *settings.queues}
    for task, queue in settings.queue.items():
        if queue not in known:
            there = ", ".join(sorted(known))
            problem = f"[backends.batch.queue] {task} = {queue!r}: there is no such queue; there are: {there}"
            raise _wrong(problem, f"enter it as [backends.batch.queues.{queue}]")
    return settings.queue


def _wrong(problem: str, hint: str) -> InvalidConfig:
    return InvalidConfig(problem, hint=hint)
