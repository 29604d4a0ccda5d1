"""Whether an expression needs states of its own: calls of tasks, pipelines, `parallel`, `sleep`, `approve`."""

from __future__ import annotations

import ast
from types import FunctionType
from typing import Any

from skylift.sdk.compiler.body import Body
from skylift.sdk.compiler.source import FunctionSource, SourceMissing, read_function
from skylift.sdk.definition import Definition
from skylift.sdk.steps import approve, parallel, sleep
from skylift.sdk.task import Task

_HELPERS: dict[FunctionType, FunctionSource | None] = {}


def has_steps(body: Body, node: ast.AST) -> bool:
    for part in ast.walk(node):
        if isinstance(part, ast.Call):
            found = body.resolve(part.func)
            if is_step(found):
                return True
            if isinstance(found, FunctionType) and found not in body.inlining:
                helper = helper_source(found)
                if helper is not None and has_steps(inside_helper(body, helper), helper.node):
                    return True
    return False


def is_step(found: Any) -> bool:
    return isinstance(found, (Task, Definition)) or any(found is step for step in (parallel, sleep, approve))


def helper_source(function: FunctionType) -> FunctionSource | None:
    """The source of a plain function, if it can be read."""
    if function not in _HELPERS:
        try:
            _HELPERS[function] = read_function(function)
        except (SourceMissing, SyntaxError):
            _HELPERS[function] = None
    return _HELPERS[function]


def inside_helper(body: Body, source: FunctionSource) -> Body:
    """The place as a helper function sees it: its own names, none of the pipeline's."""
    return body.child(
        source=source, scope={}, locals=frozenset(), bound=set(), inlining=(*body.inlining, source.function), outer=None
    )
