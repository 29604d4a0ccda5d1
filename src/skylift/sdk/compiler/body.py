"""What a part of the compiler needs to know where it stands: the unit, the flow it writes to, names, open problems."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from skylift.sdk.compiler import types as t
from skylift.sdk.compiler.exact import COUNTED
from skylift.sdk.compiler.flow import Flow, Label, Names, State
from skylift.sdk.compiler.refuse import Refusal
from skylift.sdk.compiler.source import MISSING, FunctionSource
from skylift.sdk.compiler.types import Type
from skylift.sdk.compiler.value import Problem, Value, constant, expression, template, variable


@dataclass(slots=True, kw_only=True)
class Unit:
    """One pass over one pipeline. Passes are repeated until `seen` no longer adds to `types`."""

    source: FunctionSource
    types: dict[str, tuple[Type, frozenset[str]]]
    """What the previous pass found out about each variable: type, and tasks whose results it may hold."""
    counters: frozenset[str] = frozenset()
    """Variables that only count: they stay far below where numbers lose digits."""
    seen: dict[str, tuple[Type, frozenset[str]]] = field(default_factory=dict)
    names: Names = field(default_factory=Names)
    lines: dict[str, int] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    tasks: dict[str, Any] = field(default_factory=dict)
    pipelines: dict[str, Any] = field(default_factory=dict)
    inspected: set[str] = field(default_factory=set)
    returned: set[str] = field(default_factory=set)
    raised: set[type[BaseException]] = field(default_factory=set)
    final: bool = False
    depth: int = 0

    def note(self, name: str, type_: Type, sources: frozenset[str]) -> None:
        there, held = self.seen.get(name, (t.BOTTOM, frozenset()))
        self.seen[name] = (t.union(there, type_), held | sources)

    def variable(self, name: str) -> str:
        if name not in self.variables:
            self.variables[name] = self.names.variable(name)
        return self.variables[name]


@dataclass(slots=True, kw_only=True)
class Handler:
    """One `except` clause. No classes: it catches everything."""

    classes: tuple[type[BaseException], ...]
    label: Label
    error: str
    """The variable that gets the error."""

    @property
    def catches_all(self) -> bool:
        return any(cls in (Exception, BaseException) for cls in self.classes)


@dataclass(slots=True, kw_only=True)
class TryFrame:
    handlers: list[Handler]


@dataclass(slots=True, kw_only=True)
class FinallyFrame:
    statements: list[ast.stmt]
    label: Label
    error: str


@dataclass(slots=True, kw_only=True)
class LoopFrame:
    head: Label
    after: Label
    bound_at_break: list[set[str]]
    iterated: str | None = None


Frame = TryFrame | FinallyFrame | LoopFrame


@dataclass(slots=True, kw_only=True)
class Body:
    """A place in a flow while it is being written."""

    unit: Unit
    flow: Flow
    source: FunctionSource
    scope: dict[str, Value] = field(default_factory=dict)
    locals: frozenset[str] = frozenset()
    """Names the function assigns: its variables."""
    bound: set[str] = field(default_factory=set)
    """Variables that certainly have a value here."""
    frames: list[Frame] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    pure: str | None = None
    """Set where no state can be added; says why."""
    outer: Body | None = None
    """For an item processor: the body around it, whose values come in through ItemSelector."""
    captured: dict[str, Value] = field(default_factory=dict)
    capture_code: Callable[[str], str] = lambda name: f"$states.input.{name}"
    inlining: tuple[Any, ...] = ()
    """Helper functions being written out around this place."""
    for_people: bool = False
    """Inside a text that people read (print, messages): floats need not be printed to the last digit."""

    # -- names

    def lookup(self, node: ast.Name) -> Value | None:
        """The value of a name, or None if it is not one of the graph's (then see `outside`)."""
        name = node.id
        if name in self.scope:
            return self.scope[name]
        if name in self.locals:
            if name not in self.bound:
                raise Refusal(
                    node, f"{name} may have no value here", f"give {name} a value on every way that leads here"
                )
            type_, sources = self.unit.types.get(name, (t.BOTTOM, frozenset()))
            bound = COUNTED if name in self.unit.counters else None
            return variable(self.unit.variable(name), type_, sources, bound)
        if self.outer is None:
            return None
        value = self.outer.lookup(node)
        if value is None or value.is_constant:
            return value
        self.captured[name] = value
        return Value(code=self.capture_code(name), type=value.type, sources=value.sources)

    def outside(self, name: str) -> Any:
        return self.source.lookup(name)

    def resolve(self, node: ast.expr) -> Any:
        """The Python object that a dotted name outside the graph means (a task, a class, a function); else MISSING."""
        if isinstance(node, ast.Name):
            if node.id in self.scope or node.id in self.locals or (self.outer is not None and self._is_local(node.id)):
                return MISSING
            return self.outside(node.id)
        if isinstance(node, ast.Attribute):
            owner = self.resolve(node.value)
            if owner is MISSING or not _is_namespace(owner):
                return MISSING
            return getattr(owner, node.attr, MISSING)
        return MISSING

    def _is_local(self, name: str) -> bool:
        body: Body | None = self
        while body is not None:
            if name in body.scope or name in body.locals:
                return True
            body = body.outer
        return False

    def inspect(self, value: Value) -> None:
        """The graph looks inside this value: the tasks it comes from must return it as JSON."""
        self.unit.inspected |= value.sources

    # -- problems

    @contextmanager
    def collect(self) -> Iterator[list[Problem]]:
        """Problems of what is compiled inside, kept apart."""
        before, self.problems = self.problems, []
        found = self.problems
        try:
            yield found
        finally:
            self.problems = before

    def problem(self, code: str, *names: str) -> None:
        self.problems.append(Problem(code, frozenset(names)))

    def child(self, **changes: Any) -> Body:
        """The same place with some things different (another scope, frames)."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return Body(**{**values, **changes})

    # -- states

    def need_states(self, node: ast.AST, what: str) -> None:
        if self.pure is not None:
            raise Refusal(node, f"{what} cannot stand {self.pure}", "compute it in a statement before")

    def temporary(self, hint: str) -> str:
        return self.unit.names.variable(hint)

    def assign(self, name: str, assignments: dict[str, Any], node: ast.AST | None) -> None:
        self.flow.add(name, {"Type": "Pass", "Assign": assignments}, node)

    def hold(self, value: Value, hint: str, node: ast.AST | None) -> Value:
        """The value in a variable of its own, computed now."""
        name = self.temporary(hint)
        self.assign(f"{hint} (line {getattr(node, 'lineno', 0)})", {name: template(value)}, node)
        return variable(name, value.type, value.sources)


def choice(condition: str, *, assign: dict[str, Any] | None = None) -> tuple[State, State]:
    """A Choice state with one rule; the rule."""
    rule: State = {"Condition": expression(condition)}
    if assign:
        rule["Assign"] = assign
    return {"Type": "Choice", "Choices": [rule]}, rule


def sequence(problems: list[Problem]) -> Problem:
    """The first problem that there is."""
    code = problems[-1].code
    for problem in reversed(problems[:-1]):
        code = f"($PYP := {problem.code}; $PYP != null ? $PYP : ({code}))"
    return Problem(code, frozenset().union(*(problem.names for problem in problems)))


def _is_namespace(owner: Any) -> bool:
    import types

    return isinstance(owner, (types.ModuleType, type))


__all__ = ["Body", "Unit", "choice", "constant", "sequence"]
