"""What if: the real scheduler with machines that are not there, in virtual time. A day of jobs takes a second.

>>> from skylift.compute.batch.provider import Kind
>>> from skylift.compute.batch.scheduler import PoolPolicy
>>> kinds = (Kind(name="c5.large", vcpus=2, memory_mib=4096, startup_ms=60_000, usd_micro_per_hour=85_000),)
>>> jobs = [RehearsedJob(name=f"job-{n}", requirements=Requirements(cpus=1), takes_ms=600_000) for n in range(8)]
>>> told = rehearse(jobs, PoolPolicy(kinds=kinds, most_mcpus=4000, idle_ms=60_000))
>>> told.ends_ms["job-7"], told.started, told.cost_usd_micro
(1260000, 2, 62333)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from skylift.compute.batch.offers import held_of, work_of
from skylift.compute.batch.provider import Machine, NoCapacity
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
)
from skylift.compute.batch.simulated import SimulatedProvider, Stock, TimedRunner
from skylift.compute.gangs import member_calls
from skylift.ports.compute import CodeRef, Outcome, Requirements, Succeeded, TaskCall

_HOUR_MS = 3_600_000
_FOREVER_MS = 10**15
_HOLDER = "rehearsal"


class RehearsedJob(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    requirements: Requirements = Requirements()
    takes_ms: int
    submit_ms: int = 0
    task: str = "job"
    pipeline: str = ""
    run_id: str = ""


class Rehearsed(msgspec.Struct, kw_only=True):
    """What happened. Times in ms from the beginning, by the name of the job."""

    starts_ms: dict[str, int] = {}
    """The last time that it was placed."""
    ends_ms: dict[str, int] = {}
    refused: dict[str, str] = {}
    deliveries: dict[str, int] = {}
    started: int = 0
    """Machines."""
    stopped: int = 0
    lost: int = 0
    most_mcpus: int = 0
    """Of machines at once."""
    cost_usd_micro: int = 0
    over_ms: int = 0
    """When the last machine was gone."""


def rehearse(
    jobs: Sequence[RehearsedJob],
    policy: PoolPolicy,
    *,
    queue_of: Mapping[str, str] | None = None,
    stock: Mapping[str, Stock] | None = None,
) -> Rehearsed:
    """Play it until all have ended and no machine is left. Deterministic. What is lost is given out again."""
    return _Play(jobs, policy, queue_of or {}, stock or {}).play()


class _Play:
    def __init__(
        self,
        jobs: Sequence[RehearsedJob],
        policy: PoolPolicy,
        queue_of: Mapping[str, str],
        stock: Mapping[str, Stock],
    ) -> None:
        self.now_ms = 0
        self.told = Rehearsed()
        self.scheduler = Scheduler(policy)
        self.policy = policy
        self._jobs = {job.name: job for job in jobs}
        self._queue_of = queue_of
        self._coming = sorted(jobs, key=lambda job: job.submit_ms)[::-1]
        self._calls: dict[str, TaskCall] = {}
        self._members: dict[str, set[str]] = {}
        self._again: list[TaskCall] = []
        self.provider = SimulatedProvider(policy.kinds, lambda: self.now_ms, TimedRunner(self._work), stock=stock)

    def play(self) -> Rehearsed:
        while True:
            self.round()
            due = self._next_ms()
            if due is None:
                break
            self.now_ms = due
        told, prices = self.told, {kind.name: kind.usd_micro_per_hour for kind in self.policy.kinds}
        told.over_ms = self.now_ms
        told.cost_usd_micro = sum(prices[name] * ms // _HOUR_MS for name, ms in self.provider.billed_ms.items())
        return told

    def round(self) -> None:
        """All that happens at one instant."""
        self._submit()
        self._outcomes()
        machines = self.provider.look()
        ours = frozenset(machine.id for machine in machines)
        self._carry(self.scheduler.advance(Observed(machines, ours), self.now_ms))
        self._submit()
        while effects := self.scheduler.decide(self.now_ms):
            self._carry(effects)

    def _next_ms(self) -> int | None:
        due = [self.provider.next_ms(), self.scheduler.next_due_ms(self.now_ms)]
        due += [self._coming[-1].submit_ms] if self._coming else []
        return min((moment for moment in due if moment is not None), default=None)

    def _submit(self) -> None:
        calls, self._again = self._again, []
        while self._coming and self._coming[-1].submit_ms <= self.now_ms:
            calls.append(_call(self._coming.pop()))
        for call in calls:
            self._calls[call.token] = call
            self.told.deliveries[call.token] = call.delivery
        works = [work_of(call, self._queue_of) for call in calls]
        self._carry(self.scheduler.advance(Submitted(works), self.now_ms))

    def _outcomes(self) -> None:
        running = [member for members in self._members.values() for member in members]
        for member in self.provider.outcomes(running):
            token = member.partition("~")[0]
            self._members[token].discard(member)
            if not self._members[token]:
                del self._members[token]
                self.told.ends_ms[token] = self.now_ms
                self.scheduler.advance(Ended(token), self.now_ms)

    def _carry(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Place):
                self._place(effect)
            elif isinstance(effect, Start):
                self._start(effect)
            elif isinstance(effect, Stop):
                self.told.stopped += 1
                self.provider.stop([effect.machine])
            elif isinstance(effect, Refuse):
                self.told.refused[effect.work.token] = effect.wants
            else:
                self._lose(effect)

    def _place(self, place: Place) -> None:
        call = self._calls[place.work.token]
        self.told.starts_ms[call.token] = self.now_ms
        calls = member_calls(call, "127.0.0.1", 29_500) if place.work.needs.nodes > 1 else [call]
        self._members[call.token] = {member.token for member in calls}
        for member, machine in zip(calls, place.machines, strict=True):
            self.provider.run(machine, [(member, held_of(member))])

    def _start(self, start: Start) -> None:
        answer: Started | NotStarted
        try:
            machine = self.provider.start(start.kind, _HOLDER, _FOREVER_MS)
        except NoCapacity as problem:
            answer = NotStarted(start.number, str(problem))
        else:
            self.told.started += 1
            there = Machine(id=machine, kind=start.kind, phase="starting", since_ms=self.now_ms, until_ms=_FOREVER_MS)
            answer = Started(start.number, there)
        self.scheduler.advance(answer, self.now_ms)
        self.told.most_mcpus = max(self.told.most_mcpus, self.scheduler.nodes.mcpus())

    def _lose(self, lose: Lose) -> None:
        """All its members are stopped, and it is given out again."""
        self.told.lost += 1
        for machine in self.scheduler.nodes.all():
            self.provider.cancel(machine.machine.id, self._members.get(lose.token, ()))
        self.provider.drop(self._members.pop(lose.token, set()))
        call = self._calls[lose.token]
        self._again.append(msgspec.structs.replace(call, delivery=call.delivery + 1))

    def _work(self, call: TaskCall) -> tuple[int, Outcome]:
        return self._jobs[call.token.partition("~")[0]].takes_ms, Succeeded(output=None)


def _call(job: RehearsedJob) -> TaskCall:
    return TaskCall(
        token=job.name,
        run_id=job.run_id,
        task=job.task,
        label=job.name,
        attempt=1,
        code=CodeRef(bundle=None, target=""),
        arguments=None,
        requirements=job.requirements,
        pipeline=job.pipeline,
        market="spot" if job.requirements.spot else "on-demand",
    )
