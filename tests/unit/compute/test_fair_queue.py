"""Turns between runs and tasks, parking at limits."""

from __future__ import annotations

from skylift.compute.process.entry import Entry
from skylift.compute.process.queue import FairQueue
from skylift.ports.compute import CodeRef, TaskCall


def entry(token: str, run: str = "r", task: str = "t") -> Entry:
    code = CodeRef(bundle=None, target="m:f")
    return Entry(TaskCall(token=token, run_id=run, task=task, label=task, attempt=1, code=code, arguments={}))


def drain(queue: FairQueue) -> list[str]:
    tokens = []
    while queue.peek() is not None:
        tokens.append(queue.take().call.token)
    return tokens


def test_runs_take_turns_and_each_is_first_in_first_out() -> None:
    queue = FairQueue()
    for number in range(4):
        queue.push(entry(f"a{number}", "a"))
    for number in range(2):
        queue.push(entry(f"b{number}", "b"))
    assert drain(queue) == ["a0", "b0", "a1", "b1", "a2", "a3"]
    assert len(queue) == 0


def test_tasks_of_a_run_take_turns() -> None:
    queue = FairQueue()
    for token, task in [("x0", "x"), ("x1", "x"), ("y0", "y")]:
        queue.push(entry(token, task=task))
    assert drain(queue) == ["x0", "y0", "x1"]


def test_a_parked_task_steps_aside_in_every_run_until_unparked() -> None:
    queue = FairQueue()
    for token, run, task in [("a0", "a", "x"), ("a1", "a", "y"), ("b0", "b", "x")]:
        queue.push(entry(token, run, task))
    queue.park()
    queue.push(entry("a2", "a", "x"))
    queue.push(entry("b1", "b", "x"))
    assert queue.take().call.token == "a1"
    queue.park()
    assert queue.peek() is None
    assert sorted(one.call.token for one in queue.waiting()) == ["a0", "a2", "b0", "b1"]
    queue.unpark("x")
    assert drain(queue) == ["a0", "b0", "a2", "b1"]


def test_what_was_taken_back_comes_first_and_what_was_dropped_never() -> None:
    queue = FairQueue()
    entries = [entry(f"t{number}") for number in range(4)]
    for one in entries:
        queue.push(one)
    first = queue.take()
    queue.drop(entries[1])
    queue.push_back(first)
    assert drain(queue) == ["t0", "t2", "t3"]
    assert len(queue) == 0
