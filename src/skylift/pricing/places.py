"""Where a task could run and what that costs: every way to buy what it needs, and the exact price of using one.

Amounts are micro-dollars as fractions, so that a million small ones add up to what they are; rounding is for whoever
shows them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import msgspec

from skylift.ports.compute import Market, Offer, Requirements, ServiceClass
from skylift.pricing.catalogue import Catalogue, MachineType, Rule
from skylift.pricing.gpus import gpus_of as gpus_of
from skylift.pricing.gpus import same_model as same_model

MICRO = 1_000_000
HOUR_MS = 3_600_000
GIB = 1024
SERVICE_NAMES = {
    ("aws", "function"): "lambda",
    ("aws", "container"): "fargate",
    ("gcp", "function"): "cloud-functions",
    ("gcp", "container"): "cloud-run",
    ("azure", "function"): "azure-functions",
}
"""What a cloud calls its service of a class; it stands where the machine's name stands elsewhere."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One way to buy compute."""

    service: ServiceClass
    instance_type: str
    """`lambda`, `fargate`, or the machine's."""
    vcpus: float
    memory_mib: int
    region: str
    market: Market = "on-demand"
    gpu: str | None = None
    gpus: int = 0
    nodes: int = 1
    cloud: str = "aws"


def places(
    needs: Requirements,
    *,
    catalogue: Catalogue,
    region: str,
    services: Sequence[ServiceClass] = ("function", "container", "batch"),
    market: Market = "on-demand",
    cloud: str = "aws",
) -> list[Place]:
    """All that fit and have a price, class by class as asked for, the cheapest of a class first. Of machines those that
    the class names itself (`Rule.families`): every other one can be asked for by its price."""
    found: list[Place] = []
    for service in services:
        fitting = _of_class(service, needs, catalogue, region, market, cloud)
        priced = [(price, place) for place in fitting if (price := hourly(place, catalogue)) is not None]
        found += [place for _, place in sorted(priced, key=lambda one: (one[0], one[1].instance_type))]
    return found


def _of_class(
    service: ServiceClass, needs: Requirements, catalogue: Catalogue, region: str, market: Market, cloud: str
) -> Iterator[Place]:
    rule = catalogue.rules_of(cloud).get(service)
    if rule is None or too_long(needs, rule):
        return
    if service in ("function", "container"):
        if needs.gpu is None and needs.nodes == 1 and (service == "container" or needs.image is None):
            yield from _sized(rule, needs, region, market)
        return
    for machine in catalogue.machines(cloud).values():
        if (not rule.families or machine.name.startswith(rule.families)) and _has_room(machine, needs):
            yield Place(
                service=service,
                instance_type=machine.name,
                vcpus=machine.vcpus,
                memory_mib=machine.memory_mib,
                gpu=machine.gpu,
                gpus=machine.gpus,
                region=region,
                market=market,
                nodes=needs.nodes,
                cloud=cloud,
            )


def too_long(needs: Requirements, rule: Rule) -> bool:
    """Whether what is known of its duration is more than the class allows."""
    known = needs.work_ms if needs.work_ms is not None else needs.timeout_ms
    return rule.longest_ms is not None and known is not None and known > rule.longest_ms


def _sized(rule: Rule, needs: Requirements, region: str, market: Market) -> Iterator[Place]:
    """The smallest size of each number of processors that has room."""
    name = SERVICE_NAMES[rule.cloud, rule.service]
    for size in rule.sizes:
        memory = max(needs.memory_mib or 0, size.least_mib)
        vcpus = size.vcpus
        if rule.mib_per_vcpu is not None:
            memory = max(memory, _memory_for(needs, rule.mib_per_vcpu))
            vcpus = round(memory / rule.mib_per_vcpu, 4)
        elif vcpus < needs.cpus:
            continue
        memory = -(-memory // size.step_mib) * size.step_mib
        if memory <= size.most_mib:
            yield Place(
                service=rule.service,
                instance_type=name,
                vcpus=vcpus,
                memory_mib=memory,
                region=region,
                market=market,
                cloud=rule.cloud,
            )


def _memory_for(needs: Requirements, mib_per_vcpu: float) -> int:
    """What brings so many processors. Who says how much memory, and nothing of processors, gets their share of it."""
    if needs.memory_mib is not None and needs.cpus <= 1:
        return 0
    return int(-(-needs.cpus * mib_per_vcpu // 1))


def _has_room(machine: MachineType, needs: Requirements) -> bool:
    if machine.architecture != "x86_64":  # what a task's environment is built for
        return False
    if needs.cpus > machine.vcpus or (needs.memory_mib or 0) > machine.memory_mib:
        return False
    model, count = gpus_of(needs.gpu)
    if not count:
        return not machine.gpus
    return machine.gpus >= count and machine.gpu_share == 1 and (model is None or same_model(machine.gpu, model))


def hourly(place: Place, catalogue: Catalogue) -> Fraction | None:
    """Micro-dollars an hour, of all its nodes; None where there is no price."""
    if place.service == "function":
        return _function_hour(place, catalogue)
    if place.service == "container":
        return _container_hour(place, catalogue)
    price = catalogue.machine_price(place.service, place.instance_type, place.region, place.market, cloud=place.cloud)
    return None if price is None else Fraction(price.usd_per_hour) * MICRO * place.nodes


def _function_hour(place: Place, catalogue: Catalogue) -> Fraction | None:
    rate = catalogue.rate("function", "memory", place.region, place.market, cloud=place.cloud)
    if rate is None:
        return None
    memory = Fraction(place.memory_mib, GIB) * Fraction(rate.usd)
    return (memory + _clock_second(place, catalogue)) * MICRO * 3600


def _clock_second(place: Place, catalogue: Catalogue) -> Fraction:
    """Dollars a second of its processors, where they are billed beside memory."""
    rate = catalogue.rate("function", "cpu", place.region, place.market, cloud=place.cloud)
    if rate is None:
        return Fraction(0)
    sizes = catalogue.rules_of(place.cloud)["function"].sizes
    ghz = next((size.ghz for size in sizes if place.memory_mib <= size.most_mib), None)
    return Fraction(0) if ghz is None else Fraction(str(ghz)) * Fraction(rate.usd)


def _container_hour(place: Place, catalogue: Catalogue) -> Fraction | None:
    cpu = catalogue.rate("container", "vcpus", place.region, place.market, cloud=place.cloud)
    memory = catalogue.rate("container", "memory", place.region, place.market, cloud=place.cloud)
    if cpu is None or memory is None:
        return None
    hour = Fraction(str(place.vcpus)) * Fraction(cpu.usd) + Fraction(place.memory_mib, GIB) * Fraction(memory.usd)
    return hour * MICRO


def billed_ms(rule: Rule, startup_ms: float, duration_ms: float) -> int:
    """What is charged of a delivery's time."""
    exact = Fraction(str(duration_ms)) + (Fraction(str(startup_ms)) if rule.bills_startup else 0)
    begun = -(-exact // rule.increment_ms) * rule.increment_ms
    return max(rule.minimum_ms, int(begun))


def cost(place: Place, startup_ms: float, duration_ms: float, catalogue: Catalogue) -> Fraction | None:
    """Micro-dollars of one delivery that began to start and ended after these times; None where there is no price."""
    rule, hour = catalogue.rules_of(place.cloud).get(place.service), hourly(place, catalogue)
    if rule is None or hour is None:
        return None
    request = Fraction(0)
    if place.service == "function":
        rate = catalogue.rate("function", "requests", place.region, "on-demand", cloud=place.cloud)
        request = Fraction(0) if rate is None else Fraction(rate.usd)  # of a million: micro-dollars of one
    return hour * billed_ms(rule, startup_ms, duration_ms) / HOUR_MS + request


def whole_micro(amount: Fraction) -> int:
    """Rounded half up, for what is shown."""
    return int((amount * 2 + 1) // 2)


def typical_startup_ms(service: ServiceClass, catalogue: Catalogue) -> int:
    return sum(catalogue.rules[service].startup_ms) // 2


def offer_of(place: Place, backend: str, catalogue: Catalogue) -> Offer:
    rule, price = catalogue.rules_of(place.cloud)[place.service], hourly(place, catalogue)
    return Offer(
        backend=backend,
        instance_type=place.instance_type,
        vcpus=place.vcpus,
        memory_mib=place.memory_mib,
        gpu=place.gpu,
        gpu_count=place.gpus,
        market=place.market,
        region=place.region,
        price_usd_micro_per_hour=0 if price is None else whole_micro(price),
        startup_ms=typical_startup_ms(place.service, catalogue),
        service=place.service,
        longest_ms=rule.longest_ms,
    )
