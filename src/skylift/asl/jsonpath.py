"""JSONPath: `compile_path` reads, `compile_reference` writes (ResultPath).

A path that names one place is a closure over its keys; any other is a list of steps over a list of nodes, with the
semantics and the messages of Jayway, which the real service uses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import islice, pairwise
from typing import Any

from skylift.asl.json_text import json_text
from skylift.asl.jsonpath_filter import compile_filter
from skylift.asl.jsonpath_syntax import (
    Call,
    Descend,
    Field,
    Fields,
    Filter,
    Index,
    Indexes,
    InvalidPath,
    Parsed,
    Slice,
    Step,
    Wildcard,
    canonical,
    parse_path,
)
from skylift.asl.scope import EvaluationFailed, Scope

__all__ = ["InvalidPath", "Path", "PathNotFound", "Reference", "compile_path", "compile_reference"]

MOST_NODES = 1_000_000
"""Nodes that one step may yield; a path such as `$..*..*` can multiply them."""


NO_INPUT = "Unable to apply Path transformation to null or empty input."


class PathNotFound(Exception):
    """Nothing is there; the text is Jayway's."""


class Path:
    """A compiled path. `get` raises PathNotFound, `read` what a state fails with."""

    __slots__ = ("definite", "get", "root", "steps", "text")

    def __init__(self, text: str, parsed: Parsed) -> None:
        self.text = text
        self.root = parsed.root
        self.steps = parsed.steps
        self.definite = all(isinstance(step, Field | Index) for step in parsed.steps)
        self.get: Callable[[Scope], Any] = _compile(parsed, self.definite)

    def read(self, scope: Scope) -> Any:
        try:
            return self.get(scope)
        except PathNotFound as problem:
            if scope.input is None and self.root == "$":
                raise EvaluationFailed("States.Runtime", NO_INPUT) from None
            raise EvaluationFailed("States.Runtime", f"Invalid path '{self.text}' : {problem}") from None


def compile_path(text: str) -> Path:
    """Raises InvalidPath, which says what is wrong with the text."""
    return Path(text, parse_path(text))


def _root(name: str) -> Callable[[Scope], Any]:
    if name == "$":
        return lambda scope: scope.input
    if name == "$$":
        return lambda scope: scope.context()

    def variable(scope: Scope) -> Any:
        try:
            return scope.variables[name]
        except KeyError:
            raise PathNotFound(f"No variable is named ${name}") from None

    return variable


def _compile(parsed: Parsed, definite: bool) -> Callable[[Scope], Any]:
    root, steps = _root(parsed.root), parsed.steps
    if not steps:
        return root
    if not definite:
        return _many_places(root, _walker(steps))
    keys = _keys(steps)
    if all(isinstance(key, str) for key in keys):
        return _named(root, steps, keys, parsed.root == "$")
    return _mixed(root, steps, keys)


def _many_places(root: Callable[[Scope], Any], walk: Callable[[Any], Any]) -> Callable[[Scope], Any]:
    """A path that may name many places finds none where its way there is missing: the service gives an empty list."""

    def many(scope: Scope) -> Any:
        value = root(scope)
        try:
            return walk(value)
        except PathNotFound:
            return []

    return many


def _named(
    root: Callable[[Scope], Any], steps: tuple[Step, ...], keys: tuple[Any, ...], of_input: bool
) -> Callable[[Scope], Any]:
    """Only names: no string or list has text keys, so a plain index is safe."""
    if of_input and len(keys) == 1:
        (only,) = keys

        def one(scope: Scope) -> Any:
            try:
                return scope.input[only]
            except (KeyError, TypeError, IndexError):
                raise _explain(scope.input, steps) from None

        return one

    def many(scope: Scope) -> Any:
        value = root(scope)
        try:
            for key in keys:
                value = value[key]
        except (KeyError, TypeError, IndexError):
            raise _explain(root(scope), steps) from None
        return value

    return many


def _mixed(root: Callable[[Scope], Any], steps: tuple[Step, ...], keys: tuple[Any, ...]) -> Callable[[Scope], Any]:
    def mixed(scope: Scope) -> Any:
        value = root(scope)
        try:
            for key in keys:
                if key.__class__ is int and value.__class__ is not list:
                    raise TypeError
                value = value[key]
        except (KeyError, TypeError, IndexError):
            raise _explain(root(scope), steps) from None
        return value

    return mixed


def _explain(value: Any, steps: tuple[Step, ...]) -> PathNotFound:
    """Why a definite path finds nothing, in Jayway's words."""
    for number, step in enumerate(steps):
        here, last = canonical(steps[:number]), number == len(steps) - 1
        if isinstance(step, Field):
            if not isinstance(value, dict):
                return PathNotFound(_not_object(step.name, here, value))
            if step.name not in value:
                return PathNotFound(
                    f"No results for path: {canonical(steps)}"
                    if last
                    else f"Missing property in path {canonical(steps[: number + 1])}"
                )
            value = value[step.name]
            continue
        if not isinstance(value, list):
            return PathNotFound(_not_array(canonical((step,))[1:], here, value))
        if not isinstance(step, Index) or not -len(value) <= step.at < len(value):
            return PathNotFound(f"No results for path: {canonical(steps)}")
        value = value[step.at]
    return PathNotFound(f"No results for path: {canonical(steps)}")


_JAVA = {str: "java.lang.String", bool: "java.lang.Boolean", int: "java.lang.Integer", float: "java.lang.Double"}


def _not_object(name: str, here: str, value: Any) -> str:
    found = "null" if value is None else _JAVA.get(type(value), "net.minidev.json.JSONArray")
    return (
        f"Expected to find an object with property ['{name}'] in path {here} but found '{found}'. This is not a json "
        "object according to the JsonProvider: 'com.jayway.jsonpath.spi.json.JsonSmartJsonProvider'."
    )


def _not_array(step: str, here: str, value: Any) -> str:
    if value is None:
        return f"The path {here} is null"
    return f"Filter: {step} can only be applied to arrays. Current context is: {json_text(value)}"


Walk = Callable[[list[Any]], list[Any]]


def _walker(steps: tuple[Step, ...]) -> Callable[[Any], Any]:
    """An indefinite path gives a list; a part missing before its first fork is an error."""
    fork = next((n for n, step in enumerate(steps) if not isinstance(step, Field | Index)), len(steps))
    stem, rest = steps[:fork], steps[fork:]
    call = rest[-1] if isinstance(rest[-1], Call) else None
    if call is not None:
        rest = rest[:-1]
    walks = _walks(rest)
    function = None if call is None else _FUNCTIONS[call.name]

    def walk(value: Any) -> Any:
        node = _follow(value, stem)
        if not walks:
            return function(node) if function else node
        nodes = [node]
        for step in walks:
            nodes = step(nodes)
            if len(nodes) > MOST_NODES:
                raise EvaluationFailed("States.Runtime", f"The path yields more than {MOST_NODES} values")
        return function(nodes) if function else nodes

    return walk


def _follow(value: Any, stem: tuple[Step, ...]) -> Any:
    current = value
    for step in stem:
        if isinstance(step, Field) and isinstance(current, dict) and step.name in current:
            current = current[step.name]
        elif isinstance(step, Index) and isinstance(current, list) and -len(current) <= step.at < len(current):
            current = current[step.at]
        else:
            raise _explain(value, stem)
    return current


def _walks(steps: Iterable[Step]) -> list[Walk]:
    walks: list[Walk] = []
    for step in steps:
        walks.append(_descend if isinstance(step, Descend) else _each(_selector(step)))
    return walks


def _each(select: Callable[[Any], Iterable[Any]]) -> Walk:
    return lambda nodes: list(islice((found for node in nodes for found in select(node)), MOST_NODES + 1))


def _descend(nodes: list[Any]) -> list[Any]:
    """Every container at and below each node, parents first."""
    found: list[Any] = []
    stack = nodes[::-1]
    while stack:
        node = stack.pop()
        children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else None
        if children is None:
            continue
        found.append(node)
        if len(found) > MOST_NODES:
            break
        stack.extend(reversed(list(children)))
    return found


def _selector(step: Step) -> Callable[[Any], Iterable[Any]]:
    match step:
        case Field(name):
            return lambda node: (node[name],) if isinstance(node, dict) and name in node else ()
        case Fields(names):
            return lambda node: ({n: node[n] for n in names if n in node},) if isinstance(node, dict) else ()
        case Index(at):
            return lambda node: (node[at],) if isinstance(node, list) and -len(node) <= at < len(node) else ()
        case Indexes(numbers):
            return lambda node: (
                [node[n] for n in numbers if -len(node) <= n < len(node)] if isinstance(node, list) else ()
            )
        case Slice(start, stop):
            return lambda node: node[start:stop] if isinstance(node, list) else ()
        case Wildcard():
            return _children
        case Filter(condition):
            return _filtered(compile_filter(condition, _inner_path))
        case _:
            raise InvalidPath("a function must stand last in a path")


def _children(node: Any) -> Iterable[Any]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


def _filtered(keep: Callable[[Any], bool]) -> Callable[[Any], Iterable[Any]]:
    def select(node: Any) -> Iterable[Any]:
        if isinstance(node, list):
            return [item for item in node if keep(item)]
        return (node,) if isinstance(node, dict) and keep(node) else ()

    return select


def _inner_path(text: str) -> Callable[[Any], Any]:
    """A path inside a filter, `@` replaced by `$`: gives its value, raises PathNotFound."""
    steps = parse_path(text).steps
    if all(isinstance(step, Field | Index) for step in steps):
        return lambda value: _follow(value, steps)
    return _walker(steps)


def _numbers(value: Any) -> list[float]:
    items = value if isinstance(value, list) else [value]
    if len(items) == 1 and isinstance(items[0], list):
        items = items[0]
    found = [item for item in items if isinstance(item, int | float) and not isinstance(item, bool)]
    if not found:
        raise PathNotFound("Aggregation function attempted to calculate value using empty array")
    return found


def _deviation(value: Any) -> float:
    numbers = _numbers(value)
    mean = math.fsum(numbers) / len(numbers)
    return math.sqrt(math.fsum((number - mean) ** 2 for number in numbers) / len(numbers))


def _at(index: int) -> Callable[[Any], Any]:
    def item(value: Any) -> Any:
        if not isinstance(value, list) or not value:
            raise PathNotFound("Aggregation function attempted to calculate value using empty array")
        return value[index]

    return item


def _length(value: Any) -> Any:
    return len(value) if isinstance(value, list | dict | str) else None


_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "length": _length,
    "size": _length,
    "min": lambda value: min(_numbers(value)),
    "max": lambda value: max(_numbers(value)),
    "sum": lambda value: float(math.fsum(_numbers(value))),
    "avg": lambda value: math.fsum(_numbers(value)) / len(_numbers(value)),
    "stddev": _deviation,
    "keys": lambda value: list(value) if isinstance(value, dict) else None,
    "first": _at(0),
    "last": _at(-1),
}


class Reference:
    """A path that names one place in the input; writing leaves the old value as it was."""

    __slots__ = ("_keys", "text")

    def __init__(self, text: str, keys: tuple[str | int, ...]) -> None:
        self.text = text
        self._keys = keys

    def write(self, target: Any, value: Any) -> Any:
        """A copy of `target` with `value` in its place; objects missing on the way are made.

        Raises EvaluationFailed(States.ResultPathMatchFailure) where something else stands in the way.
        """
        keys = self._keys
        if not keys:
            return value
        top = node = self._open(target, keys[0], target)
        for key, following in pairwise(keys):
            child = node[key] if isinstance(key, int) or key in node else {}
            node[key] = child = self._open(child, following, target)
            node = child
        node[keys[-1]] = value
        return top

    def _open(self, node: Any, key: str | int, target: Any) -> Any:
        if isinstance(key, str) and isinstance(node, dict):
            return node.copy()
        if isinstance(key, int) and isinstance(node, list) and 0 <= key < len(node):
            return node.copy()
        raise EvaluationFailed(
            "States.ResultPathMatchFailure", f"Unable to apply ReferencePath {self.text} to input {json_text(target)}"
        )


def compile_reference(text: str) -> Reference:
    """Raises InvalidPath if the text does not name exactly one place in the input."""
    parsed = parse_path(text)
    if parsed.root != "$":
        raise InvalidPath(f"{text!r} does not name a place in the input")
    if not all(isinstance(step, Field | Index) for step in parsed.steps):
        raise InvalidPath(f"{text!r} does not name exactly one place")
    return Reference(text, _keys(parsed.steps))


def _keys(steps: tuple[Step, ...]) -> tuple[str | int, ...]:
    return tuple(step[0] for step in steps if isinstance(step, Field | Index))
