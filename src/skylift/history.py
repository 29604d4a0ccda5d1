"""What the recent runs of a project tell of its tasks and of the ways through its pipelines. Reads; changes nothing.

A sample is one delivery of one attempt: how long it took, what it used, where it was, how it ended. What was not
measured is None, and stays so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from skylift.engine.views import history as derive_history
from skylift.pricing.deliveries import Delivery, Ended

if TYPE_CHECKING:
    from skylift.asl.history import HistoryEvent
    from skylift.ports.compute import Requirements
    from skylift.ports.journal import RunRecord
    from skylift.reader import RunReader

RECENT = 30
"""Runs that are looked at: enough for a spread, few enough to be read at once."""
ENOUGH = 5_000
"""Samples after which no older run is read: those of wide maps are long."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery."""

    run_id: str
    pipeline: str
    created_ms: int
    """Of its run, UTC."""
    step: str
    """As in `RunReader.deliveries`: `STEP`, of a called pipeline `STEP/INNER`."""
    task: str | None = None
    token: str
    ended: Ended
    duration_ms: float | None = None
    cpu_ms: float | None = None
    startup_ms: float | None = None
    peak_mib: float | None = None
    in_bytes: int | None = None
    out_bytes: int | None = None
    saved_ms: float | None = None
    backend: str | None = None
    service: str | None = None
    instance_type: str | None = None
    vcpus: float | None = None
    memory_mib: int | None = None
    gpu: str | None = None
    """What its task asks for."""
    region: str | None = None
    market: str | None = None
    nodes: int = 1

    @property
    def preempted(self) -> bool:
        return self.ended == "preempted"


class Ways(msgspec.Struct, frozen=True, kw_only=True):
    """How one run went through its document. Names of states of called pipelines stand as `STEP/INNER`."""

    run_id: str
    transitions: Mapping[tuple[str, str], int]
    """How often a Choice state went on to a state."""
    widths: Mapping[str, tuple[int, ...]]
    """Of each entering of a Map state: how many iterations it had."""


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Of some runs of one pipeline, newest first."""

    samples: tuple[Sample, ...] = ()
    ways: tuple[Ways, ...] = ()
    runs: int = 0

    def of_step(self, step: str) -> list[Sample]:
        return [sample for sample in self.samples if sample.step == step]

    def of_task(self, task: str) -> list[Sample]:
        return [sample for sample in self.samples if sample.task == task]


def history_of(reader: RunReader, pipeline: str, *, limit: int = RECENT, since_ms: int = 0) -> History:
    """Of the newest runs of a pipeline, finished or not: so many, or fewer where these are enough to go by."""
    found: list[Sample] = []
    ways: list[Ways] = []
    for record in reader.runs(pipeline=pipeline, limit=limit):
        if record.created_ms < since_ms or len(found) >= ENOUGH:
            break
        found += samples(reader, [record])
        ways.append(ways_of(reader, record))
    return History(samples=tuple(found), ways=tuple(ways), runs=len(ways))


def samples(reader: RunReader, records: Iterable[RunRecord]) -> list[Sample]:
    """Every delivery of these runs that left a usage, and those that did not, without one."""
    found: list[Sample] = []
    for record in records:
        asked, tasks = reader.asked(record), _tasks(reader, record)
        found += [_sample(record, delivery, asked, tasks) for delivery in reader.deliveries(record)]
    return found


def _tasks(reader: RunReader, record: RunRecord, prefix: str = "") -> dict[str, str]:
    """Of its steps."""
    found = {prefix + one.state: one.resource.rpartition(":")[2] for one in reader.view(record).attempts}
    for step, called in reader.called(record):
        found.update(_tasks(reader, called, f"{prefix}{step}/"))
    return found


def _sample(
    record: RunRecord, delivery: Delivery, asked: Mapping[str, Requirements], tasks: Mapping[str, str]
) -> Sample:
    usage, needs = delivery.usage, asked.get(delivery.step)
    known: dict[str, Any] = {}
    if usage is not None:
        for name in _OF_USAGE:
            known[name] = getattr(usage, name)
        known["peak_mib"] = usage.peak_memory_mib
    return Sample(
        run_id=record.run_id,
        pipeline=record.pipeline,
        created_ms=record.created_ms,
        step=delivery.step,
        task=tasks.get(delivery.step),
        token=delivery.token,
        ended=delivery.ended,
        gpu=None if needs is None else needs.gpu,
        **known,
    )


_OF_USAGE = (
    "duration_ms",
    "cpu_ms",
    "startup_ms",
    "in_bytes",
    "out_bytes",
    "saved_ms",
    "backend",
    "service",
    "instance_type",
    "vcpus",
    "memory_mib",
    "region",
    "market",
    "nodes",
)


def ways_of(reader: RunReader, record: RunRecord, prefix: str = "") -> Ways:
    """By replay of its history, with the runs that it started."""
    fold = _Fold(prefix)
    machine = reader.library.machine(record.definition, record.limits)
    for event in derive_history(machine, reader.entries(record.run_id)):
        fold.take(event)
    for step, called in reader.called(record):
        inner = ways_of(reader, called, f"{prefix}{step}/")
        fold.transitions.update(inner.transitions)
        for name, widths in inner.widths.items():
            fold.widths.setdefault(name, []).extend(widths)
    return Ways(
        run_id=record.run_id,
        transitions=dict(fold.transitions),
        widths={name: tuple(found) for name, found in fold.widths.items()},
    )


class _Fold:
    """Follows the threads of a history: an event knows the one before it in its thread by number."""

    def __init__(self, prefix: str) -> None:
        self.transitions: Counter[tuple[str, str]] = Counter()
        self.widths: dict[str, list[int]] = {}
        self._prefix = prefix
        self._left: dict[tuple[str | None, int], str] = {}
        """Choice states that were left, by the number of that event."""
        self._maps: dict[tuple[str | None, int], str] = {}
        self._started: dict[tuple[str | None, int], str] = {}
        """Map states whose iterations began, whose number was not told: items come from a reader."""
        self._runs: dict[str, tuple[str, int]] = {}

    def take(self, event: HistoryEvent) -> None:
        kind = event.type
        if kind.endswith("StateEntered"):
            self._entered(event)
        elif kind == "ChoiceStateExited":
            self._left[event.child, event.id] = event.details["name"]
        elif kind == "MapStateStarted":
            self._map_started(event)
        elif kind == "MapRunStarted":
            self._map_run_started(event)
        elif kind == "ExecutionStarted" and event.child is not None:
            self._child_started(event.child)

    def _entered(self, event: HistoryEvent) -> None:
        name = event.details["name"]
        before = self._left.pop((event.child, event.previous_id), None)
        if before is not None:
            self.transitions[self._prefix + before, self._prefix + name] += 1
        if event.type == "MapStateEntered":
            self._maps[event.child, event.id] = name

    def _map_started(self, event: HistoryEvent) -> None:
        name = self._maps.pop((event.child, event.previous_id), None)
        if name is None:
            return
        self.widths.setdefault(self._prefix + name, []).append(int(event.details.get("length", 0)))
        self._started[event.child, event.id] = name

    def _map_run_started(self, event: HistoryEvent) -> None:
        name = self._started.pop((event.child, event.previous_id), None)
        if name is None:
            return
        widths = self.widths[self._prefix + name]
        widths[-1] = 0  # child executions are counted instead: batches, and items that were read
        self._runs[event.details["mapRunArn"].rpartition(":")[2]] = (name, len(widths) - 1)

    def _child_started(self, child: str) -> None:
        found = self._runs.get(child.rpartition("-")[0])
        if found is not None:
            self.widths[self._prefix + found[0]][found[1]] += 1


def merged(many: Sequence[History]) -> History:
    """Of several pipelines."""
    return History(
        samples=tuple(sample for one in many for sample in one.samples),
        ways=tuple(way for one in many for way in one.ways),
        runs=sum(one.runs for one in many),
    )
