"""Which function compiles which kind of syntax. Modules register theirs; others call `expr` and `execute`."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from skylift.sdk.compiler.body import Body
from skylift.sdk.compiler.refuse import IN_A_TASK, Refusal
from skylift.sdk.compiler.value import Value

Compile = Callable[[Body, Any], Value]
Execute = Callable[[Body, Any], None]

Call = Callable[[Body, ast.Call], Value]

_EXPRESSIONS: dict[type, Compile] = {}
_BUILTINS: dict[Any, Call] = {}
_STATEMENTS: dict[type, Execute] = {}
_DEEPEST = 60

_MENDS: dict[type, tuple[str, str]] = {
    ast.Lambda: ("a lambda is only allowed as key= of sorted, min and max", "write the expression out"),
    ast.NamedExpr: ("the walrus operator is not supported", "assign in a statement of its own before"),
    ast.Await: ("a pipeline is not async", "call tasks plainly: independent ones run in parallel by a comprehension"),
    ast.Yield: ("a pipeline cannot yield", "return a list"),
    ast.YieldFrom: ("a pipeline cannot yield", "return a list"),
    ast.Starred: ("* is not supported here", "name the values one by one"),
    ast.Set: ("a set has no JSON form", "use a list, or build the set inside a @task"),
    ast.SetComp: ("a set has no JSON form", "use a list, or build the set inside a @task"),
    ast.With: ("`with` cannot be expressed in a graph", "open and close the resource inside one @task"),
    ast.AsyncWith: ("a pipeline is not async", IN_A_TASK),
    ast.AsyncFor: ("a pipeline is not async", IN_A_TASK),
    ast.FunctionDef: ("a function cannot be defined inside a pipeline", "define it at module level, as a @task"),
    ast.AsyncFunctionDef: ("a function cannot be defined inside a pipeline", "define it at module level, as a @task"),
    ast.ClassDef: ("a class cannot be defined inside a pipeline", "define it at module level"),
    ast.Import: ("an import cannot stand inside a pipeline", "import at the top of the module or inside a @task"),
    ast.ImportFrom: ("an import cannot stand inside a pipeline", "import at the top of the module or inside a @task"),
    ast.Global: ("a pipeline cannot change module variables", "return the value instead"),
    ast.Nonlocal: ("a pipeline cannot change variables around it", "return the value instead"),
    ast.Match: ("`match` is not supported", "write if / elif / else"),
    ast.TryStar: ("`except*` is not supported", "write `except`"),
}


def expression(kind: type) -> Callable[[Compile], Compile]:
    def register(function: Compile) -> Compile:
        _EXPRESSIONS[kind] = function
        return function

    return register


def statement(kind: type) -> Callable[[Execute], Execute]:
    def register(function: Execute) -> Execute:
        _STATEMENTS[kind] = function
        return function

    return register


def builtin(*functions: Any) -> Callable[[Call], Call]:
    def register(compile_: Call) -> Call:
        for function in functions:
            _BUILTINS[function] = compile_
        return compile_

    return register


def builtin_compiler(found: Any) -> Call | None:
    """What compiles calls of this builtin function, if anything does."""
    try:
        return _BUILTINS.get(found)
    except TypeError:
        return None


def expr(body: Body, node: ast.expr) -> Value:
    """Compile an expression; what must run before it (tasks) is added to the flow, what may fail to `body.problems`."""
    compile_ = _EXPRESSIONS.get(type(node))
    if compile_ is None:
        raise _unknown(node)
    body.unit.depth += 1
    try:
        if body.unit.depth > _DEEPEST:
            raise Refusal(node, "this expression is nested too deeply", "split it into several statements")
        return compile_(body, node)
    finally:
        body.unit.depth -= 1


def execute(body: Body, node: ast.stmt) -> None:
    """Compile a statement into the flow."""
    run = _STATEMENTS.get(type(node))
    if run is None:
        raise _unknown(node)
    run(body, node)


def _unknown(node: ast.AST) -> Refusal:
    message, mend = _MENDS.get(type(node), (f"{type(node).__name__} is not supported in a pipeline", IN_A_TASK))
    return Refusal(node, message, mend)
