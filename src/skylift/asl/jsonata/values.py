"""JSONata's ways with values: truth, equality, text and numbers. Whatever is not exactly so raises Fallback."""

from __future__ import annotations

import math
from typing import Any

from skylift.asl.jsonata.library import NOTHING

EXACT = 2**53
"""Beyond it JSONata's numbers lose digits."""


class Fallback(Exception):
    """The library must evaluate this: an error to word, or a shape that the closures do not handle."""


def truth(value: Any) -> bool:
    """$boolean, undefined being false."""
    if value is True or value is False:
        return bool(value)
    if value.__class__ is list:
        if len(value) == 1:
            return truth(value[0])
        return any(truth(item) for item in value)
    return value is not NOTHING and bool(value)


def is_number(value: Any) -> bool:
    return value.__class__ is int or value.__class__ is float


def number(value: Any) -> Any:
    """A result of arithmetic: whole numbers are integers."""
    if value.__class__ is float:
        if not math.isfinite(value):
            raise Fallback
        if not value.is_integer():
            return value
        value = int(value)
    if -EXACT <= value <= EXACT:
        return value
    raise Fallback


def same(left: Any, right: Any) -> bool:
    """Deep equality; no boolean equals a number."""
    if left.__class__ is not right.__class__:
        return is_number(left) and is_number(right) and bool(left == right)
    if left.__class__ is list:
        return len(left) == len(right) and all(map(same, left, right))
    if left.__class__ is dict:
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return bool(left == right)


def text(value: Any) -> str:
    """$string of a plain value."""
    if value.__class__ is str:
        return str(value)
    if value.__class__ is int and -EXACT <= value <= EXACT:
        return str(value)
    if value.__class__ is bool:
        return "true" if value else "false"
    if value is None:
        return "null"
    if value.__class__ is float and 1e-4 <= abs(value) < 1e15:
        rounded = float(f"{value:.15g}")
        return str(int(rounded)) if rounded.is_integer() else repr(rounded)
    raise Fallback


def unwrap(items: list[Any]) -> Any:
    """A sequence as a value: nothing, its only item, or itself."""
    if len(items) > 1:
        return items
    return items[0] if items else NOTHING


def field(value: Any, name: str) -> Any:
    """One step of a path."""
    if value.__class__ is dict:
        return value.get(name, NOTHING)
    if value.__class__ is list:
        return _fields(value, name)
    return NOTHING


def _fields(items: list[Any], name: str) -> Any:
    parts: list[Any] = []
    for item in items:
        if item.__class__ is dict:
            found = item.get(name, NOTHING)
            if found is not NOTHING:
                parts.append(found)
        elif item.__class__ is list:
            raise Fallback
    if len(parts) == 1 and parts[0].__class__ is list:
        return parts[0]
    flat: list[Any] = []
    for part in parts:
        if part.__class__ is list:
            flat.extend(part)
        else:
            flat.append(part)
    if len(flat) == 1 and flat[0].__class__ is list:
        raise Fallback
    return unwrap(flat)
