"""The engine in virtual time, with everything that can go wrong: one seed, one story, the same each time.

    world = Simulation(seed=7, tasks={"double": lambda arguments: arguments["n"] * 2})
    run_id = world.start(definition, 21)
    world.run()
    assert world.record(run_id).output == 42

The journal is real (in memory, or one you give); engine, backend and clock are driven from here, one turn at a time.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

import msgspec

from skylift.asl.events import TaskFailed, TaskSucceeded, TaskTimedOut
from skylift.asl.status import OPEN
from skylift.compute.basics import Basics
from skylift.engine.engine import Engine
from skylift.engine.inputs import Input, Recover, StartRun
from skylift.engine.items import InlineItems
from skylift.engine.library import Library
from skylift.engine.limits import EngineLimits
from skylift.engine.names import global_token
from skylift.ports.compute import (
    Cancelled,
    Failed,
    Lost,
    Offer,
    Outcome,
    Report,
    Requirements,
    Submitted,
    Succeeded,
    TaskCall,
    TimedOut,
)
from skylift.ports.journal import Batch, Journal, RunRecord
from skylift.ports.tasks import TaskSpec, TaskTable
from skylift.stores.memory import MemoryJournal
from skylift.testing.clock import VirtualClock
from skylift.testing.faults import Crash, FaultPlan, FaultyJournal, torn
from skylift.testing.virtual import TaskError

Tasks = Mapping[str, Callable[[Any], Any]]


class VirtualBackend(Basics):
    """A `Backend` whose attempts take virtual time. A task is a pure callable of its arguments, by name; a `TaskError`
    that it raises is the failure."""

    name = "simulated"

    def __init__(
        self,
        clock: VirtualClock,
        tasks: Tasks,
        report: Report,
        *,
        rng: random.Random | None = None,
        plan: FaultPlan | None = None,
        longest_ms: int = 5_000,
    ) -> None:
        self.report = report
        self.submitted: Callable[[TaskCall], None] = lambda call: None
        """Told of every attempt accepted."""
        self.plan = plan if plan is not None else FaultPlan()
        self._clock = clock
        self._tasks = tasks
        self._rng = rng if rng is not None else random.Random(0)
        self._longest_ms = longest_ms
        self._running: dict[str, TaskCall] = {}
        self._due: list[tuple[int, int, str, Outcome]] = []
        self._count = 0

    def offers(self, requirements: Requirements) -> Sequence[Offer]:
        return [Offer(backend=self.name, instance_type="virtual", vcpus=1, memory_mib=1024)]

    def submit(self, calls: Sequence[TaskCall]) -> None:
        for call in torn(calls, self.plan, self._rng):
            if call.token not in self._running:
                self._running[call.token] = call
                self.submitted(call)
                self._schedule(call)

    def poll(self, tokens: Collection[str]) -> Mapping[str, Literal["queued", "running"]]:
        return {token: "running" for token in tokens if token in self._running}

    def cancel(self, tokens: Collection[str]) -> None:
        for token in tokens:
            if self._running.pop(token, None) is not None:
                self._at(self._clock.now_ms(), token, Cancelled())

    def sweep(self, live: Collection[str]) -> None:
        self.cancel([token for token in self._running if token not in live])

    def close(self) -> None:
        self._running.clear()
        self._due.clear()

    # -- driven by the simulation --------------------------------------------------------------------------------------

    def next_due(self) -> int | None:
        return self._due[0][0] if self._due else None

    def step(self) -> None:
        """Report what is due by now."""
        while self._due and self._due[0][0] <= self._clock.now_ms():
            _, _, token, outcome = heapq.heappop(self._due)
            self._tell(token, outcome)

    def _schedule(self, call: TaskCall) -> None:
        duration, outcome = self._rng.randint(0, self._longest_ms), _outcome(self._tasks[call.task], call)
        timeout = call.requirements.timeout_ms
        if timeout is not None and duration > timeout:
            duration, outcome = timeout, TimedOut()
        if self._rng.random() < self.plan.report_lost:
            outcome = Lost(reason="injected")
        elif self._rng.random() < self.plan.preempted:
            outcome = Lost(reason="injected", preempted=True)
        self._at(self._clock.now_ms() + duration, call.token, outcome)

    def _tell(self, token: str, outcome: Outcome) -> None:
        if self._rng.random() < self.plan.report_late:
            self._at(self._clock.now_ms() + self._rng.randint(1, 10 * self._longest_ms), token, outcome)
            return
        if type(outcome) is not Cancelled and self._running.pop(token, None) is None and type(outcome) is Lost:
            return
        self.report(token, outcome)
        if self._rng.random() < self.plan.report_again:
            self._at(self._clock.now_ms() + self._rng.randint(0, self._longest_ms), token, outcome)

    def _at(self, at_ms: int, token: str, outcome: Outcome) -> None:
        self._count += 1
        heapq.heappush(self._due, (at_ms, self._count, token, outcome))


def _outcome(task: Callable[[Any], Any], call: TaskCall) -> Outcome:
    try:
        return Succeeded(output=task(call.arguments))
    except TaskError as failure:
        return Failed(error=failure.error or "", classes=failure.classes, cause=failure.cause or "")


def _nowhere(token: str, outcome: Outcome | Submitted) -> None:
    """Reports before there is an engine."""


class Recorder:
    """The real journal, watched: which outcomes are durable. It outlives every engine."""

    def __init__(self, inner: Journal) -> None:
        self.inner = inner
        self.outcomes: dict[str, int] = {}
        """How often an outcome was recorded, by global token."""

    def commit(self, batch: Batch) -> None:
        self.inner.commit(batch)
        for append in batch.appends:
            for entry in append.entries:
                if isinstance(entry.event, TaskSucceeded | TaskFailed | TaskTimedOut):
                    token = global_token(append.run_id, entry.event.token)
                    self.outcomes[token] = self.outcomes.get(token, 0) + 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Host:
    """One life of an engine process: it ends with a crash, and the next one takes over."""

    def __init__(
        self, world: Simulation, owner: str, backend: VirtualBackend | None, *, adopting: bool = False
    ) -> None:
        self.owner = owner
        self.inbox: list[Input] = [Recover()]
        self.due: int | None = None
        self.backend = backend if backend is not None else world.new_backend()
        self.backend.report = self._report
        self.engine = Engine(
            journal=FaultyJournal(world.recorder, world.plan, world.rng),
            clock=world.clock,
            backends={"simulated": self.backend},
            owner=owner,
            inbox=self.inbox.append,
            items=InlineItems(),
            is_alive=world.is_alive,
            new_id=world.new_id,
            limits=world.limits,
            library=world.library,
            adopting=adopting,
        )

    def _report(self, token: str, outcome: Outcome | Submitted) -> None:
        self.engine.report(token, outcome)

    def turn(self, rng: random.Random) -> None:
        """One turn with what has come in, in any order."""
        inputs = list(self.inbox)
        self.inbox.clear()
        rng.shuffle(inputs)
        self.due = self.engine.turn(inputs)


class Simulation:
    """A journal, the engines that come and go over it, and their virtual time."""

    def __init__(
        self,
        seed: int,
        tasks: Tasks,
        *,
        plan: FaultPlan | None = None,
        journal: Journal | None = None,
        limits: EngineLimits | None = None,
        machines: Mapping[str, bytes] | None = None,
        specs: Mapping[str, TaskSpec] | None = None,
    ) -> None:
        """`machines`: further definitions that may be started as nested runs, by name. `specs`: of tasks that are not
        plain ones."""
        self.seed = seed
        self.rng = random.Random(seed)
        self.clock = VirtualClock()
        self.plan = plan if plan is not None else FaultPlan()
        self.recorder = Recorder(journal if journal is not None else MemoryJournal())
        # A lost worker must not change the answer here, so the engine never gives up.
        self.limits = limits if limits is not None else EngineLimits(losses=1_000_000, look_ms=1_000)
        self.library = Library(self.recorder)
        self.tasks = tasks
        self.submissions: list[str] = []
        """Global token of every attempt given to a backend."""
        self.wrongs: list[str] = []
        """Broken promises, seen as they happened."""
        self.crashes = 0
        self._hosts: list[Host] = []
        self._ids = 0
        self._lives = 0
        self._table = self._put_table(machines or {}, specs or {})
        self._boot(None)

    # -- what a test does ----------------------------------------------------------------------------------------------

    @property
    def host(self) -> Host:
        """The engine that lives now."""
        return self._hosts[-1]

    def start(self, definition: bytes, value: Any, *, name: str, pipeline: str = "simulated") -> None:
        """Ask for a start, again and again until it is durable, as a client with a name would."""
        digest = self.recorder.inner.put_document(definition)
        while self.find(name, pipeline) is None:
            start = StartRun(definition=digest, pipeline=pipeline, tasks=self._table, input=value, name=name)
            self.host.inbox.append(start)
            self.step()

    def send(self, given: Input) -> None:
        self.host.inbox.append(given)

    def find(self, name: str, pipeline: str = "simulated") -> RunRecord | None:
        return self.recorder.inner.run_named(pipeline, name)

    def open_runs(self) -> list[RunRecord]:
        return self.recorder.inner.runs(status=OPEN, limit=10_000)

    def run(self, most_steps: int = 100_000, faults_for: int = 2_000) -> None:
        """Until every run has ended. Faults stop after `faults_for` steps, so that there is an end."""
        for step in range(most_steps):
            if step == faults_for:
                self._calm()
            if not self.open_runs():
                return
            self.step()
        self.wrongs.append(f"runs still open after {most_steps} steps: {[run.run_id for run in self.open_runs()]}")

    def step(self) -> None:
        """One turn of each engine, then time goes on to the next thing that is due."""
        if self.rng.random() < self.plan.takeover / 10:
            self._take_over()
        for host in list(self._hosts):
            self._turn(host)
        self._go_on()

    # -- engines -------------------------------------------------------------------------------------------------------

    def is_alive(self, owner: str) -> bool:
        """What engines believe of each other: a zombie counts as dead."""
        return owner == self._hosts[-1].owner

    def new_id(self) -> str:
        self._ids += 1
        return f"run-{self._ids}"

    def new_backend(self) -> VirtualBackend:
        backend = VirtualBackend(self.clock, self.tasks, _nowhere, rng=self.rng, plan=self.plan)
        backend.submitted = lambda call: self._note(backend, call)
        return backend

    def _note(self, backend: VirtualBackend, call: TaskCall) -> None:
        """An engine that was taken over may still try a lost attempt again: it is told to let go at its next commit."""
        self.submissions.append(call.token)
        if call.token in self.recorder.outcomes and backend is self.host.backend:
            self.wrongs.append(f"{call.token} runs again although its outcome is recorded")

    def crash(self) -> None:
        """The living engine dies; the next one starts. Its backend survives now and then, as a cluster would."""
        self.crashes += 1
        host = self._hosts.pop()
        self._boot(host.backend if self.rng.random() < 0.5 else None)

    def _boot(self, backend: VirtualBackend | None) -> None:
        self._lives += 1
        host = Host.__new__(Host)
        self._hosts.append(host)
        host.__init__(self, f"engine-{self._lives}", backend)  # type: ignore[misc]  # it asks us who is alive

    def _take_over(self) -> None:
        """Another engine believes the living one dead, and it is not."""
        for zombie in self._hosts[:-1]:
            zombie.backend.close()
        self._hosts = self._hosts[-1:]
        self._boot(None)

    def _turn(self, host: Host) -> None:
        host.backend.step()
        try:
            host.turn(self.rng)
        except Crash:
            if host is self._hosts[-1]:
                self.crash()
            else:
                self._hosts.remove(host)
                self.host.inbox.append(Recover())

    def _go_on(self) -> None:
        now = self.clock.now_ms()
        if any(host.inbox for host in self._hosts):
            return
        dues = [due for host in self._hosts for due in (host.due, host.backend.next_due()) if due is not None]
        self.clock.advance_to(max(now, min([*dues, now + 1_000])))

    def _calm(self) -> None:
        self.plan = self.plan.quiet()
        self._hosts = self._hosts[-1:]
        self.host.backend.plan = self.plan
        self.host.inbox.append(Recover())
        journal = self._hosts[0].engine.journal
        assert isinstance(journal, FaultyJournal)
        journal.plan = self.plan

    def _put_table(self, machines: Mapping[str, bytes], specs: Mapping[str, TaskSpec]) -> str:
        put = self.recorder.inner.put_document
        tasks = {name: TaskSpec(name=name, target=f"simulated:{name}") for name in self.tasks} | dict(specs)
        table = TaskTable(
            bundle=None, tasks=tasks, machines={name: put(definition) for name, definition in machines.items()}
        )
        return put(msgspec.json.encode(table))
