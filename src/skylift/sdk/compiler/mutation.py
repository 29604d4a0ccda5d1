"""Methods that change a list or dict in place: the variable is assigned the changed value."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable

from skylift.sdk.compiler import operators as op
from skylift.sdk.compiler import types as t
from skylift.sdk.compiler.assignment import changeable, rebuilt, store
from skylift.sdk.compiler.body import Body
from skylift.sdk.compiler.dispatch import expr
from skylift.sdk.compiler.iteration import as_list, iterable
from skylift.sdk.compiler.ordering import sorted_code
from skylift.sdk.compiler.raising import flush
from skylift.sdk.compiler.refuse import Refusal
from skylift.sdk.compiler.semantics import error
from skylift.sdk.compiler.source import MISSING
from skylift.sdk.compiler.types import Type
from skylift.sdk.compiler.value import Value, constant, list_code, template, text, variable

Change = Callable[[Body, ast.Call, Value, list[Value]], tuple[Value, Value]]
"""(body, call, holder, arguments) → (changed holder, result of the call)."""

_COUNTS = {
    "append": (1, 1),
    "extend": (1, 1),
    "insert": (2, 2),
    "pop": (0, 2),
    "remove": (1, 1),
    "clear": (0, 0),
    "reverse": (0, 0),
    "sort": (0, 0),
    "update": (1, 1),
    "setdefault": (2, 2),
}
CHANGES = frozenset(_COUNTS)


def is_change(body: Body, call: ast.Call) -> bool:
    """Is this `name.append(...)` or the like on a variable, or on a place in one?"""
    function = call.func
    if not (isinstance(function, ast.Attribute) and function.attr in CHANGES):
        return False
    place = function.value
    while isinstance(place, (ast.Subscript, ast.Attribute)):
        place = place.value
    return isinstance(place, ast.Name) and body.resolve(function) is MISSING and _is_variable(body, place)


def change_in_place(body: Body, call: ast.Call) -> None:
    """The change as a statement."""
    place, changed, _ = _changed(body, call)
    name, new = rebuilt(body, place, changed)
    flush(body, call)
    store(body, {name: new}, call)


def popped(body: Body, call: ast.Call) -> Value:
    """The change whose result is assigned: `last = values.pop()`."""
    place, changed, result = _changed(body, call)
    name, new = rebuilt(body, place, changed)
    flush(body, call)
    held = body.temporary("result")
    body.unit.note(name, new.type, new.sources)
    assert isinstance(call.func, ast.Attribute)
    assigned = {held: template(result), body.unit.variable(name): template(new)}
    body.assign(f"{name}.{call.func.attr} (line {call.lineno})", assigned, call)
    return variable(held, result.type, result.sources)


def _changed(body: Body, call: ast.Call) -> tuple[ast.expr, Value, Value]:
    """Where the change takes place, what stands there afterwards, and the result of the call."""
    function = call.func
    assert isinstance(function, ast.Attribute)
    name = function.attr
    holder = changeable(body, function.value)
    least, most = _COUNTS[name]
    if call.keywords or not least <= len(call.args) <= most:
        raise Refusal(call, f"{name} is not called like this in a graph", f"it takes {most} plain arguments")
    arguments = [iterable(body, call.args[0])] if name == "extend" else [expr(body, argument) for argument in call.args]
    if not holder.type.kinds:
        return function.value, holder, Value(code="null", type=t.BOTTOM)
    kind = _kind_changed(name, holder.type, arguments)
    change = _CHANGES.get((kind, name))
    if change is None:
        raise Refusal(
            call, f"{name} of a {holder.type} is not supported", "annotate it as list or dict, or put it in a @task"
        )
    for argument in arguments:
        if argument.type.kind("error") is not None:
            raise Refusal(call, "an exception cannot be kept in a graph", "keep str(error)")
    changed, result = change(body, call, _narrowed(body, holder, kind, name), arguments)
    return function.value, changed, result


def _kind_changed(name: str, type_: Type, arguments: list[Value]) -> str:
    """list or dict: what the type says, or else what the method and its arguments say."""
    kinds = [kind for kind in ("list", "dict") if (kind, name) in _CHANGES and type_.may(kind)]
    if name == "pop" and not arguments:
        return "list" if type_.may("list") else "dict"
    if len(kinds) == 2 and arguments:
        kinds = ["dict" if arguments[0].type.only("str") else "list"] if not arguments[0].type.unknown else []
    return kinds[0] if len(kinds) == 1 else ""


def _narrowed(body: Body, holder: Value, kind: str, name: str) -> Value:
    """The holder as a list or dict; where it may be something else the graph checks, as Python would."""
    if holder.type.only(kind):
        return holder
    message = f"\"'\" & $PYTYPE({holder.code}) & \"' object has no attribute '{name}'\""
    body.problem(f'$PYTYPE({holder.code}) = "{kind}" ? null : {error("AttributeError", message)}', "AttributeError")
    known = holder.type.kind(kind)
    any_ = t.list_of(t.ANY) if kind == "list" else t.dict_of(t.STR, t.ANY)
    return dataclasses.replace(holder, type=any_ if known is None else Type(frozenset((known,))))


def _is_variable(body: Body, node: ast.Name) -> bool:
    return node.id in body.locals or node.id in body.scope or body.outer is not None


def _list(holder: Value, code: str, *added: Value) -> Value:
    type_ = t.union(holder.type, *(t.list_of(one.type) for one in added))
    return Value(code=code, type=type_, sources=holder.sources.union(*(one.sources for one in added)))


def _append(body: Body, call: ast.Call, holder: Value, arguments: list[Value]) -> tuple[Value, Value]:
    (item,) = arguments
    return _list(holder, f"$append({holder.code}, {list_code([item])})", item), constant(None)


def _extend(body: Body, call: ast.Call, holder: Value, arguments: list[Value]) -> tuple[Value, Value]:
    items = as_list(body, call, arguments[0])
    changed = Value(
        code=f"$append({holder.code}, {items.code})",
        type=t.union(holder.type, items.type),
        sources=holder.sources | items.sources,
    )
    return changed, constant(None)


def _insert(body: Body, call: ast.Call, holder: Value, arguments: list[Value]) -> tuple[Value, Value]:
    index, item = arguments
    if index.type.kinds and not index.type.only("int"):
        raise Refusal(call, "the index must be an int", "annotate it as int")
    return _list(holder, f"$PYINSERT({holder.code}, {index.code}, {list_code([item])})", item), constant(None)


def _pop(body: Body, call: ast.Call, holder: Value, arguments: list[Value]) -> tuple[Value, Value]:
    index = arguments[0] if arguments else constant(-1)
    if len(arguments) > 1 or (index.type.kinds and not index.type.only("int")):
        raise Refusal(call, "pop takes one int", "write values.pop(0)")
    count = f"$count({holder.code})"
    body.problem(f"{count} = 0 ? {error('IndexError', text('pop from empty list'))} : null", "IndexError")
    body.problem(
        f"({index.operand} >= {count} or {index.operand} < -{count}) ? "
        f"{error('IndexError', text('pop index out of range'))} : null",
        "IndexError",
    )
    result = Value(code=f"{holder.operand}[{index.code}]", type=holder.type.element(), sources=holder.sources)
    return _list(holder, f"$PYDROP({holder.code}, {index.code})"), result


def _remove(body: Body, call: ast.Call, holder: Value, arguments: list[Value]) -> tuple[Value, Value]:
    (item,) = arguments
    body.inspect(item)
    found = f"$PYINDEX({holder.code}, {item.code})"
    body.problem(f"{found} < 0 ? {error('ValueError', text('list.remove(x): x not in list'))} : null", "ValueError")
    return _list(holder, f"$PYDROP({holder.code}, {found})"), constant(None)


def _clear_list(body: Body, call: ast.Call, holder: Value, arguments: list[Value]) -> tuple[Value, Value]:
    return _list(holder, "[]"), constant(None)


def _reverse(body: Body, call: ast.Call, holder: Value, arguments: list[Value]) -> tuple[Value, Value]:
    return _list(holder, f"$reverse({holder.code})"), constant(None)


def _sort(body: Body, call: ast.Call, holder: Value, arguments: list[Value]) -> tuple[Value, Value]:
    return _list(holder, sorted_code(body, call, holder, None, reverse=False)), constant(None)


def _update(body: Body, call: ast.Call, holder: Value, arguments: list[Value]) -> tuple[Value, Value]:
    (other,) = arguments
    op.require(body, call, other, "dict", "update needs a dict")
    body.inspect(other)
    changed = Value(
        code=f"$merge([{holder.code}, {other.code}])",
        type=t.union(holder.type, other.type) if other.type.only("dict") else t.dict_of(t.STR, t.ANY),
        sources=holder.sources | other.sources,
    )
    return changed, constant(None)


def _clear_dict(body: Body, call: ast.Call, holder: Value, arguments: list[Value]) -> tuple[Value, Value]:
    return Value(code="{}", type=holder.type), constant(None)


def _pop_key(body: Body, call: ast.Call, holder: Value, arguments: list[Value]) -> tuple[Value, Value]:
    if not arguments:
        raise Refusal(call, "pop of a dict needs a key", 'write values.pop("key")')
    key = arguments[0]
    op.require_key(body, call, key)
    found = f"$lookup({holder.code}, {key.code})"
    kind = holder.type.kind("dict")
    type_ = kind.args[1] if kind else t.ANY
    changed = Value(code=f"$PYWITHOUT({holder.code}, {key.code})", type=holder.type, sources=holder.sources)
    if len(arguments) == 2:
        code = f"$exists({found}) ? {found} : {arguments[1].operand}"
        return changed, Value(code=code, type=t.union(type_, arguments[1].type), simple=False, sources=holder.sources)
    body.problem(f"$exists({found}) ? null : {error('KeyError', f'$PYREPR({key.code})')}", "KeyError")
    return changed, Value(code=found, type=type_, sources=holder.sources)


def _setdefault(body: Body, call: ast.Call, holder: Value, arguments: list[Value]) -> tuple[Value, Value]:
    key, default = arguments
    op.require_key(body, call, key)
    found = f"$lookup({holder.code}, {key.code})"
    kind = holder.type.kind("dict")
    type_ = t.union(kind.args[1] if kind else t.ANY, default.type)
    sources = holder.sources | default.sources
    changed = Value(
        code=f"($exists({found}) ? {holder.code} : $merge([{holder.code}, {{{key.operand}: {default.code}}}]))",
        type=t.union(holder.type, t.dict_of(t.STR, default.type)),
        sources=sources,
    )
    code = f"$exists({found}) ? {found} : {default.operand}"
    return changed, Value(code=code, type=type_, simple=False, sources=sources)


_CHANGES: dict[tuple[str, str], Change] = {
    ("list", "append"): _append,
    ("list", "extend"): _extend,
    ("list", "insert"): _insert,
    ("list", "pop"): _pop,
    ("list", "remove"): _remove,
    ("list", "clear"): _clear_list,
    ("list", "reverse"): _reverse,
    ("list", "sort"): _sort,
    ("dict", "update"): _update,
    ("dict", "clear"): _clear_dict,
    ("dict", "pop"): _pop_key,
    ("dict", "setdefault"): _setdefault,
}
