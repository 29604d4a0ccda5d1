"""Built-in functions of the fast path, over evaluated arguments. A wrong type raises Fallback: the library words it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from skylift.asl.json_text import parse_json
from skylift.asl.jsonata.library import NOTHING
from skylift.asl.jsonata.values import Fallback, is_number, number, text, truth, unwrap

_KINDS = {str: "string", bool: "boolean", int: "number", float: "number", list: "array", dict: "object"}
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,10})?")
_BLANKS = re.compile(r"[ \t\n\r]+")


def _of(kind: type, function: Callable[..., Any]) -> Callable[..., Any]:
    """Undefined gives undefined; the first argument must be of the kind."""

    def call(first: Any, *rest: Any) -> Any:
        if first is NOTHING and not rest:
            return NOTHING
        if first.__class__ is not kind:
            raise Fallback
        return function(first, *rest)

    return call


def _of_number(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def call(value: Any) -> Any:
        if value is NOTHING:
            return NOTHING
        if not is_number(value) or not math.isfinite(value):
            raise Fallback
        return number(function(value))

    return call


def _texts(*values: Any) -> None:
    if not all(value.__class__ is str for value in values):
        raise Fallback


def _count(value: Any) -> int:
    if value.__class__ is list:
        return len(value)
    return 0 if value is NOTHING else 1


def _not(value: Any) -> Any:
    return NOTHING if value is NOTHING else not truth(value)


def _boolean(value: Any) -> Any:
    return NOTHING if value is NOTHING else truth(value)


def _type(value: Any) -> Any:
    return NOTHING if value is NOTHING else _KINDS.get(value.__class__, "null")


def _string(value: Any) -> Any:
    return NOTHING if value is NOTHING else text(value)


def _to_number(value: Any) -> Any:
    if value is NOTHING or is_number(value):
        return value
    if value.__class__ is bool:
        return int(value)
    if value.__class__ is str and _NUMBER.fullmatch(value):
        return number(float(value)) if "." in value else int(value)
    raise Fallback


def _append(first: Any, second: Any) -> Any:
    if first is NOTHING:
        return second
    if second is NOTHING:
        return first
    left = first if first.__class__ is list else [first]
    return left + second if second.__class__ is list else [*left, second]


def _merge(value: Any) -> Any:
    if value is NOTHING or value.__class__ is dict:
        return value
    if value.__class__ is not list or not all(item.__class__ is dict for item in value):
        raise Fallback
    merged: dict[str, Any] = {}
    for item in value:
        merged.update(item)
    return merged


def _lookup(value: dict[str, Any], key: Any) -> Any:
    _texts(key)
    return value.get(key, NOTHING)


def _numbers(value: Any) -> list[Any]:
    items = value if value.__class__ is list else [value]
    if not all(map(is_number, items)):
        raise Fallback
    return items


def _total(items: list[Any]) -> Any:
    total: Any = 0
    for item in items:
        total += item
    return total


def _fold(function: Callable[[list[Any]], Any], empty: Any) -> Callable[[Any], Any]:
    def call(value: Any) -> Any:
        if value is NOTHING:
            return NOTHING
        items = _numbers(value)
        return number(function(items)) if items else empty

    return call


def _ascii(change: Callable[[str], str]) -> Callable[[str], str]:
    def call(value: str) -> str:
        if not value.isascii():
            raise Fallback
        return change(value)

    return call


def _substring(value: str, start: Any, *length: Any) -> str:
    if start.__class__ is not int or (length and length[0].__class__ is not int):
        raise Fallback
    if len(value) + start < 0:
        start = 0
    if not length:
        return value[start:]
    if length[0] <= 0:
        return ""
    begin = start if start >= 0 else len(value) + start
    return value[begin : begin + length[0]]


def _contains(value: str, part: Any) -> bool:
    _texts(part)
    return part in value


def _split(value: str, separator: Any) -> list[str]:
    _texts(separator)
    if not separator:
        raise Fallback
    return value.split(separator)


def _join(value: Any, separator: Any = "") -> Any:
    items = value if value.__class__ is list else [value]
    _texts(separator, *items)
    return separator.join(items)


def _replace(value: str, old: Any, new: Any) -> str:
    _texts(old, new)
    if not old:
        raise Fallback
    return value.replace(old, new)


def _sort(value: list[Any]) -> Any:
    if len(value) < 2:
        raise Fallback
    if all(map(is_number, value)) or all(item.__class__ is str and item.isascii() for item in value):
        return sorted(value)
    raise Fallback


def _reverse(value: list[Any]) -> Any:
    if len(value) < 2:
        raise Fallback
    return value[::-1]


def _error(*message: Any) -> Any:
    """The library words it."""
    raise Fallback


def _parse(value: str) -> Any:
    try:
        return parse_json(value)
    except ValueError:
        raise Fallback from None


FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "count": (_count, 1, 1),
    "exists": (lambda value: value is not NOTHING, 1, 1),
    "not": (_not, 1, 1),
    "boolean": (_boolean, 1, 1),
    "type": (_type, 1, 1),
    "string": (_string, 1, 1),
    "number": (_to_number, 1, 1),
    "append": (_append, 2, 2),
    "merge": (_merge, 1, 1),
    "keys": (_of(dict, lambda value: unwrap(list(value))), 1, 1),
    "lookup": (_of(dict, _lookup), 2, 2),
    "sum": (_fold(_total, 0), 1, 1),
    "max": (_fold(max, NOTHING), 1, 1),
    "min": (_fold(min, NOTHING), 1, 1),
    "average": (_fold(lambda items: _total(items) / len(items), NOTHING), 1, 1),
    "floor": (_of_number(math.floor), 1, 1),
    "ceil": (_of_number(math.ceil), 1, 1),
    "abs": (_of_number(abs), 1, 1),
    "round": (_of_number(round), 1, 1),
    "length": (_of(str, len), 1, 1),
    "uppercase": (_of(str, _ascii(str.upper)), 1, 1),
    "lowercase": (_of(str, _ascii(str.lower)), 1, 1),
    "trim": (_of(str, lambda value: _BLANKS.sub(" ", value).strip(" ")), 1, 1),
    "substring": (_of(str, _substring), 2, 3),
    "contains": (_of(str, _contains), 2, 2),
    "split": (_of(str, _split), 2, 2),
    "join": (_join, 1, 2),
    "replace": (_of(str, _replace), 3, 3),
    "sort": (_of(list, _sort), 1, 1),
    "reverse": (_of(list, _reverse), 1, 1),
    "parse": (_of(str, _parse), 1, 1),
    "error": (_error, 0, 1),
}
"""Name to function, and the least and most arguments."""
