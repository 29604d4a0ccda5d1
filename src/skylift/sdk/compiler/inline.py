"""Plain helper functions that are one expression: written out where they are called."""

from __future__ import annotations

import ast
import inspect
from types import FunctionType

from skylift.sdk.compiler.body import Body
from skylift.sdk.compiler.constants import outside_value
from skylift.sdk.compiler.dispatch import expr
from skylift.sdk.compiler.refuse import Refusal
from skylift.sdk.compiler.steps_in import helper_source, inside_helper
from skylift.sdk.compiler.value import Value

MEND = "make it a @task, or a function that only returns one expression"


def call_helper(body: Body, node: ast.Call, function: FunctionType) -> Value:
    """The helper's expression with the arguments in the places of its parameters."""
    name = function.__name__
    if function in body.inlining:
        raise Refusal(node, f"{name} calls itself", MEND)
    source = helper_source(function)
    result = returned(source.node) if source is not None else None
    if source is None or result is None:
        raise Refusal(node, f"{name} is a plain function, and a graph cannot run it", MEND)
    arguments = _arguments(body, node, function)
    inner = inside_helper(body, source).child(scope=arguments)
    try:
        return expr(inner, result)
    except Refusal as refusal:
        message = f"{name}, which is written out here, cannot be expressed: {refusal.message}"
        raise Refusal(node, message, refusal.mend) from None


def returned(node: ast.FunctionDef) -> ast.expr | None:
    """The expression of a body that is only `return expression` (and a docstring)."""
    statements = node.body
    if statements and isinstance(statements[0], ast.Expr) and isinstance(statements[0].value, ast.Constant):
        statements = statements[1:]
    if len(statements) == 1 and isinstance(statements[0], ast.Return):
        return statements[0].value
    return None


def _arguments(body: Body, node: ast.Call, function: FunctionType) -> dict[str, Value]:
    positional, named = [], {}
    for argument in node.args:
        if isinstance(argument, ast.Starred):
            raise Refusal(argument, "* in a call is not supported", "name the arguments one by one")
        positional.append(expr(body, argument))
    for keyword in node.keywords:
        if keyword.arg is None:
            raise Refusal(keyword.value, "** in a call is not supported", "name the arguments one by one")
        named[keyword.arg] = expr(body, keyword.value)
    signature = inspect.signature(function)
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in signature.parameters.values()):
        raise Refusal(node, f"{function.__name__} takes *args or **kwargs", MEND)
    try:
        bound = signature.bind(*positional, **named)
    except TypeError as problem:
        raise Refusal(
            node, f"{function.__name__}(): {problem}", f"its signature is {function.__name__}{signature}"
        ) from None
    values = dict(bound.arguments)
    for name, parameter in signature.parameters.items():
        if name not in values:
            values[name] = outside_value(node, parameter.default)
    return values
