"""Whole numbers stay exact: JSON numbers lose digits beyond 2**53, so what may get there is checked in the graph.

A `bound` says how large a value can be at most. Where it shows that nothing can be lost, nothing is checked.
"""

from __future__ import annotations

import ast

from skylift.sdk.compiler.value import Value

LIMIT = 2**52
"""Each operand up to here, and a sum or difference is exact."""
COUNTED = 2**40
"""More than any counter, length or index gets to."""


def bound_of(value: Value) -> int | None:
    """The most that the number can be, either way; None: who knows."""
    if value.is_constant and isinstance(value.constant, int):
        return abs(int(value.constant))
    if value.type.only("bool"):
        return 1
    return value.bound


def may_be_whole(*values: Value) -> bool:
    """Whether an operation on these could be one of ints. With a float among them it is one of floats."""
    return not any(value.type.only("float") for value in values)


def checked(code: str) -> str:
    """The number, or an error that ends the run: what Python would count to has no exact form in a graph."""
    return f"$PYINT({code})"


def small_enough(bound: int | None) -> bool:
    return bound is not None and bound <= LIMIT


def counters(function: ast.FunctionDef) -> frozenset[str]:
    """Variables that only count: set to constants or lengths, moved by constants, or counting through a `range`."""
    given: dict[str, bool] = {argument.arg: False for argument in (*function.args.args, *function.args.kwonlyargs)}
    counting: set[int] = set()
    for part in ast.walk(function):
        target = _counted(part)
        if target is not None:
            counting.add(id(target))
    for part in ast.walk(function):
        if isinstance(part, ast.Name) and isinstance(part.ctx, (ast.Store, ast.Del)):
            given[part.id] = given.get(part.id, True) and id(part) in counting
    return frozenset(name for name, counts in given.items() if counts)


def _counted(part: ast.AST) -> ast.Name | None:
    """The name that this statement counts with."""
    if isinstance(part, ast.Assign) and len(part.targets) == 1 and isinstance(part.targets[0], ast.Name):
        return part.targets[0] if _is_small(part.value) else None
    if (
        isinstance(part, ast.AugAssign)
        and isinstance(part.target, ast.Name)
        and isinstance(part.op, (ast.Add, ast.Sub))
    ):
        return part.target if _is_small(part.value) else None
    if isinstance(part, ast.For) and isinstance(part.target, ast.Name) and _is_call(part.iter, "range"):
        assert isinstance(part.iter, ast.Call)
        start_and_step = part.iter.args[:1] + part.iter.args[2:] if len(part.iter.args) > 1 else []
        return part.target if all(map(_is_small, start_and_step)) else None
    return None


def _is_small(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return _is_small(node.operand)
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int) and abs(node.value) < 2**16
    return _is_call(node, "len")


def _is_call(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
