"""Statements, one after the other: assignments, expression statements, return, raise, assert, del."""

from __future__ import annotations

import ast
import dataclasses

from skylift.sdk.compiler import operators as op
from skylift.sdk.compiler import types as t
from skylift.sdk.compiler.assignment import assign, changeable, rebuilt, store
from skylift.sdk.compiler.body import Body, FinallyFrame, choice
from skylift.sdk.compiler.calls import end_with, print_text
from skylift.sdk.compiler.conditions import condition
from skylift.sdk.compiler.dispatch import execute, expr, statement
from skylift.sdk.compiler.exceptions import raise_error
from skylift.sdk.compiler.flow import setter
from skylift.sdk.compiler.iteration import as_list
from skylift.sdk.compiler.mutation import change_in_place, is_change, popped
from skylift.sdk.compiler.raising import flush, leave
from skylift.sdk.compiler.refuse import Refusal
from skylift.sdk.compiler.semantics import error
from skylift.sdk.compiler.value import Value, constant


def run_block(body: Body, statements: list[ast.stmt]) -> None:
    """Statements in order; what cannot be reached is left out."""
    for node in statements:
        if not body.flow.reachable:
            return
        execute(body, node)


@statement(ast.Pass)
def _pass(body: Body, node: ast.Pass) -> None:
    """Nothing."""


@statement(ast.Expr)
def _expression(body: Body, node: ast.Expr) -> None:
    call = node.value
    if isinstance(call, ast.Constant):
        return
    if isinstance(call, ast.Call):
        if body.resolve(call.func) is print:
            print_text(body, call)
            return
        if is_change(body, call):
            change_in_place(body, call)
            return
    value = expr(body, node.value)
    if not body.problems:
        state = body.flow.direct_result(value.code)
        if state is not None and value.code[1:] not in body.unit.variables.values():
            del state["Assign"]
    flush(body, node)


@statement(ast.Assign)
def _assign(body: Body, node: ast.Assign) -> None:
    if isinstance(node.value, ast.Call) and is_change(body, node.value):
        value = popped(body, node.value)
    else:
        value = expr(body, node.value)
    if len(node.targets) > 1 and not value.is_constant:
        flush(body, node)
        value = body.hold(value, "value", node)
    for target in node.targets:
        assign(body, target, value, node)


@statement(ast.AnnAssign)
def _annotated(body: Body, node: ast.AnnAssign) -> None:
    if node.value is None:
        return
    if isinstance(node.value, ast.Call) and is_change(body, node.value):
        value = popped(body, node.value)
    else:
        value = expr(body, node.value)
    assign(body, node.target, _as_annotated(body, node, value), node)


def _as_annotated(body: Body, node: ast.AnnAssign, value: Value) -> Value:
    """The annotation says the type of what has none by itself, such as the answer of `approve`."""
    if not value.type.unknown:
        return value
    function = body.source.function
    try:
        annotation = eval(ast.unparse(node.annotation), function.__globals__)  # noqa: S307 - the author's own annotation
    except Exception:  # noqa: BLE001 - tells nothing
        return value
    return dataclasses.replace(value, type=t.of_annotation(annotation))


@statement(ast.AugAssign)
def _augmented(body: Body, node: ast.AugAssign) -> None:
    target = node.target
    loaded: ast.expr
    if isinstance(target, ast.Name):
        loaded = ast.copy_location(ast.Name(id=target.id, ctx=ast.Load()), target)
        if target.id not in body.locals:
            raise Refusal(
                target, f"{target.id} cannot be changed here", "assign it to a variable of the pipeline first"
            )
    elif isinstance(target, ast.Subscript):
        loaded = ast.copy_location(ast.Subscript(value=target.value, slice=target.slice, ctx=ast.Load()), target)
    else:
        loaded = ast.copy_location(ast.Attribute(value=target.value, attr=target.attr, ctx=ast.Load()), target)
    left = expr(body, loaded)
    right = expr(body, node.value)
    if isinstance(node.op, ast.Add) and left.type.only("list") and not right.type.only("list"):
        right = as_list(body, node.value, right)
    assign(body, target, op.binary(body, node, node.op, left, right), node)


@statement(ast.Delete)
def _delete(body: Body, node: ast.Delete) -> None:
    for target in node.targets:
        if not isinstance(target, ast.Subscript):
            raise Refusal(target, "only an item can be deleted: del x[k]", "leave the name alone; it costs nothing")
        if isinstance(target.slice, ast.Slice):
            raise Refusal(target, "deleting a slice is not supported", "build the new list: xs = xs[:a] + xs[b:]")
        holder = changeable(body, target.value)
        key = expr(body, target.slice)
        kind = holder.type
        if kind.only("dict") or (kind.kinds and kind.may("dict") and key.type.only("str")):
            op.require(body, target, holder, "dict", "this object does not support item deletion")
            op.require_key(body, target, key)
            body.problem(
                f"$exists($lookup({holder.code}, {key.code})) ? null : {error('KeyError', f'$PYREPR({key.code})')}",
                "KeyError",
            )
            new = Value(code=f"$PYWITHOUT({holder.code}, {key.code})", type=holder.type, sources=holder.sources)
        elif kind.kinds and kind.may("list") and key.type.only("int"):
            op.require(body, target, holder, "list", "this object does not support item deletion")
            count = f"$count({holder.code})"
            message = '"list assignment index out of range"'
            body.problem(
                f"({key.operand} >= {count} or {key.operand} < -{count}) ? {error('IndexError', message)} : null",
                "IndexError",
            )
            new = Value(code=f"$PYDROP({holder.code}, {key.code})", type=holder.type, sources=holder.sources)
        elif not holder.type.kinds or not key.type.kinds:
            new = holder
        else:
            raise Refusal(target, f"items of a {holder.type} cannot be deleted", "annotate it as a list or a dict")
        flush(body, node)
        store(body, dict([rebuilt(body, target.value, new)]), node)


@statement(ast.Return)
def _return(body: Body, node: ast.Return) -> None:
    value = constant(None) if node.value is None else expr(body, node.value)
    if value.type.kind("error") is not None:
        raise Refusal(node, "an exception cannot be returned", "return str(error)")
    body.unit.returned |= value.sources
    flush(body, node)
    if any(isinstance(frame, FinallyFrame) for frame in body.frames):
        if not value.is_constant:
            value = body.hold(value, "returned", node)
        leave(body, 0)
    if body.flow.reachable:
        end_with(body, value, node)


@statement(ast.Assert)
def _assert(body: Body, node: ast.Assert) -> None:
    test = condition(body, node.test)
    flush(body, node)
    if test == "true":
        return
    state, rule = choice(test)
    body.flow.add(f"assert {ast.unparse(node.test)[:50]} (line {node.lineno})", state, node)
    body.flow.join([setter(state, "Default")])
    arguments = [node.msg] if node.msg is not None else []
    raise_error(body, AssertionError, arguments, node)
    body.flow.join([setter(rule, "Next")])
