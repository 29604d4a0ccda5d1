"""Steps one after the other where a quota does not let them run at once: as whoever comes first is served.

Of a plan that takes too much at once a schedule is made with its times: each step begins when those before it have
ended and its quotas have room, the first that is ready first. The units that it gets were left by steps that ended
before; a step waits for those of them that do not come before it anyway. With these waits in the graph no quota is ever
overdrawn, whatever the times turn out to be.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from skylift.placement.graph import Delay, Graph
from skylift.placement.model import Quotas
from skylift.placement.quotas import Takes, capacity

Waits = dict[tuple[int, int], str]
"""Steps that begin after the end of another, by (other, step), with the quota that they wait for."""


def waits(graph: Graph, times: Sequence[int], delay: Delay, takes: Sequence[Takes], quotas: Quotas) -> Waits:
    return _Schedule(graph, times, delay, takes, quotas).waits()


class _Schedule:
    def __init__(
        self, graph: Graph, times: Sequence[int], delay: Delay, takes: Sequence[Takes], quotas: Quotas
    ) -> None:
        self.graph, self.times, self.delay, self.takes = graph, times, delay, takes
        self.most = {name: capacity(most) for name, most in quotas.items()}
        self.free: dict[str, list[tuple[int, int]]] = {name: [(-1, most)] for name, most in self.most.items()}
        """Of each quota what is free, by the step that left it; -1 for none."""
        self.ancestors = ancestors(graph)
        self.found: Waits = {}

    def waits(self) -> Waits:
        graph = self.graph
        open_ = [len(earlier) for earlier in graph.before]
        ready = [(0, step) for step, count in enumerate(open_) if not count]
        heapq.heapify(ready)
        running: list[tuple[int, int]] = []
        begin = [0] * len(graph)
        held: list[tuple[int, int]] = []
        now = 0
        while ready or running or held:
            while ready and ready[0][0] <= now:
                held.append(heapq.heappop(ready))
            for one in list(held):
                if self._fits(one[1]):
                    held.remove(one)
                    self._begin(one[1])
                    heapq.heappush(running, (now + self.times[one[1]], one[1]))
            now = min([at for at, _ in (*ready[:1], *running[:1])], default=now)
            while running and running[0][0] <= now:
                end, step = heapq.heappop(running)
                self._end(step)
                for later in graph.after[step]:
                    begin[later] = max(begin[later], end + self.delay(step, later))
                    open_[later] -= 1
                    if not open_[later]:
                        heapq.heappush(ready, (begin[later], later))
        return self.found

    def _fits(self, step: int) -> bool:
        return all(sum(amount for _, amount in self.free[name]) >= want for name, want in self._wants(step))

    def _wants(self, step: int) -> list[tuple[str, int]]:
        return [(name, min(want, self.most[name])) for name, want in self.takes[step].items() if name in self.free]

    def _begin(self, step: int) -> None:
        """From steps before it first: then it waits for as few others as can be."""
        for name, want in self._wants(step):
            known = self.ancestors[step]
            units = sorted(self.free[name], key=lambda unit: (unit[0] >= 0 and not known >> unit[0] & 1, unit[0]))
            left = []
            for giver, amount in units:
                taken = min(want, amount)
                want -= taken
                if taken and giver >= 0 and not known >> giver & 1:
                    self.found[giver, step] = name
                if amount > taken:
                    left.append((giver, amount - taken))
            self.free[name] = left

    def _end(self, step: int) -> None:
        for name, want in self._wants(step):
            self.free[name].append((step, want))


def ancestors(graph: Graph) -> list[int]:
    """Of each step those that come before it, as bits."""
    found = [0] * len(graph)
    for step in graph.order:
        for one in graph.before[step]:
            found[step] |= found[one] | 1 << one
    return found
