"""What one event costs: it grows with the depth of the graph, never with the width of a map. Counted, not timed."""

from __future__ import annotations

import sys
import tracemalloc
from typing import Any

import pytest
from msgspec import json

from skylift.asl import commands, events
from skylift.asl.limits import LOCAL, Limits
from skylift.asl.machine import Machine
from skylift.asl.parse import load
from skylift.asl.state import RunState
from skylift.testing.virtual import CONTEXT, START_MS

TASK = {"Type": "Task", "Resource": "arn:aws:states:::skylift:work", "Arguments": "{% $states.input %}", "End": True}
FEW = Limits(
    payload_bytes=None,
    history_events=None,
    inline_window=50,
    distributed_window=50,
    page_items=50,
    transitions_per_event=5_000,
)


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "reraise", True)


def flow(state: dict[str, Any], name: str) -> dict[str, Any]:
    return {"StartAt": name, "States": {name: state}}


def map_of(inner: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Type": "Map", "ItemProcessor": inner, "End": True, **more}


def document(state: dict[str, Any]) -> Any:
    return load({"QueryLanguage": "JSONata", **flow(state, "M")})


class Meter:
    """Counts calls, Python's and C's, and the most memory held, while one event is taken in."""

    def __init__(self, machine: Machine, state: RunState) -> None:
        self.machine, self.state = machine, state
        self.open: list[str] = []

    def take(self, event: events.Event) -> list[commands.Command]:
        given = self.machine.advance(self.state, event, START_MS)
        self.open += [command.token for command in given if isinstance(command, commands.StartTask)]
        return given

    def calls(self, event: events.Event) -> int:
        count = 0

        def note(frame: Any, kind: str, argument: Any) -> None:
            nonlocal count
            count += kind in ("call", "c_call")

        sys.setprofile(note)
        try:
            self.take(event)
        finally:
            sys.setprofile(None)
        return count

    def memory(self, event: events.Event) -> int:
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            self.take(event)
            return tracemalloc.get_traced_memory()[1] - before
        finally:
            tracemalloc.stop()

    def success(self) -> events.Event:
        return events.TaskSucceeded(token=self.open.pop(0), output=1)


def running(state: dict[str, Any], value: Any, warm: int = 20) -> Meter:
    machine = Machine(document(state), FEW)
    meter = Meter(machine, machine.begin())
    meter.take(events.RunStarted(input=value, seed=1, context=CONTEXT))
    for _ in range(warm):
        meter.take(meter.success())
    return meter


DISTRIBUTED = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, **flow(TASK, "T")}


@pytest.mark.parametrize(
    "state",
    [
        map_of(flow(TASK, "T")),
        map_of(flow(TASK, "T"), ItemSelector={"v": "{% $states.context.Map.Item.Value %}"}),
        map_of(DISTRIBUTED),
        map_of(DISTRIBUTED, ToleratedFailurePercentage=10),
    ],
)
def test_an_event_costs_the_same_in_a_map_of_any_width(state: dict[str, Any]) -> None:
    found = []
    for width in (100, 100_000):
        meter = running(state, list(range(width)))
        found.append((meter.calls(meter.success()), meter.memory(meter.success())))
    (few, little), (many, much) = found
    assert many == few
    assert much < little + 4_096


def test_an_event_costs_the_same_when_items_are_read_by_page() -> None:
    reader = {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "JSON"}}
    state = map_of(
        DISTRIBUTED, ItemReader={**reader, "Arguments": {"Bucket": "b", "Key": "k"}}, ToleratedFailureCount=9
    )
    found = []
    for pages in (2, 2_000):
        machine = Machine(document(state), FEW)
        meter = Meter(machine, machine.begin())
        asked = meter.take(events.RunStarted(input={}, seed=1, context=CONTEXT))
        for _ in range(pages):
            (ask,) = [command for command in asked if isinstance(command, commands.ReadItems)]
            asked = meter.take(events.ItemsRead(reader=ask.reader, items=[1] * 50, cursor=1))
            while not any(isinstance(command, commands.ReadItems) for command in asked):
                asked = meter.take(meter.success())
        found.append(meter.calls(meter.success()))
    assert found[0] == found[1]


def test_an_event_costs_no_more_than_its_depth() -> None:
    def nested(depth: int) -> dict[str, Any]:
        state = TASK
        for level in range(depth):
            state = map_of(flow(state, f"S{level}"), Items="{% [1..60] %}")
        return state

    counts = []
    for depth in (1, 2, 3):
        meter = running(nested(depth), {}, warm=3)
        counts.append(meter.calls(meter.success()))
    assert counts[2] <= counts[0] * 3


def test_expressions_are_compiled_once_for_a_document(monkeypatch: pytest.MonkeyPatch) -> None:
    import skylift.asl.template as template
    from skylift.asl.jsonata import compile_jsonata
    from skylift.asl.jsonpath import compile_path

    compiled: list[str] = []
    monkeypatch.setattr(template, "compile_jsonata", lambda text: (compiled.append(text), compile_jsonata(text))[1])
    monkeypatch.setattr(template, "compile_path", lambda text: (compiled.append(text), compile_path(text))[1])
    state = map_of(flow(TASK, "T"), ItemSelector={"v": "{% $states.context.Map.Item.Value %}"})
    machine = Machine(document(state), LOCAL)
    at_first = list(compiled)
    assert sorted(at_first) == ["$states.context.Map.Item.Value", "$states.input"]
    for _ in range(2):
        meter = Meter(machine, machine.begin())
        meter.take(events.RunStarted(input=list(range(100)), seed=1, context=CONTEXT))
        while meter.open:
            meter.take(meter.success())
        assert meter.state.status == "SUCCEEDED"
    assert compiled == at_first


def test_the_library_compiles_an_expression_once_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for functions of ours that ask it for help."""
    import jsonatapy

    made: list[str] = []
    original = jsonatapy.compile
    monkeypatch.setattr(jsonatapy, "compile", lambda text, **more: (made.append(text), original(text, **more))[1])
    hard = "{% $map([1..$states.input], function($v) { $formatInteger($v, 'w') & $now('[Y]') }) %}"
    machine = Machine(document(map_of(flow({**TASK, "Arguments": hard}, "T"))), LOCAL)
    made.clear()
    for _ in range(2):
        meter = Meter(machine, machine.begin())
        meter.take(events.RunStarted(input=[1] * 50, seed=1, context=CONTEXT))
        assert len(meter.open) == 50
    assert len(made) == len(set(made)) <= 3


def test_the_same_state_event_and_time_give_the_same_answer() -> None:
    """Ids, randomness and times come from the run alone."""
    arguments = {"u": "{% $uuid() %}", "r": "{% $random() %}", "n": "{% $now() %}", "m": "{% $millis() %}"}
    machine = Machine(document({**TASK, "Arguments": arguments}), LOCAL)
    answers = set()
    for _ in range(3):
        state = machine.begin()
        given = machine.advance(state, events.RunStarted(input={}, seed=7, context=CONTEXT), START_MS)
        answers.add(json.encode([json.encode(state.frames), given[0].arguments]))  # type: ignore[union-attr]
    assert len(answers) == 1
    other = machine.advance(machine.begin(), events.RunStarted(input={}, seed=8, context=CONTEXT), START_MS)
    assert json.encode(other[0].arguments) not in next(iter(answers))  # type: ignore[union-attr]
