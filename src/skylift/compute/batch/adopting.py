"""Attempts that an engine before this one gave to machines: found again, as long as nothing of them is missing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import msgspec

from skylift.compute.batch.entries import Entry, member_tokens
from skylift.compute.batch.offers import work_of
from skylift.compute.batch.provider import Machine, Provider
from skylift.compute.gangs import MEMBER
from skylift.ports.compute import Cancelled, Lost, OutOfMemory, TaskCall

_ANEW = (Lost, Cancelled, OutOfMemory)
"""What ended so is given out again, perhaps with other needs: its end may have been told already."""


def adopt(
    tokens: Collection[str], provider: Provider, queue_of: Mapping[str, str], now_ms: int
) -> Iterator[tuple[Entry, list[Machine]]]:
    """Each with the machines that it is on. One that has ended meanwhile is on none, and has its outcome."""
    calls = [call for token in tokens if (call := _call(token, provider)) is not None]
    if not calls:
        return
    where: dict[str, Machine] = {}
    for machine in provider.look():
        if machine.phase != "gone":
            where.update((held.token, machine) for held in machine.holds)
    for call in calls:
        entry = _entry(call, where, provider, queue_of, now_ms)
        if entry is not None:
            yield entry, _machines(entry, where)


def _call(token: str, provider: Provider) -> TaskCall | None:
    """As it was submitted; a gang's is put together again from that of its first member."""
    call = provider.call(token)
    if call is not None:
        return call
    first = provider.call(f"{token}{MEMBER}0")
    if first is None:
        return None
    needs = first.requirements
    nodes = int(needs.env["WORLD_SIZE"])
    return msgspec.structs.replace(first, token=token, requirements=msgspec.structs.replace(needs, nodes=nodes))


def _entry(
    call: TaskCall, where: Mapping[str, Machine], provider: Provider, queue_of: Mapping[str, str], now_ms: int
) -> Entry | None:
    """None for one of which nothing runs and not all have ended well or badly by themselves: it has to run anew."""
    entry = Entry(work_of(call, queue_of), call)
    members = member_tokens(entry.work)
    ended = provider.outcomes(members)
    running = [member for member in members if member in where and member not in ended]
    if not running and (len(ended) < len(members) or any(isinstance(o, _ANEW) for o in ended.values())):
        return None
    entry.put(tuple(where[member].id if member in where else "" for member in members))
    for member in members:
        if member not in running:
            entry.ended(member, ended.get(member) or Lost(reason="its machine is gone"), now_ms)
    return entry


def _machines(entry: Entry, where: Mapping[str, Machine]) -> list[Machine]:
    found = {machine.id: machine for member in entry.members if (machine := where.get(member)) is not None}
    return list(found.values())
