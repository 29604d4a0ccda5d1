"""Reads runs, from the journal and the attempts' log files. Drives nothing and changes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from skylift.asl.commands import SetTimer, StartTask
from skylift.asl.events import PauseRequested, ResumeRequested
from skylift.asl.status import ENDED
from skylift.engine.library import Library
from skylift.engine.names import child_run_id, global_token
from skylift.engine.views import PRINT_COMMENT, Attempt, RunView, label
from skylift.engine.views import history as derive_history
from skylift.engine.views import view as fold_view
from skylift.errors import RunNotFound
from skylift.pricing.deliveries import Delivery, deliveries
from skylift.run_logs import AttemptLogs, FileLogs, LogLine, RunLog

if TYPE_CHECKING:
    from skylift.asl.document import Document, Flow
    from skylift.asl.history import HistoryEvent
    from skylift.ports.compute import Requirements
    from skylift.ports.journal import Entry, Journal, RunRecord
    from skylift.ports.tasks import TaskSpec

INTERRUPTED = "INTERRUPTED"
"""Shown for an open run whose process has died; it is not a status of the journal."""
CALLBACK = ".waitForTaskToken"
FOLLOW_S = 0.1
ORPHAN_S = 3.0
"""How long the log of a run is followed after its process has died: somebody may take it over."""


FOUND = 6
"""How many runs that begin like a text are looked at: more than one must be told apart."""


def the_one(text: str, found: Sequence[RunRecord]) -> RunRecord:
    """Of the runs whose id or name begins with `text` the one that is meant. Raises RunNotFound for none or several."""
    named = [record for record in found if record.name == text]
    if len(named) == 1 or len(found) == 1:
        return (named or found)[0]
    if not found:
        raise RunNotFound(f"no run is called {text!r}", hint="see the runs there are: skylift runs")
    several = ", ".join(record.run_id for record in found[:5])
    raise RunNotFound(f"{text!r} is the beginning of several runs: {several}", hint="give more of it")


class RunReader:
    """Answers questions about the runs of one journal. `is_alive` tells whether an owner still lives."""

    def __init__(self, journal: Journal, logs: Path | AttemptLogs, is_alive: Callable[[str], bool]) -> None:
        self._journal = journal
        self._logs: AttemptLogs = FileLogs(logs) if isinstance(logs, Path) else logs
        self._is_alive = is_alive
        self.library = Library(journal)

    # -- records -------------------------------------------------------------------------------------------------------

    def record(self, text: str) -> RunRecord:
        """The run of this id or name, or of the id or name that begins so. Raises RunNotFound for none or several."""
        exact = self._journal.run(text)
        if exact is not None:
            return exact
        return the_one(text, self._journal.find_runs(text, limit=FOUND))

    def runs(
        self,
        *,
        pipeline: str | None = None,
        status: Sequence[str] = (),
        limit: int = 20,
        children: bool = False,
    ) -> list[RunRecord]:
        """Newest first; runs that other runs started only with `children`."""
        found: list[RunRecord] = []
        before: tuple[int, str] | None = None
        while len(found) < limit:
            page = self._journal.runs(
                pipeline=pipeline, status=list(status) or None, before=before, limit=max(50, limit)
            )
            found += [record for record in page if children or record.parent is None]
            if len(page) < max(50, limit):
                break
            before = (page[-1].created_ms, page[-1].run_id)
        return found[:limit]

    def shown_status(self, record: RunRecord) -> str:
        """The status as people should see it: a running run without a living process is INTERRUPTED."""
        if record.status == "RUNNING" and not self.is_driven(record):
            return INTERRUPTED
        return record.status

    def is_driven(self, record: RunRecord) -> bool:
        """Whether a living process owns the run."""
        return record.owner is not None and self._is_alive(record.owner)

    # -- one run -------------------------------------------------------------------------------------------------------

    def document(self, record: RunRecord) -> Document:
        """The run's States Language document."""
        return self.library.machine(record.definition, record.limits).document

    def view(self, record: RunRecord) -> RunView:
        """Steps, attempts, prints and what the run waits for."""
        machine = self.library.machine(record.definition, record.limits)
        return fold_view(machine, self._journal.entries(record.run_id), print_states(machine.document))

    def history(self, record: RunRecord, *, reverse: bool = False, limit: int | None = None) -> Iterator[HistoryEvent]:
        """The run's own history events (not those of a Distributed Map's children), derived by replay."""
        machine = self.library.machine(record.definition, record.limits)
        events: Iterator[HistoryEvent] = (
            e for e in derive_history(machine, self._journal.entries(record.run_id)) if e.child is None
        )
        if reverse:
            events = iter(list(events)[::-1])
        for count, event in enumerate(events):
            if limit is not None and count >= limit:
                return
            yield event

    def waiting(self, record: RunRecord, view: RunView) -> list[str]:
        """Why the run does not go on by itself, in words."""
        if record.status in ENDED:
            return []
        reasons = []
        if self.shown_status(record) == INTERRUPTED:
            reasons.append(f"its process has died: skylift resume {record.run_id}")
        if record.status == "PAUSED":
            cause = self.pause_cause(record)
            said = "it is paused" if cause is None else f"it is paused, since {cause}"
            reasons.append(f"{said}: skylift resume {record.run_id}")
        for command in view.pending:
            if isinstance(command, StartTask):
                reasons.append(self._waiting_for_task(record, command))
            elif isinstance(command, SetTimer):
                due = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(command.due_ms / 1000))
                reasons.append(f"a timer, until {due}")
        return reasons

    def pause_cause(self, record: RunRecord) -> str | None:
        """Why it was paused, where it was no person who asked for that."""
        cause: str | None = None
        for entry in self._journal.entries(record.run_id):
            if isinstance(entry.event, PauseRequested | ResumeRequested):
                cause = entry.event.cause if isinstance(entry.event, PauseRequested) else None
        return cause

    def awaiting_answer(self, record: RunRecord) -> list[Attempt]:
        """Attempts that end by a callback."""
        return [a for a in self.view(record).attempts if a.status == "RUNNING" and a.resource.endswith(CALLBACK)]

    def cache_notes(self, record: RunRecord, view: RunView) -> list[str]:
        """What each attempt of a cached task found in the cache, and of a miss why, in words."""
        tasks = self.library.table(record.tasks).tasks
        cached = [a for a in view.attempts if (spec := tasks.get(_task_name(a))) is not None and spec.cache]
        earlier = self._earlier_attempts(record) if cached else {}
        notes = []
        for attempt in cached:
            hit = attempt.usage.cached_from if attempt.usage else None
            said = f"hit, from run {hit}" if hit else self._miss(tasks[_task_name(attempt)], attempt, earlier)
            notes.append(f"{attempt.label}: {said}")
        return notes

    def _miss(self, spec: TaskSpec, attempt: Attempt, earlier: dict[str, tuple[TaskSpec, Attempt]]) -> str:
        from skylift.engine.cache import explain_miss

        before = earlier.get(attempt.label)
        if before is None:
            return "miss, no earlier run has a result of it"
        reasons = explain_miss(spec, attempt.arguments, before[0], before[1].arguments)
        return f"miss, {' and '.join(reasons) or 'the earlier attempt did not succeed'}"

    def _earlier_attempts(self, record: RunRecord) -> dict[str, tuple[TaskSpec, Attempt]]:
        """The attempts of the run before this one of the same pipeline, by label, with their tasks."""
        found = self._journal.runs(pipeline=record.pipeline, before=(record.created_ms, record.run_id), limit=1)
        if not found:
            return {}
        tasks = self.library.table(found[0].tasks).tasks
        attempts = self.view(found[0]).attempts
        return {a.label: (tasks[_task_name(a)], a) for a in attempts if _task_name(a) in tasks}

    def _waiting_for_task(self, record: RunRecord, command: StartTask) -> str:
        where = label(command.path)
        since = time.strftime("%H:%M:%S", time.localtime(command.scheduled_ms / 1000))
        if command.resource.endswith(CALLBACK):
            return f"an answer to {where}, since {since}: skylift answer {record.run_id}"
        begun = self._logs.begun(record.run_id, command.token)
        return f"{where}, attempt {command.attempt}: {'running' if begun else 'queued'} since {since}"

    # -- what it cost --------------------------------------------------------------------------------------------------

    def deliveries(self, record: RunRecord, view: RunView | None = None) -> list[Delivery]:
        """Every delivery of every attempt, with those of the pipelines it called, whose steps stand as `STEP/INNER`.
        `view` is the run's, for those who have it."""
        attempts = (view or self.view(record)).attempts
        steps = {attempt.token: attempt.state for attempt in attempts}
        found = [
            msgspec.structs.replace(one, token=global_token(record.run_id, one.token))
            for one in deliveries(steps, self._journal.entries(record.run_id))
        ]
        for attempt in attempts:
            if "Execution" in attempt.resource:  # a nested run
                found = self._with_called(found, record.run_id, attempt)
        return found

    def entries(self, run_id: str) -> Iterator[Entry]:
        """What the journal holds of a run, in order."""
        return self._journal.entries(run_id)

    def called(self, record: RunRecord) -> list[tuple[str, RunRecord]]:
        """The runs that it started, each under the name of the state that did."""
        found = []
        for attempt in self.view(record).attempts:
            if "Execution" in attempt.resource:
                child = self._journal.run(child_run_id(global_token(record.run_id, attempt.token)))
                if child is not None:
                    found.append((attempt.state, child))
        return found

    def asked(self, record: RunRecord) -> dict[str, Requirements]:
        """What the tasks of its steps ask for, by the names of `deliveries`."""
        tasks = self.library.table(record.tasks).tasks
        found: dict[str, Requirements] = {}
        for attempt in self.view(record).attempts:
            spec = tasks.get(_task_name(attempt))
            if spec is not None:
                found[attempt.state] = spec.requirements
            elif "Execution" in attempt.resource:
                called = self._journal.run(child_run_id(global_token(record.run_id, attempt.token)))
                inner = {} if called is None else self.asked(called)
                found.update({f"{attempt.state}/{step}": needs for step, needs in inner.items()})
        return found

    def _with_called(self, found: list[Delivery], run_id: str, attempt: Attempt) -> list[Delivery]:
        """With those of the run that the attempt started, in the place of its own."""
        token = global_token(run_id, attempt.token)
        called = self._journal.run(child_run_id(token))
        if called is None:
            return found
        inner = [msgspec.structs.replace(d, step=f"{attempt.state}/{d.step}") for d in self.deliveries(called)]
        return [*(one for one in found if one.token != token), *inner]

    # -- logs ----------------------------------------------------------------------------------------------------------

    def log_lines(
        self, record: RunRecord, *, step: str | None = None, attempt: int | None = None, follow: bool = False
    ) -> Iterator[LogLine]:
        """What tasks printed and logged and what the pipeline's body printed, by time, with the pipelines it called;
        with `follow` until the end."""
        log = RunLog(record.run_id, self._logs, self._look)
        driven = time.monotonic()
        while True:
            record = self._journal.run(record.run_id) or record
            if self.shown_status(record) != INTERRUPTED:
                driven = time.monotonic()
            ended = record.status in ENDED or not follow or time.monotonic() - driven > ORPHAN_S
            yield from log.read(step, attempt)
            if ended:
                return
            time.sleep(FOLLOW_S)

    def require_step(self, record: RunRecord, step: str) -> None:
        """Raises RunNotFound, which names the steps there are, unless a task ran as `step`, here or in a called
        pipeline."""
        ran = list(RunLog(record.run_id, self._logs, self._look).names())
        if not any(step in names for names in ran):
            labels = list(dict.fromkeys(names[0] for names in ran))
            shown = ", ".join(labels[:12]) + (", …" if len(labels) > 12 else "")
            raise RunNotFound(f"no task ran as {step!r}", hint=f"the run's tasks: {shown or 'none'}")

    def _look(self, run_id: str) -> RunView | None:
        record = self._journal.run(run_id)
        return None if record is None else self.view(record)


def _task_name(attempt: Attempt) -> str:
    return attempt.resource.rpartition(":")[2]


def print_states(document: Document) -> frozenset[str]:
    """Names of the states that `print` compiled to."""
    from skylift.asl.document import Map, Parallel

    found: set[str] = set()
    flows: list[Flow] = [document.flow]
    while flows:
        for name, state in flows.pop().states.items():
            if state.comment == PRINT_COMMENT:
                found.add(name)
            if isinstance(state, Parallel):
                flows += state.branches
            elif isinstance(state, Map):
                flows.append(state.item_processor)
    return frozenset(found)
