"""Why a place is out for a step, in words."""

from __future__ import annotations

import msgspec

from skylift.placement.spread import Spread
from skylift.pricing.catalogue import Catalogue
from skylift.pricing.places import Place

SURE = 0.95
"""With which probability a step must keep a limit that ends it: a function that is cut off has cost for nothing."""
SHORT = 0.5
"""A place on which more than that run out of memory is too small."""
FUNCTIONS, CONTAINERS, MACHINES, GPUS = "functions", "processors of containers", "processors of machines", "GPUs"


class Quotas(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a backend one account has at once; None where nobody says."""

    functions: int | None = None
    container_vcpus: float | None = None
    machine_vcpus: float | None = None
    gpus: int | None = None

    def slots(self, place: Place) -> int | None:
        """How many such places there may be at once; None for as many as are wanted."""
        if place.service == "function":
            return self.functions
        if place.service == "container":
            return _fit(self.container_vcpus, place.vcpus)
        by_cpus = _fit(self.machine_vcpus, place.vcpus * place.nodes)
        by_gpus = _fit(self.gpus, place.gpus * place.nodes) if place.gpus else None
        known = [limit for limit in (by_cpus, by_gpus) if limit is not None]
        return min(known, default=None)

    def takes(self, place: Place) -> dict[str, float]:
        """Of the limits that somebody says, what one such place takes, as the simulated cloud counts it."""
        if place.service == "function":
            wants: dict[str, float] = {FUNCTIONS: 1.0}
        elif place.service == "container":
            wants = {CONTAINERS: place.vcpus}
        else:
            wants = {f"{MACHINES}, {place.market}": place.vcpus * place.nodes, GPUS: float(place.gpus * place.nodes)}
        return {name: amount for name, amount in wants.items() if amount and name in self.most}

    @property
    def most(self) -> dict[str, float]:
        """By name."""
        found = {
            FUNCTIONS: self.functions,
            CONTAINERS: self.container_vcpus,
            f"{MACHINES}, on-demand": self.machine_vcpus,
            f"{MACHINES}, spot": self.machine_vcpus,
            GPUS: self.gpus,
        }
        return {name: float(most) for name, most in found.items() if most is not None}


def _fit(most: float | None, each: float) -> int | None:
    return None if most is None or not each else int((most + 1e-6) // each)


def why_not(
    place: Place, run: Spread, memory_mib: Spread | None, timeout_ms: int | None, quotas: Quotas, catalogue: Catalogue
) -> str | None:
    """None where it will do."""
    rule = catalogue.rules_of(place.cloud)[place.service]
    late = run.quantile(SURE)
    if rule.longest_ms is not None and late > rule.longest_ms:
        most, takes = rule.longest_ms / 60_000, late / 60_000
        return f"a {place.service} of {place.cloud} is ended after {most:g} min, and it may take {takes:.1f} min"
    if timeout_ms is not None and run.median > timeout_ms:
        return f"it would take {run.median / 1000:.1f} s there, and its timeout is {timeout_ms / 1000:g} s"
    if memory_mib is not None and memory_mib.above(place.memory_mib) > SHORT:
        return f"it needs some {memory_mib.median:.0f} MiB, and that has {place.memory_mib} MiB"
    if quotas.slots(place) == 0:
        return f"the quotas do not allow one {place.instance_type} with {place.vcpus:g} processors"
    return None


def unreal(place: Place, catalogue: Catalogue) -> str | None:
    """Why there is no such place in the catalogue; None for one that there is."""
    rule = catalogue.rules_of(place.cloud).get(place.service)
    if rule is None:
        return f"{place.cloud} has no {place.service} service"
    if place.service in ("function", "container"):
        share = None if rule.mib_per_vcpu is None else place.memory_mib / rule.mib_per_vcpu
        sizes = [
            size
            for size in rule.sizes
            if (place.vcpus == size.vcpus if share is None else abs(place.vcpus - share) < 0.001)
        ]
        if any(size.least_mib <= place.memory_mib <= size.most_mib for size in sizes):
            return None
        return f"a {place.service} of {place.cloud} cannot have {place.vcpus:g} vCPU with {place.memory_mib} MiB"
    machine = catalogue.machine(place.instance_type, place.cloud)
    if machine is None:
        near = catalogue.nearest_type(place.instance_type, place.cloud)
        return f"{place.cloud} has no {place.instance_type}" + (f"; did you mean {near[0]}?" if near else "")
    has = (machine.vcpus, machine.memory_mib, machine.gpus)
    if has != (place.vcpus, place.memory_mib, place.gpus):
        return f"a {machine.name} has {has[0]:g} vCPU, {has[1]} MiB and {has[2]} GPUs"
    return None
