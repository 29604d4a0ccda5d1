"""raise, try / except / else / finally."""

from __future__ import annotations

import ast
from typing import Any

from skylift.sdk.compiler import types as t
from skylift.sdk.compiler.body import Body, FinallyFrame, Frame, Handler, TryFrame
from skylift.sdk.compiler.dispatch import execute, expr, statement
from skylift.sdk.compiler.flow import Edge, Label
from skylift.sdk.compiler.raising import error_of_flow, flush, run_finally, throw
from skylift.sdk.compiler.refuse import Refusal
from skylift.sdk.compiler.source import MISSING
from skylift.sdk.compiler.texts import text_of
from skylift.sdk.compiler.value import expression, variable

CURRENT = "<error>"


def raise_error(body: Body, cls: type[BaseException], arguments: list[ast.expr], node: ast.AST) -> None:
    """`raise cls(message)`: to its handler in this flow, or the flow fails."""
    _check_class(node, cls)
    if len(arguments) > 1:
        raise Refusal(node, "an exception in a graph has one message", "join the parts with an f-string")
    message = '""'
    if arguments:
        people = body.child(for_people=True)
        value = expr(people, arguments[0])
        message = text_of(people, arguments[0], value)
        if issubclass(cls, KeyError):
            if not value.type.only("str"):
                raise Refusal(node, "a KeyError in a graph has a text as its key", "use an f-string")
            message = f"$PYREPR({value.code})"
    flush(body, node)
    body.unit.raised.add(cls)
    if not any(isinstance(frame, (TryFrame, FinallyFrame)) for frame in body.frames):
        cause = _literal(arguments, cls)
        state = {"Type": "Fail", "Error": cls.__name__, "Cause": cause if cause is not None else expression(message)}
        body.flow.add(f"raise {cls.__name__} (line {getattr(node, 'lineno', 0)})", state, node)
        return
    name = error_of_flow(body)
    error = {"Error": cls.__name__, "Cause": expression(message)}
    body.assign(f"raise {cls.__name__} (line {getattr(node, 'lineno', 0)})", {name: error}, node)
    throw(body, name, frozenset((cls.__name__,)), node)


@statement(ast.Raise)
def _raise(body: Body, node: ast.Raise) -> None:
    if node.exc is None:
        current = body.scope.get(CURRENT)
        if current is None:
            raise Refusal(node, "there is no error to raise again here", "raise inside an `except` block")
        throw(body, current.code[1:], None, node)
        return
    if isinstance(node.exc, ast.Name):
        value = body.lookup(node.exc)
        if value is not None:
            if value.type.kind("error") is None:
                raise Refusal(node, f"{node.exc.id} is not an exception", "raise an exception class")
            throw(body, value.code[1:], None, node)
            return
    call = node.exc if isinstance(node.exc, ast.Call) else None
    cls = body.resolve(call.func if call else node.exc)
    if not (isinstance(cls, type) and issubclass(cls, BaseException)):
        raise Refusal(
            node, "only exception classes can be raised", "raise a class of the module: raise ValueError(...)"
        )
    if call is not None and call.keywords:
        raise Refusal(node, "exceptions with keyword arguments are not supported", "give one message")
    raise_error(body, cls, call.args if call else [], node)


@statement(ast.Try)
def _try(body: Body, node: ast.Try) -> None:
    outer: list[Frame] = body.frames
    closing = None
    if node.finalbody:
        closing = FinallyFrame(statements=node.finalbody, label=Label(), error=body.temporary("error"))
        body.frames = [*outer, closing]
    ends, bounds = _guarded(body, node)
    body.frames = outer
    before = set(body.bound)
    if closing is not None and closing.label.waiting:
        body.flow.place(closing.label)
        body.bound = set.intersection(*bounds.every) if bounds.every else before
        run_finally(body, closing, len(outer))
        if body.flow.reachable:
            throw(body, closing.error, None, node)
    body.flow.join(ends)
    body.bound = bounds.after(before)
    if closing is not None:
        for statement_ in closing.statements:
            if body.flow.reachable:
                execute(body, statement_)


class _Bounds:
    """Names bound at the ends of the parts of a `try`."""

    def __init__(self) -> None:
        self.ends: list[set[str]] = []
        self.every: list[set[str]] = []

    def after(self, fallback: set[str]) -> set[str]:
        return set.intersection(*self.ends) if self.ends else fallback


def _guarded(body: Body, node: ast.Try) -> tuple[list[Edge], _Bounds]:
    bounds = _Bounds()
    before = set(body.bound)
    bounds.every.append(before)
    inside = body.frames
    handlers = [_handler(body, clause) for clause in node.handlers]
    if handlers:
        body.frames = [*inside, TryFrame(handlers=handlers)]
    _block(body, node.body)
    body.frames = inside
    _block(body, node.orelse)
    ends: list[Edge] = []
    _end(body, ends, bounds)
    for handler, clause in zip(handlers, node.handlers, strict=True):
        if not handler.label.waiting:
            continue
        body.flow.place(handler.label)
        body.bound = set(before)
        _handle(body, handler, clause)
        _end(body, ends, bounds)
        if handler.catches_all:
            break
    return ends, bounds


def _end(body: Body, ends: list[Edge], bounds: _Bounds) -> None:
    if body.flow.reachable:
        bounds.ends.append(set(body.bound))
        ends += body.flow.take()


def _handle(body: Body, handler: Handler, clause: ast.ExceptHandler) -> None:
    error = variable(handler.error, t.ERROR)
    scope = body.scope
    body.scope = {**scope, CURRENT: error, **({clause.name: error} if clause.name else {})}
    try:
        _block(body, clause.body)
    finally:
        body.scope = scope


def _handler(body: Body, clause: ast.ExceptHandler) -> Handler:
    error = body.temporary(clause.name or "error")
    if clause.type is None:
        return Handler(classes=(BaseException,), label=Label(), error=error)
    nodes = clause.type.elts if isinstance(clause.type, ast.Tuple) else [clause.type]
    classes: list[type[BaseException]] = []
    for node in nodes:
        found: Any = body.resolve(node)
        parts = found if isinstance(found, tuple) else (found,)
        for cls in parts:
            if not (isinstance(cls, type) and issubclass(cls, BaseException)):
                shown = "is not defined" if found is MISSING else "is not an exception class"
                raise Refusal(node, f"{ast.unparse(node)} {shown}", "name an exception class of the module")
            classes.append(cls)
    if not classes:
        raise Refusal(clause, "this handler names no class", "name an exception class of the module")
    return Handler(classes=tuple(classes), label=Label(), error=error)


def _block(body: Body, statements: list[ast.stmt]) -> None:
    for node in statements:
        if body.flow.reachable:
            execute(body, node)


def _check_class(node: ast.AST, cls: type[BaseException]) -> None:
    plain = (BaseException.__str__, KeyError.__str__, OSError.__str__, ImportError.__str__, SyntaxError.__str__)
    own_init = any("__init__" in vars(base) and hasattr(vars(base)["__init__"], "__code__") for base in cls.__mro__)
    if own_init or cls.__str__ not in plain or issubclass(cls, (UnicodeError, SyntaxError)):
        raise Refusal(node, f"{cls.__name__} makes its own message", "raise it inside a @task")


def _literal(arguments: list[ast.expr], cls: type[BaseException]) -> str | None:
    if not arguments:
        return ""
    if isinstance(arguments[0], ast.Constant) and isinstance(arguments[0].value, str) and not issubclass(cls, KeyError):
        return arguments[0].value if not arguments[0].value.startswith("{%") else None
    return None
