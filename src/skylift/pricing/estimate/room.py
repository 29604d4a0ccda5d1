"""Memory that a service has: whether the size that is asked for can be had, and which one is billed."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from skylift.pricing.catalogue import Catalogue
from skylift.pricing.estimate.amounts import EstimateInvalid, memory_words, written
from skylift.pricing.estimate.rules import Room, Service, room_of
from skylift.pricing.estimate.uses import Use


def memory_of(use: Use, catalogue: Catalogue) -> tuple[Fraction | None, list[str]]:
    """In MiB, as it is billed. Raises EstimateInvalid with the nearest size that there is."""
    asked = use.amount("memory")
    if asked is None:
        return None, []
    rooms = _with_processors(use, room_of(use.service, catalogue))
    sizes = [size for room in rooms if (size := _at_least(room, asked)) is not None]
    if not sizes:
        largest = max(Fraction(room.most_mib) for room in rooms)
        raise _cannot(use, asked, largest, rooms)
    if (nearest := min(sizes)) == asked:
        return asked, []
    if not use.service.rounds_memory and nearest - asked >= 1:
        raise _cannot(use, asked, nearest, rooms)
    said = f"{use.service.title}: {memory_words(asked)} is billed as {memory_words(nearest)}"
    return nearest, [said]


def _at_least(room: Room, asked: Fraction) -> Fraction | None:
    """The smallest size that has room for it."""
    if asked <= room.least_mib:
        return Fraction(room.least_mib)
    size = -(-asked // room.step_mib) * room.step_mib
    return Fraction(size) if size <= room.most_mib else None


def _with_processors(use: Use, rooms: Sequence[Room]) -> Sequence[Room]:
    vcpus = use.amount("vcpus")
    found = [room for room in rooms if vcpus is None or Fraction(room.vcpus or 0) == vcpus]
    if found or vcpus is None:
        return found
    there = sorted({Fraction(room.vcpus) for room in rooms if room.vcpus is not None})
    nearest = min(there, key=lambda one: abs(one - vcpus))
    raise EstimateInvalid(
        f"{use.service.name} has no places of {written(vcpus)} vCPU",
        hint=f"there are: {', '.join(written(one) for one in there)}; the nearest is {written(nearest)}",
    )


def _cannot(use: Use, asked: Fraction, nearest: Fraction, rooms: Sequence[Room]) -> EstimateInvalid:
    vcpus = use.amount("vcpus")
    beside = "" if vcpus is None else f" beside {written(vcpus)} vCPU"
    return EstimateInvalid(
        f"{use.service.name} has no {memory_words(asked)} of memory{beside}",
        hint=f"there is: {'; '.join(_words(room) for room in rooms)}; the nearest is {memory_words(nearest)}",
    )


def _words(room: Room) -> str:
    least, most = memory_words(Fraction(room.least_mib)), memory_words(Fraction(room.most_mib))
    return least if least == most else f"{least} to {most} by {memory_words(Fraction(room.step_mib))}"


def ghz_of(service: Service, memory: Fraction) -> Fraction:
    """The processor that comes with it."""
    return Fraction(service.ghz[int(memory)])
