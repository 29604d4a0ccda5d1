"""A loop that can be interrupted anywhere: its objects, its random numbers and its place in its data, kept together.

Bit-for-bit the same result needs more than the state at the last step: code before a loop, such as shuffling, is run
again when the work goes on. So a checkpoint also keeps the generators as they were wherever such code began, and each
piece of it draws the numbers that it drew the first time (decision 0241).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from types import TracebackType
from typing import Any, TypeVar

from skylift.compute.worker import current
from skylift.compute.worker.checkpoint.keeper import MISSING, Keeper
from skylift.compute.worker.checkpoint.randomness import Randomness, State, generators_of
from skylift.compute.worker.checkpoint.things import CheckpointMismatch, Things

Item = TypeVar("Item")

_log = logging.getLogger("skylift.checkpoint")
_SHORT_STEP_S = 0.001
"""Steps shorter than this are not slowed down by looking at the generators before each of them, once the first one has
shown that it has no loop inside."""


class Level:
    """Where one body of code is: the session's own, or that of a loop for one item."""

    def __init__(self, randomness: State | None) -> None:
        self.loops = 0
        """How many loops began here."""
        self.count: int | None = None
        """Items done of the last one that began; None when it is over."""
        self.points: list[State | None] = [randomness]
        """The generators where this body began, and at the end of each of its loops."""

    def as_data(self) -> dict[str, Any]:
        return {"loops": self.loops, "count": self.count, "points": self.points}


class Session:
    """What `checkpoint.session` gives: `steps` for loops, `state` for small things of your own."""

    def __init__(self, keeper: Keeper, named: dict[str, Any]) -> None:
        self.state: dict[str, Any] = {}
        """Plain data that is kept with the rest: the best loss so far, a history."""
        self.resumed = False
        """Whether this goes on from a checkpoint."""
        self._keeper = keeper
        self._randomness = Randomness()
        self._named = named
        self._things = Things(named, self._randomness)
        self._levels: list[Level] = []
        self._goal: list[dict[str, Any]] = []
        """Where a checkpoint says that the work was, level by level, as long as that is not reached again."""
        self._now: State | None = None
        self._wanted = False
        self._changed = False

    def __enter__(self) -> Session:
        found = self._keeper.load()
        if found is MISSING:
            self._levels = [Level(self._randomness.get())]
            return self
        try:
            self.state.update(found["state"])
            self._goal, self._now = found["levels"], found["now"]
            self._things.put(found["things"], self._keeper.place.folder)
        except (KeyError, TypeError) as error:
            raise CheckpointMismatch(
                f"the checkpoint at {self._keeper.place.folder} was not made by a session: {error!r}",
                hint="load it with checkpoint.load(), or give the session another key=",
            ) from error
        self.resumed = True
        self._levels = [self._again(0)]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None:
            if isinstance(error, Exception):
                self._keeper.settle()
            return
        self._arrive()
        if self._changed or not self.resumed:
            self._save()
        self._keeper.wait()
        if self._keeper.place.is_script:
            self._keeper.clear()  # run again it begins anew; a step of a run is not run again

    def steps(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items that are not done yet. The end of each step is where the work may be saved, and where it leaves
        when its machine is about to be taken away. Loops may stand in one another and after one another."""
        depth = len(self._levels) - 1
        level = self._levels[depth]
        number, level.loops = level.loops, level.loops + 1
        for place, generator in generators_of(items):
            self._randomness.add(f"loop {depth}.{number}{place}", generator)
        _tell_of_lasting_workers(items)
        if level.points[-1] is None:
            level.points[-1] = self._randomness.get()
        goal = self._goal[depth] if depth < len(self._goal) else None
        if goal is not None and number < goal["loops"] - (goal["count"] is not None):
            level.points.append(goal["points"][number + 1])
            self._put(level.points[-1])
            return
        try:
            yield from self._loop(items, depth, level, goal)
        finally:
            del self._levels[depth + 1 :]
            level.count = None
            level.points.append(self._randomness.get())

    def save(self) -> None:
        """Save at the end of the step that runs, whatever the cadence."""
        self._wanted = True

    @property
    def due(self) -> bool:
        """Whether the state is saved at the end of the step that runs, as things stand."""
        return self._wanted or self._keeper.due()

    def _loop(self, items: Iterable[Item], depth: int, level: Level, goal: dict[str, Any] | None) -> Iterator[Item]:
        done = level.count = 0 if goal is None or goal["count"] is None else int(goal["count"])
        rest = iter(items) if self._positions_itself(items) else _after(items, done)
        if goal is not None and (depth == len(self._goal) - 1 or goal["count"] is None):
            self._arrive()
        plain = False
        for item in rest:
            inner = self._inner(depth + 1, plain)
            self._levels.append(inner)
            began = time.monotonic()
            yield item
            del self._levels[depth + 1 :]
            done = level.count = done + 1
            self._changed = True
            self._goal, self._now = [], None
            plain = inner.loops == 0 and time.monotonic() - began < _SHORT_STEP_S
            self._boundary(innermost=inner.loops == 0)

    def _inner(self, depth: int, plain: bool) -> Level:
        """The body of a loop that begins: where the work was interrupted in it, or at its start."""
        if depth < len(self._goal):
            return self._again(depth)
        return Level(None if plain else self._randomness.get())

    def _again(self, depth: int) -> Level:
        points = self._goal[depth]["points"]
        self._put(points[0])
        return Level(points[0])

    def _arrive(self) -> None:
        """The place of the checkpoint is reached: from here on everything is new."""
        if self._now is not None:
            self._put(self._now)
        self._goal, self._now = [], None

    def _put(self, randomness: State | None) -> None:
        """Members of a gang that follow another one keep generators of their own: all would draw alike otherwise."""
        if randomness is not None and not self._keeper.place.follows:
            self._randomness.put(randomness)

    def _positions_itself(self, items: Any) -> bool:
        """A loader that keeps its place in its own state, which has been put back."""
        kept = any(items is value for value in self._named.values())
        return kept and hasattr(items, "state_dict") and hasattr(items, "load_state_dict")

    def _boundary(self, *, innermost: bool) -> None:
        current.heartbeat()
        keeper = self._keeper
        if innermost:
            keeper.cadence.step()
        if self._wanted or keeper.due():
            self._save()
            if keeper.warned and not keeper.place.follows:
                keeper.leave()

    def _save(self) -> None:
        self._wanted = self._changed = False
        self._keeper.save(
            {
                "things": self._things.get(),
                "state": self.state,
                "levels": [level.as_data() for level in self._levels],
                "now": self._randomness.get(),
            }
        )


def _tell_of_lasting_workers(items: Any) -> None:
    """Their generators are in processes of their own, which go on from one pass over the data to the next."""
    if getattr(items, "persistent_workers", False) and getattr(items, "num_workers", 0):
        _log.warning(
            "random numbers that the workers of a loader with persistent_workers=True draw are not kept: after an "
            "interruption they are others. Without it the workers of each pass begin with the same ones"
        )


def _after(items: Iterable[Item], done: int) -> Iterator[Item]:
    """The items less the first `done`. Only what has them all at hand is not asked for those."""
    if done and isinstance(items, Sequence):
        return (items[index] for index in range(done, len(items)))
    rest = iter(items)
    for _ in islice(rest, done):
        pass
    return rest
