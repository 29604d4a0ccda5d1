"""The machines of a pool as its scheduler knows them: what each has free, and since when it is idle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from skylift.compute.batch.packing import Room
from skylift.compute.batch.provider import Held, Kind, Machine
from skylift.compute.batch.scaling import may_run_on, members_free
from skylift.compute.batch.work import Needs, Work, mcpus_of, members_in
from skylift.compute.gangs import MEMBER


class PlacedWork(Protocol):
    @property
    def work(self) -> Work: ...

    @property
    def machines(self) -> tuple[str, ...]: ...


class Node:
    """One machine. `room` is what its size leaves after all that is on it, whoever put it there."""

    __slots__ = ("busy", "draining", "idle_since", "machine", "ours", "room", "stopping")

    def __init__(self, machine: Machine, now_ms: int) -> None:
        self.machine = machine
        self.room = Room(machine.id, machine.kind)
        self.ours = True
        self.busy = 0
        """Members on it."""
        self.idle_since = now_ms
        self.draining = False
        """Gets nothing more, and is stopped once it is empty."""
        self.stopping = False


class Nodes:
    """Not thread-safe."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, machine: str) -> Node | None:
        return self._nodes.get(machine)

    def all(self) -> Iterable[Node]:
        return self._nodes.values()

    def add(self, machine: Machine, now_ms: int) -> None:
        self._nodes.setdefault(machine.id, Node(machine, now_ms))

    def observe(
        self, machines: Sequence[Machine], ours: frozenset[str], placed: Mapping[str, PlacedWork], now_ms: int
    ) -> list[tuple[Machine, bool]]:
        """Take in what there is; the machines that are gone since the last time, and whether they were ever up."""
        seen = {machine.id: machine for machine in machines}
        gone = []
        for name in [name for name, node in self._nodes.items() if not _there(seen.get(name))]:
            node = self._nodes.pop(name)
            gone.append((seen.get(name, node.machine), node.machine.phase != "starting" or node.stopping))
        for machine in machines:
            if machine.phase == "gone":
                continue
            node = self._nodes.setdefault(machine.id, Node(machine, now_ms))
            if node.machine.phase == "starting" and machine.phase == "ready":
                node.idle_since = now_ms
            node.machine = machine
            node.ours = machine.id in ours
        self.settle(placed, [name for name in seen if name in self._nodes], now_ms)
        return gone

    def settle(self, placed: Mapping[str, PlacedWork], machines: Collection[str], now_ms: int) -> None:
        """Work out anew what is free on these, from what was placed and from what they say themselves."""
        chosen = set(machines)
        fresh = {name: (Room(name, self._nodes[name].machine.kind), 0) for name in chosen if name in self._nodes}
        for each in placed.values():
            for name in each.machines:
                if name in fresh:
                    room, busy = fresh[name]
                    room.take(each.work.needs)
                    fresh[name] = (room, busy + 1)
        for name, (room, busy) in fresh.items():
            node = self._nodes[name]
            others = [held for held in node.machine.holds if attempt_token(held.token) not in placed]
            for held in others:
                room.take(_needs(held))
            node.room = room
            self._count(node, busy + len(others), now_ms)

    def occupy(self, machines: tuple[str, ...]) -> None:
        """Members were put into the rooms of these."""
        for name in machines:
            self._nodes[name].busy += 1

    def not_stopped(self, machines: Collection[str]) -> None:
        """They were to be stopped, and may still be there."""
        for name in machines:
            node = self._nodes.get(name)
            if node is not None:
                node.stopping = False

    def put_back(self, machines: tuple[str, ...], needs: Needs, now_ms: int) -> None:
        for name in machines:
            node = self._nodes.get(name)
            if node is not None:
                node.room.put_back(needs)
                self._count(node, node.busy - 1, now_ms)

    def _count(self, node: Node, busy: int, now_ms: int) -> None:
        if node.busy and not busy:
            node.idle_since = now_ms
        node.busy = busy

    # Questions ------------------------------------------------------------------------------------------------------

    def ready_rooms(self) -> Iterator[Room]:
        """Where work may be put now."""
        return (node.room for node in self._nodes.values() if node.machine.phase == "ready" and _usable(node))

    def usable_rooms(self) -> list[Room]:
        """With those of machines that are starting."""
        return [node.room for node in self._nodes.values() if node.machine.phase != "warned" and _usable(node)]

    def ready_kinds(self) -> set[str]:
        """Names of kinds of which we have one that is up."""
        return {node.machine.kind.name for node in self._nodes.values() if node.ours and node.machine.phase == "ready"}

    def starting(self) -> list[Node]:
        return [node for node in self._nodes.values() if node.machine.phase == "starting" and _usable(node)]

    def idle(self) -> list[Node]:
        """Ours that are up, have nothing to do and may be stopped."""
        return [
            node
            for node in self._nodes.values()
            if node.ours and not node.busy and not node.stopping and _stoppable(node) and node.machine.phase == "ready"
        ]

    def counts(self) -> Counter[str]:
        return Counter(node.machine.kind.name for node in self._nodes.values())

    def mcpus(self) -> int:
        return sum(mcpus_of(node.machine.kind.vcpus) for node in self._nodes.values() if not node.machine.standing)

    def have(self, machines: Collection[str]) -> bool:
        """All of these are there and usable."""
        return all((node := self._nodes.get(name)) is not None and _usable(node) for name in machines)

    def capacity(self, needs: Needs, kinds: Sequence[Kind]) -> int:
        """How many members our machines would hold if they were empty."""
        room = 0
        for node in self._nodes.values():
            if node.machine.phase != "warned" and _usable(node) and may_run_on(needs, node.machine.kind, kinds):
                room += members_in(needs, node.machine.kind)
        return room

    def soonest(self, needs: Needs, kinds: Sequence[Kind]) -> frozenset[str]:
        """The machines on which all members would fit once they are empty: those with most room now. Empty when even
        all together are too small."""
        able = [
            node
            for node in self._nodes.values()
            if node.machine.phase != "warned" and _usable(node) and may_run_on(needs, node.machine.kind, kinds)
        ]
        able.sort(key=lambda node: (-members_free(needs, node.room), -node.room.mcpus, node.machine.id))
        chosen: list[str] = []
        members = 0
        for node in able:
            if members >= needs.nodes:
                break
            chosen.append(node.machine.id)
            members += members_in(needs, node.machine.kind)
        return frozenset(chosen) if members >= needs.nodes else frozenset()

    def drain(self, useless: Callable[[Kind], bool]) -> None:
        """Give nothing more to machines of such kinds that we may stop, so that their share of the limit comes free."""
        for node in self._nodes.values():
            if node.ours and _stoppable(node) and useless(node.machine.kind):
                node.draining = True


def attempt_token(token: str) -> str:
    """Of a member's token the attempt's."""
    return token.rpartition(MEMBER)[0] if MEMBER in token else token


def _there(machine: Machine | None) -> bool:
    return machine is not None and machine.phase != "gone"


def _usable(node: Node) -> bool:
    return node.ours and not node.draining and not node.stopping


def _stoppable(node: Node) -> bool:
    return not node.machine.standing


def _needs(held: Held) -> Needs:
    return Needs(mcpus=mcpus_of(held.vcpus), memory_mib=held.memory_mib, gpus=held.gpus)
