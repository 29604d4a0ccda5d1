"""The runs of a project, driven: started, followed, stopped, gone on with. All faces ask it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from skylift.asl import events as e
from skylift.asl.status import ENDED
from skylift.assembly import Assembly
from skylift.engine.limits import BUDGET_ATTRIBUTE
from skylift.errors import RunNotFound, SetupError
from skylift.ports.compute import Failed, Succeeded
from skylift.ports.journal import RunRecord
from skylift.ports.tasks import TaskSpec, TaskTable
from skylift.units import parse_usd
from skylift.wiring import function_tasks

if TYPE_CHECKING:
    from skylift.engine.inputs import StartRun
    from skylift.recorded import RecordedAttempt
    from skylift.watching import Watch

POLL_S = 0.05
"""How often a run that another process drives is looked at."""
SPEED_ATTRIBUTE = "speed"
"""Of a run that was begun in virtual time."""
SIMULATED = "simulated"
NESTED = "nested run "
"""What a run waits for that has called another one, before that one's id: see `skylift.engine.waiting`."""
ASK_S = 10.0
"""How long to wait until another process has carried out a request."""


class RunInterrupted(SetupError):
    """The run is open, but the process that drove it has died."""

    code = "RUN-INTERRUPTED"


class WrongStatus(SetupError):
    """The run is not in a state in which this can be asked of it."""

    code = "WRONG-STATUS"


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """All that a run needs besides its input."""

    pipeline: str
    definition: bytes
    """The States Language document, JSON."""
    table: TaskTable = TaskTable(bundle=None, tasks={})
    machines: dict[str, bytes] = {}
    """Definitions of pipelines that may be started as nested runs, by name."""
    budget: str | None = None
    """What one run may cost, in US dollars: decimal text."""


def attributes_of(submission: Submission, attributes: Mapping[str, str] | None) -> dict[str, str]:
    """Those that are given, with what the pipeline says of itself. Raises InvalidAmount for a budget that is none."""
    given = dict(attributes or {})
    budget = given.get(BUDGET_ATTRIBUTE, submission.budget)
    return given if budget is None else {**given, BUDGET_ATTRIBUTE: parse_usd(budget, "budget")}


class Runtime(Assembly):
    """A project's runs, on the parts that this process makes for them. A context manager; thread-safe."""

    _submitted: tuple[Submission, tuple[str, str]] | None = None
    """What was put into the journal last, and under which digests."""

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(
        self,
        submission: Submission,
        value: Any,
        *,
        name: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> RunRecord:
        """Start a run, durably; its record. A name that was given before with the same input gives the same run.

        `attributes` are small facts for people, kept with the run; `on` among them is the backend of all its tasks,
        `on.NAME` that of one. Raises InvalidDefinition, RunAlreadyExists,
        JournalUnavailable.
        """
        start = self._start(submission, value, name, attributes)  # before there is an engine: it may set its pace
        known = name is not None and self.journal.run_named(start.pipeline, name) is not None
        record = self._must(self.engine.start(start))
        return self.resume(record) if known else record  # a new one may be paused already, for its budget

    def execute(self, submission: Submission, value: Any) -> RunRecord:
        """Start a run and wait for its end, with one trip to the engine; its record."""
        start = self._start(submission, value)
        if self.config.budget.month is not None or BUDGET_ATTRIBUTE in start.attributes:  # it may have to be looked at
            return self.wait(self.engine.start(start))
        return self.engine.execute(start)

    def _start(
        self,
        submission: Submission,
        value: Any,
        name: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> StartRun:
        from skylift.engine.inputs import StartRun

        given = attributes_of(submission, attributes)
        if self._engine is None and self.speed is None and self._is_simulated(submission, given):
            self.speed = self.config.backends.simulated.speed
        self._check_environments(submission, given)
        definition, tasks = self._documents(submission)
        return StartRun(
            definition=definition,
            pipeline=submission.pipeline,
            tasks=tasks,
            input=value,
            name=name,
            attributes=given if self.speed is None else {**given, SPEED_ATTRIBUTE: self.speed},
        )

    def _check_environments(self, submission: Submission, attributes: Mapping[str, str]) -> None:
        """Raises EnvironmentFailed for packages that do not fit where their task is placed."""
        apart = [spec for spec in submission.table.tasks.values() if spec.requirements.environment is not None]
        if not apart or self.config.url is not None:  # a server knows its own places
            return
        from skylift.compute.environments.limits import refuse_unfit
        from skylift.engine.placing import placed

        for spec in apart:
            backend = self._all_backends.get(placed(spec, attributes, self.config.placement) or "process")
            offers = () if backend is None else backend.offers(spec.requirements)
            digest, services = spec.requirements.environment, {offer.service for offer in offers}
            if digest is not None and services:
                refuse_unfit(spec.name, digest, services, self.blobs, self.config.home / "environments")

    def _is_simulated(self, submission: Submission, attributes: Mapping[str, str]) -> bool:
        """Whether any task of it is placed in the simulated cloud."""
        chosen = [value for key, value in attributes.items() if key == "on" or key.startswith("on.")]
        asked = [task.on for task in submission.table.tasks.values()]
        asked += [bought.backend for bought in (submission.table.plan or {}).values()]
        return SIMULATED in (*chosen, *self.config.placement.values(), *asked)

    def _documents(self, submission: Submission) -> tuple[str, str]:
        """Digests of definition and task table, which are put into the journal once for each submission."""
        if self._submitted is not None and self._submitted[0] is submission:
            return self._submitted[1]
        journal = self.journal
        machines = {key: journal.put_document(text) for key, text in submission.machines.items()}
        tasks = {**self._functions(), **submission.table.tasks}
        table = TaskTable(
            bundle=submission.table.bundle,
            tasks=tasks,
            machines=machines,
            plan=submission.table.plan,
            budget=msgspec.UNSET if submission.budget is None else parse_usd(submission.budget, "budget"),
        )
        digests = (journal.put_document(submission.definition), journal.put_document(msgspec.json.encode(table)))
        self._submitted = (submission, digests)
        return digests

    def wait(self, run_id: str, *, timeout_s: float | None = None, pausing: threading.Event | None = None) -> RunRecord:
        """The run's record once it has ended, whoever drives it. Once `pausing` is set also when it is paused and its
        tasks have ended, and when it is paused for its budget.

        Raises TimeoutError, RunInterrupted for a run that no living process drives, and without `pausing` BudgetSpent
        for one that is paused for its budget.
        """
        first = self._must(run_id)
        bounded = self.config.budget.month is not None or BUDGET_ATTRIBUTE in first.attributes
        if pausing is None and not bounded and self._engine is not None and self.drives(first):
            return self._engine.wait(run_id, timeout_s)
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            record = self._must(run_id)
            self.check(record)
            if record.status in ENDED or (pausing is not None and pausing.is_set() and self.is_quiet(record)):
                return record
            if record.status == "PAUSED" and self._waits_for_money(record, pausing is None):
                return record
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"run {run_id} is still {record.status} after {timeout_s} s")
            time.sleep(POLL_S)

    def _waits_for_money(self, record: RunRecord, refuse: bool) -> bool:
        """Whether it is paused for a budget, and quiet. With `refuse` that raises BudgetSpent: nobody else may know."""
        cause = self.reader.pause_cause(record)
        if cause is None or not self.is_quiet(record):
            return False
        if refuse:
            from skylift.engine.budgets import BudgetSpent

            hint = f"with a higher budget: skylift resume {record.run_id}"
            raise BudgetSpent(f"run {record.run_id} is paused: {cause}", hint=hint)
        return True

    def watch(self, record: RunRecord) -> Watch:
        """Follow a run event by event, whoever drives it."""
        from skylift.watching import Watch

        machine = self.reader.library.machine(record.definition, record.limits)
        subscribe = self.engine.subscribe if self.drives(record) else None
        return Watch(self.journal, machine, record.run_id, subscribe)

    def check(self, record: RunRecord) -> None:
        """Raises RunInterrupted for a run that no living process drives, InternalError for one that is ours but cannot
        go on."""
        if record.status in ENDED:
            return
        if self._is_orphan(record) and self._is_orphan(self._must(record.run_id)):  # or it ended in between
            raise RunInterrupted(
                f"the process that drove run {record.run_id} has died",
                hint=f"go on with it: skylift resume {record.run_id}",
            )
        if self._engine is not None:
            self._engine.check(record.run_id)

    def _is_orphan(self, record: RunRecord) -> bool:
        return record.status == "RUNNING" and not self.reader.is_driven(record)

    def is_quiet(self, record: RunRecord) -> bool:
        """Paused, and no task of it, or of a run that it called, is running here."""
        if record.status != "PAUSED":
            return False
        if self._engine is None or not self.drives(record):
            return True
        return not self._has_tasks(record.run_id)

    def _has_tasks(self, run_id: str) -> bool:
        assert self._engine is not None  # it drives the run
        for one in self._engine.in_flight(run_id):
            called = one.what.removeprefix(NESTED)
            if one.what in ("running", "queued") or (called != one.what and self._has_tasks(called)):
                return True
        return False

    def reasons(self, record: RunRecord) -> dict[str, str]:
        """Why attempts of a run that this process drives are not running yet, or what they are doing, as their backends
        say: by the attempt's label. Empty for a run that another process drives."""
        if self._engine is None or not self.drives(record):
            return {}
        return {one.label: one.why for one in self._engine.in_flight(record.run_id) if one.why}

    def ask(self, record: RunRecord, event: e.StopRequested | e.PauseRequested) -> RunRecord:
        """Stop or pause a run, whoever drives it, and wait until that has happened; its record.

        A run whose process has died is taken over for it. Raises WrongStatus for a run that has ended, TimeoutError
        when the process that drives it does not react.
        """
        if record.status in ENDED:
            raise WrongStatus(f"run {record.run_id} has ended already: {record.status}")
        self.send(record, event)
        done = ENDED if isinstance(event, e.StopRequested) else (*ENDED, "PAUSED")
        deadline = time.monotonic() + ASK_S
        while (now := self._must(record.run_id)).status not in done:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the process that drives run {record.run_id} does not react")
            time.sleep(POLL_S)
        return now

    def send(self, record: RunRecord, event: e.AnyEvent) -> None:
        """Leave a request with whoever drives the run: this process, another one, or the next to resume it."""
        if self.reader.is_driven(record) and not self.drives(record):
            self.journal.send(record.run_id, event)
        else:
            self.engine.send(record.run_id, event)

    def request_pause(self, record: RunRecord) -> None:
        """Ask for a pause without waiting; safe in a signal handler."""
        threading.Thread(target=self.send, args=(record, e.PauseRequested()), daemon=True).start()

    def _pace_like(self, record: RunRecord) -> None:
        """A run that began in virtual time goes on in it, from where it was."""
        speed = record.attributes.get(SPEED_ATTRIBUTE)
        if speed is None or self._engine is not None:
            return
        self.speed = self.speed or speed
        last = max((entry.at_ms for entry in self.journal.entries(record.run_id)), default=0)
        self._not_before_ms = max(self._not_before_ms, last)

    def resume(self, record: RunRecord, *, budget: str | None = None) -> RunRecord:
        """Go on with a run: paused, or left by a process that died. One that is driven or has ended stays as it is.

        `budget` is what it may cost from now on, in US dollars. Raises BudgetSpent where its budget does not let it.
        """
        if record.status in ENDED:
            return record
        if not self.reader.is_driven(record):
            self._pace_like(record)
            self.engine.recover([record.run_id])
        if record.status == "PAUSED" or budget is not None:
            self.send(record, e.ResumeRequested(budget=None if budget is None else parse_usd(budget, "budget")))
        for _, called in self.reader.called(record) if record.status == "PAUSED" else ():
            if called.status == "PAUSED" and self.reader.pause_cause(called) is not None:
                self.resume(self._must(called.run_id))
        return self._must(record.run_id)

    def redrive(self, record: RunRecord) -> RunRecord:
        """Go on with a failed, timed-out or stopped run from the steps that did not succeed. Raises WrongStatus."""
        if record.status not in ENDED or record.status == "SUCCEEDED":
            raise WrongStatus(
                f"run {record.run_id} is {record.status}",
                hint="only a run that failed, timed out or was stopped can be redriven",
            )
        self._pace_like(record)
        self.engine.redrive(record.run_id)
        return self._must(record.run_id)

    def answer(self, record: RunRecord, outcome: Succeeded | Failed, *, step: str | None = None) -> str:
        """Answer the approval or callback that a run waits for; the step's label. Raises WrongStatus if it waits for
        none, or for several and `step` does not say which."""
        waiting = [a for a in self.reader.awaiting_answer(record) if step in (None, a.state, a.label)]
        if len(waiting) != 1:
            where = f" at {step}" if step else ""
            choice = "choose one with --step: " + ", ".join(a.label for a in waiting) if waiting else None
            count = "no answer" if not waiting else f"{len(waiting)} answers"
            raise WrongStatus(f"run {record.run_id} waits for {count}{where}", hint=choice)
        token = waiting[0].token
        if isinstance(outcome, Succeeded):
            self.send(record, e.TaskSucceeded(token=token, output=outcome.output))
        else:
            self.send(record, e.TaskFailed(token=token, error=outcome.error, cause=outcome.cause))
        return waiting[0].label

    def run_every(
        self,
        submission: Submission,
        value: Any,
        schedule: str,
        stopping: threading.Event,
        attributes: Mapping[str, str] | None = None,
        for_ms: int | None = None,
    ) -> Iterator[RunRecord]:
        """Start a run at every tick of a schedule until `stopping` is set, or so much time has passed; give each one's
        record at its end.

        Runs are named by their tick, so that none is started twice, by however many processes; ticks that pass while a
        run goes on are left out, but for the last. Raises InvalidSchedule.
        """
        from skylift.engine.schedule import latest_due, next_due

        if self.speed is None and self._is_simulated(submission, attributes or {}):
            self.speed = self.config.backends.simulated.speed
        now_ms = self.pace.clock.now_ms
        due = next_due(schedule, now_ms())
        last = None if for_ms is None else now_ms() + for_ms
        while due is not None and not stopping.is_set() and (last is None or due <= last):
            if not self._sleep_until(due, stopping):
                return
            name = f"{submission.pipeline}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(due / 1000))}"
            record = self.submit(submission, value, name=name, attributes=attributes)
            yield self.wait(record.run_id, pausing=stopping)
            due = latest_due(schedule, due, now_ms()) or next_due(schedule, due)

    def _sleep_until(self, due_ms: int, stopping: threading.Event) -> bool:
        """Whether the engine's time has come to it, and nobody wants to stop."""
        from skylift.engine.pace import JumpingPace

        pace = self.pace
        if isinstance(pace, JumpingPace):
            _ = self.engine  # it makes time pass
            alarm = pace.sleep_until(due_ms)
            while not stopping.is_set() and not alarm.wait(POLL_S):
                pass
            return not stopping.is_set()
        while (left_ms := due_ms - pace.clock.now_ms()) > 0:
            if stopping.wait(min(3600.0, left_ms / 1000 / (pace.speed or 1.0))):
                return False
        return not stopping.is_set()

    def recorded_attempt(self, record: RunRecord, step: str, attempt: int | None = None) -> RecordedAttempt:
        """All that is needed to run a recorded attempt again. Raises RunNotFound, SetupError."""
        from skylift.compute.worker.checkpoint.place import beside
        from skylift.recorded import RecordedAttempt, choose_attempt, spec_of
        from skylift.recorded_jobs import recorded_job

        chosen = choose_attempt(self.reader.view(record).attempts, step, attempt)
        job = recorded_job(chosen, record, self.config.jobs)
        spec = spec_of(chosen, self.reader.library.table(record.tasks)) if job is None else job.spec
        given = RecordedAttempt.of(
            chosen,
            spec,
            run_id=record.run_id,
            bundle=self.reader.library.table(record.tasks).bundle,
            secrets=self._secret_sources(),
            paths=(str(self.config.project),),
            cache_dir=self._bundles(),
            checkpoints=None if self.config.url is not None else beside(self._blobs_location()),
        )
        return given if job is None else msgspec.structs.replace(given, arguments=job.event)

    def drives(self, record: RunRecord) -> bool:
        return self._ownership is not None and record.owner == self._ownership.owner

    def _must(self, run_id: str) -> RunRecord:
        record = self.journal.run(run_id)
        if record is None:
            raise RunNotFound(f"run {run_id} is not in the journal any more", hint="was it deleted by gc?")
        return record

    def _functions(self) -> dict[str, TaskSpec]:
        return function_tasks(self.config)
