"""Templates: JSON with expressions inside (Parameters, ResultSelector, Arguments, Output, Assign, …)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from skylift.asl.intrinsics import compile_intrinsic
from skylift.asl.json_text import json_text
from skylift.asl.jsonata import compile_jsonata
from skylift.asl.jsonpath import NO_INPUT, PathNotFound, compile_path
from skylift.asl.scope import EvaluationFailed, Scope

Evaluate = Callable[[Scope], Any]


class Template:
    """A compiled template. Parts without expressions are the document's own values: treat results as read-only."""

    __slots__ = ("constant", "evaluate")

    def __init__(self, evaluate: Evaluate, constant: bool) -> None:
        self.evaluate = evaluate
        self.constant = constant
        """Whether no expression is inside."""


def compile_template(value: Any, language: Literal["JSONPath", "JSONata"], field: str = "") -> Template:
    """`field` is the template's name in messages: "Output", "Arguments", "Parameters"."""
    compiled = _jsonata(value, field) if language == "JSONata" else _payload(value)
    if compiled is None:
        return Template(lambda scope: value, True)
    return Template(compiled, False)


def expression_in(value: Any) -> str | None:
    """The expression of a `{% … %}` text, without its delimiters; None for anything else."""
    if isinstance(value, str) and len(value) >= 4 and value.startswith("{%") and value.endswith("%}"):
        return value[2:-2].strip()
    return None


def _jsonata(value: Any, field: str) -> Evaluate | None:
    """None for a value without expressions."""
    if isinstance(value, dict):
        return _object(value, {key: key for key in value}, {k: _jsonata(v, f"{field}/{k}") for k, v in value.items()})
    if isinstance(value, list):
        return _list(value, [_jsonata(item, f"{field}[{index}]") for index, item in enumerate(value)])
    text = expression_in(value)
    return None if text is None else compile_jsonata(text).evaluator(field)


def _payload(value: Any) -> Evaluate | None:
    if isinstance(value, list):
        return _list(value, [_payload(item) for item in value])
    if not isinstance(value, dict):
        return None
    names = {key: key.removesuffix(".$") for key in value}
    return _object(value, names, {k: _reader(v, k) if k.endswith(".$") else _payload(v) for k, v in value.items()})


def _object(value: dict[str, Any], names: dict[str, str], parts: dict[str, Evaluate | None]) -> Evaluate | None:
    moving = [(names[key], part) for key, part in parts.items() if part is not None]
    if not moving:
        return None
    base = {names[key]: value[key] for key in value}
    if len(base) == len(moving) == 1:
        name, only = moving[0]
        return lambda scope: {name: only(scope)}

    def build(scope: Scope) -> dict[str, Any]:
        built = base.copy()
        for key, part in moving:
            built[key] = part(scope)
        return built

    return build


def _list(value: list[Any], parts: list[Evaluate | None]) -> Evaluate | None:
    moving = [(index, part) for index, part in enumerate(parts) if part is not None]
    if not moving:
        return None

    def build(scope: Scope) -> list[Any]:
        built = value.copy()
        for index, part in moving:
            built[index] = part(scope)
        return built

    return build


def _reader(text: Any, key: str) -> Evaluate:
    if not isinstance(text, str) or not text.startswith("$"):
        return compile_intrinsic(str(text)).evaluate
    path = compile_path(text)
    get, of_input = path.get, path.root == "$"

    def read(scope: Scope) -> Any:
        try:
            return get(scope)
        except PathNotFound:
            if of_input and scope.input is None:
                raise EvaluationFailed("States.Runtime", NO_INPUT) from None
            raise EvaluationFailed(
                "States.Runtime",
                f"The JSONPath '{text}' specified for the field '{key}' could not be found in the input "
                f"'{json_text(scope.input)}'",
            ) from None

    return read
