"""The language, clause by clause: how values flow through states, and what variables and the context object show."""

from __future__ import annotations

from typing import Any

import pytest

from skylift.asl.machine import Machine
from skylift.asl.parse import load, parse
from skylift.testing.virtual import TaskError, VirtualRun, run_document

WORK = "arn:aws:states:::skylift:work"


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "reraise", True)


def chain(language: str, *states: dict[str, Any]) -> dict[str, Any]:
    """The states one after the other, named A, B, C."""
    named = {}
    for index, state in enumerate(states):
        last = index == len(states) - 1
        following = {} if state["Type"] in ("Succeed", "Fail", "Choice") else {"Next": chr(ord("B") + index)}
        named[chr(ord("A") + index)] = {**state, **(({"End": True} if following else {}) if last else following)}
    return {"QueryLanguage": language, "StartAt": "A", "States": named}


def go(language: str, value: Any, *states: dict[str, Any], **tasks: Any) -> VirtualRun:
    return run_document(load(chain(language, *states)), value, {"work": lambda arguments: arguments, **tasks})


def output(language: str, value: Any, *states: dict[str, Any], **tasks: Any) -> Any:
    run = go(language, value, *states, **tasks)
    assert run.status == "SUCCEEDED", (run.error, run.cause)
    return run.output


TASK = {"Type": "Task", "Resource": WORK}
PASS = {"Type": "Pass"}
INPUT = {"a": {"b": 1}, "l": [1, 2]}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        # InputPath
        ({**PASS, "InputPath": "$.a"}, {"b": 1}),
        ({**PASS, "InputPath": None}, {}),
        ({**PASS, "InputPath": "$$.State.Name"}, "A"),
        ({**TASK, "InputPath": "$.l"}, [1, 2]),
        # Parameters
        ({**PASS, "Parameters": {"x.$": "$.a.b", "s": "$.a", "n": {"y.$": "$.l[1]"}}},
         {"x": 1, "s": "$.a", "n": {"y": 2}}),
        ({**PASS, "Parameters": {"x.$": "$$.Execution.Input.a.b"}}, {"x": 1}),
        ({**PASS, "Parameters": {"x.$": "States.ArrayLength($.l)"}}, {"x": 2}),
        ({**PASS, "InputPath": "$.a", "Parameters": {"x.$": "$.b"}}, {"x": 1}),
        ({**TASK, "Parameters": {"x.$": "$.l[-1]"}}, {"x": 2}),
        # ResultSelector
        ({**TASK, "ResultSelector": {"only.$": "$.a.b"}}, {"only": 1}),
        ({**TASK, "ResultSelector": {"n.$": "$$.State.Name"}, "ResultPath": "$.r"}, {**INPUT, "r": {"n": "A"}}),
        # ResultPath
        ({**TASK, "Parameters": {"z": 9}, "ResultPath": None}, INPUT),
        ({**TASK, "Parameters": {"z": 9}, "ResultPath": "$"}, {"z": 9}),
        ({**TASK, "Parameters": {"z": 9}, "ResultPath": "$.a.c"}, {"a": {"b": 1, "c": {"z": 9}}, "l": [1, 2]}),
        ({**TASK, "Parameters": {"z": 9}, "ResultPath": "$.new.deep"}, {**INPUT, "new": {"deep": {"z": 9}}}),
        ({**PASS, "Result": 7, "ResultPath": "$.a"}, {"a": 7, "l": [1, 2]}),
        ({**PASS, "Result": None}, None),
        ({**PASS, "Result": {"k.$": "$.a"}}, {"k.$": "$.a"}),
        # OutputPath
        ({**TASK, "Parameters": {"z": 9}, "ResultPath": "$.r", "OutputPath": "$.r.z"}, 9),
        ({**PASS, "OutputPath": None}, {}),
        ({**PASS, "OutputPath": "$$.Execution.Name"}, "run"),
        ({"Type": "Succeed", "InputPath": "$.a", "OutputPath": "$.b"}, 1),
        ({"Type": "Wait", "Seconds": 1, "InputPath": "$.a", "OutputPath": "$.b"}, 1),
    ],
)  # fmt: skip
def test_jsonpath_fields(state: dict[str, Any], expected: Any) -> None:
    assert output("JSONPath", INPUT, state) == expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (PASS, INPUT),
        ({**PASS, "Output": {"x": "{% $states.input.a.b %}", "s": "$.a"}}, {"x": 1, "s": "$.a"}),
        ({**PASS, "Output": None}, None),
        ({**PASS, "Output": "{% [] %}"}, []),
        ({**PASS, "Output": "{% $states.context.State.Name %}"}, "A"),
        ({**TASK, "Arguments": {"x": "{% $states.input.l[1] %}"}}, {"x": 2}),
        ({**TASK, "Arguments": "{% $states.input.a %}", "Output": "{% $states.result.b + 1 %}"}, 2),
        ({"Type": "Succeed", "Output": "{% $count($states.input.l) %}"}, 2),
        ({"Type": "Wait", "Seconds": 1, "Output": {"l": "{% $states.input.l %}"}}, {"l": [1, 2]}),
        (
            {
                "Type": "Parallel",
                "Arguments": {"n": "{% $states.input.a.b %}"},
                "Branches": [{"StartAt": "P", "States": {"P": {**PASS, "End": True}}}] * 1,
                "Output": "{% $states.result[0].n %}",
            },
            1,
        ),
    ],
)
def test_jsonata_fields(state: dict[str, Any], expected: Any) -> None:
    assert output("JSONata", INPUT, state) == expected


def test_a_state_may_choose_the_other_language() -> None:
    jsonata = {**PASS, "QueryLanguage": "JSONata", "Output": "{% $states.input.a.b + 1 %}"}
    assert output("JSONPath", INPUT, {**PASS, "InputPath": "$"}, jsonata) == 2
    (problem,) = parse(chain("JSONata", {**PASS, "QueryLanguage": "JSONPath"})).diagnostics
    assert (problem.severity, problem.pointer) == ("ERROR", "/States/A")


def test_assign_is_evaluated_before_it_takes_effect_and_in_parallel() -> None:
    first = {**PASS, "Assign": {"x": 1, "y": 2}}
    swapped = {**PASS, "Assign": {"x": "{% $y %}", "y": "{% $x %}"}, "Output": {"x": "{% $x %}"}}
    last = {**PASS, "Output": "{% [$x, $y] %}"}
    assert output("JSONata", {}, first, swapped, last) == [2, 1]
    assert output("JSONata", {}, first, swapped) == {"x": 1}


def test_assign_in_jsonpath_sees_result_context_and_variables() -> None:
    task = {**TASK, "Parameters": {"z": 9}, "Assign": {"got.$": "$.z", "state.$": "$$.State.Name", "c": 3}}
    last = {
        **PASS,
        "Parameters": {"got.$": "$got", "state.$": "$state", "c.$": "$c", "sum.$": "States.MathAdd($got, $c)"},
    }
    assert output("JSONPath", {}, task, last) == {"got": 9, "state": "A", "c": 3, "sum": 12}


def test_assign_in_choice_and_catch() -> None:
    rules = [{"Condition": "{% $states.input.go %}", "Next": "B", "Assign": {"v": "rule"}}]
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "C", "Assign": {"e": "{% $states.errorOutput.Error %}"}}]
    flow = {
        "QueryLanguage": "JSONata",
        "StartAt": "A",
        "States": {
            "A": {"Type": "Choice", "Choices": rules, "Default": "B", "Assign": {"v": "default"}},
            "B": {**TASK, "Catch": catch, "End": True},
            "C": {**PASS, "Output": "{% [$v, $e] %}", "End": True},
        },
    }  # fmt: skip

    def fail(arguments: Any) -> None:
        raise TaskError("Broken")

    for go_on, chosen in ((True, "rule"), (False, "default")):
        run = run_document(load(flow), {"go": go_on}, {"work": fail})
        assert run.output == [chosen, "Broken"]


def branch(**states: Any) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


def test_branches_see_outer_variables_and_not_each_others() -> None:
    one = branch(
        X={**PASS, "Assign": {"mine": 1}, "Next": "Y"}, Y={**PASS, "Output": "{% $outer + $mine %}", "End": True}
    )
    two = branch(Z={**PASS, "Output": "{% $exists($mine) %}", "End": True})
    document = chain("JSONata", {**PASS, "Assign": {"outer": 5}}, {"Type": "Parallel", "Branches": [one, two]})
    problems = parse(document).diagnostics
    run = run_document(load(document), {})
    assert run.output == [6, False] or any("mine" in problem.message for problem in problems)


def test_inner_flows_may_not_assign_an_outer_name() -> None:
    inner = branch(X={**PASS, "Assign": {"outer": 1}, "End": True})
    document = chain("JSONata", {**PASS, "Assign": {"outer": 5}}, {"Type": "Parallel", "Branches": [inner]})
    (problem,) = [found for found in parse(document).diagnostics if found.severity == "ERROR"]
    assert "outer" in problem.message
    assert problem.pointer.startswith("/States/B/Branches/0/States/X/Assign")


def test_what_inner_flows_assign_is_gone_outside() -> None:
    inner = branch(X={**PASS, "Assign": {"inner": 1}, "End": True})
    last = {**PASS, "Output": "{% $exists($inner) %}"}
    document = chain("JSONata", {"Type": "Parallel", "Branches": [inner]}, last)
    parsed = parse(document)
    if parsed.document is not None:
        assert run_document(parsed.document, {}).output is False


def test_children_of_a_distributed_map_cannot_read_outer_variables() -> None:
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        **branch(X={**PASS, "Output": "{% $outer %}", "End": True}),
    }
    document = chain(
        "JSONata", {**PASS, "Assign": {"outer": 5}}, {"Type": "Map", "Items": [1], "ItemProcessor": processor}
    )
    (problem,) = parse(document).diagnostics
    assert "outer" in problem.message
    assert "ItemSelector" in problem.mend
    run = run_document(load(document), {})
    assert (run.status, run.error) == ("FAILED", "States.ExceedToleratedFailureThreshold")
    selected = dict(document["States"]["B"], ItemSelector={"v": "{% $outer %}"})
    selected["ItemProcessor"] = {**processor, **branch(X={**PASS, "Output": "{% $states.input.v %}", "End": True})}
    assert run_document(load({**document, "States": {**document["States"], "B": selected}}), {}).output == [5]


def test_the_context_object() -> None:
    fields = {
        "id": "{% $states.context.Execution.Id %}",
        "input": "{% $states.context.Execution.Input %}",
        "name": "{% $states.context.Execution.Name %}",
        "role": "{% $states.context.Execution.RoleArn %}",
        "start": "{% $states.context.Execution.StartTime %}",
        "redrives": "{% $states.context.Execution.RedriveCount %}",
        "state": "{% $states.context.State.Name %}",
        "entered": "{% $states.context.State.EnteredTime %}",
        "retries": "{% $states.context.State.RetryCount %}",
        "machine": "{% $states.context.StateMachine.Name %}",
        "machine_id": "{% $states.context.StateMachine.Id %}",
    }
    found = output("JSONata", {"n": 1}, {"Type": "Wait", "Seconds": 5}, {**TASK, "Arguments": fields})
    assert found == {
        "id": "arn:aws:states:us-east-1:123456789012:execution:machine:run",
        "input": {"n": 1},
        "name": "run",
        "role": "arn:aws:iam::123456789012:role/role",
        "start": "2026-01-01T00:00:00.000Z",
        "redrives": 0,
        "state": "B",
        "entered": "2026-01-01T00:00:05.000Z",
        "retries": 0,
        "machine": "machine",
        "machine_id": "arn:aws:states:us-east-1:123456789012:stateMachine:machine",
    }


def test_the_task_token_is_in_the_context_of_a_callback_task_only() -> None:
    seen: list[Any] = []
    state = {**TASK, "Resource": WORK + ".waitForTaskToken", "Arguments": {"t": "{% $states.context.Task.Token %}"}}
    output("JSONata", {}, state, work=lambda arguments: seen.append(arguments["t"]))
    assert isinstance(seen[0], str)
    assert seen[0]


def test_map_items_in_the_context_of_both_languages() -> None:
    jsonpath = {
        "Type": "Map",
        "ItemsPath": "$.l",
        "ItemSelector": {"i.$": "$$.Map.Item.Index", "v.$": "$$.Map.Item.Value", "all.$": "$.a"},
        "ItemProcessor": branch(X={**PASS, "Parameters": {"in.$": "$", "i.$": "$$.Map.Item.Index"}, "End": True}),
    }
    expected = [{"in": {"i": n, "v": n + 1, "all": {"b": 1}}, "i": n} for n in range(2)]
    assert output("JSONPath", INPUT, jsonpath) == expected
    old = {
        "Type": "Map",
        "ItemsPath": "$.l",
        "Parameters": jsonpath["ItemSelector"],
        "Iterator": jsonpath["ItemProcessor"],
    }
    assert output("JSONPath", INPUT, old) == expected
    jsonata = {
        "Type": "Map",
        "Items": "{% $states.input.l %}",
        "ItemSelector": {"i": "{% $states.context.Map.Item.Index %}", "v": "{% $states.context.Map.Item.Value %}"},
        "ItemProcessor": branch(X={**PASS, "Output": "{% [$states.input.i, $states.input.v] %}", "End": True}),
    }
    assert output("JSONata", INPUT, jsonata) == [[0, 1], [1, 2]]


def test_an_empty_map_and_results_in_the_order_of_items() -> None:
    processor = branch(X={"Type": "Wait", "Seconds": "{% 10 - $states.input %}", "End": True})
    state = {"Type": "Map", "ItemProcessor": processor}
    assert output("JSONata", [], state) == []
    assert output("JSONata", [1, 5, 3], state) == [1, 5, 3]
    parallel = {
        "Type": "Parallel",
        "Branches": [branch(**{f"X{n}": {**PASS, "Output": n, "End": True}}) for n in range(3)],
    }
    assert output("JSONata", {}, parallel) == [0, 1, 2]
