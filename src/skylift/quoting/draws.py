"""How far a run may come to more or less than expected: it is played many times, with every time, start-up, preemption
and branch drawn by its chances. The same seed gives the same ranges.

Where nobody knows a chance, the run is played both ways: the lower end of a range takes the cheaper branch, the upper
one the dearer.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from fractions import Fraction
from random import Random
from typing import Literal

import msgspec

from skylift.placement.attempt import MOST_FAILED, Bid
from skylift.placement.interruptions import Timeline
from skylift.placement.interruptions import play as lived
from skylift.pricing.places import HOUR_MS
from skylift.quoting.tree import Beside, Either, Leaf, Loop, Many, Pause, Sequence, Times, Tree, nodes

PLAYED = 300
"""Runs: the tenth and ninetieth percentile are then known to a few percent."""
FEWER = 100
"""Of long pipelines, of which the total varies less the more steps there are."""
LONG = 300
"""Steps of a long one."""
APART = 48
"""Attempts of a Map and rounds of a loop that are drawn by themselves; of more, those stand for all."""
LISTED = 5_000
"""Attempts that wait for a free place one by one; of more, all are taken to be equally long."""
Lean = Literal["low", "high"]


class Haulage(msgspec.Struct, frozen=True, kw_only=True):
    """What moving all that a step reads costs and takes."""

    cost: Fraction
    ms: float
    formula: str = ""


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """Micro-dollars and milliseconds, one of each played run, in the order of their size."""

    cost: tuple[float, ...]
    time_ms: tuple[float, ...]
    steps: Mapping[str, tuple[float, ...]]
    """Cost of each step."""


def play(
    tree: Tree,
    bids: Mapping[str, Bid],
    slots: Mapping[str, int],
    lean: Lean,
    seed: int = 0,
    moved: Mapping[str, Haulage] | None = None,
) -> Played:
    """Steps without a bid take no time and cost nothing: whoever asks says so."""
    costs, times = [], []
    steps: dict[str, list[float]] = {step: [] for step in bids}
    rates = {step: (float(one.hour), float(one.fee)) for step, one in bids.items()}
    for number in range(FEWER if len(bids) > LONG else PLAYED):
        table = _Table(bids, rates, moved or {}, slots, lean, Random(f"{seed}/{number}"))
        times.append(table.ms(tree))
        costs.append(sum(table.cost.values()))
        for step, found in steps.items():
            found.append(table.cost.get(step, 0.0))
    return Played(
        cost=tuple(sorted(costs)),
        time_ms=tuple(sorted(times)),
        steps={step: tuple(sorted(found)) for step, found in steps.items()},
    )


def leans(tree: Tree) -> bool:
    """Whether there is a branch of which nobody knows the chances: else both ends of a range are of the same runs."""
    return any(isinstance(node, Either) and not node.known for node in nodes(tree))


def percentile(values: tuple[float, ...], share: float) -> float:
    """Of sorted values, the nearest rank."""
    return values[min(len(values) - 1, max(0, math.ceil(share * len(values)) - 1))] if values else 0.0


_Rates = Mapping[str, tuple[float, float]]
"""By step, the price of an hour and the fee."""


class _Table:
    """One played run."""

    def __init__(
        self,
        bids: Mapping[str, Bid],
        rates: _Rates,
        moved: Mapping[str, Haulage],
        slots: Mapping[str, int],
        lean: Lean,
        random: Random,
    ) -> None:
        self._bids = bids
        self._rates = rates
        self._moved = dict(moved)
        """What is still to be moved: all that a step reads is, before it begins."""
        self._slots = slots
        self._lean = lean
        self._random = random
        self._doubt = {step: random.gauss(0, 1) for step in bids}
        self._weight = 1.0
        """How many attempts one that is drawn stands for."""
        self._timelines: dict[str, Timeline] = {}
        """Markets that attempts which run at once have in common, by step."""
        self._shared = False
        self.cost: dict[str, float] = {}

    def ms(self, tree: Tree) -> float:
        """How long it takes; what it costs is put on the table."""
        if isinstance(tree, Leaf):
            return self._attempt(tree.step)
        if isinstance(tree, Pause):
            return float(tree.ms or 0)
        if isinstance(tree, Sequence):
            return sum(self.ms(part) for part in tree.parts)
        if isinstance(tree, Beside):
            return max((self.ms(part) for part in tree.parts), default=0.0)
        if isinstance(tree, Either):
            return self._either(tree)
        if isinstance(tree, Loop):
            return self._loop(tree)
        return self._many(tree)

    def _loop(self, tree: Loop) -> float:
        rounds = self._drawn(tree.rounds)
        drawn = min(rounds, APART)
        if not drawn:
            return 0.0
        before, self._weight = self._weight, self._weight * rounds / drawn
        took = sum(self.ms(tree.body) for _ in range(drawn))
        self._weight = before
        return took * rounds / drawn

    def _drawn(self, times: Times) -> int:
        if not times.seen:
            return 0
        found = times.seen[int(self._random.random() * len(times.seen))]
        whole = int(found)
        return whole + (self._random.random() < found - whole)

    def _either(self, tree: Either) -> float:
        if tree.known:
            chances = [option.chance or 0.0 for option in tree.options]
            return self.ms(self._random.choices(tree.options, chances)[0].tree)
        tried = []
        for option in tree.options:
            before, moved = dict(self.cost), dict(self._moved)
            took = self.ms(option.tree)
            tried.append((sum(self.cost.values()), took, self.cost, self._moved))
            self.cost, self._moved = before, moved
        best = (min if self._lean == "low" else max)(tried, key=lambda one: one[:2])
        self.cost, self._moved = best[2:]
        return best[1]

    def _many(self, tree: Many) -> float:
        width = self._drawn(tree.width)
        if not width:
            return 0.0
        at_once = max(1, min([width, *self._limits(tree)]))
        drawn = min(width, APART)
        before, self._weight = self._weight, self._weight * width / drawn
        shared, self._shared = self._shared, True
        times = [self.ms(tree.body) for _ in range(drawn)]
        self._weight, self._shared = before, shared
        if not shared:
            self._timelines.clear()
        if at_once >= width:
            return max(times)
        if width > LISTED:
            return sum(times) / drawn * width / at_once
        return _scheduled((times * -(-width // drawn))[:width], at_once)

    def _limits(self, tree: Many) -> list[int]:
        steps = set(_leaves(tree))
        limits = [self._slots[step] for step in steps if step in self._slots]
        return limits if tree.most is None else [*limits, tree.most]

    def _attempt(self, step: str) -> float:
        bid = self._bids.get(step)
        if bid is None:
            return 0.0
        random = self._random
        run = bid.run
        work = run.median * math.exp(self._doubt[step] * run.doubt + random.gauss(0, 1) * run.within)
        took, cost = self._delivered(step, bid, work)
        short = 0.0 if bid.around.memory_mib is None else bid.around.memory_mib.above(bid.place.memory_mib)
        if random.random() < short:
            took, cost = 2 * took, 3 * cost
        failed, repeats = min(bid.around.failed, MOST_FAILED), 0
        while failed and repeats != bid.around.repeats and random.random() < failed:
            more, again = self._delivered(step, bid, work)
            took, cost, repeats = took + more, cost + again, repeats + 1
        self.cost[step] = self.cost.get(step, 0.0) + cost * self._weight
        haulage = self._moved.pop(step, None)
        if haulage is not None:
            self.cost[step] += float(haulage.cost)
            took += haulage.ms
        return took

    def _delivered(self, step: str, bid: Bid, work_ms: float) -> tuple[float, float]:
        market = bid.around.market if bid.place.market == "spot" else None
        if market is None or market.never:
            startup = self._random.uniform(*bid.startup_ms)
            return startup + work_ms, _charge(bid, self._rates[step], startup, work_ms)
        timeline = self._timelines.get(step) or Timeline(market, self._random)
        if self._shared:
            self._timelines[step] = timeline
        run = lived(timeline, bid.startup_ms, work_ms, bid.around.checkpoint_ms, self._random, bid.net)
        paid = sum(_charge(bid, self._rates[step], *machine) for machine in run.machines)
        if run.steady is not None and bid.net is not None:
            hour, fee = self._rates[step]
            paid += _charge(bid, (hour * bid.net.dearer, fee), *run.steady)
        return run.took_ms, paid


def _charge(bid: Bid, rate: tuple[float, float], startup_ms: float, work_ms: float) -> float:
    rule, (hour, fee) = bid.rule, rate
    time = work_ms + (startup_ms if rule.bills_startup else 0.0)
    billed = max(float(rule.minimum_ms), math.ceil(time / rule.increment_ms) * rule.increment_ms)
    return hour * billed / HOUR_MS + fee


def _scheduled(times: list[float], at_once: int) -> float:
    """Each begins as soon as one of those before it has ended."""
    if at_once >= len(times):
        return max(times, default=0.0)
    ends = [0.0] * at_once
    for ms in times:
        heapq.heapreplace(ends, ends[0] + ms)
    return max(ends)


def _leaves(tree: Tree) -> list[str]:
    if isinstance(tree, Leaf):
        return [tree.step]
    if isinstance(tree, Pause):
        return []
    if isinstance(tree, Loop | Many):
        return _leaves(tree.body)
    parts = tree.parts if isinstance(tree, Sequence | Beside) else tuple(option.tree for option in tree.options)
    return [leaf for part in parts for leaf in _leaves(part)]
