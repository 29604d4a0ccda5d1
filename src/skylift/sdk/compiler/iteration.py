"""What a loop or comprehension goes over: any iterable as a JSONata array, evaluated once."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from skylift.sdk.compiler import operators as op
from skylift.sdk.compiler import types as t
from skylift.sdk.compiler.body import Body
from skylift.sdk.compiler.dispatch import expr
from skylift.sdk.compiler.refuse import Refusal
from skylift.sdk.compiler.semantics import error
from skylift.sdk.compiler.source import MISSING
from skylift.sdk.compiler.value import Value, constant, text


def iterable(body: Body, node: ast.expr) -> Value:
    """The elements, in order, as a list value."""
    if isinstance(node, ast.Call):
        found = body.resolve(node.func)
        maker = _MAKERS.get(found) if isinstance(found, type) else None
        if maker is not None and not node.keywords:
            return maker(body, node)
        if found is enumerate:
            return _enumerate(body, node)
        if found is zip:
            return _zip(body, node)
        if found is MISSING and isinstance(node.func, ast.Attribute) and not node.args and not node.keywords:
            view = _VIEWS.get(node.func.attr)
            if view is not None:
                owner = expr(body, node.func.value)
                return view(body, node, owner)
    if isinstance(node, ast.GeneratorExp):
        made = ast.copy_location(ast.ListComp(elt=node.elt, generators=node.generators), node)
        return expr(body, made)
    return as_list(body, node, expr(body, node))


def as_list(body: Body, node: ast.AST, value: Value) -> Value:
    """What iterating this value gives, as a list."""
    op.refuse_opaque(node, value)
    body.inspect(value)
    kind = value.type
    if value.parts is None and kind.only("list"):
        return value
    if kind.only("list", "tuple", "dict", "str") and (len(kind.kinds) == 1 or value.parts is not None):
        if value.keys is not None:
            return Value(code=op.elements(Value(code=value.code, type=kind)), type=t.list_of(t.STR))
        return Value(code=op.elements(value), type=t.list_of(kind.element()), sources=value.sources)
    if kind.kinds and not kind.may("list", "tuple", "dict", "str"):
        raise Refusal(node, f"{kind} is not iterable", "loop over a list, tuple, dict, str or range")
    if not kind.only("list", "tuple", "dict", "str"):
        body.problem(f"$PYITEMS_P({value.code})", "TypeError")
    element = t.ANY if kind.unknown and kind.kinds else kind.element()
    return Value(code=f"$PYITEMS({value.code})", type=t.list_of(element), sources=value.sources)


def range_bounds(body: Body, node: ast.Call) -> tuple[Value, Value, Value]:
    """start, stop, step of a `range(...)` call, checked to be whole numbers."""
    if not 1 <= len(node.args) <= 3 or node.keywords:
        raise Refusal(node, "range takes one to three numbers", "write range(stop) or range(start, stop, step)")
    values = [expr(body, argument) for argument in node.args]
    for argument, value in zip(node.args, values, strict=True):
        op.refuse_opaque(argument, value)
        body.inspect(value)
        if value.type.kinds and not value.type.may("int", "bool"):
            raise Refusal(argument, f"range needs whole numbers, this is {value.type}", "use int(...)")
        if value.type.kinds and not value.type.only("int", "bool"):
            message = text("range needs whole numbers")
            body.problem(
                f'$PYTYPE({value.code}) in ["int", "bool"] ? null : {error("TypeError", message)}', "TypeError"
            )
    values = [Value(code=op.as_number(value), type=t.INT, constant=value.constant) for value in values]
    if len(values) == 1:
        values = [constant(0), *values]
    if len(values) == 2:
        values.append(constant(1))
    start, stop, step = values
    if not step.is_constant or not step.constant:
        message = text("range() arg 3 must not be zero")
        body.problem(f"{step.operand} = 0 ? {error('ValueError', message)} : null", "ValueError")
    return start, stop, step


def _range(body: Body, node: ast.Call) -> Value:
    start, stop, step = range_bounds(body, node)
    type_ = t.list_of(t.INT)
    if step.is_constant and step.constant == 1:
        last = str(stop.constant - 1) if stop.is_constant else f"{stop.operand} - 1"
        return Value(code=f"[{start.code}..{last}]", type=type_)
    return Value(code=f"$PYRANGE({start.code}, {stop.code}, {step.code})", type=type_)


def _reversed(body: Body, node: ast.Call) -> Value:
    if len(node.args) != 1:
        raise Refusal(node, "reversed takes one argument", "write reversed(values)")
    items = iterable(body, node.args[0])
    return Value(code=f"$reverse({items.code})", type=items.type, sources=items.sources)


def _enumerate(body: Body, node: ast.Call) -> Value:
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    arguments = list(node.args)
    if set(given) - {"start"} or not 1 <= len(arguments) <= 2:
        raise Refusal(node, "enumerate takes an iterable and a start", "write enumerate(values, start=1)")
    items = iterable(body, arguments[0])
    first = given.get("start") or (arguments[1] if len(arguments) == 2 else None)
    offset = ""
    if first is not None:
        start = expr(body, first)
        if start.type.kinds and not start.type.only("int"):
            raise Refusal(first, "the start of enumerate must be an int", "annotate it as int")
        offset = f" + {start.operand}"
    pair = f'{{"__type__": "tuple", "items": {_pair(f"$PYI{offset}", "$PYV", items.type.element())}}}'
    return Value(
        code=f"[$map({items.code}, function($PYV, $PYI){{{pair}}})[]]",
        type=t.list_of(t.tuple_of((t.INT, items.type.element()))),
        sources=items.sources,
    )


def _zip(body: Body, node: ast.Call) -> Value:
    strict = {keyword.arg: keyword.value for keyword in node.keywords}
    if set(strict) - {"strict"} or not node.args:
        raise Refusal(node, "zip takes iterables and strict", "write zip(xs, ys)")
    lists = [iterable(body, argument) for argument in node.args]
    if "strict" in strict:
        flag = strict["strict"]
        if not isinstance(flag, ast.Constant):
            raise Refusal(flag, "strict must be True or False", "write strict=True")
        if flag.value and len(lists) > 1:
            counts = " and ".join(f"$count({one.code}) = $count({lists[0].code})" for one in lists[1:])
            message = text("zip() arguments have different lengths")
            body.problem(f"({counts}) ? null : {error('ValueError', message)}", "ValueError")
    codes = ", ".join(one.code for one in lists)
    sources = frozenset().union(*(one.sources for one in lists))
    return Value(
        code=f'[$map($zip({codes}), function($PYV){{{{"__type__": "tuple", "items": $PYV}}}})[]]',
        type=t.list_of(t.tuple_of(one.type.element() for one in lists)),
        sources=sources,
    )


def _pair(first: str, second: str, type_: t.Type) -> str:
    if type_.may("list"):
        return f"$zip([{first}], [[{second}]])[0]" if type_.only("list") else f"$PYPAIR({first}, {second})"
    return f"[{first}, {second}]"


def _keys(body: Body, node: ast.AST, owner: Value) -> Value:
    return _view(body, node, owner, "keys", f"[$keys({owner.code})]", t.STR)


def _values(body: Body, node: ast.AST, owner: Value) -> Value:
    code = f"[$map([$keys({owner.code})], function($PYK){{$lookup({owner.code}, $PYK)}})[]]"
    return _view(body, node, owner, "values", code, _dict_values(owner))


def _pairs(body: Body, node: ast.AST, owner: Value) -> Value:
    value_type = _dict_values(owner)
    pair = f'{{"__type__": "tuple", "items": $PYPAIR($PYK, $lookup({owner.code}, $PYK))}}'
    code = f"[$map([$keys({owner.code})], function($PYK){{{pair}}})[]]"
    return _view(body, node, owner, "items", code, t.tuple_of((t.STR, value_type)))


def _view(body: Body, node: ast.AST, owner: Value, name: str, code: str, element: t.Type) -> Value:
    op.refuse_opaque(node, owner)
    body.inspect(owner)
    if owner.type.kinds and not owner.type.only("dict"):
        if not owner.type.may("dict"):
            raise Refusal(node, f"{owner.type} has no {name}()", "only a dict has")
        message = f"\"'\" & $PYTYPE({owner.code}) & \"' object has no attribute '{name}'\""
        body.problem(f'$PYTYPE({owner.code}) = "dict" ? null : {error("AttributeError", message)}', "AttributeError")
    return Value(code=code, type=t.list_of(element), sources=owner.sources)


def _dict_values(owner: Value) -> t.Type:
    kind = owner.type.kind("dict")
    return kind.args[1] if kind is not None else (t.ANY if owner.type.kinds else t.BOTTOM)


_MAKERS: dict[Any, Callable[[Body, ast.Call], Value]] = {range: _range, reversed: _reversed}
_VIEWS: dict[str, Callable[[Body, ast.AST, Value], Value]] = {"keys": _keys, "values": _values, "items": _pairs}
