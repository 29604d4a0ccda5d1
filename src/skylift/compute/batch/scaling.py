"""Which machines to start for what waits: first fit decreasing, on the kinds that cost least for what they hold."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from skylift.compute.batch.packing import Room, best_room, pack
from skylift.compute.batch.provider import Kind
from skylift.compute.batch.work import Needs, cost_of, eligible, fits, mcpus_of, members_in

_LOOK_AHEAD = 64
"""Shapes that are looked at when the kind of a machine is chosen."""


class Budget:
    """How many machines may still be added, by kind and altogether."""

    def __init__(
        self,
        kinds: Sequence[Kind],
        there: Mapping[str, int],
        spare_mcpus: int | None,
        without: Collection[str] = (),
    ) -> None:
        """`without` names kinds that cannot be had now."""
        self.kinds = tuple(kinds)
        self._without = frozenset(without)
        self._left = {kind.name: kind.most - there.get(kind.name, 0) for kind in kinds if kind.most is not None}
        self._spare = spare_mcpus

    def copy(self) -> Budget:
        other = Budget(self.kinds, {}, self._spare, self._without)
        other._left = dict(self._left)
        return other

    def allows(self, kind: Kind) -> bool:
        within = self._spare is None or mcpus_of(kind.vcpus) <= self._spare
        return within and not kind.fixed and kind.name not in self._without and self._left.get(kind.name, 1) > 0

    def take(self, kind: Kind, count: int = 1) -> None:
        if self._spare is not None:
            self._spare -= count * mcpus_of(kind.vcpus)
        if kind.name in self._left:
            self._left[kind.name] -= count


def plan(backlog: Sequence[tuple[Needs, int]], rooms: Sequence[Room], budget: Budget) -> list[Kind]:
    """The machines to start for a backlog of shapes, the most important first; `rooms` are those that are there or
    starting, and are filled first. What the budget does not allow waits."""
    rooms = [room.copy() for room in rooms]
    started: list[Kind] = []
    for place, (needs, count) in enumerate(backlog):
        if needs.nodes > 1:
            _plan_gangs(needs, count, rooms, budget, started)
        else:
            _plan_singles(backlog[place:], count, rooms, budget, started)
    return started


def decreasing(backlog: Sequence[tuple[int, Needs, int]]) -> list[tuple[Needs, int]]:
    """By priority, in one priority the largest first: small ones fill what large ones leave."""
    ordered = sorted(backlog, key=lambda entry: (-entry[0], -entry[1].nodes, -entry[1].gpus, *_size(entry[1])))
    return [(needs, count) for _, needs, count in ordered]


def _size(needs: Needs) -> tuple[int, int]:
    return -needs.mcpus, -needs.memory_mib


def _plan_singles(
    backlog: Sequence[tuple[Needs, int]], count: int, rooms: list[Room], budget: Budget, started: list[Kind]
) -> None:
    needs = backlog[0][0]
    usable = _usable(needs, rooms, budget)
    while count and (room := best_room(needs, usable)) is not None:
        room.take(needs)
        count -= 1
    while count:
        kind = _cheapest(needs, count, backlog[1:], budget)
        if kind is None:
            return
        budget.take(kind)
        started.append(kind)
        room = Room("", kind)
        rooms.append(room)
        while count and room.admits(needs):
            room.take(needs)
            count -= 1


def _plan_gangs(needs: Needs, count: int, rooms: list[Room], budget: Budget, started: list[Kind]) -> None:
    for _ in range(count):
        usable = _usable(needs, rooms, budget)
        if pack(needs, usable) is not None:
            continue
        there = sum(members_free(needs, room) for room in usable)
        kinds = hold(needs, needs.nodes - there, budget)
        if kinds is None:
            return
        for kind in kinds:
            budget.take(kind)
            started.append(kind)
            rooms.append(Room("", kind))
        pack(needs, _usable(needs, rooms, budget))


def members_free(needs: Needs, room: Room) -> int:
    """How many members find room there now."""
    if not room.admits(needs):
        return 0
    count = room.mcpus // needs.mcpus
    if needs.memory_mib:
        count = min(count, room.memory_mib // needs.memory_mib)
    return min(count, room.gpus // needs.gpus) if needs.gpus else count


def hold(needs: Needs, members: int, budget: Budget) -> list[Kind] | None:
    """Machines to add so that they hold so many members: the cheapest that the budget allows, if need be those that
    waste least of it; None where nothing does."""
    for price in (cost_of, _vcpus):
        trial = budget.copy()
        kinds: list[Kind] = []
        left = members
        while left > 0:
            allowed = [kind for kind in eligible(needs, budget.kinds) if trial.allows(kind)]
            if not allowed:
                break
            kind = min(allowed, key=lambda each: (price(each) / min(left, members_in(needs, each)), each.name))
            trial.take(kind)
            kinds.append(kind)
            left -= members_in(needs, kind)
        if left <= 0:
            return kinds
    return None


def _vcpus(kind: Kind) -> float:
    return kind.vcpus


def _usable(needs: Needs, rooms: Sequence[Room], budget: Budget) -> list[Room]:
    """Rooms of kinds that the work may run on."""
    return [room for room in rooms if may_run_on(needs, room.kind, budget.kinds)]


def may_run_on(needs: Needs, kind: Kind, kinds: Sequence[Kind]) -> bool:
    """It fits the kind, and the market is its own or none of these kinds has a fitting one of its market."""
    if not fits(needs, kind):
        return False
    spot = needs.market == "spot"
    if (kind.market == "spot") == spot:
        return True
    return not any((other.market == "spot") == spot and fits(needs, other) for other in kinds)


def _cheapest(needs: Needs, count: int, rest: Sequence[tuple[Needs, int]], budget: Budget) -> Kind | None:
    """The kind with the least cost for what it would hold of this shape and those after it; of equals the largest."""
    best: Kind | None = None
    least = (float("inf"), 0.0)
    for kind in eligible(needs, budget.kinds):
        if budget.allows(kind):
            held = _held(Room("", kind), needs, count, rest)
            rank = (round(cost_of(kind) / held, 9), -held)
            if rank < least:
                best, least = kind, rank
    return best


def _held(room: Room, needs: Needs, count: int, rest: Sequence[tuple[Needs, int]]) -> float:
    """How much of its work an empty machine would hold, in vCPUs, a GPU counting as sixteen and 8 GiB as one."""
    total = 0.0
    for each, many in ((needs, count), *rest[:_LOOK_AHEAD]):
        if each.nodes == 1:
            taken = min(many, members_free(each, room))
            room.mcpus -= taken * each.mcpus
            room.memory_mib -= taken * each.memory_mib
            room.gpus -= taken * each.gpus
            total += taken * (each.mcpus / 1000 + each.memory_mib / 8192 + 16 * each.gpus)
    return total
