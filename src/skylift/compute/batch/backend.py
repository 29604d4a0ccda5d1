"""The batch backend: the scheduler's decisions carried out on the machines of a provider."""

from __future__ import annotations

import secrets
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal

from skylift.compute.basics import Basics
from skylift.compute.batch.adopting import adopt
from skylift.compute.batch.entries import Entry, by_machine
from skylift.compute.batch.explaining import explain
from skylift.compute.batch.nodes import attempt_token
from skylift.compute.batch.offers import held_of, misfit, offers_of, sight_of, work_of
from skylift.compute.batch.provider import Machine, NoCapacity, Provider
from skylift.compute.batch.scheduler import (
    Effect,
    Ended,
    Found,
    KindsChanged,
    Lose,
    NotStarted,
    Observed,
    Place,
    PoolPolicy,
    Refuse,
    Scheduler,
    Start,
    Started,
    Stop,
    Submitted,
    Withdrawn,
)
from skylift.compute.batch.work import Work
from skylift.compute.ended import EndedCalls
from skylift.compute.gangs import member_calls
from skylift.compute.process.machine import infeasible, unsendable
from skylift.ports.compute import (
    Cancelled,
    Leased,
    Lost,
    Offer,
    Outcome,
    OutOfMemory,
    Report,
    Requirements,
    SpotSight,
    Standing,
    TaskCall,
)

_LOOK_S = 0.05
"""Between two looks at the machines; outcomes are looked for more often."""
_QUIET_S = 0.5
_EVENTFUL_S = 2.0
_TROUBLE_S = 1.0
_NO_JSON = (TypeError, ValueError, RecursionError, OverflowError)

Clock = Callable[[], int]


def _wall_ms() -> int:
    return int(time.time() * 1000)


class BatchBackend(Basics):
    """Attempts wait in queues and run on machines that come with the queue and go with it.

    One thread looks at the machines, asks the scheduler and carries out what it decides. What runs lies with the
    machines: a backend that starts after this one has died adopts it when it is submitted again. `queue_of` maps tasks
    to queues, `*` stands for all others.
    """

    def __init__(
        self,
        report: Report,
        provider: Provider,
        policy: PoolPolicy,
        *,
        name: str = "batch",
        queue_of: Mapping[str, str] | None = None,
        lease_ms: int = 600_000,
        clock: Clock = _wall_ms,
    ) -> None:
        self.name = name
        self._report = report
        self._provider = provider
        self.capabilities = provider.capabilities
        self._queue_of = dict(queue_of or {})
        self._lease_ms = lease_ms
        self._clock = clock
        self._holder = secrets.token_hex(8)
        self._scheduler = Scheduler(policy)
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._ended = EndedCalls()
        self._reports: list[tuple[str, Outcome]] = []
        self._forget: list[str] = []
        self._drop: list[str] = []
        self._renew_at = self._renewed_s = self._look_at = self._eventful = 0.0
        self._stoppers: list[threading.Thread] = []
        self._closing = False
        self._wake = threading.Event()
        provider.listen(self._wake.set)
        self._thread = threading.Thread(target=self._serve, name=f"skylift-{name}", daemon=True)
        self._thread.start()

    # The port ---------------------------------------------------------------------------------------------------

    def offers(self, requirements: Requirements) -> Sequence[Offer]:
        return offers_of(self.name, requirements, self._scheduler.policy)

    def submit(self, calls: Sequence[TaskCall]) -> None:
        with self._lock:
            if self._closing:
                return
            self._adopt([token for call in calls if not self._knows(token := call.token)])
            works = [work for call in calls if (work := self._accept(call)) is not None]
            self._carry(self._scheduler.advance(Submitted(works), self._clock()))
        self._wake.set()

    def poll(self, tokens: Collection[str]) -> Mapping[str, Literal["queued", "running"]]:
        with self._lock:
            held = [(token, self._entries[token]) for token in tokens if token in self._entries]
            return {token: "running" if entry.tokens else "queued" for token, entry in held}

    def explain(self, tokens: Collection[str]) -> Mapping[str, str]:
        with self._lock:
            now_ms = self._clock()
            said = {token: explain(self._scheduler, token, now_ms) for token in tokens if token in self._entries}
        return {token: text for token, text in said.items() if text is not None}

    def cancel(self, tokens: Collection[str]) -> None:
        with self._lock:
            for token in tokens:
                entry = self._entries.get(token)
                if entry is not None and not self._closing:
                    self._cancel(token, entry)
        self._wake.set()

    def sight(self, requirements: Requirements) -> SpotSight | None:
        return sight_of(requirements, self._scheduler.policy, self._provider.in_stock)

    def standings(self, tokens: Collection[str]) -> Mapping[str, Standing]:
        with self._lock:
            held = [entry for token in tokens if (entry := self._entries.get(token)) is not None]
            first = {entry.work.token: entry.tokens[0] for entry in held if entry.tokens}
        saved = self._provider.saved_ms(list(first.values()))
        return {
            entry.work.token: Standing(
                market=entry.work.needs.market, saved_ms=saved.get(first.get(entry.work.token, ""), 0.0)
            )
            for entry in held
        }

    def release(self, tokens: Collection[str]) -> None:
        with self._lock:
            held = [entry for token in tokens if (entry := self._entries.get(token)) is not None]
            told = by_machine(held)
        for machine, members in told.items():
            self._provider.release(machine, members)

    def sweep(self, live: Collection[str]) -> None:
        alive = set(live)
        with self._lock:
            stray = [token for token in self._entries if token not in alive]
        self.cancel(stray)

    def leased(self) -> Sequence[Leased]:
        return [_leased(self.name, machine) for machine in self._provider.look() if machine.phase != "gone"]

    def end(self, leased: Sequence[Leased]) -> None:
        self._provider.stop([each.id for each in leased if each.backend == self.name])
        self._wake.set()

    def close(self) -> None:
        """Machines with work go on: the next engine adopts them, or their lease ends them. The others are stopped."""
        with self._lock:
            self._closing = True
        self._wake.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    # Under the lock ---------------------------------------------------------------------------------------------

    def _knows(self, token: str) -> bool:
        return token in self._entries or self._ended.has(token, 1)

    def _accept(self, call: TaskCall) -> Work | None:
        if call.token in self._entries or self._ended.has(call.token, call.delivery):
            return None
        self._ended.forget(call.token)
        refused = misfit(call)
        if refused is not None:
            self._reports.append((call.token, infeasible(call.label, self.name, refused)))
            self._ended.add(call.token, call.delivery)
            return None
        work = work_of(call, self._queue_of)
        self._entries[call.token] = Entry(work, call)
        return work

    def _cancel(self, token: str, entry: Entry) -> None:
        if token in self._scheduler.queues.waiting:
            self._scheduler.advance(Withdrawn(token), self._clock())
            self._finish(entry, Cancelled())
        else:
            entry.cancel()

    def _adopt(self, tokens: list[str]) -> None:
        """What an engine before this one has left on machines, or has left of outcomes."""
        now_ms = self._clock()
        for entry, machines in adopt(tokens, self._provider, self._queue_of, now_ms):
            self._entries[entry.work.token] = entry
            for machine in machines:
                self._provider.renew(machine.id, now_ms + self._lease_ms, self._holder)
                self._scheduler.advance(Started(0, machine), now_ms)
            if entry.members:
                self._scheduler.advance(Found(entry.work, tuple(entry.members.values())), now_ms)
        self._look_at = 0.0
        self._wake.set()

    def _finish(self, entry: Entry, outcome: Outcome) -> None:
        token = entry.work.token
        del self._entries[token]
        self._scheduler.advance(Ended(token), self._clock())
        if isinstance(outcome, Lost | Cancelled | OutOfMemory):
            self._drop += entry.tokens
        else:
            self._forget += entry.tokens
        if not isinstance(outcome, Lost | Cancelled):
            self._ended.add(token, entry.call.delivery)
        self._reports.append((token, outcome))

    def _carry(self, effects: Sequence[Effect]) -> list[Place | Start | Stop]:
        """What needs no provider is done; the rest is returned."""
        rest: list[Place | Start | Stop] = []
        for effect in effects:
            if isinstance(effect, Refuse):
                entry = self._entries.pop(effect.work.token)
                refused = infeasible(entry.call.label, self.name, (effect.wants, effect.mend))
                self._reports.append((entry.work.token, refused))
                self._ended.add(entry.work.token, entry.call.delivery)
            elif isinstance(effect, Lose):
                lost = self._entries.get(effect.token)
                if lost is not None:
                    lost.lost(effect.machine, effect.reason, self._clock(), preempted=effect.preempted)
            else:
                rest.append(effect)
        return rest

    # The thread -------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while not self._closing:
            try:
                self._round()
            except Exception:  # noqa: BLE001 - a provider in trouble now may be well again later
                sys.excepthook(*sys.exc_info())
                self._wake.wait(_TROUBLE_S)
            self._wake.wait(self._pause())
            self._wake.clear()
        self._leave()

    def _round(self) -> None:
        machines = self._look()
        with self._lock:
            asked = [member for entry in self._entries.values() for member in entry.members]
        ended = self._provider.outcomes(asked)
        with self._lock:
            self._take_in(ended, machines)
            effects = self._carry(self._scheduler.decide(self._clock()))
            puts = [self._put(effect) for effect in effects if isinstance(effect, Place)]
        for entry in puts:
            self._run(entry)
        for effect in effects:
            if isinstance(effect, Start):
                self._start(effect)
        self._stop([effect.machine for effect in effects if isinstance(effect, Stop)])
        self._stop_members()
        self._renew()
        self._tell()

    def _look(self) -> Sequence[Machine] | None:
        now = time.monotonic()
        if now < self._look_at:
            return None
        self._look_at = now + _LOOK_S
        return self._provider.look()

    def _take_in(self, ended: Mapping[str, Outcome], machines: Sequence[Machine] | None) -> None:
        if ended:
            self._eventful = time.monotonic()
        for entry in list(self._entries.values()):
            for member in [member for member in entry.members if member in ended]:
                entry.ended(member, ended[member], self._clock())
        if machines is not None:
            now_ms = self._clock()
            if self._provider.open:
                self._scheduler.advance(KindsChanged(tuple(self._provider.kinds())), now_ms)
            ours = frozenset(machine.id for machine in machines if machine.holder in ("", self._holder))
            self._carry(self._scheduler.advance(Observed(machines, ours), now_ms))
        for entry in [entry for entry in self._entries.values() if entry.tokens and not entry.members]:
            self._finish(entry, entry.outcome)

    def _put(self, place: Place) -> Entry:
        entry = self._entries[place.work.token]
        entry.put(place.machines)
        self._eventful = time.monotonic()
        return entry

    def _run(self, entry: Entry) -> None:
        """Give the members to their machines."""
        call, places = entry.call, dict(entry.members)
        try:
            for member in self._member_calls(entry):
                self._provider.run(places[member.token], [(member, held_of(member))])
        except _NO_JSON as problem:
            self._failed(entry, unsendable(call.label, problem))
        except Exception as problem:  # noqa: BLE001 - a provider may raise anything: it is in the scheduler's books
            self._failed(entry, Lost(reason=f"it could not be handed to its machine: {_in_words(problem)}"))

    def _member_calls(self, entry: Entry) -> list[TaskCall]:
        if entry.work.needs.nodes == 1:
            return [entry.call]
        address, port = self._provider.rendezvous(entry.members[entry.tokens[0]])
        return member_calls(entry.call, address, port)

    def _failed(self, entry: Entry, outcome: Outcome) -> None:
        with self._lock:
            given = by_machine([entry])
            entry.verdict = outcome
            entry.members.clear()
        for machine, tokens in given.items():
            self._provider.cancel(machine, tokens)

    def _start(self, effect: Start) -> None:
        now_ms = self._clock()
        until_ms = now_ms + self._lease_ms
        try:
            machine = self._provider.start(effect.kind, self._holder, until_ms)
        except Exception as problem:  # noqa: BLE001 - whatever it raises, no machine comes of this
            answer: Started | NotStarted = NotStarted(effect.number, _in_words(problem))
        else:
            there = Machine(
                id=machine,
                kind=effect.kind,
                phase="starting",
                since_ms=now_ms,
                until_ms=until_ms,
                holder=self._holder,
            )
            answer = Started(effect.number, there)
        with self._lock:
            self._scheduler.advance(answer, now_ms)

    def _stop(self, machines: list[str]) -> None:
        """On a thread of its own: it waits until they are gone."""
        if machines:
            self._stoppers = [thread for thread in self._stoppers if thread.is_alive()]
            stopper = threading.Thread(target=self._stop_now, args=(machines,), name=f"skylift-{self.name}-stop")
            self._stoppers.append(stopper)
            stopper.start()

    def _stop_now(self, machines: list[str]) -> None:
        """What could not be stopped is not forgotten: it is stopped in a later round."""
        try:
            self._provider.stop(machines)
        except Exception:  # noqa: BLE001 - a provider in trouble now may be well again later
            sys.excepthook(*sys.exc_info())
            time.sleep(_TROUBLE_S)
            with self._lock:
                self._scheduler.nodes.not_stopped(machines)

    def _stop_members(self) -> None:
        with self._lock:
            for entry in self._entries.values():
                entry.settle(self._clock())
            asked = [entry for entry in self._entries.values() if entry.stop == "asked" and entry.members]
            told = by_machine(asked)
            for entry in asked:
                entry.stop = "told"
        for machine, tokens in told.items():
            self._eventful = time.monotonic()
            self._provider.cancel(machine, tokens)

    def _renew(self) -> None:
        """What we hold, and what holds attempts of ours."""
        now, wall_s, third_s = time.monotonic(), time.time(), self._lease_ms / 3000
        if now < self._renew_at and abs(wall_s - self._renewed_s) < third_s:  # the first stands still in a sleep
            return
        self._renew_at, self._renewed_s = now + third_s, wall_s
        with self._lock:
            ours = {node.machine.id for node in self._scheduler.nodes.all() if node.ours and not node.machine.standing}
            ours |= {machine for entry in self._entries.values() for machine in entry.members.values()}
        for machine in ours:
            self._provider.renew(machine, self._clock() + self._lease_ms)

    def _tell(self) -> None:
        with self._lock:
            reports, self._reports = self._reports, []
            forget, self._forget = self._forget, []
            drop, self._drop = self._drop, []
        self._provider.drop(drop)
        for token, outcome in reports:
            if self._closing:
                return
            try:
                self._report(token, outcome)
            except Exception:  # noqa: BLE001 - whoever listens must not be able to stop the other attempts
                sys.excepthook(*sys.exc_info())
        self._provider.forget(forget)

    def _pause(self) -> float:
        """Until something may be new: soon while there was something just now, later while nothing happens."""
        with self._lock:
            if self._reports or self._drop or self._forget:
                return 0.0
            due = self._scheduler.next_due_ms(self._clock())
            busy = any(entry.members for entry in self._entries.values())
            changing = bool(self._scheduler.pending or self._scheduler.nodes.starting() or self._stoppers)
            there = len(self._scheduler.nodes) > 0 or (self._provider.open and bool(self._entries))
        self._stoppers = [thread for thread in self._stoppers if thread.is_alive()]
        if busy and time.monotonic() - self._eventful < _EVENTFUL_S:
            return self._provider.pause_s
        pause = _LOOK_S if busy or changing else _QUIET_S if there else self._lease_ms / 3000
        return pause if due is None else max(0.0, min(pause, (due - self._clock()) / 1000))

    def _leave(self) -> None:
        with self._lock:
            idle = [
                node.machine.id
                for node in self._scheduler.nodes.all()
                if node.ours and not node.busy and not node.machine.standing
            ]
        self._provider.stop(idle)
        for stopper in self._stoppers:
            stopper.join()
        self._provider.close()


def _leased(name: str, machine: Machine) -> Leased:
    alone = machine.holds[0] if len(machine.holds) == 1 else None
    what = alone.label if alone is not None else f"{len(machine.holds)} attempts"
    return Leased(
        backend=name,
        kind="machine",
        id=machine.id,
        until_ms=machine.until_ms,
        token=None if alone is None else attempt_token(alone.token),
        run_id=None if alone is None else alone.run_id or None,
        note=f"{machine.kind.name}: {what or 'an attempt'}",
    )


def _in_words(problem: Exception) -> str:
    """What people know by its text is said by that; what may be anything, with its class."""
    return str(problem) if isinstance(problem, NoCapacity | OSError) else f"{type(problem).__name__}: {problem}"
