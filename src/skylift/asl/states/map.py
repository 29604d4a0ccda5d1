"""Map, inline: one thread for each item, a bounded number of them at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from skylift.asl.dataflow import Evaluate, named_path_reader, path_reader, template
from skylift.asl.document import Map
from skylift.asl.result_types import out_of_range, require
from skylift.asl.scope import EvaluationFailed, Scope
from skylift.asl.state import Failure, Fan, Frame
from skylift.asl.states.base import CompiledFlow, Step

if TYPE_CHECKING:
    from skylift.asl.turn import Turn


class MapStep(Step):
    kind = "Map"
    retryable = True

    def __init__(self, state: Map, processor: CompiledFlow) -> None:
        super().__init__(state)
        language = state.query_language
        self.processor = processor
        self._path = state.items_path if isinstance(state.items_path, str) else "$"
        self._items_path = path_reader(state.items_path) if not self.jsonata else None
        self._items_source = state.items
        self._items = template(state.items, language, "Items")
        self.selector = template(state.item_selector, language, "ItemSelector")
        self._concurrency = number_field(
            state.max_concurrency, state.max_concurrency_path, language, "MaxConcurrency", "integer"
        )

    def begin(self, turn: Turn, frame: Frame) -> None:
        scope = turn.scope(frame, self)
        effective = self.flow.effective(scope)
        items = self.read_items(scope)
        turn.emit(frame, "MapStateStarted", {"length": len(items)})
        scope.input = effective
        concurrency = self.read_concurrency(scope, turn.limits.inline_window)
        frame.phase = "fan"
        frame.fan = Fan(len(items), concurrency, items, self.selector_input(frame, effective))
        self.pump(turn, frame, frame.fan, frame.last_id)

    def read_items(self, scope: Scope) -> list[Any]:
        if self._items is not None:
            items = self._items(scope)
            require("array", items, self._items_source, "Items")
        elif self._items_path is not None:
            items = self._items_path(scope)
        else:
            items = scope.input
        if isinstance(items, list):
            return items
        text = msgspec.json.encode(items).decode()
        if self.jsonata:
            raise EvaluationFailed("States.QueryEvaluationError", f"Map state input must be an array but was: {text}")
        raise EvaluationFailed("States.Runtime", f'Reference path "{self._path}" must point to array.')

    def read_concurrency(self, scope: Scope, window: int) -> int:
        wanted = None if self._concurrency is None else self._concurrency(scope)
        if wanted is None or wanted == 0:
            return window
        if wanted < 0:
            raise out_of_range(self.jsonata, "MaxConcurrency", "MaxConcurrency cannot be negative.")
        return min(int(wanted), window)

    def selector_input(self, frame: Frame, effective: Any) -> Any:
        """What `$` is in the ItemSelector, kept only where it is not the raw input."""
        return UNSET if self.selector is None or effective is frame.input else effective

    def pump(self, turn: Turn, frame: Frame, fan: Fan, after: int) -> None:
        """Start iterations while there are items and room; end the state when all are done."""
        try:
            while fan.next_index < fan.length and len(fan.active) < fan.concurrency:
                self._start(turn, frame, fan, fan.next_index, after)
        except EvaluationFailed as problem:
            turn.stop_children(frame, recorded=True)
            turn.evaluation_failed(self, frame, problem)
            return
        if not fan.active:
            self._succeeded(turn, frame, fan)

    def _start(self, turn: Turn, frame: Frame, fan: Fan, index: int, after: int) -> None:
        assert fan.items is not None
        item = fan.items[index]
        given = item if self.selector is None else self.select(turn, frame, fan, index, item)
        fan.next_index = index + 1
        number = turn.new_frame_number()
        child = Frame(
            number,
            frame.number,
            index,
            self.processor.number,
            frame.home,
            (*frame.path, self.name, index),
            self.processor.start,
            given,
            frame.variables,
            "ready",
            after,
        )
        child.item = item
        fan.active[index] = number
        turn.start_thread(child)
        if turn.history is None:
            home = turn.frames[frame.home]
            child.last_id = home.events = home.events + 1
        else:
            turn.emit(child, "MapIterationStarted", {"index": index, "name": self.name})

    def select(self, turn: Turn, frame: Frame, fan: Fan, index: int, item: Any, source: Any = UNSET) -> Any:
        """The ItemSelector's answer for one item. `source`: where a Distributed Map has its items from."""
        assert self.selector is not None
        scope = turn.scope(frame, self)
        if fan.selector_input is not UNSET:
            scope.input = fan.selector_input

        around = scope.context

        def context() -> dict[str, Any]:
            found = dict(around())
            found["Map"] = {"Item": {"Index": index, "Value": item}}
            if source is not UNSET:
                found["Map"]["Item"]["Source"] = source
            return found

        scope.context = context
        return self.selector(scope)

    def child_succeeded(self, turn: Turn, frame: Frame, child: Frame, output: Any) -> None:
        fan = frame.fan
        assert fan is not None
        del fan.active[child.index]
        fan.results[child.index] = output
        after = child.last_id
        if turn.history is None:
            home = turn.frames[frame.home]
            frame.last_id = home.events = home.events + 1
        else:
            turn.emit(child, "MapIterationSucceeded", {"index": child.index, "name": self.name})
            frame.last_id = child.last_id
        self.pump(turn, frame, fan, after)

    def child_failed(self, turn: Turn, frame: Frame, child: Frame, failure: Failure) -> None:
        fan = frame.fan
        assert fan is not None
        fan.stopped[child.index] = fan.active.pop(child.index)
        turn.aside(child, "MapIterationFailed", {"index": child.index, "name": self.name})
        frame.last_id = child.last_id
        turn.stop_children(frame, recorded=True)
        turn.fail(self, frame, failure)

    def _succeeded(self, turn: Turn, frame: Frame, fan: Fan) -> None:
        turn.aside(frame, "MapStateSucceeded")
        self.succeed(turn, frame, [fan.results[index] for index in range(fan.length)])

    def record_aborted(self, turn: Turn, frame: Frame, child: Frame) -> None:
        turn.aside(child, "MapIterationAborted", {"index": child.index, "name": self.name})

    def record_failed(self, turn: Turn, frame: Frame, failure: Failure) -> None:
        turn.emit(frame, "MapStateFailed")

    def redrive(self, turn: Turn, frame: Frame) -> None:
        fan = frame.fan
        if fan is None:
            turn.attempt(self, frame)
            return
        frame.phase = "fan"
        turn.redrive_children(frame, fan)
        self.pump(turn, frame, fan, frame.last_id)


def number_field(value: Any, path: Any, language: Any, field: str, kind: str, within: str = "") -> Evaluate | None:
    """A number that may be written as such, as a path or as JSONata; `kind` is what the service calls it.

    `within` names the part of the state that the field stands in, as locations do: "ItemBatcher/".
    """
    if path is not UNSET:
        return _number_at(path, field, kind)
    location = within + field
    evaluate = template(value, language, location)
    if evaluate is None:
        return None

    def read(scope: Scope) -> Any:
        number = evaluate(scope)
        require("number", number, value, location)
        if not _is_number(number, kind):
            text = msgspec.json.encode(number).decode()
            cause = f"The {field} field must evaluate to a valid {kind} but was: {text}"
            raise EvaluationFailed("States.QueryEvaluationError", cause, location)
        return number

    return read


def _number_at(path: str, field: str, kind: str) -> Evaluate:
    evaluate = named_path_reader(path, field + "Path")
    assert evaluate is not None

    def read(scope: Scope) -> Any:
        number = evaluate(scope)
        if isinstance(number, str) and kind == "integer" and number.isdecimal():
            return int(number)
        if not _is_number(number, kind):
            text = number if isinstance(number, str) else msgspec.json.encode(number).decode()
            cause = f'The {field}Path field refers to value "{text}" which is not a valid {kind}: {path}'
            raise EvaluationFailed("States.Runtime", cause)
        return number

    return read


def _is_number(value: Any, kind: str) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return False
    return kind == "float" or value == int(value)
