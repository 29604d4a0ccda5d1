"""Methods of str, list and dict that give a new value."""

from __future__ import annotations

import ast
from collections.abc import Callable

from skylift.sdk.compiler import operators as op
from skylift.sdk.compiler import types as t
from skylift.sdk.compiler.body import Body
from skylift.sdk.compiler.dispatch import expr
from skylift.sdk.compiler.iteration import iterable
from skylift.sdk.compiler.mutation import CHANGES
from skylift.sdk.compiler.refuse import IN_A_TASK, Refusal
from skylift.sdk.compiler.semantics import error
from skylift.sdk.compiler.value import Value, constant, text

Method = Callable[[Body, ast.Call, Value, list[Value]], Value]


def call_method(body: Body, node: ast.Call, function: ast.Attribute) -> Value:
    """`value.method(...)`."""
    name = function.attr
    if name == "join" and len(node.args) == 1 and not node.keywords:
        return _join(body, node, expr(body, function.value), node.args[0])
    owner = expr(body, function.value)
    if owner.type.kind("error") is not None:
        raise Refusal(node, f"an exception has no {name} in a graph", "use str(error)")
    op.refuse_opaque(node, owner)
    body.inspect(owner)
    if name in ("items", "keys", "values") and not node.args:
        raise Refusal(
            node, f"{name}() is only supported where it is looped over", f"wrap it: list({ast.unparse(node)})"
        )
    if node.keywords:
        raise Refusal(node, f"{name} with keyword arguments is not supported", IN_A_TASK)
    arguments = [expr(body, argument) for argument in node.args]
    for kind in ("str", "list", "dict"):
        method = _METHODS.get((kind, name))
        if method is not None and (owner.type.only(kind) or _is_only_choice(owner, name, kind)):
            least, most = _COUNTS.get(name, (0, 0))
            if not least <= len(arguments) <= most:
                raise Refusal(node, f"{name} takes {least} to {most} arguments here", IN_A_TASK)
            if not owner.type.only(kind):
                message = f"\"'\" & $PYTYPE({owner.code}) & \"' object has no attribute '{name}'\""
                body.problem(
                    f'$PYTYPE({owner.code}) = "{kind}" ? null : {error("AttributeError", message)}', "AttributeError"
                )
            return method(body, node, owner, arguments)
    if not owner.type.kinds:
        return Value(code="null", type=t.BOTTOM)
    if name in CHANGES and owner.type.may("list", "dict"):
        raise Refusal(
            node,
            f"{name} changes its list or dict, and must stand by itself",
            f"write it as a statement: values.{name}(...)",
        )
    raise Refusal(node, f"{name} of a {owner.type} is not supported in a graph", IN_A_TASK)


def _is_only_choice(owner: Value, name: str, kind: str) -> bool:
    kinds = [one for one, method in _METHODS if method == name and owner.type.may(one)]
    return kinds == [kind] and bool(owner.type.kinds)


def _texts(body: Body, node: ast.AST, *values: Value) -> None:
    for value in values:
        op.refuse_opaque(node, value)
        body.inspect(value)
        op.require(body, node, value, "str", "must be str")


def _upper(body: Body, node: ast.Call, owner: Value, arguments: list[Value]) -> Value:
    return Value(code=f"$uppercase({owner.code})", type=t.STR)


def _lower(body: Body, node: ast.Call, owner: Value, arguments: list[Value]) -> Value:
    return Value(code=f"$lowercase({owner.code})", type=t.STR)


def _strip(pattern: str) -> Method:
    def method(body: Body, node: ast.Call, owner: Value, arguments: list[Value]) -> Value:
        return Value(code=f'$replace({owner.code}, /{pattern}/, "")', type=t.STR)

    return method


def _split(body: Body, node: ast.Call, owner: Value, arguments: list[Value]) -> Value:
    if not arguments:
        trimmed = f'$replace({owner.code}, /^\\s+|\\s+$/, "")'
        return Value(code=f'({trimmed} = "" ? [] : [$split({trimmed}, /\\s+/)[]])', type=t.list_of(t.STR))
    (separator,) = arguments
    _texts(body, node, separator)
    if not (separator.is_constant and separator.constant):
        body.problem(f'{separator.operand} = "" ? {error("ValueError", text("empty separator"))} : null', "ValueError")
    return Value(code=f"[$split({owner.code}, {separator.code})[]]", type=t.list_of(t.STR))


def _join(body: Body, node: ast.Call, owner: Value, argument: ast.expr) -> Value:
    _texts(body, node, owner)
    items = iterable(body, argument)
    body.inspect(items)
    element = items.type.element()
    if element.kinds and not element.may("str"):
        raise Refusal(argument, f"join needs texts, these are {element}", "write [str(x) for x in xs]")
    if element.kinds and not element.only("str"):
        message = text("sequence item: expected str instance")
        body.problem(
            f'$count($filter({items.code}, function($PYV){{$type($PYV) != "string"}})) > 0 ? '
            f"{error('TypeError', message)} : null",
            "TypeError",
        )
    return Value(code=f"$join({items.code}, {owner.code})", type=t.STR)


def _replace(body: Body, node: ast.Call, owner: Value, arguments: list[Value]) -> Value:
    old, new = arguments
    _texts(body, node, old, new)
    if not (old.is_constant and old.constant):
        message = text("replacing an empty text is not supported in a graph: put it in a @task")
        body.problem(f'{old.operand} = "" ? {error("NotImplementedError", message)} : null', "NotImplementedError")
    return Value(code=f"$join($PYSPLIT({owner.code}, {old.code}), {new.code})", type=t.STR)


def _startswith(body: Body, node: ast.Call, owner: Value, arguments: list[Value]) -> Value:
    (prefix,) = arguments
    _texts(body, node, prefix)
    return Value(code=f"($substring({owner.code}, 0, $length({prefix.code})) = {prefix.operand})", type=t.BOOL)


def _endswith(body: Body, node: ast.Call, owner: Value, arguments: list[Value]) -> Value:
    (suffix,) = arguments
    _texts(body, node, suffix)
    return Value(code=f"$PYENDS({owner.code}, {suffix.code})", type=t.BOOL)


def _find(body: Body, node: ast.Call, owner: Value, arguments: list[Value]) -> Value:
    (part,) = arguments
    _texts(body, node, part)
    return Value(code=f"$PYFIND({owner.code}, {part.code})", type=t.INT)


def _count_text(body: Body, node: ast.Call, owner: Value, arguments: list[Value]) -> Value:
    (part,) = arguments
    _texts(body, node, part)
    return Value(
        code=f'({part.operand} = "" ? $length({owner.code}) + 1 : $count($PYSPLIT({owner.code}, {part.code})) - 1)',
        type=t.INT,
    )


def _removeprefix(body: Body, node: ast.Call, owner: Value, arguments: list[Value]) -> Value:
    (prefix,) = arguments
    _texts(body, node, prefix)
    starts = _startswith(body, node, owner, arguments).code
    return Value(code=f"({starts} ? $substring({owner.code}, $length({prefix.code})) : {owner.operand})", type=t.STR)


def _removesuffix(body: Body, node: ast.Call, owner: Value, arguments: list[Value]) -> Value:
    (suffix,) = arguments
    _texts(body, node, suffix)
    length = f"$length({owner.code}) - $length({suffix.code})"
    return Value(
        code=f"($PYENDS({owner.code}, {suffix.code}) ? $substring({owner.code}, 0, {length}) : {owner.operand})",
        type=t.STR,
    )


def _copy(body: Body, node: ast.Call, owner: Value, arguments: list[Value]) -> Value:
    return Value(code=owner.code, type=owner.type, simple=owner.simple, sources=owner.sources)


def _index(body: Body, node: ast.Call, owner: Value, arguments: list[Value]) -> Value:
    (item,) = arguments
    body.inspect(item)
    found = f"$PYINDEX({owner.code}, {item.code})"
    body.problem(f"{found} < 0 ? {error('ValueError', text('value is not in list'))} : null", "ValueError")
    return Value(code=found, type=t.INT)


def _count_items(body: Body, node: ast.Call, owner: Value, arguments: list[Value]) -> Value:
    (item,) = arguments
    body.inspect(item)
    return Value(
        code=f"$count($filter({owner.code}, function($PYV){{$PYEQ($PYV, {item.code})}}))",
        type=t.INT,
    )


def _get(body: Body, node: ast.Call, owner: Value, arguments: list[Value]) -> Value:
    key = arguments[0]
    default = arguments[1] if len(arguments) == 2 else constant(None)
    op.require_key(body, node, key)
    kind = owner.type.kind("dict")
    found = f"$lookup({owner.code}, {key.code})"
    return Value(
        code=f"$exists({found}) ? {found} : {default.operand}",
        type=t.union(kind.args[1] if kind else t.ANY, default.type),
        simple=False,
        sources=owner.sources | default.sources,
    )


_COUNTS = {
    "split": (0, 1),
    "replace": (2, 2),
    "startswith": (1, 1),
    "endswith": (1, 1),
    "removeprefix": (1, 1),
    "removesuffix": (1, 1),
    "find": (1, 1),
    "count": (1, 1),
    "index": (1, 1),
    "get": (1, 2),
}

_METHODS: dict[tuple[str, str], Method] = {
    ("str", "upper"): _upper,
    ("str", "lower"): _lower,
    ("str", "strip"): _strip("^\\s+|\\s+$"),
    ("str", "lstrip"): _strip("^\\s+"),
    ("str", "rstrip"): _strip("\\s+$"),
    ("str", "split"): _split,
    ("str", "replace"): _replace,
    ("str", "startswith"): _startswith,
    ("str", "endswith"): _endswith,
    ("str", "removeprefix"): _removeprefix,
    ("str", "removesuffix"): _removesuffix,
    ("str", "find"): _find,
    ("str", "count"): _count_text,
    ("list", "copy"): _copy,
    ("list", "index"): _index,
    ("list", "count"): _count_items,
    ("dict", "copy"): _copy,
    ("dict", "get"): _get,
}
