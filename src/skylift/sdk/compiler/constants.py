"""Objects of the module as constants of the graph: numbers, texts, enum members."""

from __future__ import annotations

import ast
import enum
import math
from typing import Any

from skylift.sdk.compiler import types as t
from skylift.sdk.compiler.refuse import IN_A_TASK, Refusal
from skylift.sdk.compiler.value import MAX_INTEGER, Value, constant, dict_display, display


def outside_value(node: ast.AST, found: Any) -> Value:
    """A Python object of the module as a constant of the graph."""
    if found is None or (isinstance(found, (bool, str)) and not isinstance(found, enum.Enum)):
        return constant(found)
    if isinstance(found, enum.Enum):
        return _enum_member(found)
    if isinstance(found, int):
        if abs(found) > MAX_INTEGER:
            raise Refusal(node, f"{found} is beyond 2**53: a graph would lose digits", IN_A_TASK)
        return constant(int(found))
    if isinstance(found, float):
        if not math.isfinite(found):
            raise Refusal(node, f"{found} has no JSON form", IN_A_TASK)
        return constant(float(found))
    if type(found) in (list, tuple):
        return display([outside_value(node, item) for item in found], is_tuple=type(found) is tuple)
    if type(found) is dict and all(isinstance(key, str) for key in found):
        return dict_display(list(found), [outside_value(node, item) for item in found.values()])
    raise Refusal(node, f"{_spell(found)} cannot be a value in a graph", _mend_for(found))


def _enum_member(found: enum.Enum) -> Value:
    """An enum member, as `skylift.values` writes it."""
    cls = type(found)
    tagged = dict_display(
        ["__type__", "name", "value"],
        [constant(f"{cls.__module__}:{cls.__qualname__}"), constant(found.name), constant(found.value)],
    )
    return Value(code=tagged.code, type=t.opaque(cls), parts=tagged.parts, keys=tagged.keys)


def _spell(found: Any) -> str:
    name = getattr(found, "__qualname__", None) or getattr(found, "__name__", None)
    return str(name) if name else f"a {type(found).__name__}"


def _mend_for(found: Any) -> str:
    if callable(found) and not isinstance(found, type):
        return "call it inside a @task"
    return "only None, bool, int, float, str, lists, tuples and dicts of them can; make it inside a @task"
