"""The state of a run between two events: plain data, encodable at any point.

A run is a tree of *frames*. A frame is one thread of control: the document itself, a branch of a Parallel, an iteration
or child execution of a Map. It stands in one state of its flow. A frame whose state is a Parallel or Map has a *fan*,
which counts its children. Frames refer to each other by number only, so that finding one costs the same however wide a
map is, and values (inputs, variables) are shared by reference and never changed in place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from skylift.asl.commands import Command, ReadItems, SetTimer, StartTask, WriteResults
from skylift.asl.status import OPEN, Status

Phase = Literal["ready", "task", "wait", "retry", "fan", "stopped"]

ROOT = 1
"""Number of the document's own frame."""


class Variables(dict[str, Any]):
    """All variables visible to a frame. Never changed in place: an Assign makes a new one."""

    __slots__ = ()

    def as_mapping(self) -> Mapping[str, Any]:
        return self


NO_VARIABLES = Variables()


class Failure(msgspec.Struct, frozen=True):
    """Why something did not succeed."""

    error: str | None
    cause: str | None
    classes: tuple[str, ...] = ()
    terminal: bool = False
    """No Retry or Catch on States.ALL or States.TaskFailed answers it."""

    def as_output(self) -> dict[str, Any]:
        """The error output that a catcher sees."""
        cause = "" if self.cause is None and self.error is not None else self.cause
        return {"Error": self.error, "Cause": cause}


class MapRun(msgspec.Struct, gc=False):
    """What a Distributed Map has beyond an inline one."""

    arn: str
    label: str
    name: str
    """Begins the names of the child executions."""
    started_id: int = 0
    """The event MapRunStarted."""
    reader: Reading | None = None
    """The ItemReader, until its last page has come."""
    source: str = "STATE_DATA"
    """Map.Item.Source in the ItemSelector's context object."""
    items: list[Any] = []
    """Items read and not yet started, from `taken` on."""
    taken: int = 0
    numbered: int = 0
    """Items given an index so far."""
    batch: Batch | None = None
    tolerated_count: int | None = None
    tolerated_percentage: float | None = None
    sizes: dict[int, int] = {}
    """How many items each child under way or stopped has, where that is not one."""
    failed_items: int = 0
    tolerated: dict[int, int] = {}
    """Frame number of each child that failed and was tolerated, by index: a redrive tries it again."""
    writer: Writing | None = None
    redrives: int = 0


class Reading(msgspec.Struct, gc=False):
    port: int
    resource: str
    arguments: dict[str, Any]
    config: dict[str, Any]
    page: int
    cursor: Any = None
    left: int | None = None
    """Most items still wanted, by MaxItems."""
    asked: bool = False
    """A page is under way."""

    def command(self) -> ReadItems:
        limit = self.page if self.left is None else min(self.page, self.left)
        return ReadItems(
            reader=self.port,
            resource=self.resource,
            arguments=self.arguments,
            config=self.config,
            cursor=self.cursor,
            limit=limit,
        )


class Writing(msgspec.Struct, gc=False):
    port: int
    resource: str
    arguments: dict[str, Any]
    config: dict[str, Any]
    records: list[dict[str, Any]] = []
    """Results that wait to be written."""
    under_way: list[dict[str, Any]] = []
    part: int = 0
    asked: bool = False
    """A write is under way."""
    last: bool = False

    def command(self, map_run: str) -> WriteResults:
        return WriteResults(
            writer=self.port,
            resource=self.resource,
            arguments=self.arguments,
            config=self.config,
            map_run=map_run,
            results=self.under_way,
            part=self.part,
            last=self.last,
        )


class Batch(msgspec.Struct, gc=False):
    most_items: int | None
    most_bytes: int | None
    input: Any = UNSET
    """BatchInput."""


class Fan(msgspec.Struct, gc=False):
    """The children of a Parallel or Map state."""

    length: int
    """Branches, items, or items known so far."""
    concurrency: int
    items: list[Any] | None = None
    selector_input: Any = UNSET
    """What `$` is in an ItemSelector, where that is not the state's raw input."""
    next_index: int = 0
    active: dict[int, int] = {}
    """Frame number of each child under way, by index."""
    results: dict[int, Any] = {}
    stopped: dict[int, int] = {}
    """Frame number of each child that failed or was aborted, by index: what a redrive goes on with."""
    map_run: MapRun | None = None


class Deliveries(msgspec.Struct, frozen=True, omit_defaults=True):
    """How often an attempt was given out again, and what the next delivery is to be."""

    lost: int = 0
    preempted: int = 0
    moved: int = 0
    """Taken back by the engine, for another market."""
    out_of_memory: int = 0
    memory_mib: int | None = None
    backend: str | None = None
    market: str | None = None
    saved_ms: float = 0.0
    """Work that checkpoints keep."""
    startup_ms: float = 0.0
    """The longest start-up so far."""
    repeated_ms: float = 0.0
    """The most work since its last checkpoint that a delivery has lost which had one."""

    @property
    def count(self) -> int:
        return self.lost + self.preempted + self.moved + self.out_of_memory


NO_DELIVERIES = Deliveries()


class Frame(msgspec.Struct, gc=False):
    number: int
    parent: int
    index: int
    """Which branch or iteration of the parent."""
    flow: int
    home: int
    """The frame whose history this one's events belong to: ROOT, or a child execution of a Distributed Map."""
    path: tuple[str | int, ...]
    state: str
    input: Any
    variables: Variables
    phase: Phase = "ready"
    last_id: int = 0
    """The event that the next one follows."""
    events: int = 0
    """How many history events there are, where this frame is the home of a history."""
    entered_id: int = 0
    entered_previous: int = 0
    entered_ms: int = 0
    tries: int = 0
    """Tokens given out by this frame; they are never reused."""
    attempt: int = 0
    retry_count: int = 0
    retried: list[int] | None = None
    """How often each retrier of the state has been used."""
    timer: int = 0
    task: StartTask | None = None
    deliveries: Deliveries | None = None
    """Of the task under way, after a loss."""
    fan: Fan | None = None
    item: Any = UNSET
    """Map.Item.Value in the context object; of a child execution, its input."""
    name: str | None = None
    """The child execution's name, where this frame is one."""
    started_ms: int = 0


class Timer(msgspec.Struct, gc=False):
    frame: int
    """0 for the run's own timeout."""
    due_ms: int


class RunState(msgspec.Struct):
    """A run between two events. `machine.advance` changes it in place; nothing else does."""

    status: Status = "RUNNING"
    output: Any = None
    error: str | None = None
    cause: str | None = None
    sequence: int = 0
    """Events taken in so far."""
    started: bool = False
    input: Any = None
    input_text: str | None = None
    seed: int = 0
    context: dict[str, Any] = {}
    started_ms: int = 0
    redrives: int = 0
    redriven_ms: int = 0
    run_timer: int = 0
    frames: dict[int, Frame] = {}
    next_frame: int = ROOT
    timers: dict[int, Timer] = {}
    next_timer: int = 1
    next_port: int = 1
    """The next reader or writer number."""
    ports: dict[int, int] = {}
    """Frame number by reader or writer number."""
    held: dict[str, int] = {}
    """Frame number by token of each task that waits for the run to be resumed."""
    budget: str | None = None
    """What a resumption said that the run may cost."""

    def task(self, token: str) -> StartTask | None:
        """The task under way that waits for this token."""
        number, _, _ = token.partition("-")
        frame = self.frames.get(int(number)) if number.isdecimal() and len(number) < 19 else None
        if frame is None or frame.task is None or frame.task.token != token or token in self.held:
            return None
        return frame.task

    def entered_ms(self, token: str) -> int:
        """When the state was entered whose task waits for this token; 0 for no such state."""
        frame = self.frames.get(int(token.partition("-")[0]))
        return 0 if frame is None else frame.entered_ms

    def deliveries(self, token: str) -> Deliveries:
        """Of the task under way that waits for this token."""
        frame = self.frames.get(int(token.partition("-")[0]))
        return NO_DELIVERIES if frame is None or frame.deliveries is None else frame.deliveries

    def pending(self) -> Iterator[Command]:
        """Everything asked of the shell and not answered yet: what a restarted shell must give out again."""
        if self.status not in OPEN:
            return
        for frame in self.frames.values():
            if frame.task is not None and frame.task.token not in self.held:
                yield frame.task
        for number, timer in self.timers.items():
            yield SetTimer(timer=number, due_ms=timer.due_ms)
        for port, number in self.ports.items():
            yield from _port_commands(port, self.frames[number])


def _port_commands(port: int, frame: Frame) -> Iterator[Command]:
    run = frame.fan.map_run if frame.fan is not None else None
    if run is None:
        return
    if run.reader is not None and run.reader.port == port and run.reader.asked:
        yield run.reader.command()
    if run.writer is not None and run.writer.port == port and run.writer.asked:
        yield run.writer.command(run.arn)


def encode_state(state: RunState) -> bytes:
    """JSON of the state. Variables are written only where a frame's own differ from those around it."""
    frames = {number: _without_inherited(frame, state.frames) for number, frame in state.frames.items()}
    return _encoder.encode(_replace(state, frames=frames))


def decode_state(data: bytes) -> RunState:
    state = _decoder.decode(data)
    for frame in state.frames.values():  # parents come before their children
        outer = state.frames.get(frame.parent)
        if outer is not None and frame.home != frame.number:
            frame.variables = Variables({**outer.variables, **frame.variables}) if frame.variables else outer.variables
    return state


def _without_inherited(frame: Frame, frames: dict[int, Frame]) -> Frame:
    outer = frames.get(frame.parent)
    if outer is None or not frame.variables or frame.home == frame.number:
        return frame
    own = {name: value for name, value in frame.variables.items() if outer.variables.get(name, _encoder) is not value}
    return _replace(frame, variables=Variables(own))


def _decode_custom(kind: type, value: Any) -> Any:
    if kind is Variables:
        return Variables(value)
    raise NotImplementedError(kind)


_replace = msgspec.structs.replace
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(RunState, dec_hook=_decode_custom)
