"""Why nothing was found, and what there is nearest to it: a wrong name, needs that nothing meets, or no price."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from skylift.errors import SetupError
from skylift.pricing.catalogue import Catalogue, Query
from skylift.pricing.find import Found, candidates, matches, regions_of
from skylift.pricing.gpus import gpus_of, is_gpu, nearest_models, same_model
from skylift.pricing.names import regions_hint
from skylift.pricing.rows import EVERYWHERE, MachinePrice, MachineType

_SHOWN = 3
ANY = "a price"
"""What is needed where nothing is."""


class UnknownMachine(SetupError):
    """No cloud has a machine of that name; the hint has names that may be meant."""

    code = "UNKNOWN-MACHINE"


class UnknownRegion(SetupError):
    """There are no prices of such a region; the hint has those that there are."""

    code = "UNKNOWN-REGION"


class UnknownGpu(SetupError):
    """No machine has such a GPU; the hint has those that there are."""

    code = "UNKNOWN-GPU"


class NoMachine(SetupError):
    """No machine has all that is asked for; the hint has the largest there is."""

    code = "NO-MACHINE"


class NoPrice(SetupError):
    """There is such a machine, and no price of it here, then, or bought so. The hint has the nearest that there is."""

    code = "NO-PRICE"


def reason(query: Query, catalogue: Catalogue) -> SetupError:
    """Of an answer that is empty."""
    clouds = [query.cloud] if query.cloud is not None else list(catalogue.clouds)
    return (
        _wrong_type(query, clouds, catalogue)
        or _wrong_region(query, clouds, catalogue)
        or _wrong_gpu(query, clouds, catalogue)
        or _nothing_has_it(query, clouds, catalogue)
        or _no_price(query, catalogue)
    )


def unknown_region(query: Query, catalogue: Catalogue) -> SetupError | None:
    """Of several one that there is not, though there are prices in the others."""
    if len(regions_of(query)) < 2:
        return None
    return _wrong_region(query, [query.cloud] if query.cloud is not None else list(catalogue.clouds), catalogue)


def _wrong_type(query: Query, clouds: list[str], catalogue: Catalogue) -> SetupError | None:
    wanted = query.type
    if wanted is None or any(True for cloud in clouds for _ in candidates(catalogue.book(cloud), Query(type=wanted))):
        return None
    where = f"{query.cloud} has no" if query.cloud is not None else "there is no"
    near = catalogue.nearest_type(wanted, query.cloud)
    elsewhere = [] if near or query.cloud is None else catalogue.nearest_type(wanted)
    hint = "`skylift prices find` lists them, and takes patterns such as --type 'p3.*'"
    if near:
        hint = f"did you mean {', '.join(near)}?"
    elif elsewhere:
        hint = f"another cloud has {', '.join(elsewhere)}"
    return UnknownMachine(f"{where} machine type {wanted!r}", hint=hint)


def _wrong_region(query: Query, clouds: list[str], catalogue: Catalogue) -> SetupError | None:
    known = {region for cloud in clouds for region in _with_machines(cloud, catalogue)}
    unknown = (name for name in regions_of(query) if not any(matches(region, name) for region in known))
    wanted = next(unknown, None)
    if wanted is None:
        return None
    of = "" if query.cloud is None else f" of {query.cloud}"
    hint = regions_hint(wanted, known)
    if any(matches(region, wanted) for cloud in clouds for region in catalogue.regions(cloud)):
        return NoPrice(f"no price of any machine{of} in {wanted}: only other services have prices there", hint=hint)
    return UnknownRegion(f"there are no prices{of} in region {wanted!r}", hint=hint)


def _with_machines(cloud: str, catalogue: Catalogue) -> set[str]:
    """Regions; Google's storage also has places that are none, such as `us-multi`."""
    return {region for snapshot in catalogue.book(cloud).snapshots for region in snapshot.regions} - {EVERYWHERE}


def _wrong_gpu(query: Query, clouds: list[str], catalogue: Catalogue) -> SetupError | None:
    model, _ = gpus_of(query.gpu)
    if model is None or any(
        True for cloud in clouds for _ in candidates(catalogue.book(cloud), Query(gpu=f"{model}:1"))
    ):
        return None
    return unknown_gpu(model, clouds, catalogue)


def unknown_gpu(model: str, clouds: Sequence[str], catalogue: Catalogue) -> UnknownGpu:
    """With the cloud that has it, or what may have been meant."""
    said = "no cloud has machines" if len(clouds) != 1 else f"{clouds[0]} has no machines"
    known = models_of(clouds, catalogue)
    having = [one for one in catalogue.clouds if any(same_model(gpu, model) for gpu in models_of([one], catalogue))]
    near = nearest_models(model, known)
    hint = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(known)}"
    if having:
        hint = f"{' and '.join(having)} {'has' if len(having) == 1 else 'have'} it"
    return UnknownGpu(f"{said} with GPU {model!r}", hint=hint)


def models_of(clouds: Sequence[str], catalogue: Catalogue) -> list[str]:
    """GPUs and other accelerators of machines that can be rented."""
    return sorted({one.gpu for cloud in clouds for one in catalogue.machines(cloud).values() if one.gpu})


def _nothing_has_it(query: Query, clouds: list[str], catalogue: Catalogue) -> SetupError | None:
    needs = replace(query, region=None, spot=False, as_of=None)
    if any(True for cloud in clouds for _ in candidates(catalogue.book(cloud), needs)):
        return None
    named = replace(Query(), type=query.type, gpu=None if query.gpu is None else _one_of(query.gpu))
    there = [machine for cloud in clouds for machine in candidates(catalogue.book(cloud), named)]
    hint = "ask for less"
    if there:
        largest = max(there, key=lambda one: _largeness(one, query))
        hint = f"the largest such is {largest.name} of {largest.cloud}: {size(largest)}"
    return NoMachine(f"no machine has {needs_text(query)}", hint=hint)


def _largeness(machine: MachineType, query: Query) -> tuple[float, ...]:
    """In what was asked for: who wants processors is not told of the machine with the most GPUs."""
    gpus = _gpus(machine) if query.gpu is not None else 0
    memory = machine.memory_mib if query.memory_mib is not None else 0
    vcpus = machine.vcpus if query.vcpus is not None else 0
    return (gpus, memory, vcpus, machine.memory_mib, machine.vcpus)


def _one_of(gpu: str) -> str:
    model, _ = gpus_of(gpu)
    return "1" if model is None else model


def _gpus(machine: MachineType) -> int:
    return machine.gpus if is_gpu(machine.gpu) else 0


def _no_price(query: Query, catalogue: Catalogue) -> SetupError:
    near = list(dict.fromkeys(_nearest(query, catalogue)))[:_SHOWN]
    needs = needs_text(replace(query, type=None))
    what = query.type or ("a machine" if needs != ANY else "any machine")
    what += f" with {needs}" if needs != ANY else ""
    market = "spot price" if query.spot else "price"
    where = "" if query.region is None else f" in {query.region}"
    when = "" if query.as_of is None else f" of {query.as_of} or before"
    hint = f"the nearest there is: {'; '.join(near)}" if near else "`skylift prices find` shows what there is"
    return NoPrice(f"no {market} of {what}{where}{when}", hint=hint)


def _nearest(query: Query, catalogue: Catalogue) -> Iterator[str]:
    """Each of what was asked for is let go alone, then all at once."""
    wider = [
        replace(query, estimates=True),
        replace(query, spot=False),
        replace(query, region=None),
        _later(query, catalogue),
        replace(query, services=("batch", "managed-training")),
        replace(query, spot=False, region=None, as_of=None, services=("batch", "managed-training")),
    ]
    for one in wider:
        for found in catalogue.find(one)[:_SHOWN] if one != query else ():
            price = (found.spot_or_estimate if one.spot else None) or found.on_demand or found.spot
            if price is not None:
                yield _text(found, price)
                break


def _later(query: Query, catalogue: Catalogue) -> Query:
    """As of the first day after the one that is asked for on which there is a price."""
    clouds = catalogue.clouds if query.cloud is None else (query.cloud,)
    books = [catalogue.book(cloud) for cloud in clouds] if query.as_of is not None else []
    days = {table.as_of for book in books for snapshot in book.snapshots for table in snapshot.tables}
    later = (replace(query, as_of=day) for day in sorted(days) if day > (query.as_of or ""))
    return next((one for one in later if catalogue.find(one)), replace(query, as_of=None))


def _text(found: Found, price: MachinePrice) -> str:
    kind = f"{price.market}{' (an estimate)' if price.estimate else ''}"
    return f"{found.machine.name} in {found.region} {kind} ${price.usd_per_hour:f} an hour ({price.as_of})"


def needs_text(query: Query) -> str:
    """In words."""
    words = [
        "" if query.gpu is None else f"GPU {query.gpu}",
        "" if query.vcpus is None else f"{query.vcpus:g} processors",
        "" if query.memory_mib is None else f"{query.memory_mib / 1024:g} GiB",
        "" if query.type is None else f"the name {query.type}",
    ]
    return ", ".join(word for word in words if word) or ANY


def size(machine: MachineType) -> str:
    """In words."""
    gpus = "" if not machine.gpus else f", {machine.gpus * machine.gpu_share:g} x {machine.gpu}"
    return f"{machine.vcpus:g} processors, {machine.memory_mib / 1024:g} GiB{gpus}"


__all__ = [
    "NoMachine",
    "NoPrice",
    "UnknownGpu",
    "UnknownMachine",
    "UnknownRegion",
    "models_of",
    "needs_text",
    "reason",
    "size",
    "unknown_gpu",
    "unknown_region",
]
