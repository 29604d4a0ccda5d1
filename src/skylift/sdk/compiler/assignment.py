"""Giving names values: plain names, unpacking, and changes inside a list or dict as reassignment."""

from __future__ import annotations

import ast
import dataclasses

from skylift.sdk.compiler import operators as op
from skylift.sdk.compiler import types as t
from skylift.sdk.compiler.body import Body
from skylift.sdk.compiler.dispatch import expr
from skylift.sdk.compiler.iteration import as_list
from skylift.sdk.compiler.raising import flush
from skylift.sdk.compiler.refuse import Refusal
from skylift.sdk.compiler.semantics import error
from skylift.sdk.compiler.steps_in import has_steps
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
    assert isinstance(target, (ast.Subscript, ast.Attribute))
    name, new = rebuilt(body, target, value)
    flush(body, node)
    store(body, {name: new}, node)


def rebuilt(body: Body, place: ast.expr, new: Value) -> tuple[str, Value]:
    """The variable that a place is in, and its value with `new` there: `x["a"][0]` changes x."""
    while isinstance(place, (ast.Subscript, ast.Attribute)):
        holder = changeable(body, place.value)
        if isinstance(place, ast.Attribute):
            new = _with_field(place, holder, new)
        else:
            new = _with_item(body, place, holder, new)
        place = place.value
    assert isinstance(place, ast.Name)
    return place.id, new


def changeable(body: Body, node: ast.expr) -> Value:
    """The value of a variable of the pipeline, or of a place in one, that may be changed."""
    place = node
    while isinstance(place, (ast.Subscript, ast.Attribute)):
        if isinstance(place, ast.Subscript) and has_steps(body, place.slice):
            raise Refusal(place, "a task is called in the middle of a change", "call it in a statement before")
        place = place.value
    if not isinstance(place, ast.Name):
        raise Refusal(node, "only what a variable holds can be changed", "give it a name first")
    if place.id not in body.locals or place.id in body.scope:
        raise Refusal(node, f"{place.id} cannot be changed here", "copy it first into a variable of the pipeline")
    value = expr(body, node)
    op.refuse_opaque(node, value)
    body.inspect(value)
    return value


def _with_item(body: Body, target: ast.Subscript, holder: Value, value: Value) -> Value:
    if isinstance(target.slice, ast.Slice):
        raise Refusal(target, "assigning to a slice is not supported", "build the new list: xs = xs[:a] + new + xs[b:]")
    key, kind = expr(body, target.slice), holder.type
    if not kind.kinds:
        return holder
    sources = holder.sources | value.sources
    if kind.may("dict") and (key.type.only("str") or kind.only("dict")):
        op.require(body, target, holder, "dict", "this object does not support item assignment")
        op.require_key(body, target, key)
        code = f"$merge([{holder.code}, {{{key.operand}: {value.code}}}])"
        return Value(code=code, type=t.union(kind, t.dict_of(t.STR, value.type)), sources=sources)
    if kind.may("list") and (key.type.only("int") or kind.only("list")):
        if key.type.kinds and not key.type.only("int"):
            raise Refusal(target, "a list index must be an int", "annotate it as int")
        op.require(body, target, holder, "list", "this object does not support item assignment")
        message, count = text("list assignment index out of range"), f"$count({holder.code})"
        body.problem(
            f"({key.operand} >= {count} or {key.operand} < -{count}) ? {error('IndexError', message)} : null",
            "IndexError",
        )
        code = f"$PYPUT({holder.code}, {key.code}, {list_code([value])})"
        return Value(code=code, type=t.union(kind, t.list_of(value.type)), sources=sources)
    raise Refusal(target, f"items of a {kind} cannot be assigned", "annotate it as a list or a dict")


def _with_field(target: ast.Attribute, holder: Value, value: Value) -> Value:
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
    return Value(code=code, type=holder.type, sources=holder.sources | value.sources)


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
