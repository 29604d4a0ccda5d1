"""The ledger: deliveries folded into exact lines, by step, run, pipeline or day, with waste named. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction

import msgspec

from skylift.ports.compute import Requirements
from skylift.pricing.catalogue import Catalogue
from skylift.pricing.charge import Charge, Parts, Price, charge, place_of
from skylift.pricing.deliveries import Delivery
from skylift.pricing.places import GIB, MICRO, cost, places, typical_startup_ms
from skylift.pricing.transfer import Moved, Volumes

WASTE = ("startup", "idle", "failed", "lost", "transfer", "memory", "given_up")
"""Parts of an amount that no result came of, in the order in which they are shown."""
MOST_PRICES = 50
"""Price rows that a line names."""


class Line(msgspec.Struct, kw_only=True):
    """What was charged for one step, run, pipeline or day. Amounts in micro-dollars, exact."""

    name: str
    runs: int = 0
    attempts: int = 0
    deliveries: int = 0
    preemptions: int = 0
    lost: int = 0
    out_of_memory: int = 0
    failed: int = 0
    """Attempts that ended in a failure of their own."""
    given_up: int = 0
    """Attempts that were cancelled where somebody is sent a bill for them."""
    startup_ms: float = 0.0
    run_ms: float = 0.0
    gib_seconds: float = 0.0
    """Of the memory that was given, while code ran."""
    requests: int = 0
    in_bytes: int = 0
    out_bytes: int = 0
    unpriced_bytes: int = 0
    """Moved where there is no price for it: not in the amounts."""
    parts: Parts = Parts()
    on_demand: Fraction = Fraction(0)
    """The same attempts, each delivered once on machines that nobody takes away."""
    unpriced: int = 0
    """Deliveries that have no price here: they are in no amount."""
    free: int = 0
    """Deliveries on machines of one's own."""
    rehearsed: Fraction = Fraction(0)
    """How much of the amount is of the simulated cloud: nobody is sent a bill for it."""
    own_on_demand: Fraction = Fraction(0)
    """What these would have cost on demand, where that was asked."""
    own_unknown: int = 0
    """Those of them for which nothing fits or has a price."""
    places: list[str] = []
    prices: list[Price] = []

    @property
    def cost(self) -> Fraction:
        return self.parts.amount

    @property
    def waste(self) -> Fraction:
        return self.parts.waste


class Ledger:
    """Takes runs in, one after the other, and keeps a line for each name: as much as there are names, however many runs
    there are."""

    def __init__(self, catalogue: Catalogue, *, moved: Moved | None = None, own_in: str | None = None) -> None:
        """`moved` says where the artifacts lie, if moving them is to be charged; `own_in` is the region whose prices
        tell what work on own machines would have cost, if that is asked."""
        self._catalogue = catalogue
        self._moved = moved
        self._volumes = Volumes()
        self._own_in = own_in
        self.lines: dict[str, Line] = {}
        self.total = Line(name="total", places=[], prices=[])

    def add(self, given: Sequence[Delivery], name_of: Callable[[Delivery], str]) -> list[Line]:
        """One run's deliveries, in the order in which they ended; the lines that they are in."""
        touched: dict[str, Line] = {}
        for one in charges(given, self._catalogue, self._moved, self._volumes):
            line = self._line(name_of(one.delivery), touched)
            for each in (line, self.total):
                _add(each, one)
                self._own(each, one)
        for attempt in by_attempt(given):
            line, steady = self._line(name_of(attempt[-1]), touched), uninterrupted(attempt, self._catalogue)
            for each in (line, self.total):
                each.attempts += 1
                each.on_demand += steady
        for line in (*touched.values(), self.total):
            line.runs += 1
        return list(touched.values())

    def add_requests(self, name: str, count: int, price: Price | None, per: int) -> None:
        """So many of what is charged by the `per` pieces beside deliveries; without a price they are only counted."""
        fee = Fraction(0) if price is None else Fraction(count, per) * Fraction(price.usd) * MICRO
        for each in (self._line(name, {}), self.total):
            each.requests += count
            each.parts += Parts(requests=fee)
            each.unpriced += count if price is None else 0
            if price is not None and price not in each.prices:
                each.prices.append(price)

    def _line(self, name: str, touched: dict[str, Line]) -> Line:
        if name not in self.lines:
            self.lines[name] = Line(name=name, places=[], prices=[])
        return touched.setdefault(name, self.lines[name])

    def _own(self, line: Line, one: Charge) -> None:
        if self._own_in is None or one.known != "own":
            return
        found = elsewhere(one.delivery, self._catalogue, self._own_in)
        if found is None:
            line.own_unknown += 1
        else:
            line.own_on_demand += found


def charges(
    given: Iterable[Delivery], catalogue: Catalogue, moved: Moved | None = None, volumes: Volumes | None = None
) -> Iterator[Charge]:
    """Each delivery's, with what checkpoints had kept before it: the attempts of one visit of a step go on from each
    other's checkpoints."""
    kept: dict[tuple[str, str], float] = {}
    volumes = volumes or Volumes()
    for delivery in given:
        visit = (delivery.step, delivery.token.rpartition("-")[0] or delivery.token)
        before = kept.get(visit, 0.0)
        yield charge(delivery, before, catalogue, moved, volumes)
        saved = 0.0 if delivery.usage is None else delivery.usage.saved_ms or 0.0
        kept[visit] = 0.0 if delivery.ended == "succeeded" else max(before, saved)


def by_attempt(given: Iterable[Delivery]) -> list[list[Delivery]]:
    """The deliveries of each attempt, in order."""
    attempts: dict[str, list[Delivery]] = {}
    for delivery in given:
        attempts.setdefault(delivery.token, []).append(delivery)
    return list(attempts.values())


def uninterrupted(attempt: Sequence[Delivery], catalogue: Catalogue) -> Fraction:
    """What an attempt would have cost on machines that nobody takes away: the last delivery, which has done what
    checkpoints had not kept, and the work that they had."""
    last = attempt[-1].usage
    place = None if last is None else place_of(last)
    if last is None or place is None:
        return Fraction(0)
    kept = max((d.usage.saved_ms or 0.0 for d in attempt[:-1] if d.usage is not None), default=0.0)
    steady = msgspec.structs.replace(place, market="on-demand")
    exact = cost(steady, last.startup_ms or 0.0, (last.duration_ms or 0.0) + kept, catalogue)
    return Fraction(0) if exact is None else exact


def elsewhere(delivery: Delivery, catalogue: Catalogue, region: str) -> Fraction | None:
    """What a delivery on a machine of one's own would have cost on the cheapest on-demand place with its processors and
    memory (its peak, where no limit was given), with a usual start-up. None where nothing fits, or a GPU was used whose
    kind is not recorded."""
    usage = delivery.usage
    if usage is None or usage.gpu_ms or usage.duration_ms is None:
        return None
    peak = usage.memory_mib or usage.peak_memory_mib
    needs = Requirements(
        cpus=usage.vcpus or 1.0,
        memory_mib=None if peak is None else int(-(-peak // 1)),
        timeout_ms=round(usage.duration_ms) or None,
        nodes=usage.nodes,
    )
    found = places(needs, catalogue=catalogue, region=region)
    amounts = [cost(one, typical_startup_ms(one.service, catalogue), usage.duration_ms, catalogue) for one in found]
    return min((amount for amount in amounts if amount is not None), default=None)


def _add(line: Line, one: Charge) -> None:
    delivery, usage = one.delivery, one.delivery.usage
    line.deliveries += 1
    line.preemptions += delivery.ended == "preempted"
    line.lost += delivery.ended == "lost"
    line.out_of_memory += delivery.ended == "out-of-memory"
    line.failed += delivery.ended in ("failed", "timed-out")
    line.given_up += delivery.ended == "given-up"
    line.unpriced += one.known == "unpriced"
    line.free += one.known == "own"
    line.rehearsed += one.amount if delivery.rehearsed else 0
    line.requests += one.requests
    line.unpriced_bytes += one.unpriced_bytes
    line.parts += one.parts
    if usage is None:
        return
    line.startup_ms += usage.startup_ms or 0.0
    line.run_ms += usage.duration_ms or 0.0
    line.gib_seconds += (usage.memory_mib or 0) / GIB * (usage.duration_ms or 0.0) / 1000
    line.in_bytes += usage.in_bytes or 0
    line.out_bytes += usage.out_bytes or 0
    if one.known != "own":
        where = f"{usage.service} {usage.instance_type or ''} {usage.market or ''}".strip()
        if where not in line.places:
            line.places.append(where)
    for price in one.prices:
        if price not in line.prices and len(line.prices) < MOST_PRICES:
            line.prices.append(price)
