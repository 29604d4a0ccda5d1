"""The queue's decisions: functions of (state, event, now) → effects. No clock, no input or output.

`Scheduler.advance` changes the state that it is given an event for, and returns what is to be done about it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from skylift.blocks.whereabouts import Whereabouts
from skylift.compute.batch.nodes import Nodes
from skylift.compute.batch.packing import Room, pack
from skylift.compute.batch.provider import Kind, Machine
from skylift.compute.batch.queues import QueuePolicy, Queues
from skylift.compute.batch.refusing import why_never
from skylift.compute.batch.scaling import Budget, decreasing, hold, may_run_on, plan
from skylift.compute.batch.work import Needs, Work, mcpus_of, members_in


class PoolPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What an administrator says of the machines."""

    kinds: tuple[Kind, ...] = ()
    open: bool = False
    """Other kinds may turn up: what fits none waits."""
    most_mcpus: int | None = None
    idle_ms: int = 60_000
    """After so long without work a machine is stopped."""
    patience_ms: int = 30_000
    """After so long at the head of what finds no room, machines are kept free for a work."""
    retry_ms: int = 15_000
    """After a kind could not be had, it is asked for again after so long; twice that the next time, up to 16 times."""
    queues: dict[str, QueuePolicy] = {}
    """Beside `default`, which is always there."""


# Events -------------------------------------------------------------------------------------------------------------


class Submitted(msgspec.Struct, frozen=True):
    works: Sequence[Work]


class Withdrawn(msgspec.Struct, frozen=True):
    """Of what waits; what is placed ends by `Ended`."""

    token: str


class Ended(msgspec.Struct, frozen=True):
    """What was placed is over, for all its members."""

    token: str


class Found(msgspec.Struct, frozen=True):
    """Work of an earlier scheduler runs on these machines, one a member."""

    work: Work
    machines: tuple[str, ...]


class Observed(msgspec.Struct, frozen=True):
    """All machines as they are now; `ours` are those we may give work to."""

    machines: Sequence[Machine]
    ours: frozenset[str]


class Started(msgspec.Struct, frozen=True):
    """A machine was asked for and will be there."""

    number: int
    machine: Machine


class NotStarted(msgspec.Struct, frozen=True):
    """There is none to be had of that kind now."""

    number: int
    reason: str


class KindsChanged(msgspec.Struct, frozen=True):
    kinds: tuple[Kind, ...]


class Tick(msgspec.Struct, frozen=True):
    """Time has passed."""


Event = Submitted | Withdrawn | Ended | Found | Observed | Started | NotStarted | KindsChanged | Tick


# Effects ------------------------------------------------------------------------------------------------------------


class Place(msgspec.Struct, frozen=True):
    work: Work
    machines: tuple[str, ...]
    """One a member, by rank."""


class Start(msgspec.Struct, frozen=True):
    number: int
    """Named again in the answer, Started or NotStarted."""
    kind: Kind


class Stop(msgspec.Struct, frozen=True):
    machine: str


class Refuse(msgspec.Struct, frozen=True):
    """It can never run here."""

    work: Work
    wants: str
    mend: str


class Lose(msgspec.Struct, frozen=True):
    """A machine under it is gone. Members on other machines are still there."""

    token: str
    machine: str
    reason: str
    preempted: bool


Effect = Place | Start | Stop | Refuse | Lose


class Placed(msgspec.Struct, frozen=True):
    work: Work
    machines: tuple[str, ...]
    since_ms: int


class Backoff(msgspec.Struct, frozen=True):
    """A kind that could not be had."""

    until_ms: int
    wait_ms: int
    reason: str


class Scheduler:
    """State of one pool: what waits, what runs where, and the machines."""

    def __init__(self, policy: PoolPolicy) -> None:
        self.policy = policy
        self.queues = Queues(policy.queues)
        self.placed: dict[str, Placed] = {}
        self.nodes = Nodes()
        self.pending: dict[int, Kind] = {}
        """Machines that were asked for and of which nothing was heard."""
        self.backoff: dict[str, Backoff] = {}
        self.whereabouts = Whereabouts()
        """Which machine has read which block."""
        self.running: dict[str, int] = {}
        """Attempts at once, by lane."""
        self.reserved: tuple[str, frozenset[str]] | None = None
        """Machines that are kept free for a work that has waited at the head for too long."""
        self._refused_since: dict[str, int] = {}
        self._number = 0

    def advance(self, event: Event, now_ms: int) -> list[Effect]:
        effects: list[Effect] = []
        if isinstance(event, Submitted):
            effects += self._submitted(event.works)
        elif isinstance(event, Withdrawn):
            self._withdrawn(event.token)
        elif isinstance(event, Ended):
            self._leave(event.token, now_ms)
        elif isinstance(event, Found):
            self._found(event, now_ms)
        elif isinstance(event, Observed):
            effects += self._observed(event, now_ms)
        elif isinstance(event, Started):
            self.pending.pop(event.number, None)
            self.nodes.add(event.machine, now_ms)
        elif isinstance(event, NotStarted):
            self._not_started(event, now_ms)
        elif isinstance(event, KindsChanged):
            self.policy = msgspec.structs.replace(self.policy, kinds=event.kinds)
        return effects

    def decide(self, now_ms: int) -> list[Effect]:
        """What to place, start and stop now. Called once after all events that are known."""
        effects: list[Effect] = list(self._place(now_ms))
        effects += self._start(now_ms)
        effects += self._stop(now_ms)
        return effects

    def next_due_ms(self, now_ms: int) -> int | None:
        """When time alone changes a decision."""
        due = [node.idle_since + self.policy.idle_ms for node in self.nodes.idle()]
        if self.queues.waiting:
            due += [since + self.policy.patience_ms for since in self._refused_since.values()]
            due += [backoff.until_ms for backoff in self.backoff.values()]
        return min((moment for moment in due if moment > now_ms), default=None)

    # Events ---------------------------------------------------------------------------------------------------------

    def _submitted(self, works: Sequence[Work]) -> Iterator[Effect]:
        for work in works:
            if work.token in self.placed or work.token in self.queues.waiting:
                continue
            never = None if self.policy.open else why_never(work, self.policy.kinds, self.policy.most_mcpus)
            if never is not None:
                yield Refuse(work, *never)
            else:
                self.queues.push(work)

    def _withdrawn(self, token: str) -> None:
        self.queues.remove(token)
        self._refused_since.pop(token, None)
        if self.reserved is not None and self.reserved[0] == token:
            self.reserved = None

    def _found(self, event: Found, now_ms: int) -> None:
        if event.work.token not in self.placed:
            self._withdrawn(event.work.token)
            self._enter(event.work, event.machines, now_ms)
            self.nodes.settle(self.placed, event.machines, now_ms)

    def _observed(self, event: Observed, now_ms: int) -> Iterator[Effect]:
        gone = self.nodes.observe(event.machines, event.ours, self.placed, now_ms)
        for kind in self.nodes.ready_kinds():
            if (backoff := self.backoff.get(kind)) and backoff.until_ms <= now_ms:
                del self.backoff[kind]
        for machine, was_ready in gone:
            self.whereabouts.gone(machine.id)
            if not was_ready:
                self._out(machine.kind, machine.reason or "it never came up", now_ms)
            for token in [token for token, placed in self.placed.items() if machine.id in placed.machines]:
                self._leave(token, now_ms)
                yield Lose(token, machine.id, machine.reason or "it is gone without a word", machine.preempted)

    def _not_started(self, event: NotStarted, now_ms: int) -> None:
        kind = self.pending.pop(event.number, None)
        if kind is not None:
            self._out(kind, event.reason, now_ms)

    def _out(self, kind: Kind, reason: str, now_ms: int) -> None:
        """Nothing more of this kind for a while, longer each time."""
        before = self.backoff.get(kind.name)
        if before is not None and before.until_ms > now_ms:
            return
        first = self.policy.retry_ms
        wait = first if before is None else min(2 * before.wait_ms, 16 * first)
        self.backoff[kind.name] = Backoff(now_ms + wait, wait, reason)

    def _enter(self, work: Work, machines: tuple[str, ...], now_ms: int) -> None:
        self.placed[work.token] = Placed(work, machines, now_ms)
        for machine in machines if work.near else ():
            self.whereabouts.note(machine, work.near)
        self.queues.share(work).begin(work.needs, now_ms)
        if work.most is not None:
            self.running[work.lane] = self.running.get(work.lane, 0) + 1

    def _leave(self, token: str, now_ms: int) -> None:
        placed = self.placed.pop(token, None)
        if placed is None:
            return
        work = placed.work
        self.queues.share(work).end(work.needs, now_ms)
        self.nodes.put_back(placed.machines, work.needs, now_ms)
        if work.most is not None:
            left = self.running[work.lane] - 1
            if left:
                self.running[work.lane] = left
            else:
                del self.running[work.lane]

    # Decisions ------------------------------------------------------------------------------------------------------

    def _place(self, now_ms: int) -> list[Effect]:
        effects: list[Effect] = []
        head: list[Work] = []
        first = None if self.reserved is None else self.queues.waiting.get(self.reserved[0])

        def attempt(work: Work) -> bool:
            rooms = self._place_one(work, now_ms)
            if rooms is None:
                if not head and not self.at_limit(work):
                    head.append(work)
                return False
            effects.append(Place(work, tuple(room.id for room in rooms)))
            return True

        if first is not None:
            attempt(first)  # before others of its shape, who may not have what is kept free for it
        self.queues.serve(now_ms, attempt)
        self._keep_free(head[0] if head else None, now_ms)
        return effects

    def at_limit(self, work: Work) -> bool:
        return work.most is not None and self.running.get(work.lane, 0) >= work.most

    def _place_one(self, work: Work, now_ms: int) -> list[Room] | None:
        if self.at_limit(work):
            return None
        free = self._rooms_for(work)
        near = self.whereabouts.prefer(work.near, {room.id for room in free}) if work.near else None
        rooms = pack(work.needs, free, near)
        if rooms is None:
            return None
        machines = tuple(room.id for room in rooms)
        self.queues.take(work)
        self._withdrawn(work.token)
        self._enter(work, machines, now_ms)
        self.nodes.occupy(machines)
        return rooms

    def _rooms_for(self, work: Work) -> list[Room]:
        kept: frozenset[str] = frozenset()
        if self.reserved is not None and self.reserved[0] != work.token:
            kept = self.reserved[1]
        return [
            room
            for room in self.nodes.ready_rooms()
            if room.id not in kept and may_run_on(work.needs, room.kind, self.policy.kinds)
        ]

    def _keep_free(self, head: Work | None, now_ms: int) -> None:
        """The first that finds no room, when it has waited for too long: machines are kept free for it."""
        if self.reserved is not None and self.nodes.have(self.reserved[1]):
            return
        self.reserved = None
        if head is None:
            self._refused_since.clear()
            return
        since = self._refused_since.setdefault(head.token, now_ms)
        if now_ms - since >= self.policy.patience_ms:
            machines = self.nodes.soonest(head.needs, self.policy.kinds)
            if machines:
                self.reserved = (head.token, machines)

    def _start(self, now_ms: int) -> list[Effect]:
        if not self.queues.backlog or self._is_blocked(now_ms):
            return []
        rooms = [*self._spare_rooms(), *(Room("", kind) for kind in self.pending.values())]
        effects: list[Effect] = []
        for kind in plan(self._backlog(now_ms), rooms, self._budget(self._out_of_stock(now_ms))):
            self._number += 1
            self.pending[self._number] = kind
            effects.append(Start(self._number, kind))
        return effects

    def _is_blocked(self, now_ms: int) -> bool:
        """What has waited longest has waited for too long, and only the end of other machines makes room for it: every
        machine for somebody else would be in its way."""
        overdue = self._overdue(now_ms)
        return bool(overdue) and self._has_no_way(overdue[0].needs)

    def _out_of_stock(self, now_ms: int) -> list[str]:
        return [name for name, backoff in self.backoff.items() if backoff.until_ms > now_ms]

    def _spare_rooms(self) -> list[Room]:
        """Machines of ours, there or starting, that are not kept free for one work."""
        kept = self.reserved[1] if self.reserved is not None else frozenset()
        return [room for room in self.nodes.usable_rooms() if room.id not in kept]

    def _budget(self, without: Sequence[str] = ()) -> Budget:
        there = dict(self.nodes.counts())
        for kind in self.pending.values():
            there[kind.name] = there.get(kind.name, 0) + 1
        return Budget(self.policy.kinds, there, self.spare_mcpus(), without)

    def spare_mcpus(self) -> int | None:
        """Of the pool's limit, what machines do not use up."""
        most = self.policy.most_mcpus
        if most is None:
            return None
        return most - self.nodes.mcpus() - sum(mcpus_of(kind.vcpus) for kind in self.pending.values())

    def _backlog(self, now_ms: int) -> list[tuple[Needs, int]]:
        """What waits for machines, as far as limits of attempts at once let it run: first what has waited at the head
        for too long, then by priority and size. What machines are kept free for needs no others."""
        wanted: dict[tuple[int, Needs], int] = {}
        for (priority, (needs, _, lane)), count in self.queues.backlog.items():
            most = self.queues.most_of(lane)
            free = count if most is None else min(count, max(0, most - self.running.get(lane, 0)))
            wanted[priority, needs] = wanted.get((priority, needs), 0) + free
        first: list[tuple[Needs, int]] = []
        for work in self._overdue(now_ms):
            wanted[self.queues.priority(work), work.needs] -= 1
            if self.reserved is None or self.reserved[0] != work.token:
                first.append((work.needs, 1))
        rest = decreasing([(priority, needs, count) for (priority, needs), count in wanted.items() if count > 0])
        return [*first, *rest]

    def _overdue(self, now_ms: int) -> list[Work]:
        """What has waited at the head of all for too long; the longest first."""
        patience = self.policy.patience_ms
        return [work for work in self._heads() if now_ms - self._refused_since[work.token] >= patience]

    def _heads(self) -> list[Work]:
        """What has come to the head and found no room; the longest first, of equals the more important."""
        heads = [work for token in self._refused_since if (work := self.queues.waiting.get(token))]
        free = [work for work in heads if not self.at_limit(work)]
        return sorted(free, key=lambda work: (self._refused_since[work.token], -self.queues.priority(work), work.token))

    def _stop(self, now_ms: int) -> list[Effect]:
        """Machines that are idle for too long; and at once, when another kind needs their share of the limit."""
        kept = self.reserved[1] if self.reserved is not None else frozenset()
        crowded = self._crowded_out()

        def in_the_way(kind: Kind) -> bool:
            return crowded is not None and not may_run_on(crowded.needs, kind, self.policy.kinds)

        if crowded is not None and now_ms - self._refused_since[crowded.token] >= self.policy.patience_ms:
            self.nodes.drain(in_the_way)
        stopped: list[Effect] = []
        for node in self.nodes.idle():
            due = node.draining or in_the_way(node.machine.kind) or now_ms - node.idle_since >= self.policy.idle_ms
            if due and node.machine.id not in kept:
                node.stopping = True
                stopped.append(Stop(node.machine.id))
        return stopped

    def _crowded_out(self) -> Work | None:
        """The first that has come to the head, where it fits none of our machines while they use up the limit. Only the
        first: what makes room for a second one would take it from machines that are coming for the first."""
        first = next(iter(self._heads()), None)
        return first if first is not None and self._has_no_way(first.needs) else None

    def _has_no_way(self, needs: Needs) -> bool:
        """Our machines, those asked for and those that the limit still allows would not hold it, were they empty."""
        kinds = self.policy.kinds
        asked = [kind for kind in self.pending.values() if may_run_on(needs, kind, kinds)]
        room = self.nodes.capacity(needs, kinds) + sum(members_in(needs, kind) for kind in asked)
        return room < needs.nodes and hold(needs, needs.nodes - room, self._budget()) is None

    # Questions ------------------------------------------------------------------------------------------------------

    def work_of(self, token: str) -> Work | None:
        placed = self.placed.get(token)
        return placed.work if placed is not None else self.queues.waiting.get(token)
