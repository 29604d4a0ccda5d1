"""Lists and dicts that are changed in place: ordinary code passes, and does what Python does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from skylift import pipeline, task
from skylift.testing.parity import assert_same


@dataclass
class Trial:
    score: float
    notes: list[str] = field(default_factory=list)
    extra: dict[str, int] = field(default_factory=dict)


@task
def double(x: int) -> int:
    return 2 * x


@task
def total(xs: list[int]) -> int:
    xs.append(0)
    return sum(xs)


@task
def run(x: int) -> Trial:
    return Trial(x / 4, ["made"])


@task
def loose(x: Any) -> Any:
    return x


@pipeline
def passed_to_tasks(n: int) -> list[Any]:
    history = []
    for i in range(n):
        history.append(double(i))
        total(history)
    results = [double(x) for x in history]
    results.append(n)
    sent = total(results)
    results.append(sent)
    return [history, results]


@pipeline
def best_so_far(n: int) -> list[Any]:
    current = [0]
    best = current
    for i in range(n):
        current = [i, double(i)]
        if current[1] > best[0]:
            best = current
    log = best
    log.append(-1)
    return log


@pipeline
def rows_of_rows(n: int) -> list[Any]:
    rows = []
    for i in range(n):
        row = []
        for j in range(i):
            row.append(double(j))
        rows.append(row)
    table = {"rows": rows, "n": n}
    return [table]


@pipeline
def nested_places(n: int) -> dict[str, Any]:
    state = {"losses": [], "by": {"a": {"n": 0}}, "rows": [[1], [2]], "round": 0}
    for i in range(n):
        state["losses"].append(i)
        state["by"]["a"]["n"] += 2
        state["by"][str(i)] = {"n": i}
        state["rows"][-1].append(i)
        state["rows"][0][0] = i
        state["round"] += 1
    if n > 2:
        last = state["losses"].pop()
        del state["by"]["a"]["n"]
        state["rows"].insert(0, [last])
    return state


@pipeline
def fields(n: int) -> Trial:
    trial = run(n)
    trial.score = trial.score + 1
    trial.notes.append(f"n is {n}")
    trial.extra["n"] = n
    return trial


@pipeline
def unknown(n: int) -> list[Any]:
    found = loose([n])
    try:
        found.append(1)
        found = loose(n)
        found.append(2)
    except AttributeError as error:
        return [found, str(error)]
    return found


@pipeline
def by_index(xs: list[int]) -> list[int]:
    values = list(xs)
    for i in range(len(values)):
        values[i] = double(values[i])
    while values and values[-1] > 4:
        values.pop()
    return values


@pipeline
def swapped(n: int) -> list[Any]:
    a, b = [1], [2]
    for _ in range(n):
        a, b = b, a
        a.append(n)
        b = list(a)
    return [a, b]


@pipeline
def grouped(xs: list[int]) -> dict[str, Any]:
    groups: dict[str, list[int]] = {}
    for x in xs:
        key = "even" if x % 2 == 0 else "odd"
        if key not in groups:
            groups[key] = []
        groups[key].append(x)
    return groups


@pipeline
def chunks(xs: list[int]) -> list[Any]:
    done, chunk = [], []
    for x in xs:
        chunk.append(x)
        if len(chunk) == 2:
            done.append(chunk)
            chunk = []
    if chunk:
        done.append(chunk)
    return done


CASES: list[tuple[Any, list[dict[str, Any]]]] = [
    (passed_to_tasks, [{"n": n} for n in (0, 1, 3)]),
    (best_so_far, [{"n": n} for n in (0, 3)]),
    (rows_of_rows, [{"n": n} for n in (0, 1, 3)]),
    (nested_places, [{"n": n} for n in (0, 2, 3)]),
    (fields, [{"n": 2}]),
    (unknown, [{"n": 2}]),
    (by_index, [{"xs": [1, 2, 3]}, {"xs": []}]),
    (swapped, [{"n": n} for n in (0, 1, 3)]),
    (grouped, [{"xs": [1, 2, 4]}]),
    (chunks, [{"xs": [1, 2, 3]}, {"xs": []}]),
]


@pytest.mark.parametrize(
    ("flow", "values"),
    [pytest.param(flow, values, id=f"{flow.name}-{values}") for flow, inputs in CASES for values in inputs],
)
def test_as_python_does(flow: Any, values: dict[str, Any]) -> None:
    assert_same(flow, **values)
