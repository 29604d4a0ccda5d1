"""Every place that could be bought for a step, over service class, machine or size, market, region and cloud.

Of each class, market and region only the cheapest of what is equally quick are kept: more of something that a step
does not use makes it dearer and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import product

import msgspec

from skylift.ports.compute import Market, Requirements, ServiceClass
from skylift.pricing.catalogue import DEFAULT_REGION, Catalogue, MachineType, Rule
from skylift.pricing.names import nearest
from skylift.pricing.places import SERVICE_NAMES, Place, gpus_of, hourly, same_model
from skylift.pricing.rows import Architecture

KEPT = 4
"""Of equally quick machines in one class, market and region: the cheapest, and some to compare it with."""
SERVICES: tuple[ServiceClass, ...] = ("function", "container", "batch", "managed-training")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody is ready to buy. Patterns are of the shell's kind."""

    clouds: tuple[str, ...] = ("aws",)
    regions: tuple[str, ...] = (DEFAULT_REGION,)
    services: tuple[ServiceClass, ...] = SERVICES
    markets: tuple[Market, ...] = ("on-demand", "spot")
    types: tuple[str, ...] = ()
    """Names or patterns of machines; all where there are none."""
    architecture: Architecture = "x86_64"
    """Of machines that are not asked for by name: what packages are built for differs."""


class Sizing(msgspec.Struct, frozen=True, kw_only=True):
    """What a step must have."""

    needs: Requirements
    cpus: float
    """Processors without which it would take longer."""
    memory_mib: int | None = None
    useful: float = 1.0
    """Processors beyond which it does not get quicker."""


def candidates(sizing: Sizing, wanted: Wanted, catalogue: Catalogue) -> list[Place]:
    """Priced ones only, in the order of cloud, region, class, market and price."""
    found: list[Place] = []
    for cloud in matching(wanted.clouds, catalogue.clouds):
        rules = catalogue.rules_of(cloud)
        for region in matching(wanted.regions, catalogue.regions(cloud)):
            for service, market in product(wanted.services, _markets(wanted, sizing.needs)):
                rule = rules.get(service)
                if rule is not None:
                    found += _of_class(rule, sizing, wanted, region, market, catalogue)
    return found


def matching(patterns: Sequence[str], names: Iterable[str]) -> list[str]:
    """Names that any of the patterns is."""
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def unmatched(patterns: Sequence[str], names: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Patterns that are nobody's name, each with the nearest there are."""
    return [
        (pattern, nearest(pattern, names)) for pattern in patterns if not any(fnmatchcase(n, pattern) for n in names)
    ]


def _markets(wanted: Wanted, needs: Requirements) -> list[Market]:
    """Spot only for what says that it may be taken away."""
    return [market for market in wanted.markets if market != "spot" or needs.spot]


def _of_class(
    rule: Rule, sizing: Sizing, wanted: Wanted, region: str, market: Market, catalogue: Catalogue
) -> list[Place]:
    needs = sizing.needs
    if rule.service in ("function", "container"):
        if needs.gpu is not None or needs.nodes > 1 or (rule.service == "function" and needs.image is not None):
            return []
        if wanted.types and not matching(wanted.types, [SERVICE_NAMES[rule.cloud, rule.service]]):
            return []
        return [place for place in _sized(rule, sizing, region, market) if hourly(place, catalogue) is not None]
    return _machines(rule, sizing, wanted, region, market, catalogue)


def _sized(rule: Rule, sizing: Sizing, region: str, market: Market) -> list[Place]:
    """Each number of processors with the least memory that will do; functions with as much as brings the processors."""
    found: list[Place] = []
    shares = sorted({sizing.cpus, max(sizing.cpus, sizing.useful)}) if rule.mib_per_vcpu is not None else [sizing.cpus]
    for size, cpus in product(rule.sizes, shares):
        memory = max(sizing.memory_mib or 0, size.least_mib)
        vcpus = size.vcpus
        if rule.mib_per_vcpu is not None:
            memory = max(memory, math.ceil(cpus * rule.mib_per_vcpu))
        elif vcpus < cpus:
            continue
        memory = -(-memory // size.step_mib) * size.step_mib
        if memory > size.most_mib:
            continue
        if rule.mib_per_vcpu is not None:
            vcpus = round(memory / rule.mib_per_vcpu, 4)
        found.append(
            Place(
                service=rule.service,
                instance_type=SERVICE_NAMES[rule.cloud, rule.service],
                vcpus=vcpus,
                memory_mib=memory,
                region=region,
                market=market,
                cloud=rule.cloud,
            )
        )
    return found


def _machines(
    rule: Rule, sizing: Sizing, wanted: Wanted, region: str, market: Market, catalogue: Catalogue
) -> list[Place]:
    """The cheapest of each kind of GPU and of each number of processors that makes a difference."""
    needs = sizing.needs
    model, count = gpus_of(needs.gpu)
    kept: dict[tuple[str | None, int, float], list[Place]] = {}
    for machine in _by_price(catalogue, rule.cloud, rule.service, region, market, wanted.types, wanted.architecture):
        if machine.vcpus < sizing.cpus or machine.memory_mib < (sizing.memory_mib or 0):
            continue
        if not _has_gpus(machine, model, count):
            continue
        same = kept.setdefault((machine.gpu, machine.gpus, min(machine.vcpus, sizing.useful)), [])
        if len(same) < KEPT:
            same.append(_place(machine, rule.service, region, market, needs.nodes))
    return [place for same in kept.values() for place in same]


def _has_gpus(machine: MachineType, model: str | None, count: int) -> bool:
    """As many as are wanted, whole ones, of the model; none where none is."""
    if not count:
        return not machine.gpus
    whole = machine.gpus >= count and machine.gpu_share == 1
    return whole and (model is None or same_model(machine.gpu, model))


@lru_cache(maxsize=4096)
def _by_price(
    catalogue: Catalogue,
    cloud: str,
    service: ServiceClass,
    region: str,
    market: Market,
    types: tuple[str, ...],
    architecture: Architecture,
) -> tuple[MachineType, ...]:
    """All that are sold there: steps are many, and ask for the same shelf."""
    priced = []
    for machine in catalogue.machines(cloud).values():
        named = bool(types) and bool(matching(types, [machine.name]))
        if not named and (types or machine.architecture != architecture):
            continue
        row = catalogue.machine_price(service, machine.name, region, market, cloud=cloud)
        if row is not None:
            priced.append((row.usd_per_hour, machine.name, machine))
    return tuple(machine for _, _, machine in sorted(priced, key=lambda one: one[:2]))


def _place(machine: MachineType, service: ServiceClass, region: str, market: Market, nodes: int) -> Place:
    return Place(
        service=service,
        instance_type=machine.name,
        vcpus=machine.vcpus,
        memory_mib=machine.memory_mib,
        gpu=machine.gpu,
        gpus=machine.gpus,
        region=region,
        market=market,
        nodes=nodes,
        cloud=machine.cloud,
    )
