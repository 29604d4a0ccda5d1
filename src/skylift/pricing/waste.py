"""What a machine that is always there costs while nobody uses it, and what the same work would cost as steps that come
and go beside a small machine that stays. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import msgspec

from skylift.errors import SetupError
from skylift.pricing.catalogue import Catalogue
from skylift.pricing.charge import Price, prices_of
from skylift.pricing.find import Query
from skylift.pricing.places import HOUR_MS, Place, cost, hourly
from skylift.pricing.use_log import UseLog

SMALL_VCPUS, SMALL_MIB = 2.0, 4096
"""What a machine for an editor and a shell has at least, where none is named."""


class WasteInvalid(SetupError):
    """A machine whose waste cannot be told: unknown, or without a price."""

    code = "WASTE"


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A time in which the machine was used, short pauses included."""

    begin_ms: int
    end_ms: int
    cost: Fraction
    """As a step on a machine of the same type."""
    gaps_ms: int = 0
    """Of it, times of which the log tells nothing: as they are not paid for as it is, no step is charged for them."""

    @property
    def length_ms(self) -> int:
        return self.end_ms - self.begin_ms - self.gaps_ms


class Waste(msgspec.Struct, frozen=True, kw_only=True):
    """Amounts in micro-dollars, exact."""

    type: str
    region: str
    cloud: str
    small: str
    hour: Fraction
    small_hour: Fraction
    prices: tuple[Price, ...]
    covered_ms: int
    busy_ms: int
    idle_ms: int
    paid: Fraction
    idle: Fraction
    steps: Fraction
    small_cost: Fraction
    startup_ms: int
    """Of a step."""
    stretches: tuple[Stretch, ...]
    peak_memory_mib: float | None = None
    mean_cpu: float = 0.0
    mean_gpu: float | None = None

    @property
    def ephemeral(self) -> Fraction:
        return self.steps + self.small_cost

    @property
    def saved(self) -> Fraction:
        """Less than nothing where steps would be dearer."""
        return self.paid - self.ephemeral


FORMULAS = {
    "paid": "price of the machine x time that the log tells of",
    "idle": "price of the machine x time in which processors and GPUs were used no more than the threshold",
    "steps": "for each stretch of use: price of the machine x (usual start-up + stretch without gaps of the log), in"
    " the increments and with the minimum of its billing",
    "small machine": "price of the small machine x time that the log tells of",
}


def machine(type: str, region: str, catalogue: Catalogue, cloud: str = "aws") -> Place:
    """It must be known and have an on-demand price there. Raises WasteInvalid, which names the nearest."""
    known = catalogue.machine(type, cloud)
    if known is None:
        near = catalogue.nearest_type(type, cloud)[:3]
        hint = f"did you mean {', '.join(near)}?" if near else f"see: skylift prices find --cloud {cloud}"
        raise WasteInvalid(f"the catalogue knows no machine {type!r} of {cloud}", hint=hint)
    place = Place(
        service="batch",
        instance_type=known.name,
        vcpus=known.vcpus,
        memory_mib=known.memory_mib,
        region=region,
        gpu=known.gpu,
        gpus=known.gpus,
        cloud=cloud,
    )
    if hourly(place, catalogue) is None:
        there = sorted({one.region for one in catalogue.find(Query(type=known.name, cloud=cloud)) if one.on_demand})
        hint = f"it has one in {', '.join(there[:5])}" if there else "it has an on-demand price nowhere"
        raise WasteInvalid(f"no price: {known.name} on demand in {region}", hint=hint)
    return place


def small_machine(beside: Place, catalogue: Catalogue) -> Place:
    """The cheapest one for an editor and a shell that runs the same programs. Raises WasteInvalid where the cloud has
    none there."""
    region, cloud = beside.region, beside.cloud
    known = catalogue.machine(beside.instance_type, cloud)
    architecture = "x86_64" if known is None else known.architecture
    query = Query(cloud=cloud, region=region, vcpus=SMALL_VCPUS, memory_mib=SMALL_MIB)
    for found in catalogue.find(query):
        fitting, priced = found.machine, found.on_demand is not None
        if priced and not fitting.gpus and fitting.architecture == architecture:
            return machine(fitting.name, region, catalogue, cloud)
    raise WasteInvalid(
        f"no price: {cloud} has no small machine without a GPU in {region}", hint="name one that stays with --small"
    )


def waste(
    log: UseLog, place: Place, small: Place, catalogue: Catalogue, *, threshold: float = 5.0, join_ms: int = 600_000
) -> Waste:
    """Use of processors or of a GPU above `threshold` percent is use; pauses up to `join_ms` belong to it."""
    hour, small_hour = hourly(place, catalogue), hourly(small, catalogue)
    assert hour is not None and small_hour is not None  # see `machine`
    startup_ms = sum(catalogue.rules_of(place.cloud)["batch"].startup_ms) // 2
    busy = [sample.cpu > threshold or (sample.gpu or 0.0) > threshold for sample in log.samples]
    busy_ms = sum(length for length, is_busy in zip(log.lengths, busy, strict=True) if is_busy)
    covered, idle_ms = log.covered_ms, log.covered_ms - busy_ms
    stretches = tuple(_priced(log, busy, place, startup_ms, join_ms, catalogue))
    gpus = [sample.gpu for sample in log.samples if sample.gpu is not None]
    memory = [sample.memory_mib for sample in log.samples if sample.memory_mib is not None]
    return Waste(
        type=place.instance_type,
        region=place.region,
        cloud=place.cloud,
        small=small.instance_type,
        hour=hour,
        small_hour=small_hour,
        prices=(*prices_of(place, catalogue), *prices_of(small, catalogue)),
        covered_ms=covered,
        busy_ms=busy_ms,
        idle_ms=idle_ms,
        paid=hour * covered / HOUR_MS,
        idle=hour * idle_ms / HOUR_MS,
        steps=sum((stretch.cost for stretch in stretches), Fraction(0)),
        small_cost=small_hour * covered / HOUR_MS,
        startup_ms=startup_ms,
        stretches=stretches,
        peak_memory_mib=max(memory, default=None),
        mean_cpu=sum(sample.cpu for sample in log.samples) / len(log.samples),
        mean_gpu=sum(gpus) / len(gpus) if gpus else None,
    )


def _priced(
    log: UseLog, busy: Sequence[bool], place: Place, startup_ms: int, join_ms: int, catalogue: Catalogue
) -> list[Stretch]:
    found = []
    for begin_ms, end_ms, gaps_ms in _stretches(log, busy, join_ms):
        amount = cost(place, startup_ms, end_ms - begin_ms - gaps_ms, catalogue)
        assert amount is not None  # it has a price an hour
        found.append(Stretch(begin_ms=begin_ms, end_ms=end_ms, cost=amount, gaps_ms=gaps_ms))
    return found


def _stretches(log: UseLog, busy: Sequence[bool], join_ms: int) -> list[tuple[int, int, int]]:
    """Begin and end of times of use, the pauses between them longer than `join_ms`, and how much of each is gaps."""
    found: list[tuple[int, int, int]] = []
    told_ms, gaps_ms = log.samples[0].at_ms - log.lengths[0], 0
    for sample, length, is_busy in zip(log.samples, log.lengths, busy, strict=True):
        begin_ms = sample.at_ms - length
        gaps_ms += begin_ms - told_ms
        told_ms = sample.at_ms
        if not is_busy:
            continue
        if found and begin_ms - found[-1][1] <= join_ms:
            found[-1] = (found[-1][0], sample.at_ms, found[-1][2] + gaps_ms)
        else:
            found.append((begin_ms, sample.at_ms, 0))
        gaps_ms = 0
    return found


def over_time(log: UseLog, found: Waste) -> dict[str, list[tuple[float, float]]]:
    """Dollars spent by then, with the days since the log began: as it is, and with steps beside a small machine."""
    start = log.samples[0].at_ms - log.lengths[0]
    as_is, small, steps = [(0.0, 0.0)], [(0.0, 0.0)], 0.0
    ends = iter(found.stretches)
    stretch = next(ends, None)
    passed = 0
    for sample, length in zip(log.samples, log.lengths, strict=True):
        passed += length
        while stretch is not None and stretch.end_ms <= sample.at_ms:
            steps += float(stretch.cost)
            stretch = next(ends, None)
        day = (sample.at_ms - start) / 86_400_000
        as_is.append((day, float(found.hour) * passed / HOUR_MS / 1e6))
        small.append((day, (float(found.small_hour) * passed / HOUR_MS + steps) / 1e6))
    return {f"{found.type}, always there": as_is, f"steps beside a {found.small}": small}
