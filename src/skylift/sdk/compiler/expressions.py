"""Names, constants and operators."""

from __future__ import annotations

import ast

from skylift.sdk.compiler import operators as op
from skylift.sdk.compiler import types as t
from skylift.sdk.compiler.body import Body
from skylift.sdk.compiler.conditions import condition
from skylift.sdk.compiler.constants import outside_value
from skylift.sdk.compiler.dispatch import expr, expression
from skylift.sdk.compiler.refuse import Refusal
from skylift.sdk.compiler.source import MISSING
from skylift.sdk.compiler.value import Value


@expression(ast.Constant)
def _constant(body: Body, node: ast.Constant) -> Value:
    return outside_value(node, node.value)


@expression(ast.Name)
def _name(body: Body, node: ast.Name) -> Value:
    value = body.lookup(node)
    if value is not None:
        return value
    found = body.outside(node.id)
    if found is MISSING:
        raise Refusal(node, f"{node.id} is not defined", "define it, or import it at the top of the module")
    return outside_value(node, found)


@expression(ast.BinOp)
def _binary(body: Body, node: ast.BinOp) -> Value:
    left = expr(body, node.left)
    right = expr(body, node.right)
    return op.binary(body, node, node.op, left, right)


@expression(ast.UnaryOp)
def _unary(body: Body, node: ast.UnaryOp) -> Value:
    if isinstance(node.op, ast.Not):
        return Value(code=f"$not({condition(body, node.operand)})", type=t.BOOL)
    return op.unary(body, node, expr(body, node.operand))
