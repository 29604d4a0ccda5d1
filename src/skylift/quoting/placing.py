"""Where a step of a run goes, and one attempt of it there; or why that is not known."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import msgspec

from skylift.engine.no_offer import needs as needs_in_words
from skylift.engine.placing import placed
from skylift.placement.attempt import Bid, Surroundings, bid, bid_at
from skylift.placement.spread import Spread
from skylift.placement.work import work_on
from skylift.ports.compute import Offer, Requirements, ServiceClass
from skylift.ports.tasks import TaskSpec
from skylift.pricing.catalogue import Rule
from skylift.pricing.places import Place
from skylift.quoting.markets import checkpoint_of, market_of, quotas_of
from skylift.quoting.measured import Evidence, asked_memory, evidence
from skylift.quoting.prepare import Project
from skylift.quoting.walk import Kind

SIMULATED = "simulated"
OWN = "process"


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """A step, and one attempt of it where it goes; or why that is not known."""

    backend: str | None
    place: Place | None = None
    bid: Bid | None = None
    slots: int | None = None
    why: str = ""
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """About the step, without its name."""

    @property
    def is_spot(self) -> bool:
        return self.place is not None and self.place.market == "spot"


def placed_now(step: str, kind: Kind, spec: TaskSpec | None, project: Project, attributes: Mapping[str, str]) -> Placed:
    """By the attributes that its run would be started with, the settings and what the task says."""
    if spec is None or (kind.callback and not spec.target):
        return elsewhere(step, kind, project)
    backend = placed(spec, attributes, project.config.placement) or OWN
    if backend.startswith("activity:"):
        return Placed(backend=backend, unknown=(f"{step}: what the workers of {backend} cost and take is not known",))
    plays = backend == SIMULATED
    known = evidence(step, kind, spec.requirements, project.answers, project.history, project.catalogue, plays=plays)
    offers = project.offers(backend, spec.requirements)
    if not offers:
        none = f"{step}: {backend} has nothing with {needs_in_words(spec.requirements)}"
        return Placed(backend=backend, unknown=(none,))
    return at_offer(step, backend, offers[0], spec.requirements, known, project)


def elsewhere(step: str, kind: Kind, project: Project) -> Placed:
    """A person, a service or an activity: what it takes is not ours to tell."""
    ms = project.answers.work_ms.get(step)
    what = kind.resource.rpartition(":::")[2] or kind.resource
    if ms is None:
        return Placed(backend=None, unknown=(f'{step}: how long {what} takes is not known: --work "{step}=10m"',))
    place = Place(service="process", instance_type=what, vcpus=0, memory_mib=0, region="local")
    return Placed(
        backend=None,
        place=place,
        bid=bid_at(place, Fraction(0), _own_rule("process", 0), Fraction(0), Spread(median=float(ms)), Surroundings()),
        why="as you say",
        notes=(f"what {what} itself is billed is not in these amounts",),
    )


def at_offer(
    step: str,
    backend: str,
    offer: Offer,
    needs: Requirements,
    known: Evidence,
    project: Project,
    cloud: str = "aws",
) -> Placed:
    """One attempt on an offer of a backend."""
    place = place_of_offer(offer, needs, cloud)
    run = work_on(known.work, place)
    if isinstance(run, str):
        ask = known.work.why if not known.work.known else f'{step}: {run}: --work "{step}=10m"'
        return Placed(backend=backend, place=place, unknown=(ask if step in ask else f"{step}: {ask}",))
    around = around_of(backend, needs, known, project)
    if place.region == "local":
        hour = Fraction(offer.price_usd_micro_per_hour)
        rule = _own_rule(offer.service, offer.startup_ms)
        found = bid_at(place, hour, rule, Fraction(0), run, msgspec.structs.replace(around, memory_mib=None))
    else:
        found = bid(place, run, around, project.catalogue)
    if found is None:
        return Placed(backend=backend, place=place, unknown=(f"{step}: no price of {described(place)}",))
    return Placed(
        backend=backend,
        place=place,
        bid=found,
        slots=slots_of(backend, place, needs, project),
        why=known.work.why,
        notes=known.notes,
    )


def place_of_offer(offer: Offer, needs: Requirements, cloud: str) -> Place:
    return Place(
        service=offer.service,
        instance_type=offer.instance_type,
        vcpus=offer.vcpus,
        memory_mib=offer.memory_mib,
        region=offer.region,
        market=offer.market,
        gpu=offer.gpu,
        gpus=offer.gpu_count,
        nodes=needs.nodes,
        cloud=cloud,
    )


def around_of(backend: str, needs: Requirements, known: Evidence, project: Project) -> Surroundings:
    plays = backend == SIMULATED
    settings = project.config.backends.simulated
    return Surroundings(
        memory_mib=asked_memory(needs, known.memory_mib)[1],
        failed=known.failed,
        repeats=known.repeats if known.failed else None,
        in_bytes=known.in_bytes,
        checkpoint_ms=checkpoint_of(settings) if plays and needs.work_ms is not None else None,
        market=market_of(settings, project.folder) if plays and needs.spot else None,
        deadline_ms=float(needs.deadline_ms) if plays and needs.spot and needs.deadline_ms and needs.work_ms else None,
    )


def slots_of(backend: str, place: Place, needs: Requirements, project: Project) -> int | None:
    """How many run at once there."""
    limits = [] if needs.concurrency is None else [needs.concurrency]
    if backend == SIMULATED:
        quota = quotas_of(project.config.backends.simulated).slots(place)
        limits += [] if quota is None else [quota]
    elif place.region == "local" and needs.cpus > 0 and place.vcpus:
        limits.append(max(1, int(place.vcpus / needs.cpus)))
    return min(limits, default=None)


def _own_rule(service: ServiceClass, startup_ms: int) -> Rule:
    """Nothing is rounded up where nobody sends a bill."""
    return Rule(
        service=service,
        startup_ms=(startup_ms, startup_ms),
        increment_ms=1,
        minimum_ms=0,
        bills_startup=True,
        as_of="",
        source="",
    )


def described(place: Place) -> str:
    """In words."""
    if place.region == "local":
        return "this machine, free"
    gpu = f", {place.gpus} x {place.gpu}" if place.gpus else ""
    nodes = f"{place.nodes} x " if place.nodes > 1 else ""
    memory = f"{place.memory_mib} MiB" if place.memory_mib < 10_240 else f"{place.memory_mib / 1024:g} GiB"
    size = f"{place.vcpus:g} vCPU, {memory}{gpu}"
    cloud = "" if place.cloud == "aws" else f"{place.cloud} "
    return f"{nodes}{place.instance_type} ({size}), {place.market} in {cloud}{place.region}"
