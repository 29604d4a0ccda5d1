"""How values flow through a state: from its raw input to what it works on, and from its result to its output.

    JSONPath   input ─InputPath─▶ ─Parameters─▶ work ─ResultSelector─▶ ─Assign, ResultPath─▶ ─OutputPath─▶ output
    JSONata    input ────────────▶ ─Arguments─▶ work ─────────────────▶ ─Assign, Output─────────────────▶ output

Everything is compiled once; at run time a flow only evaluates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from msgspec import UNSET, UnsetType

from skylift.asl.document import Catcher, State
from skylift.asl.jsonpath import Reference, compile_path, compile_reference
from skylift.asl.scope import EvaluationFailed, Scope
from skylift.asl.template import compile_template

Evaluate = Callable[[Scope], Any]
Assigned = dict[str, Any] | None


class Dataflow(Protocol):
    """The four steps that all states share, in one query language."""

    def effective(self, scope: Scope) -> Any:
        """What the state works on. Leaves it in `scope.input`."""
        ...

    def payload(self, scope: Scope) -> Any:
        """What is handed to the work: Parameters or Arguments, or the effective input."""
        ...

    def finish(self, scope: Scope, raw: Any, result: Any) -> tuple[Any, Assigned]:
        """The state's output and the variables it assigns."""
        ...

    def chosen(self, scope: Scope) -> Any:
        """The output of a Choice whose rule has no Output: the effective input through OutputPath."""
        ...

    def caught(self, index: int, scope: Scope, error_output: Any) -> tuple[Any, Assigned]:
        """What `finish` gives, for a catcher."""
        ...


class JsonPathFlow:
    def __init__(self, state: State) -> None:
        self._input = path_reader(state.input_path)
        self._output = path_reader(state.output_path)
        self._payload = template(getattr(state, "parameters", UNSET), "JSONPath", "Parameters")
        self._selector = template(getattr(state, "result_selector", UNSET), "JSONPath", "ResultSelector")
        self._place = result_place(getattr(state, "result_path", UNSET))
        self._assign = template(state.assign, "JSONPath", "Assign")
        catchers: tuple[Catcher, ...] = getattr(state, "catch", ())
        self._catchers = [(result_place(c.result_path), template(c.assign, "JSONPath", "Assign")) for c in catchers]

    def effective(self, scope: Scope) -> Any:
        if self._input is not None:
            scope.input = self._input(scope)
        return scope.input

    def payload(self, scope: Scope) -> Any:
        return scope.input if self._payload is None else self._payload(scope)

    def finish(self, scope: Scope, raw: Any, result: Any) -> tuple[Any, Assigned]:
        scope.input = result
        if self._selector is not None:
            scope.input = result = self._selector(scope)
        assigned = None if self._assign is None else self._assign(scope)
        scope.input = result if self._place is None else self._place(raw, result)
        return self.chosen(scope), assigned

    def chosen(self, scope: Scope) -> Any:
        return scope.input if self._output is None else self._output(scope)

    def caught(self, index: int, scope: Scope, error_output: Any) -> tuple[Any, Assigned]:
        place, assign = self._catchers[index]
        raw = scope.input
        scope.input = error_output
        assigned = None if assign is None else assign(scope)
        return (error_output if place is None else place(raw, error_output)), assigned


class JsonataFlow:
    def __init__(self, state: State) -> None:
        self._payload = template(getattr(state, "arguments", UNSET), "JSONata", "Arguments")
        self._output = template(state.output, "JSONata", "Output")
        self._assign = template(state.assign, "JSONata", "Assign")
        catchers: tuple[Catcher, ...] = getattr(state, "catch", ())
        self._catchers = [
            (template(c.output, "JSONata", f"Catch[{n}]/Output"), template(c.assign, "JSONata", f"Catch[{n}]/Assign"))
            for n, c in enumerate(catchers)
        ]

    def effective(self, scope: Scope) -> Any:
        return scope.input

    def payload(self, scope: Scope) -> Any:
        return scope.input if self._payload is None else self._payload(scope)

    def finish(self, scope: Scope, raw: Any, result: Any) -> tuple[Any, Assigned]:
        scope.result = result
        output = result if self._output is None else self._output(scope)
        return output, None if self._assign is None else self._assign(scope)

    def chosen(self, scope: Scope) -> Any:
        return scope.input

    def caught(self, index: int, scope: Scope, error_output: Any) -> tuple[Any, Assigned]:
        write, assign = self._catchers[index]
        scope.error_output = error_output
        output = error_output if write is None else write(scope)
        return output, None if assign is None else assign(scope)


def compile_dataflow(state: State) -> Dataflow:
    return JsonataFlow(state) if state.query_language == "JSONata" else JsonPathFlow(state)


def template(value: Any, language: Any, field: str) -> Evaluate | None:
    """An evaluator for a field that may hold expressions; None where the field is absent."""
    if value is UNSET:
        return None
    return compile_template(value, language, field).evaluate


def path_reader(path: str | UnsetType | None) -> Evaluate | None:
    """InputPath, OutputPath: absent or `$` changes nothing, null gives an empty object."""
    if path is UNSET or path == "$":
        return None
    if path is None:
        return lambda scope: {}
    return compile_path(str(path)).read


def named_path_reader(path: str | UnsetType, field: str) -> Evaluate | None:
    """A Path field (`ErrorPath`, `SecondsPath`, …): a path, a variable or an intrinsic; complaints name the field."""
    if path is UNSET:
        return None
    compiled = compile_template({f"{field}.$": path}, "JSONPath", field)

    def read(scope: Scope) -> Any:
        try:
            return compiled.evaluate(scope)[field]
        except EvaluationFailed as problem:
            raise EvaluationFailed(problem.error, problem.cause.replace(f"'{field}.$'", f"'{field}'")) from None

    return read


def result_place(path: str | UnsetType | None) -> Callable[[Any, Any], Any] | None:
    """ResultPath: absent or `$` replaces the input, null keeps it, else the result is put in its place."""
    if path is UNSET or path == "$":
        return None
    if path is None:
        return lambda raw, result: raw
    reference: Reference = compile_reference(str(path))
    return reference.write
