"""Every place that could be bought for a step, over service class, machine or size, market, region and cloud.

Of each class, market and region only the cheapest of what is equally quick are kept: more of something that a step
does not use makes it dearer and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from fractions import Fraction
from itertools import product

import msgspec

from skylift.ports.compute import Market, Requirements, ServiceClass
from skylift.pricing.catalogue import DEFAULT_REGION, Catalogue, Rule
from skylift.pricing.names import nearest
from skylift.pricing.places import SERVICE_NAMES, Place, gpus_of, hourly, same_model

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


class Sizing(msgspec.Struct, frozen=True, kw_only=True):
    """What a step must have."""

    needs: Requirements
    cpus: float
    """Processors without which it would take longer."""
    memory_mib: int | None = None


def candidates(sizing: Sizing, wanted: Wanted, catalogue: Catalogue) -> list[Place]:
    """Priced ones only, in the order of cloud, region, class, market and price."""
    found: list[Place] = []
    for cloud in matching(wanted.clouds, catalogue.clouds):
        rules = catalogue.rules_of(cloud)
        for region in matching(wanted.regions, catalogue.regions(cloud)):
            for service, market in product(wanted.services, _markets(wanted, sizing.needs)):
                rule = rules.get(service)
                if rule is not None:
                    found += _cheapest(_of_class(rule, sizing, wanted, region, market, catalogue), catalogue)
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
        return _sized(rule, sizing, region, market)
    return _machines(rule, sizing, wanted, region, market, catalogue)


def _sized(rule: Rule, sizing: Sizing, region: str, market: Market) -> list[Place]:
    """Each number of processors with the least memory that will do; functions with as much as brings the processors."""
    found: list[Place] = []
    for size in rule.sizes:
        memory = max(sizing.memory_mib or 0, size.least_mib)
        vcpus = size.vcpus
        if rule.mib_per_vcpu is not None:
            memory = max(memory, math.ceil(sizing.cpus * rule.mib_per_vcpu))
        elif vcpus < sizing.cpus:
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
    needs = sizing.needs
    model, count = gpus_of(needs.gpu)
    found = []
    for machine in catalogue.machines(rule.cloud).values():
        if machine.vcpus < sizing.cpus or machine.memory_mib < (sizing.memory_mib or 0):
            continue
        if wanted.types and not matching(wanted.types, [machine.name]):
            continue
        if not count and machine.gpus:
            continue
        if count and (machine.gpus < count or machine.gpu_share != 1):
            continue
        if model is not None and not same_model(machine.gpu, model):
            continue
        found.append(
            Place(
                service=rule.service,
                instance_type=machine.name,
                vcpus=machine.vcpus,
                memory_mib=machine.memory_mib,
                gpu=machine.gpu,
                gpus=machine.gpus,
                region=region,
                market=market,
                nodes=needs.nodes,
                cloud=rule.cloud,
            )
        )
    return found


def _cheapest(places: list[Place], catalogue: Catalogue) -> list[Place]:
    """Of what has a price."""
    priced: list[tuple[Fraction, str, Place]] = []
    for place in places:
        price = hourly(place, catalogue)
        if price is not None:
            priced.append((price, place.instance_type, place))
    priced.sort(key=lambda one: one[:2])
    kept: dict[str | None, list[Place]] = {}
    for _, _, place in priced:
        kept.setdefault(f"{place.gpus} {place.gpu}", []).append(place)
    return [place for same in kept.values() for place in same[:KEPT]]
