"""Fitting work onto machines: best fit for one, all or nothing for a gang."""

from __future__ import annotations

from collections.abc import Iterable

from skylift.compute.batch.provider import Kind
from skylift.compute.batch.work import Needs, has_gpu, mcpus_of


class Room:
    """What is free on one machine."""

    __slots__ = ("gpus", "id", "kind", "mcpus", "memory_mib")

    def __init__(self, machine: str, kind: Kind) -> None:
        self.id = machine
        self.kind = kind
        self.mcpus = mcpus_of(kind.vcpus)
        self.memory_mib = kind.memory_mib
        self.gpus = kind.gpus

    def copy(self) -> Room:
        other = Room(self.id, self.kind)
        other.mcpus, other.memory_mib, other.gpus = self.mcpus, self.memory_mib, self.gpus
        return other

    def admits(self, needs: Needs) -> bool:
        """Room for one member. Its market is not asked."""
        if self.kind.account and (self.kind.account != needs.account or needs.nodes > 1):
            return False
        if needs.mcpus > self.mcpus or needs.memory_mib > self.memory_mib or needs.gpus > self.gpus:
            return False
        return not needs.gpus or has_gpu(self.kind, needs.gpu)

    def take(self, needs: Needs) -> None:
        self.mcpus -= needs.mcpus
        self.memory_mib -= needs.memory_mib
        self.gpus -= needs.gpus

    def put_back(self, needs: Needs) -> None:
        self.mcpus += needs.mcpus
        self.memory_mib += needs.memory_mib
        self.gpus += needs.gpus

    def left(self, needs: Needs) -> float:
        """How much would stay unused, in shares of the machine; what holds GPUs is kept for those that want them."""
        cpus = (self.mcpus - needs.mcpus) / mcpus_of(self.kind.vcpus)
        memory = (self.memory_mib - needs.memory_mib) / max(1, self.kind.memory_mib)
        return cpus + memory + 10 * (self.gpus - needs.gpus)


def best_room(needs: Needs, rooms: Iterable[Room]) -> Room | None:
    """The one in which least would stay unused."""
    best, least = None, float("inf")
    for room in rooms:
        if room.admits(needs):
            left = room.left(needs)
            if left < least:
                best, least = room, left
    return best


def pack(needs: Needs, rooms: Iterable[Room], near: str | None = None) -> list[Room] | None:
    """A room for every member, taken; None, and nothing taken, when not all find one. A single one goes to the machine
    `near` if that has room, and no GPU that others could want."""
    if needs.nodes == 1:
        rooms = list(rooms)
        beside = [room for room in rooms if room.id == near and (needs.gpus or not room.gpus)]
        room = best_room(needs, beside) or best_room(needs, rooms)
        if room is not None:
            room.take(needs)
        return None if room is None else [room]
    candidates = [room for room in rooms if room.admits(needs)]
    taken: list[Room] = []
    while len(taken) < needs.nodes:
        room = best_room(needs, candidates)
        if room is None:
            for each in taken:
                each.put_back(needs)
            return None
        room.take(needs)
        taken.append(room)
    return taken
