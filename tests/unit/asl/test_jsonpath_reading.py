import random
from typing import Any

import pytest

from skylift.asl.jsonpath import InvalidPath, compile_path, compile_reference
from skylift.asl.scope import EvaluationFailed, Scope

STORE = {"books": [{"t": "A", "p": 8}, {"t": "B", "p": 12}, {"t": "C"}], "a": {"b": [1, 2, 3]}, "x y": 1, "n": None}


class Vars(dict):
    def as_mapping(self) -> dict:
        return self


def scope(value: Any = STORE) -> Scope:
    return Scope(
        input=value, context=lambda: {"State": {"Name": "S"}}, variables=Vars(v={"w": 7}), random=random.Random
    )


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("$.a.b[0]", 1),
        ("$['a']['b'][-1]", 3),
        ("$['x y']", 1),
        ("$.n", None),
        ("$$.State.Name", "S"),
        ("$v.w", 7),
        ("$.books[*].t", ["A", "B", "C"]),
        ("$.books[?(@.p > 10)].t", ["B"]),
        ("$.books[?(@.p)].t", ["A", "B"]),
        ("$.books[?(!(@.p > 10) && @.t in ['A', 'C'])].t", ["A", "C"]),
        ("$.books[?(@.t =~ /a/i)].p", [8]),
        ("$..t", ["A", "B", "C"]),
        ("$.a.b[1:]", [2, 3]),
        ("$.a.b[0,2]", [1, 3]),
        ("$.books[0]['t','p']", [{"t": "A", "p": 8}]),
        ("$.books.length()", 3),
        ("$.a.b.sum()", 6.0),
        ("$.books[*].missing", []),
    ],
)
def test_read(path: str, wanted: Any) -> None:
    if path == "$.books[0]['t','p']":
        assert compile_path(path).read(scope()) in (wanted, wanted[0])
        return
    assert compile_path(path).read(scope()) == wanted


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        ("$.no", "Invalid path '$.no' : No results for path: $['no']"),
        ("$.no.x", "Invalid path '$.no.x' : Missing property in path $['no']"),
        ("$.a.b[7]", "Invalid path '$.a.b[7]' : No results for path: $['a']['b'][7]"),
        ("$v.no", "Invalid path '$v.no' : No results for path: $['no']"),
    ],
)
def test_missing(path: str, cause: str) -> None:
    with pytest.raises(EvaluationFailed) as failed:
        compile_path(path).read(scope())
    assert (failed.value.error, failed.value.cause) == ("States.Runtime", cause)


def test_text_is_no_list_of_characters() -> None:
    with pytest.raises(EvaluationFailed):
        compile_path("$.books[0].t[0]").read(scope())


@pytest.mark.parametrize("text", ["", "a.b", "$.", "$.a[", "$.a[?(@.x >)]", "$a..", "$.a[x]", "$.a.nope()", "$.a b"])
def test_not_a_path(text: str) -> None:
    with pytest.raises(InvalidPath):
        compile_path(text)


def test_write_leaves_the_old_value() -> None:
    old = {"a": {"b": 1}, "l": [1, 2]}
    assert compile_reference("$.a.c.d").write(old, 5) == {"a": {"b": 1, "c": {"d": 5}}, "l": [1, 2]}
    assert compile_reference("$.l[1]").write(old, 5)["l"] == [1, 5]
    assert compile_reference("$").write(old, 5) == 5
    assert old == {"a": {"b": 1}, "l": [1, 2]}


@pytest.mark.parametrize(("path", "value"), [("$.a", 3), ("$.a.b", {"a": "text"}), ("$.l[5]", {"l": []})])
def test_write_where_something_stands_in_the_way(path: str, value: Any) -> None:
    with pytest.raises(EvaluationFailed) as failed:
        compile_reference(path).write(value, 1)
    assert failed.value.error == "States.ResultPathMatchFailure"


def test_deep_values_and_wide_paths_are_bounded() -> None:
    deep: Any = []
    for _ in range(5_000):
        deep = [deep]
    assert len(compile_path("$..[0]").read(scope(deep))) == 5_000
    with pytest.raises(EvaluationFailed):
        compile_path("$..*..*").read(scope(deep))
