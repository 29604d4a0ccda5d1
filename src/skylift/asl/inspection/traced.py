"""The machine's own steps and data flows, made to tell what they do. They decide nothing: each calls what it extends,
but that the work of a Map is left to the mock."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from skylift.asl.dataflow import Dataflow, Evaluate, JsonataFlow, JsonPathFlow
from skylift.asl.document import Map, State
from skylift.asl.events import ItemsRead
from skylift.asl.inspection.notes import Notes
from skylift.asl.scope import Scope
from skylift.asl.state import Fan, Frame
from skylift.asl.states.base import Step
from skylift.asl.states.distributed import DistributedMapStep
from skylift.asl.states.map import MapStep

if TYPE_CHECKING:
    from skylift.asl.turn import Turn


def traced(step: Step, state: State, notes: Notes) -> Step:
    """The step, telling `notes` what happens in it."""
    if isinstance(step, DistributedMapStep):
        assert isinstance(state, Map)
        step = TracedDistributedMap(state, step.processor, notes)
    elif isinstance(step, MapStep):
        assert isinstance(state, Map)
        step = TracedMap(state, step.processor, notes)
    step.flow = _flow(state, notes)
    return step


def _flow(state: State, notes: Notes) -> Dataflow:
    return TracedJsonata(state, notes) if state.query_language == "JSONata" else TracedJsonPath(state, notes)


class TracedJsonPath(JsonPathFlow):
    def __init__(self, state: State, notes: Notes) -> None:
        super().__init__(state)
        self._notes = notes
        self._input = _noting(notes, "afterInputPath", self._input)
        self._payload = _noting(notes, "afterParameters", self._payload)
        self._selector = _noting(notes, "afterResultSelector", self._selector)
        place = self._place
        self._place = lambda raw, result: notes.take("afterResultPath", result if place is None else place(raw, result))

    def finish(self, scope: Scope, raw: Any, result: Any) -> tuple[Any, dict[str, Any] | None]:
        self._notes.take("result", result)
        return super().finish(scope, raw, result)


class TracedJsonata(JsonataFlow):
    def __init__(self, state: State, notes: Notes) -> None:
        super().__init__(state)
        self._notes = notes
        self._payload = _noting(notes, "afterArguments", self._payload)

    def finish(self, scope: Scope, raw: Any, result: Any) -> tuple[Any, dict[str, Any] | None]:
        self._notes.take("result", result)
        return super().finish(scope, raw, result)


def _noting(notes: Notes, name: str, evaluate: Evaluate | None) -> Evaluate:
    """The evaluator; where the field is absent, one that hands on what it is given."""
    read: Callable[[Scope], Any] = evaluate if evaluate is not None else lambda scope: scope.input
    return lambda scope: notes.take(name, read(scope))


class TracedMap(MapStep):
    """Starts every iteration at once, so that all their inputs are seen, and ends none."""

    def __init__(self, state: Map, processor: Any, notes: Notes) -> None:
        super().__init__(state, processor)
        self._notes = notes

    def read_items(self, scope: Scope) -> list[Any]:
        items = super().read_items(scope)
        self._notes.take("afterItemsPath", items)
        return items

    def read_concurrency(self, scope: Scope, window: int) -> int:
        wanted = super().read_concurrency(scope, sys.maxsize)
        self._notes.take("maxConcurrency", 0 if wanted == sys.maxsize else wanted)
        return sys.maxsize

    def select(self, turn: Turn, frame: Frame, fan: Fan, index: int, item: Any, source: Any = UNSET) -> Any:
        selected = super().select(turn, frame, fan, index, item, source)
        self._notes.selected[index] = selected
        return selected

    def _succeeded(self, turn: Turn, frame: Frame, fan: Fan) -> None:
        """The mock says how the state ends."""


class TracedDistributedMap(TracedMap, DistributedMapStep):
    """The same with the fields of a Distributed Map."""

    def begin(self, turn: Turn, frame: Frame) -> None:
        super().begin(turn, frame)
        run = frame.fan.map_run if frame.fan is not None else None
        if run is not None and run.tolerated_count is not None:
            self._notes.take("toleratedFailureCount", run.tolerated_count)
        if run is not None and run.tolerated_percentage is not None:
            self._notes.take("toleratedFailurePercentage", run.tolerated_percentage)

    def items_read(self, turn: Turn, frame: Frame, items: list[Any]) -> None:
        """The ItemReader's file has been read: all of it is the first page."""
        run = frame.fan.map_run if frame.fan is not None else None
        reader = run.reader if run is not None else None
        if reader is None:
            return
        if "ItemsPointer" in reader.config:
            self._notes.take("afterItemsPointer", items)
        self.port_answered(turn, frame, ItemsRead(reader=reader.port, items=items))

    def reader_config(self, frame: Frame) -> dict[str, Any] | None:
        """The evaluated ReaderConfig, None where there is no ItemReader."""
        run = frame.fan.map_run if frame.fan is not None else None
        return run.reader.config if run is not None and run.reader is not None else None

    def items(self, frame: Frame) -> int:
        """How many there are."""
        run = frame.fan.map_run if frame.fan is not None else None
        return 0 if run is None else run.numbered + len(run.items) - run.taken

    def count_failures(self, turn: Turn, frame: Frame, failed: int) -> bool:
        """Fail the state if so many failed iterations are more than it tolerates. True: it failed.

        As recorded: a state that says nothing of what it tolerates does not fail here.
        """
        fan = frame.fan
        run = fan.map_run if fan is not None else None
        if fan is None or run is None or (run.tolerated_count is None and run.tolerated_percentage is None):
            return False
        run.failed_items = failed
        if not self._exceeded(run, fan):
            return False
        self._threshold_exceeded(turn, frame)
        return True

    def _start_child(self, turn: Turn, frame: Frame, fan: Fan, index: int, given: Any) -> None:
        if fan.map_run is not None and fan.map_run.batch is not None:
            self._notes.batches.append(given)
        super()._start_child(turn, frame, fan, index, given)

    def _all_ended(self, turn: Turn, frame: Frame, fan: Fan, run: Any) -> None:
        """The mock says how the state ends."""
