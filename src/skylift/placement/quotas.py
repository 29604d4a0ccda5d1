"""Quotas: what steps that may run side by side take together, and which of them take too much.

Whatever the times turn out to be, steps of which neither comes after the other may run at once. The most that such a
set takes is the weight of the heaviest antichain of the graph, which is the least flow that passes every step with what
it takes (Dilworth's theorem with weights): units of a quota go from a step that has ended to one after it. Here that
flow is found by handing on as many units as can be.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from skylift.placement.graph import Graph
from skylift.placement.model import Priced, Quotas, Step, Table

PARTS = 1_000
"""Of a unit of a quota: amounts are whole numbers of them, rounded up."""
ENDLESS = 1 << 60
Takes = Mapping[str, int]
"""By quota, in parts."""


class Overdrawn(NamedTuple):
    """A quota, and steps that together take more of it."""

    quota: str
    most: float
    takes: float
    steps: tuple[int, ...]


def takes_of(step: Step, row: int) -> Takes:
    """Of one offer. Offers in columns take nothing of a quota."""
    return {} if isinstance(step.offers, Table) else in_parts(step.offers[row])


def in_parts(priced: Priced) -> Takes:
    return {name: math.ceil(amount * PARTS - 1e-6) for name, amount in priced.takes.items() if amount > 0}


def capacity(most: float) -> int:
    return math.floor(most * PARTS + 1e-6)


def overdrawn(graph: Graph, takes: Sequence[Takes], quotas: Quotas) -> list[Overdrawn]:
    """In the order of the quotas; empty if nothing ever waits for one."""
    found = []
    for name, most in quotas.items():
        wants = [one.get(name, 0) for one in takes]
        if sum(wants) <= capacity(most):
            continue
        weight, steps = heaviest(graph, wants)
        if weight > capacity(most):
            found.append(Overdrawn(name, most, weight / PARTS, steps))
    return found


def heaviest(graph: Graph, wants: Sequence[int]) -> tuple[int, tuple[int, ...]]:
    """The most that steps which may run at once take, and such steps."""
    network = _Handing(graph, wants)
    handed = network.most()
    steps = tuple(step for step, want in enumerate(wants) if want and network.starts_one(step))
    return sum(wants) - handed, steps


class _Handing:
    """How many units can go on from one step to a later one: a flow from what each step leaves, through the graph, to
    what each takes. Nodes: source, sink, then of each step what it leaves, passes on and takes."""

    def __init__(self, graph: Graph, wants: Sequence[int]) -> None:
        size = len(graph)
        self.size = size
        self.ends: list[int] = []
        self.left: list[int] = []
        self.out: list[list[int]] = [[] for _ in range(3 * size + 2)]
        for step, want in enumerate(wants):
            leaves, passes, gets = self._nodes(step)
            if want:
                self._add(0, leaves, want)
                self._add(gets, 1, want)
                self._add(passes, gets, ENDLESS)
            for later in graph.after[step]:
                through = self._nodes(later)[1]
                self._add(passes, through, ENDLESS)
                if want:
                    self._add(leaves, through, ENDLESS)
        self.levels: list[int] = []

    def _nodes(self, step: int) -> tuple[int, int, int]:
        return 2 + step, 2 + self.size + step, 2 + 2 * self.size + step

    def _add(self, one: int, other: int, most: int) -> None:
        self.out[one].append(len(self.ends))
        self.ends += (other, one)
        self.left += (most, 0)
        self.out[other].append(len(self.ends) - 1)

    def most(self) -> int:
        """Dinic's algorithm."""
        total = 0
        while self._layered():
            tried = [0] * len(self.out)
            while (more := self._pushed(tried)) > 0:
                total += more
        return total

    def _layered(self) -> bool:
        self.levels = [-1] * len(self.out)
        self.levels[0] = 0
        queue = deque([0])
        while queue:
            node = queue.popleft()
            for arc in self.out[node]:
                if self.left[arc] and self.levels[self.ends[arc]] < 0:
                    self.levels[self.ends[arc]] = self.levels[node] + 1
                    queue.append(self.ends[arc])
        return self.levels[1] >= 0

    def _pushed(self, tried: list[int]) -> int:
        """Along one way from the source to the sink; 0 if there is none left in these layers."""
        way: list[int] = []
        node = 0
        while node != 1:
            if tried[node] < len(self.out[node]):
                arc = self.out[node][tried[node]]
                if self.left[arc] and self.levels[self.ends[arc]] == self.levels[node] + 1:
                    way.append(arc)
                    node = self.ends[arc]
                else:
                    tried[node] += 1
            elif way:
                node = self.ends[way.pop() ^ 1]
                tried[node] += 1
            else:
                return 0
        amount = min(self.left[arc] for arc in way)
        for arc in way:
            self.left[arc] -= amount
            self.left[arc ^ 1] += amount
        return amount

    def starts_one(self, step: int) -> bool:
        """Whether it is in the heaviest set: it cannot hand all on, and nothing that cannot comes before it."""
        leaves, _, gets = self._nodes(step)
        return self.levels[leaves] >= 0 and self.levels[gets] < 0
