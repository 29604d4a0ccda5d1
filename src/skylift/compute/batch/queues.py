"""Job queues: by priority, in one priority by fair share, in one share by turns of its runs in order of submission.

A share's standing is what it has used, forgotten by halves, and what it uses now, divided by its weight. The one that
stands lowest is served next.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator

import msgspec

from skylift.compute.batch.work import Needs, Work

_NOW_MS = 60_000.0
"""What runs now counts like so much use in the past, so that shares that begin together are served in turn."""

DEFAULT = "default"

AGAIN = 1 << 60
"""What was lost goes before all of its turn."""

ShapeKey = tuple[Needs, int, str]
"""What decides whether work finds a place: all of one shape wait behind the first."""


Order = tuple[int, int]
"""The turn, and the place in the order of submission: runs take turns, so that a wide one does not hold up others."""


class QueuePolicy(msgspec.Struct, frozen=True, kw_only=True):
    priority: int = 1
    weights: dict[str, float] = {}
    """By share identifier; those not named weigh 1."""
    half_life_ms: float = 600_000.0


class Share:
    """What one share identifier of one queue waits for and has used."""

    def __init__(self, queue: str, name: str, weight: float, half_life_ms: float) -> None:
        self.queue, self.name = queue, name
        self.lanes: dict[ShapeKey, list[tuple[Order, Work]]] = {}
        """Heaps."""
        self.turn = 0
        """Of what was served last."""
        self.turns: dict[str, int] = {}
        """The last turn that each run has asked for, as long as anything waits."""
        self._weight = weight
        self._decay = math.log(2) / half_life_ms
        self._used = 0.0
        self._running = 0
        self._at_ms = 0

    def begin(self, needs: Needs, now_ms: int) -> None:
        self._settle(now_ms)
        self._running += _size(needs)

    def end(self, needs: Needs, now_ms: int) -> None:
        self._settle(now_ms)
        self._running -= _size(needs)

    def standing(self, now_ms: int) -> float:
        used, running = self._used_at(now_ms), self._running
        return (used + running * _NOW_MS) / self._weight

    def quiet(self, now_ms: int) -> bool:
        """Nothing waits or runs, and what it used is as good as forgotten."""
        return not self.lanes and not self._running and self._used_at(now_ms) < 1.0

    def _settle(self, now_ms: int) -> None:
        self._used, self._at_ms = self._used_at(now_ms), now_ms

    def _used_at(self, now_ms: int) -> float:
        """Use grows by what runs and is forgotten by halves; exact over any length of time."""
        kept = math.exp(-self._decay * max(0, now_ms - self._at_ms))
        return self._used * kept + self._running * (1 - kept) / self._decay


def _size(needs: Needs) -> int:
    """What is shared out: processors, a GPU counting as sixteen."""
    return (needs.mcpus + 16_000 * needs.gpus) * needs.nodes


class Queues:
    """All that waits."""

    def __init__(self, policies: dict[str, QueuePolicy]) -> None:
        self.policies = {DEFAULT: QueuePolicy(), **policies}
        self.waiting: dict[str, Work] = {}
        self.backlog: dict[tuple[int, ShapeKey], int] = {}
        """How much waits, by priority of its queue and shape."""
        self._most: dict[str, int] = {}
        self._orders: dict[str, Order] = {}
        self._shares: dict[tuple[str, str], Share] = {}
        self._last = 0

    def push(self, work: Work) -> None:
        """Behind those of its kind, or before them if it was placed already once."""
        self.waiting[work.token] = work
        if work.most is not None:
            self._most[work.lane] = work.most
        share = self.share(work)
        order = self._orders[work.token] = self._order(share, work)
        heapq.heappush(share.lanes.setdefault(shape(work), []), (order, work))
        self._count(work, 1)

    def _order(self, share: Share, work: Work) -> Order:
        if not share.lanes:
            share.turns.clear()
        self._last += 1
        if work.again:
            return share.turn, self._last - AGAIN
        turn = share.turns[work.run] = max(share.turn, share.turns.get(work.run, share.turn) + 1)
        return turn, self._last

    def remove(self, token: str) -> Work | None:
        work = self.waiting.pop(token, None)
        if work is not None:
            del self._orders[token]
            self._count(work, -1)
        return work

    def take(self, work: Work) -> None:
        """It has found a place."""
        share = self.share(work)
        share.turn = max(share.turn, self._orders[work.token][0])
        self.remove(work.token)

    def _count(self, work: Work, more: int) -> None:
        key = (self.priority(work), shape(work))
        left = self.backlog.get(key, 0) + more
        if left:
            self.backlog[key] = left
        else:
            del self.backlog[key]

    def share(self, work: Work) -> Share:
        key = (work.queue, work.share)
        share = self._shares.get(key)
        if share is None:
            policy = self.policies[work.queue]
            weight = policy.weights.get(work.share, 1.0)
            share = self._shares[key] = Share(work.queue, work.share, weight, policy.half_life_ms)
        return share

    def most_of(self, lane: str) -> int | None:
        """The limit of attempts at once that a lane was last given."""
        return self._most.get(lane) if lane else None

    def priority(self, work: Work) -> int:
        return self.policies[work.queue].priority

    def order(self, token: str) -> Order:
        """Its place in its share."""
        return self._orders[token]

    def serve(self, now_ms: int, attempt: Callable[[Work], bool]) -> None:
        """Offer work in its order to `attempt`, which says whether it found a place (and removes it then). What is of a
        shape that found none is not offered."""
        refused: set[ShapeKey] = set()
        for tier in self._tiers():
            heap = [(share.standing(now_ms), share.queue, share.name, share) for share in tier]
            heapq.heapify(heap)
            while heap:
                _, queue, name, share = heapq.heappop(heap)
                work = self._head(share, refused)
                if work is None:
                    continue
                if not attempt(work):
                    refused.add(shape(work))
                heapq.heappush(heap, (share.standing(now_ms), queue, name, share))
        self._tidy(now_ms)

    def _tiers(self) -> Iterator[list[Share]]:
        """Shares with something waiting, those of the queues with the highest priority first."""
        tiers: dict[int, list[Share]] = {}
        for share in self._shares.values():
            if share.lanes:
                tiers.setdefault(self.policies[share.queue].priority, []).append(share)
        for priority in sorted(tiers, reverse=True):
            yield tiers[priority]

    def _head(self, share: Share, refused: set[ShapeKey]) -> Work | None:
        """What is next in this share, of all shapes that were not refused."""
        best: tuple[int, Order, Work] | None = None
        for key in list(share.lanes):
            if key in refused:
                continue
            lane = share.lanes[key]
            while lane and self._orders.get(lane[0][1].token) != lane[0][0]:
                heapq.heappop(lane)  # it was withdrawn, or has been placed
            if not lane:
                del share.lanes[key]
                continue
            order, work = lane[0]
            if best is None or (-work.priority, order) < best[:2]:
                best = (-work.priority, order, work)
        return None if best is None else best[2]

    def _tidy(self, now_ms: int) -> None:
        if len(self._shares) > 2 * len(self.waiting) + 64:
            self._shares = {key: share for key, share in self._shares.items() if not share.quiet(now_ms)}


def shape(work: Work) -> ShapeKey:
    return work.needs, work.priority, "" if work.most is None else work.lane
