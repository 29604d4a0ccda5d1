"""The one place where parts are put together: journal, artifacts, backends, engine. All faces ask it.

Parts are made when first needed: looking at runs opens the journal only; the engine and its workers start with the
first run that this process drives.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from skylift.asl import events as e
from skylift.asl.status import ENDED
from skylift.config import Config
from skylift.errors import RunNotFound, SetupError, SkyliftError
from skylift.ports.compute import Failed, Outcome, Submitted, Succeeded
from skylift.ports.journal import RunRecord
from skylift.ports.tasks import TaskSpec, TaskTable
from skylift.reader import RunReader
from skylift.wiring import (
    SERVICES,
    Parts,
    function_tasks,
    known_backends,
    make_home,
    places_of,
    router_of,
    secret_source,
    services_backend,
)

if TYPE_CHECKING:
    from skylift.collecting import Freed
    from skylift.engine.inputs import StartRun
    from skylift.engine.observe import TurnReport
    from skylift.engine.pace import RealPace
    from skylift.engine.resolve import Resolve
    from skylift.engine.thread import EngineThread
    from skylift.ports.blobs import BlobStore
    from skylift.ports.journal import Journal
    from skylift.ports.ownership import Ownership
    from skylift.ports.resources import ResourceStore
    from skylift.recorded import RecordedAttempt
    from skylift.stores.database import Store
    from skylift.sweeping import Holder, Swept
    from skylift.values.codec import ValueCodec
    from skylift.watching import Watch

POLL_S = 0.05
"""How often a run that another process drives is looked at."""
SPEED_ATTRIBUTE = "speed"
"""Of a run that was begun in virtual time."""
SIMULATED = "simulated"
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


class Runtime:
    """A project's journal and artifacts, and an engine when one is needed. A context manager; thread-safe."""

    def __init__(
        self,
        config: Config,
        *,
        resolve: Resolve | None = None,
        on_turn: Callable[[TurnReport], None] | None = None,
        adopting: bool = False,
    ) -> None:
        """Raises SetupError when the project's home cannot be made or written.

        `resolve` finds the state machines that nested runs name, `on_turn` is told of every committed turn. With
        `adopting` the engine takes over the runs of engines that have died, as a server's does; its workers do not
        inherit the server's secrets.
        """
        self.config = config
        self._prepare()
        self.closed = False
        self.resolve = resolve
        """Read when the engine starts, like the two that follow."""
        self.on_turn = on_turn
        self.adopting = adopting
        self.speed: str | None = None
        """How fast the engine's time passes: `max`, or how many seconds in one of ours. Unset until the first run that
        is placed in the simulated cloud, for which `[backends.simulated]` says it."""
        self._making = threading.RLock()
        self._store: Store | None = None
        self._engine: EngineThread | None = None
        self._ownership: Ownership | None = None
        self._backends: list[Any] = []
        self._not_before_ms = 0
        self._submitted: tuple[Submission, tuple[str, str]] | None = None

    def _prepare(self) -> None:
        make_home(self.config.home)

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- parts ---------------------------------------------------------------------------------------------------------

    @property
    def store(self) -> Store:
        """The database that holds runs and resources; opened on first use."""
        with self._making:
            if self._store is None:
                from skylift.stores.open import open_store

                config = self.config
                self._store = open_store(config.store, home=config.home, durability=config.durability)
            return self._store

    @property
    def journal(self) -> Journal:
        """The project's journal."""
        return self.store.journal

    @property
    def resources(self) -> ResourceStore:
        """What is kept beside runs: state machines, keys, triggers."""
        return self.store.resources

    @cached_property
    def blobs(self) -> BlobStore:
        """Where artifacts and code bundles are."""
        from skylift.stores.open import open_blobs

        return open_blobs(self._blobs_location(), cache=str(self.config.home / "cache"))

    @cached_property
    def reader(self) -> RunReader:
        """Looks at runs."""
        return RunReader(self.journal, self.config.home / "logs", self._is_alive)

    @cached_property
    def codec(self) -> ValueCodec:
        """Turns the JSON of this project's runs into Python values and back."""
        from skylift.values.codec import ValueCodec

        return ValueCodec(self.blobs)

    @property
    def engine(self) -> EngineThread:
        """The engine of this process, with its workers; started on first use."""
        with self._making:
            if self._engine is None:
                self._engine = self._start_engine()
            return self._engine

    @property
    def trouble(self) -> SkyliftError | None:
        """What keeps our engine from writing the journal now; it tries again until that is over."""
        return None if self._engine is None else self._engine.trouble

    def warm_up(self) -> None:
        """Begin to start a worker, so that it is up when the first task comes."""
        self._process_backend.warm()

    def local_load(self) -> tuple[int, int]:
        """Tasks that run on this machine for our engine, and that wait for a worker."""
        loads = [backend.load() for backend in self._backends if hasattr(backend, "load")]
        return sum(running for running, _ in loads), sum(waiting for _, waiting in loads)

    def finish_tasks(self, timeout_s: float) -> int:
        """Begin no more tasks on this machine, and wait so long for those that run; how many still do."""
        return sum(backend.finish(timeout_s) for backend in self._backends if hasattr(backend, "finish"))

    def close(self) -> None:
        """Stop workers and engine; runs that have not ended can be resumed by any process."""
        with self._making:
            if self.closed:
                return
            self.closed = True
        if self._engine is not None:
            self._engine.close()
        for backend in self._backends:
            backend.close()
        if self._ownership is not None:
            self._ownership.release()
        if self._store is not None:
            self._store.close()

    @cached_property
    def _process_backend(self) -> Any:
        from skylift.compute.process import ProcessBackend
        from skylift.compute.process.withheld import withheld

        secrets = self._secret_sources()
        backend = ProcessBackend(
            self._report,
            blobs=self._blobs_location(),
            blobs_factory="skylift.stores.open:open_blobs",
            cache_dir=self._bundles(),
            environments=str(self.config.home / "environments"),
            state=str(self.config.home / "attempts" / "process"),
            workers=self.config.workers,
            secrets=secrets,
            withheld=withheld(self._blobs_location(), secrets.values()) if self.adopting else (),
            paths=(str(self.config.project),),
        )
        self._backends.append(backend)
        return backend

    def _start_engine(self) -> EngineThread:
        from skylift.engine.engine import Engine
        from skylift.engine.items import ItemStore
        from skylift.engine.limits import EngineLimits
        from skylift.engine.thread import EngineThread

        pace = self.pace
        journal, backends = self.journal, self._all_backends
        ownership = self._ownership = self.store.ownership()
        logs = str(self.config.home / "logs")  # once: paths are slow to make
        return EngineThread(
            lambda inbox: Engine(
                journal=journal,
                blobs=self.blobs,
                clock=pace.clock,
                backends=backends,
                owner=ownership.owner,
                inbox=inbox,
                router=router_of(self.config, backends, self.resources),
                items=ItemStore(places=places_of(self.config)),
                is_alive=self._is_alive,
                resolve=self.resolve,
                on_turn=self.on_turn,
                adopting=self.adopting,
                limits=EngineLimits(memory_steps=self.config.compute.memory_steps),
                log_path=lambda run_id, token: f"{logs}/{run_id}/{token}.log",
            ),
            pace,
        )

    @cached_property
    def pace(self) -> RealPace:
        """How the time of this process's engine passes. Decided when it is first asked for."""
        from skylift.engine.pace import RealPace, pace_of

        if self.speed is None:
            return RealPace()
        return pace_of(self.speed, max(int(time.time() * 1000), self._not_before_ms))

    def _pace_like(self, record: RunRecord) -> None:
        """A run that began in virtual time goes on in it, from where it was."""
        speed = record.attributes.get(SPEED_ATTRIBUTE)
        if speed is None or self._engine is not None:
            return
        self.speed = self.speed or speed
        last = max((entry.at_ms for entry in self.journal.entries(record.run_id)), default=0)
        self._not_before_ms = max(self._not_before_ms, last)

    @cached_property
    def _all_backends(self) -> dict[str, Any]:
        """The first one is the default."""
        from skylift.compute.deferred import DeferredBackend

        services = DeferredBackend(SERVICES, lambda: services_backend(self.config, self._report), self._report)
        others = known_backends(msgspec.structs.replace(self._parts(), pace=self.pace))
        self._backends += [services, *others.values()]
        return {self._process_backend.name: self._process_backend, **others, SERVICES: services}

    def _parts(self) -> Parts:
        from skylift.compute.process.withheld import withheld

        secrets = self._secret_sources()
        return Parts(
            report=self._report,
            config=self.config,
            blobs=self._blobs_location(),
            bundles=self._bundles(),
            secrets=secrets,
            withheld=tuple(withheld(self._blobs_location(), secrets.values())) if self.adopting else (),
            resources=lambda: self.resources,
        )

    def _secret_sources(self) -> dict[str, str]:
        return {name: secret_source(one, self.config.project) for name, one in self.config.secrets.items()}

    def _report(self, token: str, outcome: Outcome | Submitted) -> None:
        """Workers start before the engine does, but it alone gives them work: it is there when they report."""
        engine = self._engine
        if engine is not None:
            engine.engine.report(token, outcome)

    def _is_alive(self, owner: str) -> bool:
        return self.store.is_alive(owner)

    def _blobs_location(self) -> str:
        return self.config.artifacts or str(self.config.home / "blobs")

    def _bundles(self) -> str:
        return str(self.config.home / "bundles")

    def collect_garbage(self, *, older_than_ms: int, keep: int = 0, dry_run: bool = False) -> Freed:
        """Delete runs that ended longer ago than that, but the `keep` newest of each pipeline, with their logs, and the
        artifacts that nothing refers to any more. Runs that are open are never touched."""
        from skylift.collecting import collect_garbage
        from skylift.compute.worker.checkpoint.place import beside

        return collect_garbage(
            self.journal,
            self.blobs,
            self.config.home,
            older_than_ms=older_than_ms,
            keep=keep,
            dry_run=dry_run,
            resources=self.resources,
            is_busy=self.store.any_alive,
            checkpoints=beside(self._blobs_location()),
        )

    # -- leases --------------------------------------------------------------------------------------------------------

    def leased(self) -> Swept:
        """What exists of this project's backends that carries a lease, whoever made it. Touches nothing."""
        from skylift.sweeping import look

        return look(self._holders(), time.time_ns() // 1_000_000)

    def sweep(self) -> Swept:
        """End what is past its lease, also what engines made that are gone for good."""
        from skylift.sweeping import sweep

        return sweep(self._holders(), time.time_ns() // 1_000_000)

    def with_prompts(self) -> dict[str, Any]:
        """Backends that can open a prompt beside an attempt, and may hold one: see `Backend.shell`."""
        holders = self._holders()
        backends = self._all_backends
        return {name: backends[name] for name in holders if backends[name].capabilities.shell}

    def _holders(self) -> dict[str, Holder]:
        """Backends that may have made something: those in use here, and those that have left something to find."""
        with self._making:
            names = self._all_backends
        state = self._parts().state
        holders: dict[str, Holder] = {
            name: backend
            for name, backend in names.items()
            if backend.capabilities.leases and (name == "process" or (state / name).exists() or backend.in_use)
        }
        if self.config.box is not None:
            from skylift.box.make import BoxHolder

            holders["box"] = BoxHolder(self.config.box)
        return holders

    # -- driving runs --------------------------------------------------------------------------------------------------

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
        run_id = self.engine.start(start)
        record = self._must(run_id)
        return self.resume(record) if name is not None else record

    def execute(self, submission: Submission, value: Any) -> RunRecord:
        """Start a run and wait for its end, with one trip to the engine; its record."""
        start = self._start(submission, value)
        return self.engine.execute(start)

    def _start(
        self,
        submission: Submission,
        value: Any,
        name: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> StartRun:
        from skylift.engine.inputs import StartRun

        given = dict(attributes or {})
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
        from skylift.engine.router import placed

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
        return SIMULATED in (*chosen, *self.config.placement.values(), *asked)

    def _documents(self, submission: Submission) -> tuple[str, str]:
        """Digests of definition and task table, which are put into the journal once for each submission."""
        if self._submitted is not None and self._submitted[0] is submission:
            return self._submitted[1]
        journal = self.journal
        machines = {key: journal.put_document(text) for key, text in submission.machines.items()}
        tasks = {**self._functions(), **submission.table.tasks}
        table = TaskTable(bundle=submission.table.bundle, tasks=tasks, machines=machines)
        digests = (journal.put_document(submission.definition), journal.put_document(msgspec.json.encode(table)))
        self._submitted = (submission, digests)
        return digests

    def wait(self, run_id: str, *, timeout_s: float | None = None, pausing: threading.Event | None = None) -> RunRecord:
        """The run's record once it has ended, whoever drives it. Once `pausing` is set also when it is paused and its
        tasks have ended.

        Raises TimeoutError, and RunInterrupted for a run that no living process drives.
        """
        if pausing is None and self._engine is not None and self.drives(self._must(run_id)):
            return self._engine.wait(run_id, timeout_s)
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            record = self._must(run_id)
            self.check(record)
            if record.status in ENDED or (pausing is not None and pausing.is_set() and self.is_quiet(record)):
                return record
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"run {run_id} is still {record.status} after {timeout_s} s")
            time.sleep(POLL_S)

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
        """Paused, and no task of it is running here."""
        if record.status != "PAUSED":
            return False
        if self._engine is None or not self.drives(record):
            return True
        return not any(w.what in ("running", "queued") for w in self._engine.in_flight(record.run_id))

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

    def resume(self, record: RunRecord) -> RunRecord:
        """Go on with a run: paused, or left by a process that died. One that is driven or has ended stays as it is."""
        if record.status in ENDED:
            return record
        if not self.reader.is_driven(record):
            self._pace_like(record)
            self.engine.recover([record.run_id])
        if record.status == "PAUSED":
            self.send(record, e.ResumeRequested())
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

        chosen = choose_attempt(self.reader.view(record).attempts, step, attempt)
        spec = spec_of(chosen, self.reader.library.table(record.tasks))
        return RecordedAttempt.of(
            chosen,
            spec,
            run_id=record.run_id,
            bundle=self.reader.library.table(record.tasks).bundle,
            secrets=self._secret_sources(),
            paths=(str(self.config.project),),
            cache_dir=self._bundles(),
            checkpoints=None if self.config.url is not None else beside(self._blobs_location()),
        )

    def drives(self, record: RunRecord) -> bool:
        return self._ownership is not None and record.owner == self._ownership.owner

    def _must(self, run_id: str) -> RunRecord:
        record = self.journal.run(run_id)
        if record is None:
            raise RunNotFound(f"run {run_id} is not in the journal any more", hint="was it deleted by gc?")
        return record

    def _functions(self) -> dict[str, TaskSpec]:
        return function_tasks(self.config)
