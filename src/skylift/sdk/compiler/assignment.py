"""Giving names values: plain names, unpacking, and changes inside a list or dict as reassignment."""

from __future__ import annotations

import ast

from skylift.sdk.compiler import operators as op
from skylift.sdk.compiler import types as t
from skylift.sdk.compiler.body import Body
from skylift.sdk.compiler.dispatch import expr
from skylift.sdk.compiler.iteration import as_list
from skylift.sdk.compiler.raising import flush
from skylift.sdk.compiler.refuse import Refusal
from skylift.sdk.compiler.semantics import error
from skylift.sdk.compiler.value import Value, list_code, template, text


def assign(body: Body, target: ast.expr, value: Value, node: ast.AST) -> None:
    """`target = value` as one or more states."""
    if value.type.kind("error") is not None:
        raise Refusal(node, "an exception cannot be kept in a variable", "keep str(error)")
    if isinstance(target, ast.Name) and _rename_result(body, target.id, value):
        return
    pairs: list[tuple[ast.expr, Value]] = []
    unpack(body, target, value, node, pairs)
    flush(body, node)
    together = {leaf.id: item for leaf, item in pairs if isinstance(leaf, ast.Name)}
    if len(together) == len(pairs):
        store(body, together, node)
        return
    held = [(leaf, body.hold(item, "value", node) if len(pairs) > 1 else item) for leaf, item in pairs]
    for leaf, item in held:
        if isinstance(leaf, ast.Name):
            store(body, {leaf.id: item}, node)
        else:
            change(body, leaf, item, node)


def store(body: Body, values: dict[str, Value], node: ast.AST) -> None:
    """One Pass state that assigns variables."""
    assignments = {body.unit.variable(name): template(value) for name, value in values.items()}
    for name, value in values.items():
        note(body, name, value)
    shown = ", ".join(values)[:40]
    body.assign(f"{shown} (line {getattr(node, 'lineno', 0)})", assignments, node)


def note(body: Body, name: str, value: Value) -> None:
    """The variable now holds this, as far as types go."""
    body.unit.note(name, value.type, value.sources)
    body.bound.add(name)


def unpack(body: Body, target: ast.expr, value: Value, node: ast.AST, pairs: list[tuple[ast.expr, Value]]) -> None:
    """Divide a value over the names of a target."""
    if isinstance(target, (ast.Name, ast.Subscript, ast.Attribute)):
        pairs.append((target, value))
        return
    if not isinstance(target, (ast.Tuple, ast.List)):
        raise Refusal(target, "this cannot be assigned to", "assign to a name")
    targets = target.elts
    starred = [index for index, one in enumerate(targets) if isinstance(one, ast.Starred)]
    if value.parts is not None and value.keys is None and not starred:
        _check_known_count(target, len(value.parts), len(targets))
        for one, part in zip(targets, value.parts, strict=True):
            unpack(body, one, part, node, pairs)
        return
    items = as_list(body, node, value)
    kind = value.type.kind("tuple")
    exact = kind is not None and value.type.only("tuple")
    if exact and not starred:
        assert kind is not None
        _check_known_count(target, len(kind.args), len(targets))
    else:
        _count_problem(body, items, len(targets), bool(starred))
    for index, one in enumerate(targets):
        if isinstance(one, ast.Starred):
            after = len(targets) - index - 1
            code = f"$PYSLICE({items.code}, {index}, {-after if after else 'null'}, null)"
            unpack(body, one.value, Value(code=code, type=items.type, sources=value.sources), node, pairs)
            continue
        position = index - len(targets) if starred and index > starred[0] else index
        type_ = kind.args[index] if exact and kind is not None and not starred else items.type.element()
        unpack(body, one, Value(code=f"{items.operand}[{position}]", type=type_, sources=value.sources), node, pairs)


def change(body: Body, target: ast.expr, value: Value, node: ast.AST) -> None:
    """`x[k] = value`, `x.field = value`: the whole of x, changed, becomes the new x."""
    name, holder = root(body, target)
    if isinstance(target, ast.Attribute):
        _set_field(body, target, name, holder, value, node)
        return
    assert isinstance(target, ast.Subscript)
    if isinstance(target.slice, ast.Slice):
        raise Refusal(target, "assigning to a slice is not supported", "build the new list: xs = xs[:a] + new + xs[b:]")
    key = expr(body, target.slice)
    kind = holder.type
    if kind.only("dict") or (kind.unknown and key.type.only("str")):
        op.require(body, target, holder, "dict", "this object does not support item assignment")
        op.require_key(body, target, key)
        new = Value(
            code=f"$merge([{holder.code}, {{{key.operand}: {value.code}}}])",
            type=t.union(holder.type, t.dict_of(t.STR, value.type)),
            sources=holder.sources | value.sources,
        )
    elif kind.only("list"):
        if key.type.kinds and not key.type.only("int"):
            raise Refusal(target, "a list index must be an int", "annotate it as int")
        message = text("list assignment index out of range")
        count = f"$count({holder.code})"
        body.problem(
            f"({key.operand} >= {count} or {key.operand} < -{count}) ? {error('IndexError', message)} : null",
            "IndexError",
        )
        new = Value(
            code=f"$PYPUT({holder.code}, {key.code}, {list_code([value])})",
            type=t.union(holder.type, t.list_of(value.type)),
            sources=holder.sources | value.sources,
        )
    elif not kind.kinds:
        new = holder
    else:
        raise Refusal(target, f"items of a {kind} cannot be assigned", "annotate it as a list or a dict")
    flush(body, node)
    store(body, {name: new}, node)


def root(body: Body, target: ast.expr) -> tuple[str, Value]:
    """The variable that `target` changes, and its value."""
    assert isinstance(target, (ast.Subscript, ast.Attribute))
    inner = target.value
    if not isinstance(inner, ast.Name):
        raise Refusal(
            target,
            "changing what is inside of another value is not supported",
            "take the inner value out, change it, and put it back",
        )
    holder = changeable(body, inner)
    return inner.id, holder


def changeable(body: Body, node: ast.Name) -> Value:
    """The value of a variable of the pipeline that may be changed."""
    if node.id not in body.locals or node.id in body.scope:
        raise Refusal(node, f"{node.id} cannot be changed here", "copy it first into a variable of the pipeline")
    value = body.lookup(node)
    assert value is not None
    op.refuse_opaque(node, value)
    body.inspect(value)
    return value


def _set_field(body: Body, target: ast.Attribute, name: str, holder: Value, value: Value, node: ast.AST) -> None:
    import dataclasses

    data = holder.type.kind("data")
    if holder.type.kinds and (data is None or not holder.type.only("data")):
        raise Refusal(target, f"fields of a {holder.type} cannot be assigned", "only fields of dataclasses can")
    if data is not None:
        fields = t.fields_of(data.cls) or {}
        params = getattr(data.cls, "__dataclass_params__", None)
        if not dataclasses.is_dataclass(data.cls) or (params is not None and params.frozen):
            raise Refusal(target, f"{data.spelling} is frozen", "make a changed copy inside a @task")
        if target.attr not in fields:
            raise Refusal(target, f"{data.spelling} has no field {target.attr}", "assign to one of its fields")
    code = f"$merge([{holder.code}, {{{text(target.attr)}: {value.code}}}])"
    flush(body, node)
    store(body, {name: Value(code=code, type=holder.type, sources=holder.sources | value.sources)}, node)


def _rename_result(body: Body, name: str, value: Value) -> bool:
    """Let the state that made the value assign it to the name itself."""
    if body.problems:
        return False
    state = body.flow.direct_result(value.code)
    if state is None or value.code[1:] in body.unit.variables.values():
        return False
    state["Assign"] = {body.unit.variable(name): next(iter(state["Assign"].values()))}
    note(body, name, value)
    return True


def _check_known_count(target: ast.expr, have: int, want: int) -> None:
    if have != want:
        raise Refusal(target, f"{have} values cannot be unpacked into {want} names", "give as many names as values")


def _count_problem(body: Body, items: Value, want: int, starred: bool) -> None:
    count = f"$count({items.code})"
    if starred:
        few = f'"not enough values to unpack (expected at least {want - 1}, got " & $string({count}) & ")"'
        body.problem(f"{count} < {want - 1} ? {error('ValueError', few)} : null", "ValueError")
        return
    few = f'"not enough values to unpack (expected {want}, got " & $string({count}) & ")"'
    many = text(f"too many values to unpack (expected {want})")
    body.problem(
        f"{count} < {want} ? {error('ValueError', few)} : {count} > {want} ? {error('ValueError', many)} : null",
        "ValueError",
    )
