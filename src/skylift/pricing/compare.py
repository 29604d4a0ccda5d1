"""What the work of a run would have cost on other clouds: for each step the cheapest place there that has room for it.

Each attempt counts once, as long as its code ran, with the usual start-up of the place where that is billed. A place
has room if it has the memory that was used at most and the processors that were busy on average. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

import msgspec

from skylift.ports.compute import Requirements, ServiceClass
from skylift.pricing.catalogue import Catalogue
from skylift.pricing.charge import Price, prices_of
from skylift.pricing.deliveries import Delivery
from skylift.pricing.ledger import by_attempt
from skylift.pricing.places import SERVICE_NAMES, Place, cost, places

CLASSES: tuple[ServiceClass, ...] = ("function", "container", "batch")
LEAST_CLOCKED_MS = 100
"""Less time than that does not tell how many processors were busy: what was asked for counts."""
LEAST_CPUS = 0.05
"""What is hardly busy still needs a little of a processor."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """A step on a cloud."""

    place: Place | None = None
    cost: Fraction | None = None
    """Micro-dollars, exact."""
    why: str = ""
    """There is none."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A step."""

    step: str
    attempts: int
    run_ms: float
    needs: Requirements
    cells: dict[str, Cell]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    regions: dict[str, str]
    """By cloud, in the order in which they were asked for."""
    rows: tuple[Row, ...]
    prices: tuple[Price, ...]
    """Rows that the costs are made of."""
    notes: tuple[str, ...]

    def total(self, cloud: str) -> Fraction:
        """Of the steps that have a cost there."""
        return sum((row.cells[cloud].cost or Fraction(0) for row in self.rows), Fraction(0))

    def missing(self, cloud: str) -> int:
        """Steps that have none."""
        return sum(row.cells[cloud].cost is None for row in self.rows)


class _Step(msgspec.Struct, kw_only=True):
    """What its attempts used."""

    name: str
    attempts: int = 0
    unmeasured: int = 0
    lengths_ms: list[float] = []
    peak_mib: float = 0.0
    cpu_ms: float = 0.0
    """Of `clocked_ms`: of what had its processor time measured."""
    clocked_ms: float = 0.0
    used_gpu: bool = False
    nodes: int = 1


def compare(
    given: Sequence[Delivery],
    asked: Mapping[str, Requirements],
    catalogue: Catalogue,
    regions: Mapping[str, str],
) -> Comparison:
    """`asked` is what tasks asked for, by step; `regions` names one for each cloud."""
    steps = _steps(given)
    rows = [
        Row(
            step=step.name,
            attempts=step.attempts,
            run_ms=sum(step.lengths_ms),
            needs=_needs(step, asked.get(step.name, Requirements())),
            cells={
                cloud: _cell(step, asked.get(step.name, Requirements()), catalogue, cloud, region)
                for cloud, region in regions.items()
            },
        )
        for step in steps
    ]
    chosen = [place for row in rows for cell in row.cells.values() if (place := cell.place) is not None]
    used = dict.fromkeys(price for place in chosen for price in prices_of(place, catalogue))
    notes = tuple(_notes(steps, catalogue, regions))
    return Comparison(regions=dict(regions), rows=tuple(rows), prices=tuple(used), notes=notes)


def _steps(given: Sequence[Delivery]) -> list[_Step]:
    found: dict[str, _Step] = {}
    for attempt in by_attempt(given):
        step = found.setdefault(attempt[-1].step, _Step(name=attempt[-1].step, lengths_ms=[]))
        step.attempts += 1
        _measure(step, attempt)
    return list(found.values())


def _measure(step: _Step, attempt: Sequence[Delivery]) -> None:
    """Work that a checkpoint had kept was done before the last delivery, and would be done there too."""
    usages = [delivery.usage for delivery in attempt if delivery.usage is not None]
    if not usages or usages[-1].duration_ms is None:
        step.unmeasured += 1
        return
    kept = max((usage.saved_ms or 0.0 for usage in usages[:-1]), default=0.0)
    step.lengths_ms.append(usages[-1].duration_ms + kept)
    step.nodes = max(step.nodes, usages[-1].nodes)
    for usage in usages:
        step.peak_mib = max(step.peak_mib, usage.peak_memory_mib or 0.0)
        step.used_gpu = step.used_gpu or bool(usage.gpu_ms)
        if usage.cpu_ms is not None and usage.duration_ms:
            step.cpu_ms += usage.cpu_ms
            step.clocked_ms += usage.duration_ms


def _needs(step: _Step, asked: Requirements) -> Requirements:
    memory = max(asked.memory_mib or 0, int(-(-step.peak_mib // 1)))
    clocked = step.clocked_ms >= LEAST_CLOCKED_MS
    return Requirements(
        cpus=max(LEAST_CPUS, round(step.cpu_ms / step.clocked_ms, 2)) if clocked else asked.cpus,
        memory_mib=memory or None,
        gpu=asked.gpu,
        timeout_ms=round(max(step.lengths_ms, default=0.0)) or None,
        nodes=step.nodes,
    )


def _cell(step: _Step, asked: Requirements, catalogue: Catalogue, cloud: str, region: str) -> Cell:
    needs = _needs(step, asked)
    if not step.lengths_ms:
        return Cell(why="not measured")
    if step.used_gpu and needs.gpu is None:
        return Cell(why="used a GPU whose kind is not known")
    fitting = [place for service in CLASSES for place in _fitting(service, needs, catalogue, cloud, region)]
    priced = [(amount, place) for place in fitting if (amount := _cost(step, place, catalogue)) is not None]
    if not priced:
        return Cell(why="no place with a price that has room")
    amount, place = min(priced, key=lambda one: (one[0], one[1].instance_type))
    return Cell(place=place, cost=amount)


def _fitting(
    service: ServiceClass, needs: Requirements, catalogue: Catalogue, cloud: str, region: str
) -> Iterator[Place]:
    """Where processors come with memory, so much of it that those that were busy come too."""
    rule = catalogue.rules_of(cloud).get(service)
    if rule is None:
        return
    if rule.mib_per_vcpu is not None:
        memory = max(needs.memory_mib or 0, int(-(-needs.cpus * rule.mib_per_vcpu // 1)))
        needs = msgspec.structs.replace(needs, memory_mib=memory)
    yield from places(needs, catalogue=catalogue, region=region, services=(service,), cloud=cloud)


def _cost(step: _Step, place: Place, catalogue: Catalogue) -> Fraction | None:
    startup = sum(catalogue.rules_of(place.cloud)[place.service].startup_ms) // 2
    amounts = [cost(place, startup, length, catalogue) for length in step.lengths_ms]
    return sum((amount for amount in amounts if amount is not None), Fraction(0)) if None not in amounts else None


def _notes(steps: Sequence[_Step], catalogue: Catalogue, regions: Mapping[str, str]) -> Iterator[str]:
    for cloud, region in regions.items():
        for service in ("function", "container"):
            name = SERVICE_NAMES.get((cloud, service))
            if name is None:
                yield f"{cloud}: no {service} service in the catalogue: not compared"
            elif catalogue.rate(service, "memory", region, "on-demand", cloud=cloud) is None:
                yield f"{cloud}: no price of {name} in {region}: not compared"
    unmeasured = sum(step.unmeasured for step in steps)
    if unmeasured:
        yield f"attempts that were not measured, in no amount: {unmeasured}"
    unknown = [step.name for step in steps if step.lengths_ms and not step.peak_mib]
    if unknown:
        yield f"memory not measured, taken to be what was asked for or the least: {', '.join(unknown)}"
    yield "processors are taken to be as fast as those it ran on; no free tier, transfer, storage or orchestrator in it"
