"""Lists, tuples and dicts written out: `[a, *rest]`, `(a, b)`, `{**base, key: value}`."""

from __future__ import annotations

import ast

from skylift.sdk.compiler import operators as op
from skylift.sdk.compiler import types as t
from skylift.sdk.compiler.body import Body
from skylift.sdk.compiler.dispatch import expr, expression
from skylift.sdk.compiler.iteration import iterable
from skylift.sdk.compiler.refuse import Refusal
from skylift.sdk.compiler.value import Value, dict_display, display


@expression(ast.List)
def _list(body: Body, node: ast.List) -> Value:
    if not any(isinstance(item, ast.Starred) for item in node.elts):
        return display(_items(body, node.elts), is_tuple=False)
    parts: list[Value] = []
    for item in node.elts:
        if isinstance(item, ast.Starred):
            parts.append(iterable(body, item.value))
        else:
            parts.append(display(_items(body, [item]), is_tuple=False))
    code = "[]"
    for part in parts:
        code = f"$append({code}, {part.code})"
    sources = frozenset().union(*(part.sources for part in parts))
    return Value(code=code, type=t.join(part.type for part in parts), sources=sources)


@expression(ast.Tuple)
def _tuple(body: Body, node: ast.Tuple) -> Value:
    return display(_items(body, node.elts), is_tuple=True)


@expression(ast.Dict)
def _dict(body: Body, node: ast.Dict) -> Value:
    if any(key is None for key in node.keys):
        return _merged_dict(body, node)
    keys, values = [], []
    for key, item in zip(node.keys, node.values, strict=True):
        assert key is not None
        keys.append(expr(body, key))
        values.append(expr(body, item))
    names = [key.constant for key in keys if key.is_constant and isinstance(key.constant, str)]
    if len(names) == len(keys) == len(set(names)):
        return dict_display(names, values)
    return _dynamic_dict(body, node, keys, values)


def _items(body: Body, nodes: list[ast.expr]) -> list[Value]:
    items: list[Value] = []
    for node in nodes:
        if isinstance(node, ast.Starred):
            inner = expr(body, node.value)
            if inner.parts is None or inner.keys is not None:
                raise Refusal(node, "* inside a display is not supported", "add the lists: [a] + rest")
            items += inner.parts
        else:
            items.append(expr(body, node))
    for node, item in zip(nodes, items, strict=False):
        if item.type.kind("error") is not None:
            raise Refusal(node, "an exception has no value in a graph", "use str(error)")
    return items


def _merged_dict(body: Body, node: ast.Dict) -> Value:
    codes, types_, sources = [], [], set[str]()
    for key, item in zip(node.keys, node.values, strict=True):
        if key is None:
            value = expr(body, item)
            op.require(body, item, value, "dict", "'object' is not a mapping")
        else:
            value = _dict(body, ast.Dict(keys=[key], values=[item], lineno=node.lineno, col_offset=node.col_offset))
        body.inspect(value)
        codes.append(value.code)
        types_.append(value.type)
        sources |= value.sources
    return Value(code=f"$merge([{', '.join(codes)}])", type=t.join(types_), sources=frozenset(sources))


def _dynamic_dict(body: Body, node: ast.Dict, keys: list[Value], values: list[Value]) -> Value:
    pairs = []
    for key, value in zip(keys, values, strict=True):
        op.require_key(body, node, key)
        pairs.append(f"{{{key.operand}: {value.code}}}")
    sources = frozenset().union(*(value.sources for value in values))
    type_ = t.dict_of(t.STR, t.join(value.type for value in values))
    return Value(code=f"$merge([{', '.join(pairs)}])", type=type_, sources=sources)
