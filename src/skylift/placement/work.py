"""How long a step takes on a machine that it was not measured on: the rule of scaling, and what it refuses.

Of a run that took `d` and used `c` of processor time on `v` processors (or a share of one):

    busy     = c / d                      processors in use, on average
    parallel = max(1, busy)               as many as it was seen to use; a single thread uses one
    had      = max(min(v, parallel), busy)
    waiting  = max(0, d - c / had)        time that no processor shortens
    on v':   d' = waiting + c / min(v', parallel)

So more processors than it was seen to use make nothing faster, fewer make the part that computes slower, and on the
same place it takes the same time. Cores are taken to be equally fast: the catalogue has no measure of theirs. What ran
on a GPU says nothing of another model or of a processor; the author may (`@task(work=…)`, `--work STEP=…`).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from skylift.placement.spread import Spread, declared, spread_of
from skylift.pricing.places import Place, gpus_of


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One time that it ran to its end."""

    duration_ms: float
    cpu_ms: float | None = None
    vcpus: float | None = None
    gpu: str | None = None
    """Model, in lower case; `""` for one whose model is not known; None for none."""
    gpus: int = 0
    where: str = ""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of how long a step takes."""

    measured: tuple[Measured, ...] = ()
    declared_ms: float | None = None
    """Wins over what was measured."""
    on_type_ms: dict[str, float] = {}
    """Declared for one type of machine; wins over all."""
    cpus: float = 1.0
    """Processors that `declared_ms` is said for."""
    why: str = ""
    stretches: bool = True
    """Whether a place with fewer processors takes longer: the simulated cloud's do not."""

    @property
    def known(self) -> bool:
        return bool(self.measured or self.on_type_ms) or self.declared_ms is not None


def work_on(work: Work, place: Place) -> Spread | str:
    """In milliseconds there; or why nobody can tell."""
    own = work.on_type_ms.get(place.instance_type)
    if own is not None:
        return declared(own)
    if work.declared_ms is not None:
        share = min(1.0, place.vcpus * place.nodes / work.cpus) if work.cpus > 0 else 1.0
        return declared(work.declared_ms / share if work.stretches and share > 0 else work.declared_ms)
    if not work.measured:
        return "how long it takes is not known"
    scaled = [_scaled(one, place, stretches=work.stretches) for one in work.measured]
    told = [ms for ms in scaled if not isinstance(ms, str)]
    if not told:
        return next(said for said in scaled if isinstance(said, str))
    return spread_of(told)


def _scaled(one: Measured, place: Place, *, stretches: bool) -> float | str:
    model = (place.gpu or "").lower()
    if (one.gpu is None) != (not place.gpus):
        was, would = ("a GPU", "processors alone") if one.gpu is not None else ("processors alone", "a GPU")
        return f"it was measured on {was}, which says nothing of {would}"
    if one.gpu is not None and (one.gpu != model or one.gpus != place.gpus):
        was = f"{one.gpus} x {one.gpu or 'a GPU of unknown model'}"
        return f"it was measured on {was}, which says nothing of {place.gpus} x {place.gpu}"
    if not stretches or not one.duration_ms:
        return one.duration_ms
    if one.cpu_ms is None or one.vcpus is None:
        if one.vcpus is not None and place.vcpus >= one.vcpus:
            return one.duration_ms
        return "its processor time was not recorded, so that a smaller place cannot be told"
    busy = one.cpu_ms / one.duration_ms
    parallel = max(1.0, busy)
    had = max(min(one.vcpus, parallel), busy)
    waiting = max(0.0, one.duration_ms - one.cpu_ms / had) if had else one.duration_ms
    return waiting + one.cpu_ms / min(place.vcpus, parallel)


def gpu_of(wanted: str | None, model: str | None) -> tuple[str | None, int]:
    """Of a sample: what its task asked for, and the model that its machine is known to have."""
    asked, count = gpus_of(wanted)
    if not count:
        return None, 0
    return (model or asked or "").lower(), count


def busiest(measured: Sequence[Measured]) -> float | None:
    """Most processors in use, of the averages of all runs."""
    shares = [one.cpu_ms / one.duration_ms for one in measured if one.cpu_ms is not None and one.duration_ms]
    return max(shares, default=None)
