"""Which call goes to which place, when places are asked for and given back, and who is told what. No Ray in here."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Collection, Iterable
from typing import Any, Literal, Protocol

import msgspec

from skylift.blocks.whereabouts import Whereabouts
from skylift.compute.process.machine import infeasible
from skylift.compute.process.pace import Pace
from skylift.compute.ray.crew import Attempt, Crew, PlaceState, Verdict
from skylift.compute.ray.shape import Shape, misfit, shape_of
from skylift.compute.ray.wire import Node, SupervisorConfig, Wrote, decode_event, encode, head_of, pack_outcome
from skylift.ports.compute import Cancelled, Failed, Lost, Outcome, Requirements, TaskCall

BATCH_MS = 25.0
"""So much work lies at a place at once: what a message and its answer take, several times over."""
LARGEST_BATCH = 128
STALL_S = 0.15
WORTH_A_PLACE_MS = 400.0
"""Work that waits for less than this at each place is done sooner than another place is up."""
HUNGER_S = 2.0
STARVING_S = 5.0
MOST_COMING = 8
GIVE_UP_AFTER = 3
KEPT_VERDICTS = 20_000
KEPT_BYTES = 64 * 2**20
KEPT_LOG = 2**20


class Hands(Protocol):
    """What the desk has done to the world."""

    def start_place(self, crew: Crew) -> PlaceState: ...

    def give(self, place: PlaceState, bodies: list[bytes]) -> None: ...

    def recall(self, place: PlaceState) -> None:
        """Ends in `returned`."""

    def cancel_in(self, place: PlaceState, token: str) -> None: ...

    def end_place(self, place: PlaceState) -> None: ...

    def start_gang(self, attempt: Attempt) -> Any: ...

    def end_gang(self, gang: Any) -> None: ...

    def tell(self, client: str, event: bytes) -> bool:
        """Whether that engine is there."""
        ...


class Desk:
    """Not thread-safe: the supervisor's event loop owns it."""

    def __init__(self, config: SupervisorConfig, hands: Hands) -> None:
        self.config = config
        self.nodes: list[Node] = []
        self.held: dict[str, Attempt] = {}
        self.crews: dict[Shape, Crew] = {}
        self.gangs_since: dict[str, float] = {}
        """Gangs that wait for room, by token."""
        self._hands = hands
        self._pace = Pace()
        self._whereabouts = Whereabouts()
        """Which node has read which block."""
        self._running: dict[str, int] = {}
        self._verdicts: OrderedDict[str, Verdict] = OrderedDict()
        self._kept_bytes = 0

    # What engines ask -------------------------------------------------------------------------------------------

    def submit(self, bodies: Iterable[bytes], client: str) -> None:
        for body in bodies:
            call = head_of(body)
            if call.token in self.held:
                self._adopt(self.held[call.token], client)
            elif (verdict := self._verdicts.get(call.token)) is not None and verdict.is_of(call):
                self._retell(verdict, client)
            else:
                self._accept(call, body, client)
        self.dispatch()

    def poll(self, tokens: Collection[str], client: str) -> dict[str, Literal["queued", "running"]]:
        found: dict[str, Literal["queued", "running"]] = {}
        for token in tokens:
            attempt = self.held.get(token)
            if attempt is not None and attempt.client == client:
                found[token] = "running" if _is_running(attempt) else "queued"
        return found

    def known(self, tokens: Collection[str], client: str) -> list[str]:
        """Those that have not vanished with a connection: they are held, or their end is told once more."""
        found = []
        for token in tokens:
            verdict = self._verdicts.get(token)
            if token in self.held or (verdict is not None and self._hands.tell(client, verdict.event)):
                found.append(token)
        return found

    def cancel(self, tokens: Collection[str], outcome: Outcome | None = None) -> None:
        for token in tokens:
            attempt = self.held.get(token)
            if attempt is None:
                continue
            if attempt.group is not None:
                attempt.verdict = outcome or Cancelled()
                self._hands.end_gang(attempt.group)
            elif attempt.place is None:
                attempt.gone = True
                self.finish(attempt, outcome or Cancelled())
            else:
                attempt.verdict = outcome or Cancelled()
                self._hands.cancel_in(attempt.place, token)
        self.dispatch()

    @property
    def unheard(self) -> int:
        """Ends that no engine was told of."""
        return sum(not verdict.client for verdict in self._verdicts.values())

    def explain(self, tokens: Collection[str]) -> dict[str, str]:
        said = {token: self._why(self.held[token]) for token in tokens if token in self.held}
        return {token: text for token, text in said.items() if text}

    # What places say --------------------------------------------------------------------------------------------

    def up(self, place: PlaceState) -> None:
        place.up = True
        place.idle_since = time.monotonic()
        if place.crew is not None:
            place.crew.failures = 0
            self.dispatch()

    def refused(self, place: PlaceState, problem: str) -> None:
        """It cannot run anything, and neither can others like it: no call of its crew is left waiting."""
        self._forget(place)
        crew = place.crew
        for attempt in list(crew.queue.waiting()) if crew is not None else []:
            assert isinstance(attempt, Attempt)
            attempt.gone = True
            self.finish(attempt, cannot_start(problem))

    def answered(self, place: PlaceState, events: Iterable[bytes]) -> None:
        place.moved = time.monotonic()
        for data in events:
            event = decode_event(data)
            attempt = place.window.get(event.token)
            if attempt is None:
                continue
            if isinstance(event, Wrote):
                self._wrote(attempt, data)
            else:
                self._ended(place, attempt, event.outcome, data)
        self.dispatch()

    def returned(self, place: PlaceState, tokens: Collection[str]) -> None:
        """Calls that the place has not begun wait again, before all others."""
        place.recalled = False
        for token in reversed(list(tokens)):
            attempt = place.window.pop(token, None)
            if attempt is None or place.crew is None:
                continue
            attempt.place = None
            self._left(attempt)
            if attempt.verdict is not None:
                self.finish(attempt, attempt.verdict)
            else:
                place.crew.queue.push_back(attempt)
        self.dispatch()

    def died(self, place: PlaceState, outcome: Outcome) -> None:
        """The first of its calls ends so; those behind it wait again, for they had hardly begun."""
        self._forget(place)
        first = next(iter(place.window.values()), None)
        if first is not None:
            del place.window[first.call.token]
            self._left(first)
            self.finish(first, first.verdict or outcome)
        self.returned(place, list(place.window))
        crew = place.crew
        if crew is not None and not place.up:
            crew.failures += 1
            if crew.failures >= GIVE_UP_AFTER:
                crew.failures = 0
                self._give_up(crew, outcome)
        self.dispatch()

    def gang_told(self, attempt: Attempt, outcome: Outcome) -> None:
        if attempt.call.token in self.held:
            self.finish(attempt, outcome)

    # Decisions --------------------------------------------------------------------------------------------------

    def dispatch(self) -> None:
        for crew in list(self.crews.values()):
            self._hand_out(crew)
            self._wish(crew)

    def tick(self) -> None:
        """Now and then: what is due by the clock."""
        now = time.monotonic()
        hungry = [crew for crew in self.crews.values() if crew.hungry_since is not None]
        waits = [crew.hungry_since for crew in hungry if crew.hungry_since is not None] + list(
            self.gangs_since.values()
        )
        longest = now - min(waits) if waits else 0.0
        for crew in list(self.crews.values()):
            self._look_after(crew, now, hungry=longest > HUNGER_S)
        if longest > STARVING_S:
            self._make_room(hungry, now)
        self.dispatch()

    def _look_after(self, crew: Crew, now: float, *, hungry: bool) -> None:
        for place in list(crew.places):
            if place.up and not place.window:
                if place.leaving or hungry or now - place.idle_since > self.config.idle_s:
                    self.give_up_place(place)
            elif len(place.window) > 1 and not place.recalled and now - place.moved > STALL_S:
                place.recalled = True
                self._pace.slow(next(iter(place.window.values())).key)
                self._hands.recall(place)
        if not crew.places and not len(crew.queue):
            self.crews.pop(crew.shape, None)

    def _make_room(self, hungry: list[Crew], now: float) -> None:
        """Somebody waits long, and everything is busy: the place that has worked longest gives its room up."""
        busy = [place for crew in self.crews.values() if crew not in hungry for place in crew.up]
        if busy and not any(place.leaving for crew in self.crews.values() for place in crew.places):
            place = min(busy, key=lambda one: one.asked)
            place.leaving = True
            for crew in hungry:
                crew.hungry_since = now
            for token in self.gangs_since:
                self.gangs_since[token] = now

    def give_up_place(self, place: PlaceState) -> None:
        self._forget(place)
        self._hands.end_place(place)

    def _forget(self, place: PlaceState) -> None:
        place.ended = place.leaving = True
        if place.crew is not None and place in place.crew.places:
            place.crew.places.remove(place)

    def _hand_out(self, crew: Crew) -> None:
        given: dict[str, tuple[PlaceState, list[bytes]]] = {}
        up = crew.up
        while up and (entry := crew.queue.peek()) is not None:
            if entry.concurrency is not None and self._running.get(entry.key, 0) >= entry.concurrency:
                crew.queue.park()
                continue
            assert isinstance(entry, Attempt)
            place = self._beside(entry, up) or self._place_for(entry.key, up, batchable=entry.concurrency is None)
            if place is None:
                break
            attempt = crew.queue.take()
            assert isinstance(attempt, Attempt)
            given.setdefault(place.name, (place, []))[1].append(attempt.body)
            self._assign(attempt, place)
        for place, bodies in given.values():
            self._hands.give(place, bodies)

    def _beside(self, attempt: Attempt, up: list[PlaceState]) -> PlaceState | None:
        """An idle one on the node that has read its blocks."""
        if not attempt.near:
            return None
        idle = {place.node: place for place in up if not place.window and not place.recalled}
        node = self._whereabouts.prefer(attempt.near, idle)
        return None if node is None else idle[node]

    def _place_for(self, key: str, up: list[PlaceState], *, batchable: bool) -> PlaceState | None:
        """One that is idle, else the one with the fewest calls that may hold one more behind them."""
        best, least = None, self._depth(key) if batchable else 1
        for place in up:
            size = len(place.window)
            if size < least and not place.recalled:
                best, least = place, size
                if not size:
                    break
        return best

    def _depth(self, key: str) -> int:
        expected = self._pace.expected_ms(key)
        return 1 if expected is None else max(1, min(LARGEST_BATCH, int(BATCH_MS / expected)))

    def _assign(self, attempt: Attempt, place: PlaceState) -> None:
        if not place.window:
            place.moved = time.monotonic()
        attempt.place = place
        place.window[attempt.call.token] = attempt
        if attempt.near:
            self._whereabouts.note(place.node, attempt.near)
        if attempt.concurrency is not None:
            self._running[attempt.key] = self._running.get(attempt.key, 0) + 1

    def _wish(self, crew: Crew) -> None:
        """Ask for places while work waits that they would be up in time for; take wishes back that have no work."""
        waiting, coming, up = len(crew.queue), crew.coming, crew.up
        entry = crew.queue.peek() if waiting else None
        if entry is None:
            crew.hungry_since = None
            for place in coming:
                self.give_up_place(place)
            return
        if not up:
            crew.hungry_since = crew.hungry_since or time.monotonic()
        else:
            crew.hungry_since = None
        expected = self._pace.expected_ms(entry.key)
        if up and expected is not None and expected * waiting < WORTH_A_PLACE_MS * len(up):
            return
        for _ in range(min(waiting, max(MOST_COMING, len(up))) - len(coming)):
            crew.places.append(self._hands.start_place(crew))

    def _accept(self, call: TaskCall, body: bytes, client: str) -> None:
        attempt = self.held[call.token] = Attempt(call, body, client)
        if call.token in self._verdicts:
            self._kept_bytes -= len(self._verdicts.pop(call.token).event)
        needs = call.requirements
        wrong = misfit(needs, self.nodes)
        if wrong is not None and (needs.image is not None or not self.config.grows):
            self.finish(attempt, infeasible(call.label, self.config.host.backend, wrong))
        elif needs.nodes > 1:
            self.gangs_since[call.token] = time.monotonic()
            attempt.group = self._hands.start_gang(attempt)
        else:
            shape = shape_of(needs, call.code.bundle)
            self.crews.setdefault(shape, Crew(shape)).queue.push(attempt)

    # Ends -------------------------------------------------------------------------------------------------------

    def _ended(self, place: PlaceState, attempt: Attempt, outcome: Outcome, event: bytes) -> None:
        del place.window[attempt.call.token]
        usage = getattr(outcome, "usage", None)
        if usage is not None and usage.duration_ms is not None:
            self._pace.took(attempt.key, usage.duration_ms)
        if not place.window:
            place.idle_since = time.monotonic()
        self._left(attempt)
        replaced = attempt.verdict is not None and not isinstance(attempt.verdict, Cancelled)
        if replaced and isinstance(outcome, Cancelled) and attempt.verdict is not None:
            self.finish(attempt, attempt.verdict)
        else:
            self.finish(attempt, outcome, event)

    def _left(self, attempt: Attempt) -> None:
        if attempt.concurrency is None or attempt.place is None:
            return
        self._running[attempt.key] -= 1
        if not self._running[attempt.key]:
            del self._running[attempt.key]
        for crew in self.crews.values():
            crew.queue.unpark(attempt.key)

    def finish(self, attempt: Attempt, outcome: Outcome, event: bytes | None = None) -> None:
        token = attempt.call.token
        self.held.pop(token, None)
        self.gangs_since.pop(token, None)
        event = event or pack_outcome(token, outcome)
        for piece in attempt.unheard:
            self._hands.tell(attempt.client, piece)
        verdict = self._verdicts[token] = Verdict(event, attempt.client, outcome, attempt.call.delivery)
        self._kept_bytes += len(event)
        while len(self._verdicts) > 1 and (len(self._verdicts) > KEPT_VERDICTS or self._kept_bytes > KEPT_BYTES):
            self._kept_bytes -= len(self._verdicts.popitem(last=False)[1].event)
        if not self._hands.tell(verdict.client, event):
            verdict.client = ""

    def _give_up(self, crew: Crew, outcome: Outcome) -> None:
        for attempt in list(crew.queue.waiting()):
            assert isinstance(attempt, Attempt)
            attempt.gone = True
            self.finish(attempt, outcome)

    def _wrote(self, attempt: Attempt, piece: bytes) -> None:
        if self._hands.tell(attempt.client, piece):
            return
        kept = attempt.unheard
        kept.append(piece)
        while sum(map(len, kept)) > KEPT_LOG:
            del kept[0]

    def wrote_in_gang(self, attempt: Attempt, wrote: Wrote) -> None:
        self._wrote(attempt, encode(wrote))

    def _adopt(self, attempt: Attempt, client: str) -> None:
        attempt.client = client
        for piece in attempt.unheard:
            self._hands.tell(client, piece)
        attempt.unheard.clear()

    def _retell(self, verdict: Verdict, client: str) -> bool:
        """To an engine that was not the one to hear it first."""
        if verdict.client == client:
            return False
        verdict.client = client
        return self._hands.tell(client, verdict.event)

    # For people -------------------------------------------------------------------------------------------------

    def _why(self, attempt: Attempt) -> str:
        token, needs = attempt.call.token, attempt.call.requirements
        if token in self.gangs_since:
            return self._why_no_gang(needs)
        if attempt.group is not None or attempt.place is not None:
            return ""
        crew = self.crews.get(shape_of(needs, attempt.call.code.bundle))
        wrong = misfit(needs, self.nodes)
        if wrong is not None:
            return f"{wrong[0]}: waits for the cluster to grow"
        if attempt.concurrency is not None and self._running.get(attempt.key, 0) >= attempt.concurrency:
            return f"waits for another `{attempt.call.task}` to end: {attempt.concurrency} at once"
        if crew is not None and not crew.up:
            return f"waits for a free {crew.shape} in the cluster"
        return f"waits behind {len(crew.queue) if crew is not None else 0} calls for one of the places"

    def _why_no_gang(self, needs: Requirements) -> str:
        shape = shape_of(needs, None)
        said = f"waits for room for {needs.nodes} workers of {shape} at once"
        if self.config.gangs != "strict-spread":
            return said
        one = msgspec.structs.replace(needs, nodes=1)
        fitting = sum(misfit(one, [node]) is None for node in self.nodes)
        return f"{said}, each on a node of its own; {fitting} of the cluster's {len(self.nodes)} nodes could have one"


def cannot_start(problem: str) -> Failed:
    return Failed(error="Skylift.NoBackend", classes=("States.TaskFailed",), cause=problem)


def lost(reason: str) -> Lost:
    return Lost(reason=reason)


def _is_running(attempt: Attempt) -> bool:
    if attempt.group is not None:
        return bool(attempt.group.running)
    place = attempt.place
    return place is not None and bool(place.window) and next(iter(place.window.values())) is attempt
