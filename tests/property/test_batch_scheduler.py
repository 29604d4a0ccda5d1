"""The batch scheduler against a reference model: a state machine over its events, and properties of packing."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from skylift.compute.batch.explaining import explain
from skylift.compute.batch.packing import Room, pack
from skylift.compute.batch.provider import Held, Kind, Machine
from skylift.compute.batch.queues import QueuePolicy
from skylift.compute.batch.refusing import why_never
from skylift.compute.batch.scaling import Budget, hold, plan
from skylift.compute.batch.scheduler import (
    Effect,
    Ended,
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
from skylift.compute.batch.work import Needs, Work, fits, mcpus_of

KINDS = (
    Kind(name="small", vcpus=1, memory_mib=2048),
    Kind(name="large", vcpus=4, memory_mib=8192),
    Kind(name="gpu", vcpus=4, memory_mib=16_384, gpu="V100", gpus=2),
    Kind(name="spot", vcpus=2, memory_mib=4096, market="spot", most=3),
)
LIMIT = 10_000
IDLE_MS, PATIENCE_MS, RETRY_MS = 1_000, 2_000, 500

needs = st.builds(
    Needs,
    mcpus=st.sampled_from([250, 500, 1000, 2000, 4000, 5000]),
    memory_mib=st.sampled_from([0, 512, 2048, 8192, 20_000]),
    gpus=st.sampled_from([0, 0, 0, 1, 2]),
    market=st.sampled_from(["on-demand", "spot"]),
    nodes=st.sampled_from([1, 1, 1, 2, 3]),
)


class Pool(RuleBasedStateMachine):
    """The model keeps what was promised in the plainest way and recounts everything after each step."""

    @initialize()
    def begin(self) -> None:
        policy = PoolPolicy(
            kinds=KINDS,
            most_mcpus=LIMIT,
            idle_ms=IDLE_MS,
            patience_ms=PATIENCE_MS,
            retry_ms=RETRY_MS,
            queues={"high": QueuePolicy(priority=5), "low": QueuePolicy(weights={"a": 3.0})},
        )
        self.scheduler = Scheduler(policy)
        self.now_ms = 0
        self.number = 0
        self.works: dict[str, Work] = {}
        self.waiting: set[str] = set()
        self.running: dict[str, tuple[str, ...]] = {}
        self.refused: set[str] = set()
        self.over: set[str] = set()
        self.machines: dict[str, Machine] = {}
        self.asked: dict[int, Kind] = {}
        self.stopped: set[str] = set()

    # What happens ---------------------------------------------------------------------------------------------------

    @rule(
        wanted=needs,
        queue=st.sampled_from(["high", "low", "default"]),
        share=st.sampled_from("ab"),
        run=st.sampled_from("xy"),
        most=st.sampled_from([None, None, 1, 2]),
        count=st.integers(1, 4),
    )
    def submit(self, wanted: Needs, queue: str, share: str, run: str, most: int | None, count: int) -> None:
        works = []
        for _ in range(count):
            self.number += 1
            lane = "" if most is None else f"limited-{most}"
            works.append(
                Work(token=f"t{self.number}", needs=wanted, queue=queue, share=share, run=run, lane=lane, most=most)
            )
        self.works.update((work.token, work) for work in works)
        self.waiting.update(work.token for work in works)
        self.carry(self.scheduler.advance(Submitted(works), self.now_ms))
        self.carry(self.scheduler.advance(Submitted(works), self.now_ms))
        self.decide()

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from(sorted(self.running)))
        del self.running[token]
        self.over.add(token)
        self.scheduler.advance(Ended(token), self.now_ms)
        self.decide()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from(sorted(self.waiting)))
        self.waiting.discard(token)
        self.over.add(token)
        self.scheduler.advance(Withdrawn(token), self.now_ms)
        self.decide()

    @precondition(lambda self: self.asked)
    @rule(comes=st.booleans())
    def answer(self, comes: bool) -> None:
        number, kind = self.asked.popitem()
        if comes:
            machine = Machine(
                id=f"m{number}", kind=kind, phase="starting", since_ms=self.now_ms, until_ms=10**9, holder="us"
            )
            self.machines[machine.id] = machine
            self.scheduler.advance(Started(number, machine), self.now_ms)
        else:
            self.scheduler.advance(NotStarted(number, "none left"), self.now_ms)
        self.decide()

    @rule()
    def look(self) -> None:
        """What was starting is up; what was stopped is gone."""
        for name in self.stopped & set(self.machines):
            del self.machines[name]
        self.machines = {
            name: msgspec.structs.replace(machine, phase="ready") for name, machine in self.machines.items()
        }
        self.observe()

    @precondition(lambda self: self.machines)
    @rule(data=st.data(), preempted=st.booleans())
    def lose(self, data: st.DataObject, preempted: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.machines)))
        machine = msgspec.structs.replace(
            self.machines.pop(name), phase="gone", reason="the host failed", preempted=preempted
        )
        self.observe(machine)

    @rule(ms=st.sampled_from([1, 600, 2500]))
    def wait(self, ms: int) -> None:
        self.now_ms += ms
        self.decide()

    # The model ------------------------------------------------------------------------------------------------------

    def observe(self, *gone: Machine) -> None:
        machines = [self.listed(machine) for machine in self.machines.values()]
        before = dict(self.running)
        event = Observed([*machines, *gone], frozenset(self.machines))
        self.carry(self.scheduler.advance(event, self.now_ms))
        names = {machine.id for machine in gone}
        assert {token for token, where in before.items() if names & set(where)} == set(before) - set(self.running)
        self.decide()

    def listed(self, machine: Machine) -> Machine:
        holds = []
        for token, where in self.running.items():
            wanted = self.works[token].needs
            for rank, name in enumerate(where):
                if name == machine.id:
                    member = token if wanted.nodes == 1 else f"{token}~{rank}"
                    holds.append(Held(token=member, vcpus=wanted.mcpus / 1000, memory_mib=wanted.memory_mib))
        return msgspec.structs.replace(machine, holds=tuple(holds))

    def decide(self) -> None:
        self.carry(self.scheduler.decide(self.now_ms))

    def carry(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Place):
                token = effect.work.token
                assert token in self.waiting and self.works[token] == effect.work
                assert len(effect.machines) == effect.work.needs.nodes, "a gang starts whole or not at all"
                assert all(self.machines[name].phase == "ready" for name in effect.machines)
                assert not set(effect.machines) & self.stopped
                self.waiting.discard(token)
                self.running[token] = effect.machines
            elif isinstance(effect, Start):
                assert effect.number not in self.asked
                self.asked[effect.number] = effect.kind
            elif isinstance(effect, Stop):
                assert not any(effect.machine in where for where in self.running.values()), "a machine with work"
                self.stopped.add(effect.machine)
            elif isinstance(effect, Refuse):
                self.refuse(effect)
            elif effect.token in self.running:
                assert isinstance(effect, Lose) and effect.machine in self.running[effect.token]
                del self.running[effect.token]
                self.over.add(effect.token)

    def refuse(self, effect: Refuse) -> None:
        wanted = effect.work.needs
        alone = any(fits(wanted, kind) and mcpus_of(kind.vcpus) <= LIMIT for kind in KINDS)
        assert not alone or wanted.nodes > 1, effect
        self.waiting.discard(effect.work.token)
        self.refused.add(effect.work.token)

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        if not hasattr(self, "scheduler"):
            return
        places = [self.waiting, set(self.running), self.refused, self.over]
        assert sum(map(len, places)) == len(self.works) == len(set().union(*places))
        assert set(self.scheduler.queues.waiting) == self.waiting
        assert set(self.scheduler.placed) == set(self.running)

    @invariant()
    def nothing_is_over_packed(self) -> None:
        if not hasattr(self, "scheduler"):
            return
        used: dict[str, Counter[str]] = {}
        for token, where in self.running.items():
            wanted = self.works[token].needs
            for name in where:
                count = used.setdefault(name, Counter())
                count.update(mcpus=wanted.mcpus, memory=wanted.memory_mib, gpus=wanted.gpus)
        for name, count in used.items():
            kind = self.machines[name].kind
            assert count["mcpus"] <= mcpus_of(kind.vcpus), (name, count)
            assert count["memory"] <= kind.memory_mib and count["gpus"] <= kind.gpus, (name, count)

    @invariant()
    def limits_hold(self) -> None:
        if not hasattr(self, "scheduler"):
            return
        kinds = Counter(machine.kind.name for machine in self.machines.values())
        kinds.update(kind.name for kind in self.asked.values())
        by_name = {kind.name: kind for kind in KINDS}
        assert sum(mcpus_of(by_name[name].vcpus) * count for name, count in kinds.items()) <= LIMIT
        assert kinds["spot"] <= 3
        lanes = Counter(self.works[token].lane for token in self.running)
        assert lanes["limited-1"] <= 1 and lanes["limited-2"] <= 2

    @invariant()
    def waiting_is_explained(self) -> None:
        if hasattr(self, "scheduler"):
            for token in self.waiting:
                assert explain(self.scheduler, token, self.now_ms)

    def teardown(self) -> None:
        """Left alone, with all that runs ending in its time, everything runs and the pool goes back to nothing."""
        if not hasattr(self, "scheduler"):
            return
        for _ in range(40 + 12 * len(self.works)):
            while self.asked:
                self.answer(True)
            self.look()
            for token in sorted(self.running):
                del self.running[token]
                self.over.add(token)
                self.scheduler.advance(Ended(token), self.now_ms)
            self.now_ms += 700
            self.decide()
            if not self.waiting and not self.running and not self.machines and not self.asked:
                break
        assert not self.waiting, {token: explain(self.scheduler, token, self.now_ms) for token in self.waiting}
        assert not self.machines and not self.asked, "it scales to nothing"


Pool.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestPool = Pool.TestCase


@given(wanted=needs, kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
def test_a_gang_takes_rooms_for_all_or_none(wanted: Needs, kinds: list[Kind]) -> None:
    rooms = [Room(f"m{number}", kind) for number, kind in enumerate(kinds)]
    before = [(room.mcpus, room.memory_mib, room.gpus) for room in rooms]
    taken = pack(wanted, rooms)
    assert all(room.mcpus >= 0 and room.memory_mib >= 0 and room.gpus >= 0 for room in rooms)
    if taken is None:
        assert [(room.mcpus, room.memory_mib, room.gpus) for room in rooms] == before
    else:
        assert len(taken) == wanted.nodes
        assert sum(old[0] for old in before) - sum(room.mcpus for room in rooms) == wanted.nodes * wanted.mcpus


@given(backlog=st.lists(st.tuples(needs, st.integers(1, 30)), max_size=6))
@settings(max_examples=150, deadline=None)
def test_what_is_started_holds_what_waits_within_the_limit(backlog: list[tuple[Needs, int]]) -> None:
    backlog = [(wanted, count) for wanted, count in backlog if any(fits(wanted, kind) for kind in KINDS)]
    started = plan(backlog, [], Budget(KINDS, {}, LIMIT))
    assert sum(mcpus_of(kind.vcpus) for kind in started) <= LIMIT
    assert sum(kind.name == "spot" for kind in started) <= 3
    if backlog and hold(backlog[0][0], backlog[0][0].nodes, Budget(KINDS, {}, LIMIT)) is not None:
        assert pack(backlog[0][0], [Room(f"m{number}", kind) for number, kind in enumerate(started)]) is not None


@given(wanted=needs)
@settings(max_examples=200, deadline=None)
def test_what_is_refused_could_not_run_and_is_told_what_is_near(wanted: Needs) -> None:
    told = why_never(Work(token="t", needs=wanted), KINDS, LIMIT)
    possible = any(fits(wanted, kind) for kind in KINDS)
    if told is None:
        assert possible
    else:
        assert told[0].startswith("needs ") and told[1]
        assert not possible or wanted.nodes > 1


def test_two_gangs_that_crowd_each_other_out_run_one_after_the_other() -> None:
    """Each needs most of the pool's limit, in machines that the other cannot use; nothing could be had at first."""
    pool = Pool()
    pool.begin()
    submit, answer = Pool.submit, Pool.answer
    spot = Needs(mcpus=250, memory_mib=2048, gpus=0, market="spot", nodes=3)
    large = Needs(mcpus=250, memory_mib=8192, gpus=0, market="on-demand", nodes=2)
    submit(pool, wanted=spot, queue="low", share="a", run="x", most=None, count=1)
    answer(pool, comes=False)
    submit(pool, wanted=large, queue="high", share="a", run="x", most=None, count=1)
    answer(pool, comes=False)
    answer(pool, comes=False)
    pool.teardown()
    assert pool.over == {"t1", "t2"}
