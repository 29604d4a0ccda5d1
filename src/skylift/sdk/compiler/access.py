"""Looking inside values: `x.field`, `x[i]`, `x[a:b]`."""

from __future__ import annotations

import ast
import difflib
import enum
from typing import Any

from skylift.sdk.compiler import operators as op
from skylift.sdk.compiler import types as t
from skylift.sdk.compiler.body import Body
from skylift.sdk.compiler.constants import outside_value
from skylift.sdk.compiler.dispatch import expr, expression
from skylift.sdk.compiler.refuse import Refusal
from skylift.sdk.compiler.semantics import error
from skylift.sdk.compiler.source import MISSING
from skylift.sdk.compiler.value import Value, constant, text

_JSONATA_WORDS = {"and", "or", "in", "true", "false", "null", "function"}


@expression(ast.Attribute)
def _attribute(body: Body, node: ast.Attribute) -> Value:
    found = body.resolve(node)
    if found is not MISSING:
        return outside_value(node, found)
    owner = body.resolve(node.value)
    if owner is not MISSING and isinstance(owner, enum.Enum):
        return outside_value(node, getattr(owner, node.attr, MISSING))
    return attribute(body, node, expr(body, node.value), node.attr)


@expression(ast.Subscript)
def _subscript(body: Body, node: ast.Subscript) -> Value:
    container = expr(body, node.value)
    if isinstance(node.slice, ast.Slice):
        return _slice(body, node, container, node.slice)
    index = expr(body, node.slice)
    op.refuse_opaque(node, container, index)
    body.inspect(container)
    body.inspect(index)
    return subscript(body, node, container, index)


def attribute(body: Body, node: ast.AST, value: Value, name: str) -> Value:
    """`value.name`: a field of a value that travels field by field."""
    if value.type.kind("error") is not None:
        raise Refusal(node, f"an exception's {name} is not kept in a graph", "use str(error)")
    op.refuse_opaque(node, value)
    body.inspect(value)
    code = f"{value.operand}.{step(name)}"
    data = value.type.kind("data")
    if value.type.unknown:
        body.problem(
            f'$type({value.code}) = "object" ? ($exists($lookup({value.code}, "__type__")) and $exists($lookup('
            f"{value.code}, {text(name)})) ? null : {_no_attribute(value, name)}) : {_no_attribute(value, name)}",
            "AttributeError",
        )
        return Value(code=code, type=t.ANY if value.type.kinds else t.BOTTOM, sources=value.sources)
    if data is None:
        if value.type.only("none"):
            body.problem(_no_attribute(value, name), "AttributeError")
            return Value(code="null", type=t.ANY)
        raise Refusal(node, f"{value.type} has no field {name}", "only fields of dataclass results can be read")
    others = value.type.without("data")
    if others.kinds:
        body.problem(f'$type({value.code}) = "object" ? null : {_no_attribute(value, name)}', "AttributeError")
    fields = t.fields_of(data.cls) or {}
    if name not in fields:
        raise Refusal(node, f"{data.cls.__name__} has no field {name}", _mend_for(data.cls, name, fields))
    return Value(code=code, type=fields[name], sources=value.sources)


def subscript(body: Body, node: ast.AST, container: Value, index: Value) -> Value:
    """`container[index]`; both have been checked for being visible."""
    kind = container.type
    if container.parts is not None and index.is_constant:
        known = _known_part(container, index.constant)
        if known is not None:
            return known
    if kind.only("dict"):
        return _lookup(body, node, container, index)
    if kind.only("list", "tuple"):
        return _element(body, node, container, index)
    if kind.only("str"):
        _index_number(body, node, index)
        number = op.as_number(index)
        _in_range(body, f"$length({container.code})", number, "string index out of range")
        return Value(code=f"$substring({container.code}, {number}, 1)", type=t.STR)
    if kind.kinds and not kind.may("dict", "list", "tuple", "str"):
        message = f"'{'NoneType' if kind.only('none') else kind}' object is not subscriptable"
        body.problem(error("TypeError", text(message)), "TypeError")
        return Value(code="null", type=t.ANY)
    body.problem(f"$PYGET_P({container.code}, {index.code})", "IndexError", "KeyError", "TypeError")
    types_ = [one.args[-1] if one.name == "dict" else t.Type(frozenset((one,))).element() for one in kind.kinds]
    type_ = t.join(types_) if kind.kinds and not kind.unknown else (t.ANY if kind.kinds else t.BOTTOM)
    return Value(code=f"$PYGET({container.code}, {index.code})", type=type_, sources=container.sources)


def step(name: str) -> str:
    """A field name as a JSONata path step."""
    plain = name.isidentifier() and name.isascii() and name not in _JSONATA_WORDS
    return name if plain else f"`{name}`"


def _no_attribute(value: Value, name: str) -> str:
    message = f"\"'\" & $PYTYPE({value.code}) & \"' object has no attribute '{name}'\""
    return error("AttributeError", message)


def _known_part(container: Value, index: Any) -> Value | None:
    assert container.parts is not None
    if container.keys is not None:
        return container.parts[container.keys.index(index)] if index in container.keys else None
    if isinstance(index, int) and -len(container.parts) <= index < len(container.parts):
        return container.parts[index]
    return None


def _lookup(body: Body, node: ast.AST, container: Value, key: Value) -> Value:
    op.require_key(body, node, key)
    kind = container.type.kind("dict")
    assert kind is not None
    if key.is_constant and isinstance(key.constant, str):
        found = f"{container.operand}.{step(key.constant)}"
        cause = text(repr(key.constant))
    else:
        found = f"$lookup({container.code}, {key.code})"
        cause = f"$PYREPR({key.code})"
    body.problem(f"$exists({found}) ? null : {error('KeyError', cause)}", "KeyError")
    return Value(code=found, type=kind.args[1], sources=container.sources)


def _element(body: Body, node: ast.AST, container: Value, index: Value) -> Value:
    _index_number(body, node, index)
    number = op.as_number(index)
    items = op.elements(container)
    kind = container.type.kind("tuple")
    known = kind is not None and container.type.only("tuple") and isinstance(index.constant, int)
    if kind is not None and known and -len(kind.args) <= index.constant < len(kind.args):
        return Value(code=f"{items}[{number}]", type=kind.args[index.constant], sources=container.sources)
    name = "tuple" if container.type.only("tuple") else "list"
    _in_range(body, f"$count({items})", number, f"{name} index out of range")
    return Value(code=f"{items}[{number}]", type=container.type.element(), sources=container.sources)


def _index_number(body: Body, node: ast.AST, index: Value) -> None:
    if index.type.only("int", "bool"):
        return
    if index.type.kinds and not index.type.may("int", "bool"):
        raise Refusal(node, f"an index must be a whole number, this is {index.type}", "use an int")
    if not index.type.kinds:
        return
    message = text("list indices must be integers")
    body.problem(f'$PYTYPE({index.code}) in ["int", "bool"] ? null : {error("TypeError", message)}', "TypeError")


def _in_range(body: Body, length: str, number: str, message: str) -> None:
    body.problem(
        f"({number} >= {length} or {number} < -{length}) ? {error('IndexError', text(message))} : null", "IndexError"
    )


def _slice(body: Body, node: ast.Subscript, container: Value, part: ast.Slice) -> Value:
    op.refuse_opaque(node, container)
    body.inspect(container)
    bounds = []
    for bound in (part.lower, part.upper, part.step):
        value = constant(None) if bound is None else expr(body, bound)
        if value.type.kinds and not value.type.only("int", "bool", "none"):
            message = text("slice indices must be integers or None or have an __index__ method")
            body.problem(
                f'$PYTYPE({value.code}) in ["int", "bool", "NoneType"] ? null : {error("TypeError", message)}',
                "TypeError",
            )
        bounds.append(value.code if not value.type.may("bool") else f"$PYNUM({value.code})")
    if part.step is not None and not (isinstance(part.step, ast.Constant) and part.step.value):
        body.problem(f"{bounds[2]} = 0 ? {error('ValueError', text('slice step cannot be zero'))} : null", "ValueError")
    arguments = ", ".join(bounds)
    kind = container.type
    if kind.only("list"):
        return Value(code=f"$PYSLICE({container.code}, {arguments})", type=kind, sources=container.sources)
    if kind.only("str"):
        return Value(code=f'$join($PYSLICE($PYITEMS({container.code}), {arguments}), "")', type=t.STR)
    if kind.only("tuple"):
        code = f'{{"__type__": "tuple", "items": $PYSLICE({op.elements(container)}, {arguments})}}'
        return Value(code=code, type=t.ANY, sources=container.sources)
    message = text("this object is not subscriptable")
    body.problem(
        f'$PYTYPE({container.code}) in ["list", "str"] ? null : {error("TypeError", message)}',
        "TypeError",
    )
    code = (
        f'$type({container.code}) = "string" ? $join($PYSLICE($PYITEMS({container.code}), {arguments}), "") : '
        f"$PYSLICE({container.code}, {arguments})"
    )
    return Value(code=code, type=kind if kind.kinds else t.BOTTOM, simple=False, sources=container.sources)


def _mend_for(cls: Any, name: str, fields: dict[str, Any]) -> str:
    if hasattr(cls, name):
        return f"methods and properties of {cls.__name__} run in a @task; only fields can be read here"
    near = difflib.get_close_matches(name, fields, n=1)
    return f"did you mean {near[0]}?" if near else f"its fields: {', '.join(fields)}"
