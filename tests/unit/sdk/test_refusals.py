# ruff: noqa: B905, SIM222, C416, E712, E501, RET504, F841, PTH123, B012, RUF100 - odd Python is the point here
"""What cannot be compiled is refused, with the place and the mend."""

from __future__ import annotations

import linecache
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from skylift import CompileError, pipeline, task


class Weights:
    pass


@dataclass
class Model:
    accuracy: float


@task
def train(x: int) -> Weights: ...


@task
def fit(x: int) -> Model: ...


@task
def anything(x: Any): ...  # type: ignore[no-untyped-def]


def double_of(x: int) -> int:
    return 2 * x


def plain(x: int) -> int:
    y = x + 1
    return y


def refused(function: Callable[..., Any]) -> CompileError:
    with pytest.raises(CompileError) as caught:
        pipeline(function).compile()
    return caught.value


def test_the_message_points_at_the_source() -> None:
    def flow(x: int) -> int:
        y = x + 1
        return plain(y)

    error = refused(flow)
    line = flow.__code__.co_firstlineno + 2
    assert error.line == line
    assert error.file == __file__
    assert "plain is a plain function" in error.message
    shown = error.message.splitlines()
    assert shown[1].strip() == "return plain(y)"
    assert shown[2].index("^") == shown[1].index("plain(y)")
    assert shown[2].count("^") == len("plain(y)")
    assert error.hint and "@task" in error.hint


def test_opaque_results_cannot_be_looked_into() -> None:
    def flow(x: int) -> Any:
        return train(x).accuracy

    assert "cannot look inside a Weights" in refused(flow).message


def test_unknown_fields_are_named() -> None:
    def flow(x: int) -> Any:
        return fit(x).acuracy

    assert "did you mean accuracy" in str(refused(flow).hint)


def test_maybe_unset_variable() -> None:
    def flow(x: int) -> int:
        if x:
            y = 1
        return y

    assert "y may have no value here" in refused(flow).message


def test_aliases() -> None:
    def flow(x: int) -> list[int]:
        a = [1]
        b = a
        b.append(x)
        return a

    error = refused(flow)
    assert "may be shared" in error.message
    assert "list(a)" in str(error.hint)


@pytest.mark.parametrize("returned", ["[0, log]", "log", "{'log': log}"])
def test_a_finally_that_changes_what_is_returned(returned: str) -> None:
    """Python's caller sees the change; a graph has made the result by then."""
    body = f"    log = []\n    try:\n        return {returned}\n    finally:\n        log.append(1)\n"
    error = refused(made(f"def flow(n: int):\n{body}"))
    assert "the returned value since line 4" in error.message
    assert error.hint == "share a copy in line 4: list(log)"


def test_a_finally_that_changes_what_a_copy_was_returned_of() -> None:
    body = "    log = []\n    try:\n        return list(log)\n    finally:\n        log.append(1)\n"
    pipeline(made(f"def flow(n: int):\n{body}")).compile()


def made(source: str) -> Any:
    file = f"<refusal {len(linecache.cache)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    names: dict[str, Any] = {"__name__": "made"}
    exec(compile(source, file, "exec", dont_inherit=True), names)  # noqa: S102
    return names["flow"]


def test_changing_a_parameter() -> None:
    def flow(xs: list[int]) -> list[int]:
        xs.append(1)
        return xs

    assert "xs = list(xs)" in str(refused(flow).hint)


def test_changing_what_is_looped_over() -> None:
    def flow(n: int) -> list[int]:
        xs = [n]
        for x in xs:
            xs.append(x)
        return xs

    assert "changed while the loop" in refused(flow).message


def test_wrong_arguments_of_a_task() -> None:
    def flow(n: int) -> Any:
        return fit(n, 2)

    assert "fit(): too many positional arguments" in refused(flow).message


def walrus(n: int) -> Any:
    return (m := n)


def comprehension_function(n: int) -> Any:
    with open("x") as f:
        return f


def generator_value(n: int) -> Any:
    return (x for x in [n])


def format_float(n: float) -> str:
    return f"{n}"


def format_digits(n: float) -> str:
    return f"{n:.2f}"


def unknown_text(n: int) -> str:
    return f"{anything(n)}"


def a_set(n: int) -> Any:
    return {n}


def inner_function(n: int) -> Any:
    def f() -> int:
        return n

    return f()


def importing(n: int) -> Any:
    import os

    return os.sep


def big_number(n: int) -> int:
    return n + 9007199254740993


def star_arguments(n: list[int]) -> Any:
    return fit(*n)


def identity(n: int) -> bool:
    return n is double_of(n)


def deep_change(n: int) -> Any:
    d = {"a": {"b": n}}
    d[str(fit(n).accuracy > 1)]["b"] = 2
    return d


def error_value(n: int) -> Any:
    try:
        fit(n)
    except ValueError as error:
        return anything(error)


def order_lists(n: int) -> bool:
    return [n] < [2]


def number_keys(n: int) -> Any:
    return {n: 1}


def unknown_name(n: int) -> Any:
    return nothing_like_it  # type: ignore[name-defined]  # noqa: F821


def round_digits(n: float) -> float:
    return round(n, 2)


def matching(n: int) -> int:
    match n:
        case 1:
            return 2
    return 3


def shadowed(n: int) -> Any:
    return [fit(x) for x in train(n)]


@pytest.mark.parametrize(
    "function",
    [
        walrus,
        comprehension_function,
        generator_value,
        format_float,
        format_digits,
        unknown_text,
        a_set,
        inner_function,
        importing,
        big_number,
        star_arguments,
        identity,
        deep_change,
        error_value,
        order_lists,
        number_keys,
        unknown_name,
        round_digits,
        matching,
        shadowed,
    ],
    ids=lambda function: function.__name__,
)
def test_refused_with_place_and_mend(function: Callable[..., Any]) -> None:
    error = refused(function)
    assert error.hint
    assert error.line > function.__code__.co_firstlineno - 1
    assert "^" in error.message


def shares_then_changes(n: int) -> Any:
    history = [n]
    snapshot = history
    history.append(2)
    return [history, snapshot]


def same_row_twice(n: int) -> Any:
    rows = [[n]] * 2
    rows[0].append(1)
    return rows


def element_of_a_list(n: int) -> Any:
    rows = [[n], [n]]
    first = rows[0]
    first.append(1)
    return rows


def loop_shares(n: int) -> Any:
    row = [n]
    rows = []
    for _ in range(3):
        rows.append(row)
        row.append(1)
    return rows


def through_a_branch(n: int) -> Any:
    a, b = [1], [2]
    best = a if n > 1 else b
    best.append(3)
    return [a, b]


def inner_of_a_dict(n: int) -> Any:
    state = {"losses": [n]}
    losses = state["losses"]
    losses.append(1)
    return state


def broken_out(n: int) -> Any:
    a, b = [1], [2]
    for i in range(3):
        if i == n:
            a = b
            break
        a = []
    a.append(3)
    return b


@pytest.mark.parametrize(
    "function",
    [
        shares_then_changes,
        same_row_twice,
        element_of_a_list,
        loop_shares,
        through_a_branch,
        inner_of_a_dict,
        broken_out,
    ],
    ids=lambda function: function.__name__,
)
def test_a_change_that_would_show_elsewhere_is_refused(function: Callable[..., Any]) -> None:
    error = refused(function)
    assert "may be shared" in error.message
    assert "^" in error.message
    assert "copy" in str(error.hint)
