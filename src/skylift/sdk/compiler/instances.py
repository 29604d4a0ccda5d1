"""Dataclasses made in the graph: `Point(x=1, y=2)`."""

from __future__ import annotations

import ast
import dataclasses

from skylift.sdk.compiler import types as t
from skylift.sdk.compiler.body import Body
from skylift.sdk.compiler.constants import outside_value
from skylift.sdk.compiler.dispatch import expr
from skylift.sdk.compiler.refuse import IN_A_TASK, Refusal
from skylift.sdk.compiler.value import Value, constant, dict_display


def construct(body: Body, node: ast.Call, cls: type) -> Value:
    """`Point(x=1, y=2)` of a plain dataclass."""
    if issubclass(cls, BaseException):
        raise Refusal(node, "an exception can only be raised", f"write raise {cls.__name__}(...)")
    params = getattr(cls, "__dataclass_params__", None)
    if not dataclasses.is_dataclass(cls) or params is None or hasattr(cls, "__post_init__") or not params.init:
        raise Refusal(node, f"a {cls.__name__} cannot be made in a graph", IN_A_TASK)
    fields = [field for field in dataclasses.fields(cls) if field.init]
    if len(fields) != len(dataclasses.fields(cls)) or "<locals>" in cls.__qualname__:
        raise Refusal(node, f"a {cls.__name__} cannot be made in a graph", IN_A_TASK)
    values: dict[str, Value] = {}
    for field, argument in zip([field for field in fields if not field.kw_only], node.args, strict=False):
        values[field.name] = expr(body, argument)
    for keyword in node.keywords:
        if keyword.arg is None or keyword.arg in values:
            raise Refusal(node, f"{cls.__name__}: arguments are not clear", "name each field once")
        values[keyword.arg] = expr(body, keyword.value)
    ordered: dict[str, Value] = {"__type__": constant(f"{cls.__module__}:{cls.__qualname__}")}
    for field in fields:
        if field.name in values:
            ordered[field.name] = values.pop(field.name)
        elif field.default is not dataclasses.MISSING:
            ordered[field.name] = outside_value(node, field.default)
        elif field.default_factory in (list, dict):
            ordered[field.name] = constant(field.default_factory())
        else:
            raise Refusal(node, f"{cls.__name__}: {field.name} is missing", f"give {field.name}=...")
    if values or len(node.args) > len(fields):
        raise Refusal(node, f"{cls.__name__} has no field {next(iter(values), '')}", "give its fields only")
    made = dict_display(list(ordered), list(ordered.values()))
    return Value(code=made.code, type=t.data(cls), parts=None, sources=made.sources)
