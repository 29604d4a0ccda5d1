"""What each States function does, with the service's limits."""

from __future__ import annotations

import base64
import hashlib
import math
import random
import re
from collections.abc import Callable
from typing import Any

from skylift.asl.json_text import json_text, parse_json
from skylift.asl.scope import Scope

MOST_TEXT = 10_000
MOST_ITEMS = 1_000


class IntrinsicError(Exception):
    """A call failed; the text says why."""


class FormatText(str):
    """The template of States.Format as written, its escapes unresolved."""


def _want(right: bool, what: str, value: Any) -> None:
    if not right:
        shown = json_text(value)
        raise IntrinsicError(f"{what}, but was: {shown if len(shown) <= 200 else shown[:200] + '…'}")


def _array(value: Any) -> list[Any]:
    _want(isinstance(value, list), "The first argument must be an array", value)
    found: list[Any] = value
    return found


def _text(value: Any, most: int | None = None) -> str:
    _want(isinstance(value, str), "The argument must be a string", value)
    if most is not None and len(value) > most:
        raise IntrinsicError(f"The argument has {len(value)} characters, the most is {most}")
    return str(value)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _integer(value: Any) -> int:
    """A number, rounded half up as Java's Math.round does."""
    _want(is_number(value) and (isinstance(value, int) or math.isfinite(value)), "The argument must be a number", value)
    return value if isinstance(value, int) else math.floor(value + 0.5)


_PIECE = re.compile(r"\\(.)|(\{\})|([^\\{]+|.)", re.DOTALL)


def _format(scope: Scope, template: Any, *values: Any) -> str:
    _want(isinstance(template, str), "The first argument must be a string", template)
    pieces: list[str] = []
    used = 0
    for escaped, place, plain in _PIECE.findall(template):
        if not place:
            pieces.append(_ESCAPES.get(escaped, escaped) or plain)
            continue
        if used == len(values):
            raise IntrinsicError("The template has more places {} than there are values")
        pieces.append(shown(values[used]))
        used += 1
    if used != len(values):
        raise IntrinsicError(f"The template has {used} places {{}}, but there are {len(values)} values")
    return "".join(pieces)


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def shown(value: Any) -> str:
    """A value as States.Format prints it: containers as Java prints its maps and lists."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(shown, value)) + "]"
    return json_text(value)


def _string_to_json(scope: Scope, text: Any) -> Any:
    text = _text(text)
    if not text.strip():
        return None
    try:
        return parse_json(text)
    except ValueError as problem:
        raise IntrinsicError(f"The argument is not JSON: {problem}") from None


def _array_partition(scope: Scope, array: Any, size: Any) -> list[Any]:
    array, size = _array(array), _integer(size)
    _want(size > 0, "The chunk size must be greater than 0", size)
    return [array[at : at + size] for at in range(0, len(array), size)]


def _array_range(scope: Scope, first: Any, last: Any, step: Any) -> list[int]:
    first, last, step = _integer(first), _integer(last), _integer(step)
    _want(step != 0, "The step must not be 0", step)
    numbers = range(first, last + (1 if step > 0 else -1), step)
    if len(numbers) > MOST_ITEMS:
        raise IntrinsicError(f"The array would have {len(numbers)} items, the most is {MOST_ITEMS}")
    return list(numbers)


def _array_get_item(scope: Scope, array: Any, index: Any) -> Any:
    array, index = _array(array), _integer(index)
    if not 0 <= index < len(array):
        raise IntrinsicError(f"The index {index} is outside of the array, which has {len(array)} items")
    return array[index]


def identity(value: Any) -> Any:
    """A hashable stand-in: two are equal if the JSON values are, numbers of one type, objects in any order."""
    if isinstance(value, dict):
        return ("{", frozenset((key, identity(item)) for key, item in value.items()))
    if isinstance(value, list):
        return ("[", *[identity(item) for item in value])
    return (value.__class__, value)


def _array_contains(scope: Scope, array: Any, value: Any) -> bool:
    wanted = identity(value)
    return any(identity(item) == wanted for item in _array(array))


def _array_unique(scope: Scope, array: Any) -> list[Any]:
    unique: dict[Any, Any] = {}
    for item in _array(array):
        unique.setdefault(identity(item), item)
    return list(unique.values())


def _base64_decode(scope: Scope, text: Any) -> str:
    try:
        return base64.b64decode(_text(text, MOST_TEXT), validate=True).decode()
    except ValueError as problem:  # what is no ASCII, no Base64, or no UTF-8 then
        raise IntrinsicError(f"The argument is not Base64 of UTF-8 text: {problem}") from None


_DIGESTS: dict[str, Callable[[bytes], Any]] = {
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False),
    "SHA-1": lambda data: hashlib.sha1(data, usedforsecurity=False),
    "SHA-256": hashlib.sha256,
    "SHA-384": hashlib.sha384,
    "SHA-512": hashlib.sha512,
}


def digest(data: Any, algorithm: Any) -> str:
    """Hexadecimal digest of a text (or of a value's JSON)."""
    if not isinstance(algorithm, str) or algorithm not in _DIGESTS:
        raise IntrinsicError(f"The algorithm must be one of {', '.join(_DIGESTS)}, but was: {json_text(algorithm)}")
    text = data if isinstance(data, str) else json_text(data)
    if len(text) > MOST_TEXT:
        raise IntrinsicError(f"The argument has {len(text)} characters, the most is {MOST_TEXT}")
    return str(_DIGESTS[algorithm](text.encode("utf-8", "surrogatepass")).hexdigest())


def _json_merge(scope: Scope, first: Any, second: Any, deep: Any) -> dict[str, Any]:
    _want(isinstance(first, dict), "The first argument must be an object", first)
    _want(isinstance(second, dict), "The second argument must be an object", second)
    _want(deep is False, "The third argument must be false, since only shallow merging is supported", deep)
    return {**first, **second}


def _math_random(scope: Scope, first: Any, last: Any, *seed: Any) -> int:
    start, stop = _integer(first), _integer(last)
    if start >= stop:
        raise IntrinsicError(f"The start {start} must be less than the end {stop}")
    source = random.Random(_integer(seed[0])) if seed else scope.random()
    return source.randrange(start, stop)


def _string_split(scope: Scope, text: Any, separators: Any) -> list[str]:
    text, separators = _text(text), _text(separators)
    if not separators:
        return [text]
    return [part for part in re.split("[" + re.escape(separators) + "]", text) if part]


def random_uuid(source: random.Random) -> str:
    """A version 4 UUID."""
    bits = source.getrandbits(128) & ~(0xF << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _encode(scope: Scope, text: Any) -> str:
    return base64.b64encode(_text(text, MOST_TEXT).encode("utf-8", "surrogatepass")).decode()


FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int | None]] = {
    "Format": (_format, 1, None),
    "StringToJson": (_string_to_json, 1, 1),
    "JsonToString": (lambda scope, value: json_text(value), 1, 1),
    "Array": (lambda scope, *values: list(values), 0, None),
    "ArrayPartition": (_array_partition, 2, 2),
    "ArrayContains": (_array_contains, 2, 2),
    "ArrayRange": (_array_range, 3, 3),
    "ArrayGetItem": (_array_get_item, 2, 2),
    "ArrayLength": (lambda scope, array: len(_array(array)), 1, 1),
    "ArrayUnique": (_array_unique, 1, 1),
    "Base64Encode": (_encode, 1, 1),
    "Base64Decode": (_base64_decode, 1, 1),
    "Hash": (lambda scope, data, algorithm: digest(data, algorithm), 2, 2),
    "JsonMerge": (_json_merge, 3, 3),
    "MathRandom": (_math_random, 2, 3),
    "MathAdd": (lambda scope, first, second: _integer(first) + _integer(second), 2, 2),
    "StringSplit": (_string_split, 2, 2),
    "UUID": (lambda scope: random_uuid(scope.random()), 0, 0),
}
"""Name to function, and the least and most arguments it takes."""
