"""Machines that are not there: start-up times, stock and preemptions as said, in whatever time the clock tells."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from skylift.compute.batch.billing import place_usage
from skylift.compute.batch.capabilities import OF_THIS_PROCESS
from skylift.compute.batch.provider import Held, Kind, Machine, NoCapacity, Phase
from skylift.compute.gangs import HERE, free_port
from skylift.ports.compute import Cancelled, Outcome, TaskCall

Clock = Callable[[], int]


class Runner(Protocol):
    """What attempts do on such a machine."""

    def begin(self, call: TaskCall, now_ms: int) -> None: ...

    def stop(self, token: str, now_ms: int) -> None:
        """Ends in an outcome."""
        ...

    def release(self, token: str) -> None:
        """It may save its state and leave."""
        ...

    def saved_ms(self, token: str) -> float:
        """Work that its checkpoints keep."""
        ...

    def ended(self, now_ms: int) -> Mapping[str, Outcome]:
        """Since this was last asked."""
        ...

    def next_ms(self) -> int | None:
        """When the next one ends, where that is known."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class TimedRunner:
    """Attempts that only take time: `work(call)` says how long, and how they end."""

    def __init__(self, work: Callable[[TaskCall], tuple[int, Outcome]]) -> None:
        self._work = work
        self._ends: dict[str, tuple[int, Outcome]] = {}

    def begin(self, call: TaskCall, now_ms: int) -> None:
        duration_ms, outcome = self._work(call)
        self._ends[call.token] = now_ms + duration_ms, outcome

    def stop(self, token: str, now_ms: int) -> None:
        if token in self._ends:
            self._ends[token] = now_ms, Cancelled()

    def release(self, token: str) -> None:
        """What only takes time saves nothing, and goes on."""

    def saved_ms(self, token: str) -> float:
        return 0.0

    def ended(self, now_ms: int) -> Mapping[str, Outcome]:
        over = {token: outcome for token, (at_ms, outcome) in self._ends.items() if at_ms <= now_ms}
        for token in over:
            del self._ends[token]
        return over

    def next_ms(self) -> int | None:
        return min((at_ms for at_ms, _ in self._ends.values()), default=None)

    def close(self) -> None:
        self._ends.clear()


class Stock(msgspec.Struct, frozen=True, kw_only=True):
    """How a kind can be had."""

    most: int | None = None
    """As many as exist; None for no end of them."""
    lives_ms: tuple[int, ...] = ()
    """The machines of this kind, one after the other, are taken away after so long; those after them never."""
    notice_ms: int = 120_000
    """How long before that is announced."""


class _Machine:
    def __init__(self, machine: str, kind: Kind, holder: str, since_ms: int, until_ms: int) -> None:
        self.id, self.kind, self.holder = machine, kind, holder
        self.since_ms, self.until_ms = since_ms, until_ms
        self.taken_ms: int | None = None
        self.notice_ms = 0
        self.gone_ms: int | None = None
        self.reason = ""
        self.preempted = False
        self.calls: dict[str, tuple[TaskCall, Held]] = {}
        self.asked_ms: dict[str, int] = {}

    @property
    def ready_ms(self) -> int:
        return self.since_ms + self.kind.startup_ms

    def phase(self, now_ms: int) -> Phase:
        if self.gone_ms is not None:
            return "gone"
        if now_ms < self.ready_ms:
            return "starting"
        return "warned" if self.taken_ms is not None and now_ms >= self.taken_ms - self.notice_ms else "ready"


class SimulatedProvider:
    """The Provider port, as if everything happened. What it knows lies in this object only."""

    name = "simulated"
    capabilities = OF_THIS_PROCESS
    open = False
    pause_s = 0.005

    def __init__(
        self,
        kinds: Sequence[Kind],
        clock: Clock,
        runner: Runner,
        *,
        stock: Mapping[str, Stock] | None = None,
        most_vcpus: float | None = None,
    ) -> None:
        self.most_vcpus = most_vcpus
        self._kinds = tuple(kinds)
        self._clock = clock
        self._runner = runner
        self._stock = dict(stock or {})
        self._lock = threading.RLock()
        self._machines: dict[str, _Machine] = {}
        self._ended: dict[str, Outcome] = {}
        self._calls: dict[str, TaskCall] = {}
        self._numbers = itertools.count(1)
        self._started: dict[str, int] = {}
        self.billed_ms: dict[str, int] = {}
        """By kind, from being asked for to the end, of machines that are gone."""

    def kinds(self) -> Sequence[Kind]:
        return self._kinds

    # Machines ---------------------------------------------------------------------------------------------------

    def in_stock(self, kind: Kind) -> bool | None:
        most = self._stock.get(kind.name, Stock()).most
        with self._lock:
            there = sum(each.kind.name == kind.name and each.gone_ms is None for each in self._machines.values())
        return most is None or there < most

    def start(self, kind: Kind, holder: str, until_ms: int) -> str:
        with self._lock:
            now_ms = self._advance()
            stock = self._stock.get(kind.name, Stock())
            if not self.in_stock(kind):
                raise NoCapacity(f"all {stock.most} {kind.name} are in use")
            number = self._started.get(kind.name, 0)
            self._started[kind.name] = number + 1
            machine = _Machine(f"{kind.name}-{next(self._numbers)}", kind, holder, now_ms, until_ms)
            if number < len(stock.lives_ms):
                machine.taken_ms = now_ms + stock.lives_ms[number]
                machine.notice_ms = stock.notice_ms
            self._machines[machine.id] = machine
            return machine.id

    def look(self) -> Sequence[Machine]:
        with self._lock:
            now_ms = self._advance()
            seen = [_seen(machine, now_ms) for machine in self._machines.values()]
            self._machines = {name: each for name, each in self._machines.items() if each.gone_ms is None}
            return seen

    def renew(self, machine: str, until_ms: int, holder: str | None = None) -> None:
        with self._lock:
            known = self._machines.get(machine)
            if known is not None:
                known.until_ms = until_ms
                known.holder = known.holder if holder is None else holder

    def stop(self, machines: Collection[str]) -> None:
        with self._lock:
            now_ms = self._advance()
            for name in machines:
                known = self._machines.get(name)
                if known is not None and known.gone_ms is None:
                    self._end(known, now_ms, "it was stopped")

    def _advance(self) -> int:
        """What has happened until now."""
        now_ms = self._clock()
        ended = self._runner.ended(now_ms)
        for machine in self._machines.values():
            if machine.gone_ms is not None:
                continue
            for token in [token for token in machine.calls if token in ended]:
                _, held = machine.calls.pop(token)
                self._ended[token] = _told(ended[token], machine, held)
            if machine.taken_ms is not None and now_ms >= machine.taken_ms:
                machine.preempted = True
                self._end(machine, machine.taken_ms, "the market took it away")
            elif now_ms > machine.until_ms:
                self._end(machine, machine.until_ms, "its lease ended")
        return now_ms

    def _end(self, machine: _Machine, at_ms: int, reason: str) -> None:
        machine.gone_ms, machine.reason = at_ms, reason
        name = machine.kind.name
        self.billed_ms[name] = self.billed_ms.get(name, 0) + at_ms - machine.since_ms
        for token in machine.calls:
            self._runner.stop(token, at_ms)
        self._runner.ended(at_ms)
        machine.calls.clear()

    # Attempts ---------------------------------------------------------------------------------------------------

    def run(self, machine: str, calls: Sequence[tuple[TaskCall, Held]]) -> None:
        with self._lock:
            now_ms = self._advance()
            known = self._machines.get(machine)
            for call, held in calls:
                self._calls[call.token] = call
                if known is None or known.gone_ms is not None or call.token in known.calls:
                    continue
                self._ended.pop(call.token, None)
                known.calls[call.token] = call, held
                known.asked_ms[call.token] = now_ms
                self._runner.begin(call, now_ms)

    def cancel(self, machine: str, tokens: Collection[str]) -> None:
        with self._lock:
            now_ms = self._advance()
            known = self._machines.get(machine)
            for token in tokens:
                if known is not None and token in known.calls:
                    self._runner.stop(token, now_ms)

    def release(self, machine: str, tokens: Collection[str]) -> None:
        with self._lock:
            known = self._machines.get(machine)
            for token in tokens:
                if known is not None and token in known.calls:
                    self._runner.release(token)

    def saved_ms(self, tokens: Collection[str]) -> Mapping[str, float]:
        with self._lock:
            running = {token for machine in self._machines.values() for token in machine.calls}
            return {token: self._runner.saved_ms(token) for token in tokens if token in running}

    def outcomes(self, tokens: Collection[str]) -> Mapping[str, Outcome]:
        with self._lock:
            self._advance()
            return {token: self._ended[token] for token in tokens if token in self._ended}

    def call(self, token: str) -> TaskCall | None:
        with self._lock:
            return self._calls.get(token)

    def forget(self, tokens: Collection[str]) -> None:
        self.drop(tokens)

    def drop(self, tokens: Collection[str]) -> None:
        with self._lock:
            for token in tokens:
                self._ended.pop(token, None)
                self._calls.pop(token, None)

    def rendezvous(self, machine: str) -> tuple[str, int]:
        return HERE, free_port()

    def listen(self, wake: Callable[[], None]) -> None:
        """Nothing calls."""

    def close(self) -> None:
        self._runner.close()

    def next_ms(self) -> int | None:
        """When something happens by itself."""
        with self._lock:
            now_ms = self._clock()
            due = [self._runner.next_ms()]
            for machine in self._machines.values():
                taken = machine.taken_ms
                due += [machine.ready_ms, taken, None if taken is None else taken - machine.notice_ms]
            return min((moment for moment in due if moment is not None and moment > now_ms), default=None)


def _told(outcome: Outcome, machine: _Machine, held: Held) -> Outcome:
    """With what is known of the place, where it really ran."""
    if isinstance(outcome, Cancelled) or outcome.usage is None:
        return outcome
    usage = place_usage(outcome.usage, machine.kind, machine.id, held, machine.asked_ms.get(held.token, 0))
    return msgspec.structs.replace(outcome, usage=usage)


def _seen(machine: _Machine, now_ms: int) -> Machine:
    return Machine(
        id=machine.id,
        kind=machine.kind,
        phase=machine.phase(now_ms),
        since_ms=machine.since_ms,
        until_ms=machine.until_ms,
        holder=machine.holder,
        holds=tuple(held for _, held in machine.calls.values()),
        reason=machine.reason,
        preempted=machine.preempted,
    )
