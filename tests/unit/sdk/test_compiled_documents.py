"""What pipelines compile to: pure States Language that the service would take, also with its Maps distributed."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import test_edge_semantics
import test_more_semantics
import test_python_semantics

from skylift import pipeline, sleep, task
from skylift.asl.limits import SERVICE
from skylift.asl.parse import load, parse
from skylift.sdk.parameters import bind_input
from skylift.sdk.pipeline import Pipeline
from skylift.stores.files import FileBlobStore
from skylift.testing.parity import alike, assert_same_after_crashes, plain, start
from skylift.testing.virtual import VirtualRun
from skylift.values.codec import ValueCodec

FLOWS = {
    f"{module.__name__}.{name}": value
    for module in (test_python_semantics, test_more_semantics, test_edge_semantics)
    for name, value in vars(module).items()
    if isinstance(value, Pipeline)
}
RESOURCES = ("arn:aws:states:::skylift:", "arn:aws:states:::states:startExecution.sync:2")


def states_of(flow: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for name, state in flow["States"].items():
        found.append((name, state))
        for inner in (*state.get("Branches", ()), *([state["ItemProcessor"]] if "ItemProcessor" in state else [])):
            found += states_of(inner)
    return found


def distributed(definition: dict[str, Any]) -> dict[str, Any]:
    """The same document as a target binds it that runs every Map distributed."""
    changed = copy.deepcopy(definition)
    for _, state in states_of(changed):
        if state["Type"] == "Map":
            state["ItemProcessor"]["ProcessorConfig"] = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    return changed


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
def test_the_document_is_pure_and_without_a_warning(flow: Pipeline[..., Any]) -> None:
    compiled = flow.compile()
    for part in compiled.all_pipelines().values():
        definition = part.definition
        assert parse(definition).diagnostics == ()
        assert definition["QueryLanguage"] == "JSONata"
        names = [name for name, _ in states_of(definition)]
        assert len(names) == len(set(names))
        assert all(len(name) <= 80 for name in names)
        for name, state in states_of(definition):
            assert state["Type"] != "Pass" or not {"Catch", "Retry"} & set(state), name
            assert state["Type"] != "Task" or state["Resource"].startswith(RESOURCES), name
        assert parse(distributed(definition)).diagnostics == (), "what an item needs must come with it"


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
def test_binding_has_every_task_in_a_table(flow: Pipeline[..., Any]) -> None:
    compiled = flow.compile()
    named = {
        resource.removeprefix(RESOURCES[0]).removesuffix(".waitForTaskToken")
        for part in compiled.all_pipelines().values()
        for resource in [state.get("Resource", "") for _, state in states_of(part.definition)]
        if resource.startswith(RESOURCES[0])
    }
    assert named - {"approve"} <= set(compiled.all_tasks())


@pytest.mark.parametrize("values", [{"xs": [3, 1, 2], "k": 2}, {"xs": [], "k": 1}])
def test_a_map_gives_the_same_when_it_is_distributed(values: dict[str, Any], tmp_path: Path) -> None:
    flow = test_python_semantics.maps
    codec = ValueCodec(FileBlobStore(tmp_path))
    inline = start(flow, codec)
    definition = distributed(flow.compile().definition)
    assert json.dumps(definition) != json.dumps(flow.compile().definition)
    run = VirtualRun(load(definition), inline.tasks).run(bind_input(flow, values, codec))
    assert run.status == "SUCCEEDED", (run.error, run.cause)
    assert alike(codec.load(run.output, flow.result_type), plain(flow, **values).value)


@pytest.mark.parametrize(
    ("flow", "values"),
    [
        pytest.param(flow, values, id=f"{flow.name}-{values}")
        for flow, inputs in test_python_semantics.CASES
        for values in inputs[:: max(1, len(inputs) // 4)]
    ],
)
def test_the_engine_gives_the_same_although_it_crashes(flow: Pipeline[..., Any], values: dict[str, Any]) -> None:
    assert_same_after_crashes(flow, len(repr(values)), **values)


@task
def again(x: int) -> int:
    return x


@pipeline
def a_hundred(n: int) -> int:
    sleep(0.5)
    return sum([again(x) for x in range(n)])


def test_the_services_limits_change_no_answer(tmp_path: Path) -> None:
    """At most forty iterations at once, and whole seconds."""
    codec = ValueCodec(FileBlobStore(tmp_path))
    tasks = start(a_hundred, codec).tasks
    run = VirtualRun(load(a_hundred.compile().definition), tasks, limits=SERVICE).run(
        bind_input(a_hundred, {"n": 100}, codec)
    )
    assert (run.status, run.output) == ("SUCCEEDED", 4950), run.cause
