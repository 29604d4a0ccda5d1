"""Histories of runs by replay, kept while they are asked for: pages of a history do not replay it each time.

A replay goes on where it stands when a run has grown. What is kept is bounded by its bytes, the least used goes first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from skylift.asl.commands import Command, WriteResults
from skylift.asl.events import MapRunUpdated, ResultsWritten, RunStarted
from skylift.asl.history import HistoryEvent
from skylift.asl.machine import Machine
from skylift.asl.state import MapRun, RunState
from skylift.engine.library import Library
from skylift.ports.journal import Entry, Journal, RunRecord
from skylift.server.context import ServerContext
from skylift.server.stepfunctions.history_events import wire_event

T = TypeVar("T")

MOST_BYTES = 64 * 1024 * 1024
"""Of encoded events, in all replays that are kept."""
MOST_MACHINES = 16
"""Compiled ones that each thread keeps."""

_OVERHEAD = 100
"""Bytes an event costs beside its text."""
_ENDINGS = {
    "ExecutionStarted": "RUNNING",
    "ExecutionRedriven": "RUNNING",
    "ExecutionSucceeded": "SUCCEEDED",
    "ExecutionFailed": "FAILED",
    "ExecutionTimedOut": "TIMED_OUT",
    "ExecutionAborted": "ABORTED",
}


class Thread:
    """The history of an execution: the run's own, or a child execution's."""

    __slots__ = ("events", "items", "map_run", "name", "redriven_ms", "redrives", "started_ms", "status", "stopped_ms")

    def __init__(self, name: str | None, map_run: str | None) -> None:
        self.name = name
        self.map_run = map_run
        """ARN, of a child execution."""
        self.events: list[bytes] = []
        """Each as the wire has it, in order: event n stands at n - 1."""
        self.items = 1
        self.status = "RUNNING"
        self.started_ms = 0
        self.stopped_ms: int | None = None
        self.redrives = 0
        self.redriven_ms: int | None = None


class MapRunFacts:
    """What is known of a Map Run."""

    __slots__ = (
        "arn",
        "children",
        "home",
        "limits",
        "name",
        "redriven_ms",
        "redrives",
        "started_ms",
        "status",
        "stopped_ms",
        "written",
        "written_items",
    )

    def __init__(self, arn: str, home: str | None, started_ms: int, limits: dict[str, Any]) -> None:
        self.arn = arn
        self.name = arn.rpartition(":")[2]
        self.home = home
        """Name of the child execution that started it; None for the run itself."""
        self.status = "RUNNING"
        self.started_ms = started_ms
        self.stopped_ms: int | None = None
        self.limits = limits
        self.redrives = 0
        self.redriven_ms: int | None = None
        self.children: list[Thread] = []
        self.written = 0
        """Child executions whose results the ResultWriter has stored."""
        self.written_items = 0


class Replay:
    """A run, replayed as far as its journal went when somebody last asked."""

    def __init__(self, record: RunRecord) -> None:
        self.guard = threading.Lock()
        self.state: RunState | None = None
        self.root = Thread(None, None)
        self.children: dict[str, Thread] = {}
        self.map_runs: dict[str, MapRunFacts] = {}
        """By ARN, in the order they started."""
        self.size = 0
        self._started = _started_by(record)
        self._by_name: dict[str, MapRunFacts] = {}
        self._by_start: dict[tuple[str | None, int], MapRunFacts] = {}
        """By execution and event id of MapRunStarted or MapRunRedriven, which its end follows."""
        self._writes: dict[int, tuple[str, list[dict[str, Any]]]] = {}
        """Results given to each writer and not yet written."""

    def take(self, machine: Machine, entry: Entry) -> None:
        if self.state is None:
            self.state = machine.begin()
        derived: list[HistoryEvent] = []
        commands = machine.advance(self.state, entry.event, entry.at_ms, derived)
        given = entry.event
        if isinstance(given, RunStarted) and given.input_text is not None:
            self._started = {**self._started, "input": given.input_text}
        for event in derived:
            self._event(event)
        self._changes(given, commands)

    def live_map_run(self, arn: str) -> MapRun | None:
        """Its state, as long as the state around it has not been left."""
        for frame in self.state.frames.values() if self.state is not None else ():
            if frame.fan is not None and frame.fan.map_run is not None and frame.fan.map_run.arn == arn:
                return frame.fan.map_run
        return None

    def _event(self, event: HistoryEvent) -> None:
        thread = self.root if event.child is None else self._child(event)
        more = self._started if thread is self.root and event.type == "ExecutionStarted" else None
        text = msgspec.json.encode(wire_event(event, more))
        thread.events.append(text)
        self.size += len(text) + _OVERHEAD
        if event.type in _ENDINGS:
            _ended(thread, event)
        elif event.type.startswith("MapRun"):
            self._map_run(event)

    def _child(self, event: HistoryEvent) -> Thread:
        name = event.child
        assert name is not None
        child = self.children.get(name)
        if child is None:
            around = self._by_name.get(name.rpartition("-")[0])
            child = self.children[name] = Thread(name, around.arn if around is not None else None)
            child.items = event.about if isinstance(event.about, int) else 1
            child.started_ms = event.at_ms
            if around is not None:
                around.children.append(child)
        return child

    def _map_run(self, event: HistoryEvent) -> None:
        if event.type == "MapRunStarted":
            limits = {name: value or 0 for name, value in (event.about or {}).items()}
            facts = MapRunFacts(event.details["mapRunArn"], event.child, event.at_ms, limits)
            self.map_runs[facts.arn] = self._by_name[facts.name] = facts
            self._by_start[event.child, event.id] = facts
        elif event.type == "MapRunRedriven":
            facts = self.map_runs[event.details["mapRunArn"]]
            self._by_start[event.child, event.id] = facts
            facts.status, facts.stopped_ms = "RUNNING", None
            facts.redrives, facts.redriven_ms = event.details["redriveCount"], event.at_ms
        else:
            started = self._by_start.get((event.child, event.previous_id))
            if started is not None:
                started.status = event.type.removeprefix("MapRun").upper()
                started.stopped_ms = event.at_ms

    def _changes(self, event: Any, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, WriteResults):
                self._writes[command.writer] = command.map_run, command.results
        if isinstance(event, MapRunUpdated) and event.map_run in self.map_runs:
            limits = {
                "maxConcurrency": event.max_concurrency,
                "toleratedFailureCount": event.tolerated_failure_count,
                "toleratedFailurePercentage": event.tolerated_failure_percentage,
            }
            self.map_runs[event.map_run].limits |= {name: value for name, value in limits.items() if value is not None}
        if isinstance(event, ResultsWritten) and event.writer in self._writes:
            arn, results = self._writes.pop(event.writer)
            facts = self.map_runs.get(arn)
            if facts is not None:
                facts.written += len(results)
                facts.written_items += sum(self._items_of(result) for result in results)

    def _items_of(self, result: dict[str, Any]) -> int:
        child = self.children.get(result.get("Name", ""))
        return child.items if child is not None else 1


class Replays:
    """The replays that are kept. Any thread may ask; asking blocks for as long as the replay takes."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._guard = threading.Lock()
        self._kept: OrderedDict[str, Replay] = OrderedDict()
        self._size = 0
        self._own = threading.local()

    def look(self, record: RunRecord, question: Callable[[Replay], T]) -> T:
        """Ask the replay of a run, taken as far as the journal goes. `question` must keep nothing of it."""
        replay = self._get(record)
        with replay.guard:
            before = replay.size
            try:
                self._catch_up(replay, record)
                return question(replay)
            finally:
                self._trim(record.run_id, replay, replay.size - before)

    def _catch_up(self, replay: Replay, record: RunRecord) -> None:
        machine = self._library().machine(record.definition, record.limits)
        done = replay.state.sequence if replay.state is not None else 0
        for entry in self._journal.entries(record.run_id, done):
            replay.take(machine, entry)

    def _get(self, record: RunRecord) -> Replay:
        with self._guard:
            replay = self._kept.get(record.run_id)
            if replay is None:
                replay = self._kept[record.run_id] = Replay(record)
            self._kept.move_to_end(record.run_id)
            return replay

    def _library(self) -> Library:
        """A compiled machine is one thread's."""
        library: Library | None = getattr(self._own, "library", None)
        if library is None:
            library = self._own.library = Library(self._journal, MOST_MACHINES)
        return library

    def _trim(self, run_id: str, replay: Replay, grown: int) -> None:
        with self._guard:
            if self._kept.get(run_id) is replay:
                self._size += grown
            while self._size > MOST_BYTES and self._kept:
                _, dropped = self._kept.popitem(last=False)
                self._size -= dropped.size


def replays(context: ServerContext) -> Replays:
    """For `ServerContext.part`."""
    return Replays(context.journal)


def _started_by(record: RunRecord) -> dict[str, Any]:
    """What ExecutionStarted shows of the version or alias that was started."""
    members = {"version": "stateMachineVersionArn", "alias": "stateMachineAliasArn"}
    return {members[key]: arn for key, arn in record.attributes.items() if key in members}


def _ended(thread: Thread, event: HistoryEvent) -> None:
    thread.status = _ENDINGS[event.type]
    thread.stopped_ms = None if thread.status == "RUNNING" else event.at_ms
    if event.type == "ExecutionRedriven":
        thread.redrives, thread.redriven_ms = event.details["redriveCount"], event.at_ms
    elif event.type == "ExecutionStarted":
        thread.started_ms = event.at_ms
