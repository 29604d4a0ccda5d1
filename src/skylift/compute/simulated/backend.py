"""The simulated cloud: a backend whose time is that of the engine's clock."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

import msgspec

from skylift.asl.events import Usage
from skylift.compute.basics import Basics
from skylift.compute.ended import EndedCalls
from skylift.compute.process.machine import infeasible
from skylift.compute.simulated.capabilities import CAPABILITIES
from skylift.compute.simulated.choosing import choose, offers_for, wish
from skylift.compute.simulated.ending import GONE, RELEASED, Ending, ending, metered, usage_in, usage_of, within_memory
from skylift.compute.simulated.endless import never_comes, never_ends
from skylift.compute.simulated.entry import Entry, Phase
from skylift.compute.simulated.hands import NAME, Hands
from skylift.compute.simulated.lanes import Lanes
from skylift.compute.simulated.market import Market
from skylift.compute.simulated.progress import Progress
from skylift.compute.simulated.results import recorded
from skylift.compute.simulated.room import Room
from skylift.compute.simulated.sights import Sights
from skylift.compute.simulated.startup import StartUps
from skylift.config.backends import SimulatedSettings
from skylift.ports.clock import Pace
from skylift.ports.compute import (
    Cancelled,
    Lost,
    Offer,
    Outcome,
    Report,
    Requirements,
    SpotSight,
    Standing,
    Submitted,
    Succeeded,
    TaskCall,
)
from skylift.pricing.catalogue import Catalogue, Rule
from skylift.pricing.places import Place
from skylift.units import parse_duration_ms

Step = Literal["begin", "warn", "lose"]

_REMEMBERED = 100_000


class SimulatedBackend(Basics):
    """Buys a place for each attempt, waits until it has come, lets the function run, and sends the bill.

    Where time jumps, functions run at once in worker processes while the clock stands still, and what they came to
    counts from when their place would have come; declared work takes as long as it says. At any other speed they run
    while that time passes, and a machine that is taken away is a worker that is killed.
    """

    name = NAME
    capabilities = CAPABILITIES

    def __init__(
        self,
        report: Report,
        pace: Pace,
        *,
        settings: SimulatedSettings,
        catalogue: Catalogue,
        market_of: Callable[[str], Market],
        hands: Callable[[Report], Hands],
        results: Mapping[str, Any] | None = None,
    ) -> None:
        """`market_of` gives the spot market of a kind of machine, `hands` what functions really run in, given what is
        to be told of their ends."""
        self._report = report
        self._pace = pace
        self._settings = settings
        self._catalogue = catalogue
        self._market_of = market_of
        self._markets: dict[str, Market] = {}
        self._results = dict(results or {})
        self._room = Room(settings)
        self._startups = StartUps(settings.seed)
        self._sights = Sights(catalogue, lambda needs: choose(needs, "spot", settings, catalogue))
        checkpoint, warning = settings.checkpoint, settings.warning
        self._warning_ms = None if warning is None else parse_duration_ms(warning, "warning")
        every_ms = None if checkpoint is None else parse_duration_ms(checkpoint, "checkpoint")
        self._progress = Progress(every_ms, self._warning_ms)
        self._lock = threading.RLock()
        self._held: dict[str, Entry] = {}
        self._lanes = Lanes()
        self._due: list[tuple[int, int, int, Entry, Ending | Step]] = []
        """What happens at a time, for what has not ended by then; what was launched first comes first."""
        self._really = 0
        self._launches = 0
        self._pushes = 0
        self._ended = EndedCalls(_REMEMBERED)
        self._came_to: dict[str, Outcome] = {}
        """What functions came to whose machine was taken away: they need not be run again to know it."""
        self._closed = False
        self._hands = hands(self._done)

    # The port ---------------------------------------------------------------------------------------------------

    def offers(self, requirements: Requirements) -> Sequence[Offer]:
        return offers_for(requirements, self._settings, self._catalogue)

    def submit(self, calls: Sequence[TaskCall]) -> None:
        with self._lock:
            if self._closed:
                return
            for call in calls:
                if call.token not in self._held and not self._ended.has(call.token, call.delivery):
                    self._accept(call)
            self._pace.attach(self)
            self._launch(self._now())
        self._pace.wake()

    def poll(self, tokens: Collection[str]) -> Mapping[str, Literal["queued", "running"]]:
        with self._lock:
            held = [entry for token in tokens if (entry := self._held.get(token)) is not None]
            return {entry.token: "queued" if entry.phase is Phase.QUEUED else "running" for entry in held}

    def explain(self, tokens: Collection[str]) -> Mapping[str, str]:
        with self._lock:
            held = [entry for token in tokens if (entry := self._held.get(token)) is not None]
            return {entry.token: self._said_of(entry, self._now()) for entry in held}

    def cancel(self, tokens: Collection[str]) -> None:
        with self._lock:
            now = self._now()
            for token in tokens:
                entry = self._held.get(token)
                if entry is None or self._closed:
                    continue
                if entry.really:
                    self._hands.cancel(token)
                self._let_go(entry)
                self._came_to.pop(token, None)
                self._report(token, Cancelled())
            self._launch(now)
        self._pace.wake()

    def sight(self, requirements: Requirements) -> SpotSight | None:
        with self._lock:
            return self._sights.see(requirements, self._market, self._now())

    def standings(self, tokens: Collection[str]) -> Mapping[str, Standing]:
        with self._lock:
            held = [entry for token in tokens if (entry := self._held.get(token)) is not None]
            now = self._now()
            return {
                entry.token: Standing(
                    market=entry.place.market, saved_ms=self._saved_ms(entry, now), usage=self._used(entry, now)
                )
                for entry in held
            }

    def release(self, tokens: Collection[str]) -> None:
        with self._lock:
            now = self._now()
            for token in tokens:
                entry = self._held.get(token)
                if entry is not None and entry.phase is Phase.LAUNCHED:
                    self._release(entry, now)
            self._launch(now)
        self._pace.wake()

    def sweep(self, live: Collection[str]) -> None:
        alive = set(live)
        with self._lock:
            stray = [token for token in self._held if token not in alive]
        self.cancel(stray)

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._hands.close()

    # The clock --------------------------------------------------------------------------------------------------

    def next_due(self) -> int | None:
        with self._lock:
            while self._due and not self._matters(self._due[0][3]):
                heapq.heappop(self._due)
            times = [self._due[0][0]] if self._due else []
            now = self._now()
            for entry in self._lanes.heads():
                market = self._market(entry.place)
                if market is not None and not market.up(now) and (change := market.next_change(now)) is not None:
                    times.append(change)
            return min(times, default=None)

    def busy(self) -> bool:
        return self._really > 0

    def tick(self, now_ms: int) -> None:
        with self._lock:
            if self._closed:
                return
            while self._due and self._due[0][0] <= now_ms:
                at_ms, _, _, entry, what = heapq.heappop(self._due)
                if self._matters(entry):
                    self._happen(entry, at_ms, what)
            self._launch(now_ms)

    # Under the lock ---------------------------------------------------------------------------------------------

    def _now(self) -> int:
        return self._pace.clock.now_ms()

    @property
    def _jumps(self) -> bool:
        return self._pace.speed is None

    def _accept(self, call: TaskCall) -> None:
        chosen = choose(call.requirements, call.market, self._settings, self._catalogue)
        if chosen is None:
            where = f"nothing in {self._settings.region} has within the quotas"
            what = f"wants {wish(call.requirements)}, which {where}"
            if call.requirements.place is not None:
                what = f"wants {call.requirements.place}, which cannot be bought within the quotas"
            self._ended.add(call.token, call.delivery)
            self._report(call.token, infeasible(call.label, self.name, (what, "lower what it asks for")))
            return
        entry = Entry(call, chosen)
        never = never_comes(entry, self._market(chosen))
        if never is not None:
            self._ended.add(call.token, call.delivery)
            self._report(call.token, infeasible(call.label, self.name, never))
            return
        self._held[call.token] = entry
        self._lanes.push(entry)
        if not self._jumps:
            self._hands.ready(call, self._really)  # also while it waits for a market: what starts here is no machine

    def _launch(self, now: int) -> None:
        """Everything that has room, and a market that is up."""
        while (entry := self._lanes.take(lambda waiting: self._blocked(waiting, now) is None)) is not None:
            self._room.take(entry)
            self._launches += 1
            entry.phase, entry.number = Phase.LAUNCHED, self._launches
            entry.launched_ms = now
            entry.began_ms = now + self._startups.draw_ms(self._rule(entry), entry.call.label)
            market = self._market(entry.place)
            entry.lost_at_ms = None if market is None else market.next_change(now)
            if self._jumps:
                self._begin(entry)
                continue
            self._push(entry.began_ms, entry, "begin")
            self._expect_loss(entry)
            self._hands.ready(entry.call, self._really)

    def _expect_loss(self, entry: Entry) -> None:
        if entry.lost_at_ms is None:
            return
        if self._warning_ms is not None:
            self._push(max(entry.launched_ms, entry.lost_at_ms - self._warning_ms), entry, "warn")
        self._push(entry.lost_at_ms, entry, "lose")

    def _blocked(self, entry: Entry, now: int) -> str | None:
        market = self._market(entry.place)
        if market is not None and not market.up(now):
            return f"no spot {entry.place.instance_type} can be had in {entry.place.region} now"
        return self._room.lacking(entry)

    def _market(self, place: Place) -> Market | None:
        if place.market != "spot":
            return None
        name = f"{place.service}/{place.instance_type}"
        if (place.cloud, place.region) != ("aws", self._settings.region):  # each region has a market of its own
            name = f"{place.cloud}/{place.region}/{name}"
        if name not in self._markets:
            self._markets[name] = self._market_of(name)
        return self._markets[name]

    def _begin(self, entry: Entry) -> None:
        """Its function, or what is known of it already."""
        before = self._came_to.get(entry.token) or recorded(entry.call, self._results)
        if before is not None and self._jumps:
            entry.result = before
            self._settle(entry)
            return
        entry.really = True
        self._really += 1
        self._hands.begin(entry.call, None if self._jumps else self._longest_ms(entry))

    def _happen(self, entry: Entry, at_ms: int, what: Ending | Step) -> None:
        if isinstance(what, Ending):
            self._end(entry, what)
        elif what == "lose":
            self._take_away(entry, at_ms)
        elif what == "warn":
            self._warn(entry, at_ms)
        else:
            self._begin(entry)

    def _warn(self, entry: Entry, at_ms: int) -> None:
        """As long before as is left of that, in our seconds. What has not begun yet has nothing to save."""
        if entry.really and entry.lost_at_ms is not None:
            entry.warned = True
            self._hands.warn(entry.token, (entry.lost_at_ms - at_ms) / 1000 / (self._pace.speed or 1.0))

    def _take_away(self, entry: Entry, at_ms: int) -> None:
        """A worker that runs is killed, and reported once it is dead: nothing of it goes on beside the next one."""
        entry.taken = True
        if entry.really:
            self._hands.take_away(entry.token, GONE)
        else:
            self._end(entry, Ending(at_ms, Lost(reason=GONE, preempted=True)))

    def _saved_ms(self, entry: Entry, now: int) -> float:
        """Of what really runs, what its worker has told, which passes as quickly as time; else by the declared work."""
        if entry.really:
            return self._hands.saved_ms(entry.token) * (self._pace.speed or 1.0)
        if entry.phase is Phase.QUEUED or not self._jumps:
            return 0.0
        return float(self._progress.kept_ms(entry, now))

    def _used(self, entry: Entry, now: int) -> Usage | None:
        """Of a place that was asked for, if that ended now."""
        if entry.phase is Phase.QUEUED:
            return None
        end, measured = Ending(now, Cancelled()), Usage() if entry.result is None else usage_in(entry.result)
        usage = usage_of(entry, end, measured, self._catalogue, backend=self.name, speed=self._pace.speed)
        return _worker(usage, entry)

    def _release(self, entry: Entry, now: int) -> None:
        if entry.really:
            self._hands.release(entry.token)
        elif self._jumps and self._progress.saves(entry) and entry.result is not None:
            entry.released = True
            self._end(entry, Ending(now, Lost(reason=RELEASED, preempted=True)))

    def _settle(self, entry: Entry) -> None:
        """What it came to is known: so is when it ends."""
        longest_ms = self._longest_ms(entry)
        end = ending(entry, self._progress.left_ms(entry), longest_ms)
        soonest_ms = self._rule(entry).startup_ms[0]
        never = never_ends(entry, self._market(entry.place), self._progress, soonest_ms, longest_ms)
        if never is not None:
            end = Ending(min(entry.began_ms, end.at_ms), infeasible(entry.call.label, self.name, never))
        self._push(end.at_ms, entry, end)

    def _push(self, at_ms: int, entry: Entry, what: Ending | Step) -> None:
        self._pushes += 1
        heapq.heappush(self._due, (at_ms, entry.number, self._pushes, entry, what))

    def _end(self, entry: Entry, end: Ending) -> None:
        outcome = end.outcome
        preempted = isinstance(outcome, Lost) and outcome.preempted
        measured = usage_in(end.outcome if entry.result is None else entry.result)
        usage = usage_of(entry, end, measured, self._catalogue, backend=self.name, speed=self._pace.speed)
        if preempted and self._jumps and not isinstance(entry.result, Lost):
            kept = self._progress.left if entry.released else self._progress.lost
            usage = msgspec.structs.replace(usage, saved_ms=float(kept(entry, end.at_ms)) or None)
            if entry.result is not None:
                self._came_to[entry.token] = entry.result
        elif isinstance(outcome, Succeeded):
            self._progress.done(entry)
        if not preempted:
            self._came_to.pop(entry.token, None)
        if not isinstance(outcome, Lost):
            self._ended.add(entry.token, entry.call.delivery)
        self._let_go(entry)
        self._report(entry.token, metered(outcome, _worker(usage, entry)))

    def _let_go(self, entry: Entry) -> None:
        del self._held[entry.token]
        if entry.phase is Phase.QUEUED:
            self._lanes.drop(entry)
        else:
            self._room.give_back(entry)
        if entry.really:
            entry.really = False
            self._really -= 1

    def _matters(self, entry: Entry) -> bool:
        return self._held.get(entry.token) is entry

    def _rule(self, entry: Entry) -> Rule:
        return self._catalogue.rules_of(entry.place.cloud)[entry.place.service]

    def _longest_ms(self, entry: Entry) -> int | None:
        return self._rule(entry).longest_ms

    def _said_of(self, entry: Entry, now: int) -> str:
        place = entry.place
        if entry.phase is Phase.QUEUED:
            return self._blocked(entry, now) or "starts"
        if now < entry.began_ms:
            return f"{place.instance_type} ({place.market}) comes in {(entry.began_ms - now) / 1000:.1f} s"
        return f"on {place.instance_type} ({place.market}) in {place.region}"

    # From the workers -------------------------------------------------------------------------------------------

    def _done(self, token: str, outcome: Outcome | Submitted) -> None:
        """What a function really came to."""
        with self._lock:
            entry = self._held.get(token)
            if entry is None or not entry.really or self._closed or isinstance(outcome, Submitted):
                return
            entry.really = False
            self._really -= 1
            if entry.warned and isinstance(outcome, Lost):
                outcome = msgspec.structs.replace(outcome, preempted=True)  # it died of the warning
            entry.result = outcome
            left = isinstance(outcome, Lost) and outcome.preempted
            if self._jumps and not left:
                self._settle(entry)
            else:
                self._end_now(entry, outcome)
                self._launch(self._now())
                if entry.taken:  # the next one begins in a new worker: it is started while the market is down
                    self._hands.ready(entry.call, self._really)
        self._pace.wake()

    def _end_now(self, entry: Entry, outcome: Outcome) -> None:
        now = self._now()
        if entry.taken and entry.lost_at_ms is not None:
            now = entry.lost_at_ms
        self._end(entry, Ending(max(now, entry.began_ms), within_memory(entry, outcome)))


def _worker(usage: Usage, entry: Entry) -> Usage:
    return msgspec.structs.replace(usage, worker=f"{entry.place.instance_type}-{entry.number}")
