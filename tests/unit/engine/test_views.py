"""A run's steps and attempts, folded from its entries."""

from __future__ import annotations

from typing import Any

from skylift.asl.machine import Machine
from skylift.asl.parse import load
from skylift.engine.views import history, label, view
from skylift.ports.journal import Entry
from skylift.testing.virtual import TaskError, VirtualRun

TASK = "arn:aws:states:::skylift:work"


def machine(**states: dict[str, Any]) -> Machine:
    first = next(iter(states))
    return Machine(load({"StartAt": first, "QueryLanguage": "JSONata", "States": states}))


def entries(made: Machine, tasks: dict[str, Any], given: Any) -> list[Entry]:
    run = VirtualRun(made.document, tasks)
    run.run(given)
    return [Entry(number, at_ms, event) for number, (at_ms, event) in enumerate(run.journal, 1)]


def fail(_: Any) -> Any:
    raise TaskError("ValueError", "no")


def test_labels() -> None:
    assert label(("trials", 3, "train")) == "trials[3].train"
    assert label(("a", 0, 1, "b")) == "a[0][1].b"


def test_a_map_counts_its_items_and_each_attempt_has_its_place() -> None:
    made = machine(
        Each={
            "Type": "Map",
            "Items": [5, 6],
            "ItemProcessor": {"StartAt": "Do", "States": {"Do": {"Type": "Task", "Resource": TASK, "End": True}}},
            "End": True,
        }
    )
    shown = view(made, entries(made, {TASK: lambda given: given}, {}))
    each, do = shown.steps
    assert (each.items, each.items_done, do.entered, do.exited, do.attempts) == (2, 2, 2, 2, 2)
    assert [a.label for a in shown.attempts] == ["Each[0].Do", "Each[1].Do"]
    assert {a.status for a in shown.attempts} == {"SUCCEEDED"}
    assert not shown.pending


def test_a_distributed_map_counts_its_child_executions() -> None:
    made = machine(
        Each={
            "Type": "Map",
            "Items": [5, 6, 7],
            "ToleratedFailureCount": 1,
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                "StartAt": "Do",
                "States": {"Do": {"Type": "Task", "Resource": TASK, "End": True}},
            },
            "End": True,
        }
    )
    each = view(made, entries(made, {TASK: lambda given: fail(given) if given == 6 else given}, {})).steps[0]
    assert (each.items, each.items_done) == (3, 3)


def test_retried_and_caught() -> None:
    made = machine(
        Do={
            "Type": "Task",
            "Resource": TASK,
            "Retry": [{"ErrorEquals": ["ValueError"], "MaxAttempts": 2, "IntervalSeconds": 1}],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "After"}],
            "End": True,
        },
        After={"Type": "Pass", "Comment": "skylift:print", "Output": {"print": "gave up"}, "End": True},
    )
    shown = view(made, entries(made, {TASK: fail}, {}), frozenset({"After"}))
    do = shown.steps[0]
    assert (do.attempts, do.failed, do.caught, do.error) == (3, 3, 1, "ValueError")
    assert [a.number for a in shown.attempts] == [1, 2, 3]
    assert [text for _, text in shown.prints] == ["gave up"]


def test_history_is_gap_free() -> None:
    made = machine(A={"Type": "Pass", "Next": "B"}, B={"Type": "Succeed"})
    events = list(history(made, entries(made, {}, {})))
    assert [e.id for e in events] == [1, 2, 3, 4, 5, 6]
    assert (events[0].type, events[-1].type) == ("ExecutionStarted", "ExecutionSucceeded")
