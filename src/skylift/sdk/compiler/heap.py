"""Which values may be the same object in Python, at one point of a pipeline: an abstract heap.

An object stands for what one place in the source makes: `(place, 0)` is the newest, `(place, 1)` all older ones (of
earlier rounds of a loop). What came from a task is a tree: nothing in it is shared with anything else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

Object = tuple[int | str, int]
Objects = frozenset[Object]
NOTHING: Objects = frozenset()


@dataclass(slots=True)
class Heap:
    """Variables, what they may be, and what is inside."""

    variables: dict[str, Objects] = field(default_factory=dict)
    contents: dict[Object, Objects] = field(default_factory=dict)
    keyed: dict[Object, dict[str, Objects]] = field(default_factory=dict)
    """Of dicts whose keys are all known: what is inside, key by key."""
    repeated: set[Object] = field(default_factory=set)
    """Objects that may stand in one container more than once."""

    def copy(self) -> Heap:
        keyed = {one: dict(parts) for one, parts in self.keyed.items()}
        return Heap(dict(self.variables), dict(self.contents), keyed, set(self.repeated))

    def make(self, place: int | str, *held: Objects) -> Objects:
        """A new object, with these inside. The one made here before, if there is, counts among the older ones."""
        new = (place, 0)
        if new in self.contents:
            self.age(place)
        together = NOTHING.union(*held)
        self.repeated |= {one for one in together if sum(one in part for part in held) > 1}
        self.contents[new] = frozenset(map(_Older(place), together))
        return frozenset((new,))

    def make_dict(self, place: int | str, parts: dict[str, Objects]) -> Objects:
        """A new dict with these keys."""
        made = self.make(place, *parts.values())
        older = _Older(place)
        self.keyed[(place, 0)] = {key: frozenset(map(older, held)) for key, held in parts.items()}
        return made

    def make_tree(self, place: int | str) -> Objects:
        """A new value that shares nothing."""
        made = self.make(place)
        inside = (f"inside {place}", 1)
        self.contents[inside] = frozenset((inside,))
        self.contents[(place, 0)] = frozenset((inside,))
        return made

    def age(self, place: int | str) -> None:
        older = _Older(place)
        first = (place, 1) not in self.contents
        before = self.contents.pop((place, 0), NOTHING)
        self.repeated |= before & self.contents.get((place, 1), NOTHING) - {(place, 1)}
        self.contents[(place, 1)] = self.contents.get((place, 1), NOTHING) | before
        self.variables = {name: older.all(held) for name, held in self.variables.items()}
        self.contents = {one: older.all(held) for one, held in self.contents.items()}
        self.repeated = set(map(older, self.repeated))
        self._age_keys(place, first)

    def _age_keys(self, place: int | str, first: bool) -> None:
        older = _Older(place)
        new, old = self.keyed.pop((place, 0), None), self.keyed.pop((place, 1), None)
        if new is not None and (old is not None or first):
            self.keyed[(place, 1)] = _union(new, old or {})
        self.keyed = {one: {key: older.all(held) for key, held in parts.items()} for one, parts in self.keyed.items()}

    def put(self, holders: Objects, held: Objects, key: str | None = None) -> None:
        """Into each of the holders; under a key, if that is known."""
        for holder in holders:
            if key is None:
                self.keyed.pop(holder, None)
            elif holder in self.keyed:
                self.keyed[holder][key] = self.keyed[holder].get(key, NOTHING) | held
            there = self.contents.get(holder, NOTHING)
            self.repeated |= there & held
            self.contents[holder] = there | held

    def inside(self, holders: Iterable[Object], key: str | None = None) -> Objects:
        """What they hold; of dicts with known keys, what stands under this one."""
        if key is not None:
            parts = (self.keyed[one].get(key) if one in self.keyed else self.contents.get(one) for one in holders)
            return NOTHING.union(*(part or NOTHING for part in parts))
        return NOTHING.union(*(self.contents.get(one, NOTHING) for one in holders))

    def reach(self, objects: Objects) -> Objects:
        """These, and everything inside, however deep."""
        found: set[Object] = set()
        waiting = list(objects)
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting += self.contents.get(one, NOTHING)
        return frozenset(found)

    def ways_to(self, wanted: Object, start: Objects) -> int:
        """How many containers that can be reached from `start` hold it."""
        ways = sum(one != wanted and wanted in self.contents.get(one, NOTHING) for one in self.reach(start))
        return 2 if wanted in self.repeated else ways

    def join(self, other: Heap | None) -> Heap:
        """What may be so on either way."""
        if other is None:
            return self
        joined = self.copy()
        for name, held in other.variables.items():
            joined.variables[name] = joined.variables.get(name, NOTHING) | held
        for one, held in other.contents.items():
            joined.contents[one] = joined.contents.get(one, NOTHING) | held
        for one in [*self.keyed, *other.keyed]:
            ours, theirs = self.keyed.get(one), other.keyed.get(one)
            if (ours is None and one in self.contents) or (theirs is None and one in other.contents):
                joined.keyed.pop(one, None)
            else:
                joined.keyed[one] = _union(ours or {}, theirs or {})
        joined.repeated |= other.repeated
        return joined


def _union(left: dict[str, Objects], right: dict[str, Objects]) -> dict[str, Objects]:
    return {key: left.get(key, NOTHING) | right.get(key, NOTHING) for key in {**left, **right}}


@dataclass(frozen=True, slots=True)
class _Older:
    place: int | str

    def all(self, objects: Objects) -> Objects:
        return frozenset(map(self, objects)) if (self.place, 0) in objects else objects

    def __call__(self, one: Object) -> Object:
        return (self.place, 1) if one == (self.place, 0) else one
