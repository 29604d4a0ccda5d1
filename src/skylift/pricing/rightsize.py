"""What size and class of compute the steps of a run should have had, from what their attempts used.

Nothing is guessed: where something was not measured or has no price, the advice says so and leaves it as it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import msgspec

from skylift.asl.events import Usage
from skylift.ports.compute import Market, Requirements, ServiceClass
from skylift.pricing.bill import by_attempt, cost_of, is_own
from skylift.pricing.catalogue import DEFAULT_REGION, Catalogue
from skylift.pricing.deliveries import Delivery
from skylift.pricing.places import Place, cost, places, typical_startup_ms

HEADROOM = 1.3
"""Memory above the highest that was seen."""
STEP_MIB = 64
AFTER_TOO_LITTLE = 2
"""What an attempt is given when it has run out of memory, as many times what it had."""
FEW = 5
"""Fewer attempts than that say little of the worst case."""
TOLD_MS = 500
"""Processor time is counted in steps of a few milliseconds: of less than a hundred of them it says nothing."""
TIME_MARGIN = 2
"""How far the longest attempt must stay below the limit of functions."""
IDLE_GPU = 0.05
CLASSES: tuple[ServiceClass, ...] = ("function", "container", "batch")


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Of a step's deliveries. None is not measured."""

    attempts: int
    deliveries: int
    out_of_memory: int
    peak_mib: float | None
    median_mib: float | None
    vcpus: float | None
    """Processors in use while an attempt ran: the highest of the averages of attempts."""
    longest_ms: float | None
    gpu_share: float | None
    """How much of its time a GPU was busy."""


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """For one step."""

    step: str
    asked: Requirements
    measured: Measured
    memory_mib: int | None
    """What it should ask for; None where nobody knows."""
    cpus: float | None
    gpu: str | None
    place: Place | None
    """The cheapest that has this, at the durations that were recorded; None where that is not known."""
    cost: Fraction | None
    """Of what was recorded, in micro-dollars; None if a part of it has no price."""
    advised_cost: Fraction | None
    why: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def saving(self) -> Fraction | None:
        """None where one of the two costs is not known."""
        return None if self.cost is None or self.advised_cost is None else self.cost - self.advised_cost


def rightsize(given: Sequence[Delivery], asked: Mapping[str, Requirements], catalogue: Catalogue) -> list[Advice]:
    """One advice a step, in the order in which steps first ended. `asked` is what each step's task asks for."""
    steps: dict[str, list[Delivery]] = {}
    for delivery in given:
        steps.setdefault(delivery.step, []).append(delivery)
    return [_advise(step, found, asked.get(step, Requirements()), catalogue) for step, found in steps.items()]


def _advise(step: str, found: Sequence[Delivery], asked: Requirements, catalogue: Catalogue) -> Advice:
    measured, notes = measure(found), _Notes()
    memory = _memory(found, measured, asked, notes)
    cpus = _cpus(measured, asked, notes)
    gpu = _gpu(measured, asked, notes)
    now = _recorded_cost(found, catalogue, notes)
    best: tuple[Fraction | None, Place] | None = None
    if memory is not None and cpus is not None and measured.longest_ms is not None:
        best = _cheapest(found, measured, asked, (memory, cpus, gpu), catalogue, notes)
    if best is not None and best[0] is not None and now is not None and best[0] >= now:
        notes.why.append("no class of compute with a price is cheaper for it than where it ran")
    return Advice(
        step=step,
        asked=asked,
        measured=measured,
        memory_mib=memory,
        cpus=cpus,
        gpu=gpu,
        place=None if best is None else best[1],
        cost=now,
        advised_cost=None if best is None else best[0],
        why=tuple(notes.why),
        unknown=tuple(notes.unknown),
    )


class _Notes:
    def __init__(self) -> None:
        self.why: list[str] = []
        self.unknown: list[str] = []


def measure(found: Sequence[Delivery]) -> Measured:
    usages = [delivery.usage for delivery in found if delivery.usage is not None]
    peaks = sorted(usage.peak_memory_mib for usage in usages if usage.peak_memory_mib is not None)
    durations = [usage.duration_ms for usage in usages if usage.duration_ms is not None]
    return Measured(
        attempts=len(by_attempt(found)),
        deliveries=len(found),
        out_of_memory=sum(delivery.ended == "out-of-memory" for delivery in found),
        peak_mib=peaks[-1] if peaks else None,
        median_mib=peaks[len(peaks) // 2] if peaks else None,
        vcpus=max((share for usage in usages if (share := _share(usage.cpu_ms, usage)) is not None), default=None),
        longest_ms=max(durations, default=None),
        gpu_share=max((share for usage in usages if (share := _share(usage.gpu_ms, usage)) is not None), default=None),
    )


def _share(busy_ms: float | None, usage: Usage) -> float | None:
    return None if busy_ms is None or not usage.duration_ms else busy_ms / usage.duration_ms


def _memory(found: Sequence[Delivery], measured: Measured, asked: Requirements, notes: _Notes) -> int | None:
    """Above the highest peak, and never below what an attempt was given after it had run out of memory."""
    given = max((delivery.memory_mib or 0 for delivery in found), default=0)
    if measured.peak_mib is None:
        notes.unknown.append("peak memory was not recorded: memory stays as it is")
        return given or asked.memory_mib
    wanted = max(1, math.ceil(measured.peak_mib * HEADROOM / STEP_MIB)) * STEP_MIB
    text = (
        f"highest peak of {measured.deliveries} deliveries {measured.peak_mib:.0f} MiB, with 30 % above: {wanted} MiB"
    )
    notes.why.append(text)
    if measured.out_of_memory:
        notes.why.append(f"ran out of memory {measured.out_of_memory} times, and was given up to {given} MiB")
    if measured.attempts < FEW:
        notes.unknown.append(f"only {measured.attempts} attempts were measured: others may need more memory")
    all_short = [d.usage.memory_mib or 0 for d in found if d.ended == "out-of-memory" and d.usage is not None]
    short = max(all_short, default=0)
    if short and given <= short:
        notes.unknown.append(f"it ran out of {short} MiB too, and never had more: how much it needs is not known")
        return max(wanted, AFTER_TOO_LITTLE * short)
    return max(wanted, given if given and short >= wanted else 0)


def _cpus(measured: Measured, asked: Requirements, notes: _Notes) -> float | None:
    if measured.vcpus is None:
        notes.unknown.append(f"processor time was not recorded: cpus stays {asked.cpus:g}")
        return asked.cpus
    wanted = max(0.25, math.ceil(measured.vcpus * 4 - 0.05) / 4)
    if wanted < asked.cpus:
        notes.why.append(f"{measured.vcpus:.2f} of {asked.cpus:g} processors were in use: {wanted:g} are enough")
        return wanted
    if measured.vcpus > asked.cpus and (measured.longest_ms or 0.0) < TOLD_MS:
        notes.unknown.append(
            f"no attempt took {TOLD_MS} ms, which tells nothing of processors: cpus stays {asked.cpus:g}"
        )
        return asked.cpus
    notes.why.append(f"{measured.vcpus:.2f} processors were in use")
    return asked.cpus if measured.vcpus <= asked.cpus else wanted


def _gpu(measured: Measured, asked: Requirements, notes: _Notes) -> str | None:
    if asked.gpu is None:
        return None
    if measured.gpu_share is None:
        notes.unknown.append(f"use of the GPU was not recorded: gpu stays {asked.gpu}")
        return asked.gpu
    if measured.gpu_share >= IDLE_GPU:
        notes.why.append(f"the GPU was busy {measured.gpu_share:.0%} of the time")
        return asked.gpu
    notes.why.append(f"the GPU was busy {measured.gpu_share:.1%} of the time: the step does not use it")
    return None


def _recorded_cost(found: Sequence[Delivery], catalogue: Catalogue, notes: _Notes) -> Fraction | None:
    total = Fraction(0)
    for delivery in found:
        usage = delivery.usage
        if usage is None:
            notes.unknown.append("a delivery left no usage: what it cost is not known")
            return None
        if is_own(usage):
            notes.unknown.append("it ran on a machine of your own, for which there is no price: no saving to be told")
            return None
        exact = cost_of(usage, catalogue)
        if exact is None:
            where = f"{usage.service} {usage.instance_type} ({usage.market}) in {usage.region}"
            notes.unknown.append(f"no price of {where}: what it cost is not known")
            return None
        total += exact
    return total


def _cheapest(
    found: Sequence[Delivery],
    measured: Measured,
    asked: Requirements,
    size: tuple[int, float, str | None],
    catalogue: Catalogue,
    notes: _Notes,
) -> tuple[Fraction | None, Place] | None:
    """What the recorded work costs there; None where it was never done to its end."""
    region = next((d.usage.region for d in found if d.usage is not None and d.usage.region), None)
    if region is None:
        notes.unknown.append(f"no region was recorded: prices are those of {DEFAULT_REGION}")
    market: Market = "spot" if asked.spot else "on-demand"
    options = [
        (_cost_there(found, place, catalogue), place)
        for service in _classes(measured, catalogue, notes)
        for place in _fitting(service, asked, size, region or DEFAULT_REGION, market, catalogue)
    ]
    if not options:
        notes.unknown.append("nothing with a price has what it needs")
        return None
    best = min(options, key=lambda option: (option[0], option[1].service, option[1].instance_type))
    notes.why.append(f"cheapest with that: {described(best[1])}")
    unfinished = sum(all(d.ended == "out-of-memory" for d in attempt) for attempt in by_attempt(found))
    if unfinished:
        notes.unknown.append(f"{unfinished} attempts ended without memory: what their work takes is not known")
        return None, best[1]
    return best


def _classes(measured: Measured, catalogue: Catalogue, notes: _Notes) -> list[ServiceClass]:
    """Without those whose time limit comes too near."""
    classes: list[ServiceClass] = []
    for service in CLASSES:
        limit = catalogue.rules[service].longest_ms
        longest = measured.longest_ms or 0.0
        if limit is not None and longest * TIME_MARGIN > limit:
            minutes, most = longest / 60_000, limit / 60_000
            notes.why.append(f"took up to {minutes:.1f} min: too near to the {most:g} min that a {service} may take")
        else:
            classes.append(service)
    return classes


def _fitting(
    service: ServiceClass,
    asked: Requirements,
    size: tuple[int, float, str | None],
    region: str,
    market: Market,
    catalogue: Catalogue,
) -> list[Place]:
    memory, cpus, gpu = size
    share = catalogue.rules[service].mib_per_vcpu
    if share is not None:  # processors come with memory
        memory = max(memory, math.ceil(cpus * share))
    needs = Requirements(cpus=cpus, memory_mib=memory, gpu=gpu, image=asked.image, nodes=asked.nodes)
    markets: list[Market] = ["on-demand"] if market == "on-demand" else ["spot", "on-demand"]
    return [
        place
        for one in markets
        for place in places(needs, catalogue=catalogue, region=region, services=(service,), market=one)
    ]


def _cost_there(found: Sequence[Delivery], place: Place, catalogue: Catalogue) -> Fraction:
    """The same work on that place. What ran out of memory would not have; what was taken away would again on spot
    machines, and not on others."""
    startup = typical_startup_ms(place.service, catalogue)
    total = Fraction(0)
    for attempt in by_attempt(found):
        lasting = [d for d in attempt if d.ended != "out-of-memory"]
        if place.market != "spot":
            kept = max((d.usage.saved_ms or 0.0 for d in lasting[:-1] if d.usage is not None), default=0.0)
            durations = [_duration(lasting[-1]) + kept] if lasting else []
        else:
            durations = [_duration(d) for d in lasting]
        for duration in durations:
            total += cost(place, startup, duration, catalogue) or Fraction(0)
    return total


def _duration(delivery: Delivery) -> float:
    return (delivery.usage.duration_ms or 0.0) if delivery.usage is not None else 0.0


def described(place: Place) -> str:
    gpu = f", {place.gpus} x {place.gpu}" if place.gpus else ""
    nodes = f"{place.nodes} x " if place.nodes > 1 else ""
    memory = f"{place.memory_mib} MiB" if place.memory_mib < 10_240 else f"{place.memory_mib / 1024:g} GiB"
    return (
        f"{place.service}, {nodes}{place.instance_type} with {place.vcpus:g} vCPU, {memory}{gpu}, "
        f"{place.market} in {place.region}"
    )
