"""The graph that steps make: their order, and the longest path through it. Times are whole microseconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from skylift.errors import AuthorError
from skylift.placement.model import Edge, Step

Delay = Callable[[int, int], int]
"""What lies between the end of a step and the beginning of one after it."""


class Graph:
    """Steps by their number, with who comes before and after whom."""

    def __init__(self, names: Sequence[str], before: Sequence[Sequence[int]]) -> None:
        self.names = tuple(names)
        self.before = [sorted(set(one)) for one in before]
        self.after: list[list[int]] = [[] for _ in names]
        for step, earlier in enumerate(self.before):
            for one in earlier:
                self.after[one].append(step)
        self.order = self._ordered()

    def __len__(self) -> int:
        return len(self.names)

    def _ordered(self) -> list[int]:
        """Each after those before it; of the ready ones first that which most of the begun ones wait for, so that few
        are open at a time."""
        waits = [len(earlier) for earlier in self.before]
        ready = [step for step, count in enumerate(waits) if not count]
        order: list[int] = []
        while ready:
            step = ready.pop()
            order.append(step)
            for later in reversed(self.after[step]):
                waits[later] -= 1
                if not waits[later]:
                    ready.append(later)
        if len(order) < len(self.names):
            stuck = ", ".join(self.names[step] for step, count in enumerate(waits) if count)
            raise AuthorError(f"these steps wait for each other in a circle: {stuck}")
        return order

    def starts(self, times: Sequence[int], delay: Delay) -> list[int]:
        """When each step begins at the earliest."""
        begun = [0] * len(self)
        for step in self.order:
            begun[step] = max((begun[one] + times[one] + delay(one, step) for one in self.before[step]), default=0)
        return begun

    def tails(self, times: Sequence[int], delay: Delay) -> list[int]:
        """The longest that comes after the end of each step."""
        left = [0] * len(self)
        for step in reversed(self.order):
            left[step] = max((delay(step, one) + times[one] + left[one] for one in self.after[step]), default=0)
        return left


def graph_of(steps: Sequence[Step], edges: Sequence[Edge]) -> Graph:
    """Raises AuthorError for a name that is not there or twice, or a circle."""
    numbers: dict[str, int] = {}
    for number, step in enumerate(steps):
        if numbers.setdefault(step.name, number) != number:
            raise AuthorError(f"two steps are called {step.name}")
    before: list[list[int]] = [[] for _ in steps]
    for number, step in enumerate(steps):
        before[number] = [_known(name, numbers, f"step {step.name} comes after") for name in step.after]
    for edge in edges:
        where = f"the edge {edge.source} → {edge.target} names"
        before[_known(edge.target, numbers, where)].append(_known(edge.source, numbers, where))
    return Graph([step.name for step in steps], before)


def _known(name: str, numbers: dict[str, int], where: str) -> int:
    if name not in numbers:
        from difflib import get_close_matches

        near = get_close_matches(name, numbers, n=1)
        raise AuthorError(f"{where} {name!r}, which is no step", hint=f"did you mean {near[0]!r}?" if near else None)
    return numbers[name]
