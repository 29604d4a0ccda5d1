"""A compiled expression: its JSONata, its static type, and what is known of it beyond that."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from skylift.sdk.compiler import types as t
from skylift.sdk.compiler.semantics import with_helpers
from skylift.sdk.compiler.types import Type

NOT_CONSTANT = object()
MAX_INTEGER = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """JSONata code over States variables. `parts` keeps the elements of a display (list, tuple, dict), so
    that it can be written as a template and unpacked without looking into it."""

    code: str
    type: Type
    simple: bool = True
    """Needs no parentheses as an operand."""
    constant: Any = NOT_CONSTANT
    parts: tuple[Value, ...] | None = None
    keys: tuple[str, ...] | None = None
    """With parts: keys of a dict display."""
    bound: int | None = None
    """Of a number: its absolute value is not more than this. None: not known."""
    sources: frozenset[str] = field(default=frozenset())
    """Names of tasks whose results this value may hold uninspected."""

    @property
    def operand(self) -> str:
        return self.code if self.simple else f"({self.code})"

    @property
    def is_constant(self) -> bool:
        return self.constant is not NOT_CONSTANT


@dataclass(frozen=True, slots=True)
class Problem:
    """Code that gives null, or the error that Python would raise: `{"Error": …, "Cause": …}`. `names`: the classes."""

    code: str
    names: frozenset[str]

    def when(self, condition: str) -> Problem:
        return Problem(f"({condition}) ? ({self.code}) : null", self.names)


def text(value: str) -> str:
    """A JSONata string literal."""
    return json.dumps(value, ensure_ascii=False)


def constant(value: Any) -> Value:
    """A JSON-able Python constant."""
    if isinstance(value, (list, tuple)):
        return display([constant(item) for item in value], is_tuple=isinstance(value, tuple))
    if isinstance(value, dict):
        return dict_display(list(value), [constant(item) for item in value.values()])
    code = json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and value.is_integer():
        code = repr(int(value)) if abs(value) <= MAX_INTEGER else code
    negative = isinstance(value, (int, float)) and not isinstance(value, bool) and value < 0
    return Value(code=code, type=t.of_constant(value), constant=value, simple=not negative)


def variable(name: str, type_: Type, sources: frozenset[str] = frozenset(), bound: int | None = None) -> Value:
    return Value(code=f"${name}", type=type_, sources=sources, bound=bound)


def display(items: list[Value], *, is_tuple: bool) -> Value:
    """`[a, b]` or `(a, b)`."""
    types_ = [item.type for item in items]
    code = list_code(items)
    sources = frozenset().union(*(item.sources for item in items))
    if is_tuple:
        code = f'{{"__type__": "tuple", "items": {code}}}'
        return Value(code=code, type=t.tuple_of(types_), parts=tuple(items), sources=sources)
    return Value(code=code, type=t.list_of(t.join(types_)), parts=tuple(items), sources=sources)


def dict_display(keys: list[str], items: list[Value]) -> Value:
    """`{"a": x}` with constant string keys."""
    body = ", ".join(f"{text(key)}: {item.code}" for key, item in zip(keys, items, strict=True))
    sources = frozenset().union(*(item.sources for item in items))
    type_ = t.dict_of(t.STR if keys else t.BOTTOM, t.join(item.type for item in items))
    return Value(code=f"{{{body}}}", type=type_, parts=tuple(items), keys=tuple(keys), sources=sources)


def list_code(items: list[Value]) -> str:
    """An array that holds exactly these: JSONata would splice an array that stands in a constructor."""
    if all(_stays_whole(item) or item.type.only("list") for item in items):
        return f"[{', '.join(item.code if _stays_whole(item) else f'[{item.code}]' for item in items)}]"
    if len(items) == 1:
        return f"[$map([0], function($PYI){{{items[0].code}}})[]]"
    chain = items[-1].operand
    for index in range(len(items) - 2, -1, -1):
        chain = f"$PYI = {index} ? {items[index].operand} : {chain}"
    return f"[$map([0..{len(items) - 1}], function($PYI){{{chain}}})[]]"


def _stays_whole(item: Value) -> bool:
    """Not an array, or an array constructor, which JSONata does not splice."""
    return not item.type.may("list") or _is_constructor(item.code)


def _is_constructor(code: str) -> bool:
    if not (code.startswith("[") and code.endswith("]")):
        return False
    depth, quoted, escaped = 0, False, False
    for index, character in enumerate(code):
        if quoted:
            quoted = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            quoted = True
        elif character in "[]":
            depth += 1 if character == "[" else -1
            if depth == 0 and index < len(code) - 1:
                return False
    return True


def template(value: Value) -> Any:
    """The value as it stands in a payload template (Arguments, Assign, Output, ItemSelector)."""
    if value.is_constant:
        literal = value.constant
        if isinstance(literal, float) and literal.is_integer() and abs(literal) <= MAX_INTEGER:
            return literal
        if isinstance(literal, str) and literal.startswith("{%"):
            return expression(value.code)
        return literal
    if value.parts is not None:
        if value.keys is not None:
            return {key: template(part) for key, part in zip(value.keys, value.parts, strict=True)}
        items = [template(part) for part in value.parts]
        return {"__type__": "tuple", "items": items} if value.type.only("tuple") else items
    return expression(value.code)


def expression(code: str) -> str:
    return f"{{% {with_helpers(code)} %}}"
