"""Requests and answers as they stand on the wire: JSON in and out, the constraints of members, errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from skylift.server.errors import ApiError

CONTENT_TYPE = "application/x-amz-json-1.0"


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """A string. `sensitive` ones are never quoted in a message."""

    least: int | None = None
    most: int | None = None
    pattern: str | None = None
    choices: tuple[str, ...] | None = None
    sensitive: bool = False


class Number(msgspec.Struct, frozen=True, kw_only=True):
    least: int | None = None
    most: int | None = None
    whole: bool = True


class Truth(msgspec.Struct, frozen=True):
    """A boolean."""


class Items(msgspec.Struct, frozen=True, kw_only=True):
    """A list of one shape."""

    of: Shape
    least: int | None = None
    most: int | None = None


class Members(msgspec.Struct, frozen=True, kw_only=True):
    """An object. Members that are not named here are ignored, as the service does."""

    name: str
    """As messages show it."""
    of: Mapping[str, Shape]
    required: tuple[str, ...] = ()


Shape = Text | Number | Truth | Items | Members


def read_request(body: bytes, shape: Members) -> dict[str, Any]:
    """The request's known members that are not null. Raises ApiError: SerializationException for what is not JSON of
    the right types, ValidationException that lists every constraint a value breaks."""
    try:
        value = msgspec.json.decode(body) if body else {}
    except (msgspec.DecodeError, RecursionError, ValueError) as problem:
        raise _serialization(_reason(problem)) from None
    request: dict[str, Any] = _typed(value, shape)
    broken = list(_broken(request, shape, ""))
    if broken:
        raise validation_errors(broken)
    return request


def validation_errors(broken: list[str]) -> ApiError:
    """As the service lists them: `1 validation error detected: Value …`."""
    count = "1 validation error" if len(broken) == 1 else f"{len(broken)} validation errors"
    return ApiError("ValidationException", f"{count} detected: {'; '.join(broken)}")


def constraint(value: Any, path: str, rule: str, *, sensitive: bool = False) -> str:
    """One broken constraint in the service's words."""
    shown = "Value null at" if value is None else "Value at" if sensitive else f"Value '{value}' at"
    return f"{shown} '{path}' failed to satisfy constraint: Member must {rule}"


def encode(answer: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(answer)


def encode_error(problem: ApiError) -> bytes:
    return msgspec.json.encode({"__type": problem.code, "message": problem.message, **problem.details})


def seconds(at_ms: int) -> float:
    """A timestamp of an answer: seconds since 1970, to the millisecond."""
    return at_ms / 1000


def _reason(problem: Exception) -> str:
    if isinstance(problem, RecursionError):
        return "The request is nested too deeply"
    return f"The request is not valid JSON: {problem}"


def _serialization(message: str) -> ApiError:
    return ApiError("SerializationException", message)


_KINDS: dict[type, str] = {
    str: "STRING_VALUE",
    int: "NUMBER_VALUE",
    float: "DECIMAL_VALUE",
}


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE_VALUE" if value else "FALSE_VALUE"
    return _KINDS[type(value)]


def _typed(value: Any, shape: Shape) -> Any:
    """The value with only known members, nulls left out; every type checked before any constraint is."""
    if isinstance(value, dict) and not isinstance(shape, Members):
        raise _serialization("Start of structure or map found where not expected.")
    if isinstance(value, list) and not isinstance(shape, Items):
        raise _serialization("Start of list found where not expected")
    match shape:
        case Members():
            return _typed_members(value, shape)
        case Items():
            return _typed_items(value, shape)
        case Text():
            return _expect(isinstance(value, str), value, "String")
        case Truth():
            return _expect(isinstance(value, bool), value, "Boolean")
        case Number():
            return _typed_number(value, shape)


def _typed_members(value: Any, shape: Members) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _serialization("Unexpected value type in payload")
    known = shape.of
    return {name: _typed(given, known[name]) for name, given in value.items() if given is not None and name in known}


def _typed_items(value: Any, shape: Items) -> list[Any]:
    if not isinstance(value, list):
        raise _serialization("Unexpected value type in payload")
    return [None if item is None else _typed(item, shape.of) for item in value]


def _typed_number(value: Any, shape: Number) -> int | float:
    wanted = "Integer" if shape.whole else "Float"
    _expect(isinstance(value, int | float) and not isinstance(value, bool), value, wanted)
    if shape.whole:
        return int(_expect(isinstance(value, int) or value.is_integer(), value, wanted))
    try:
        return float(value)
    except OverflowError:
        raise _serialization(f"{_kind(value)} cannot be converted to {wanted}") from None


def _expect(fits: bool, value: Any, wanted: str) -> Any:
    if not fits:
        raise _serialization(f"{_kind(value)} cannot be converted to {wanted}")
    return value


def _broken(value: Any, shape: Shape, path: str) -> Iterator[str]:
    match shape:
        case Members():
            yield from _broken_members(value, shape, path)
        case Items():
            yield from _broken_items(value, shape, path)
        case Text():
            yield from _broken_text(value, shape, path)
        case Number():
            yield from _broken_number(value, shape, path)
        case Truth():
            return


def _broken_members(value: dict[str, Any], shape: Members, path: str) -> Iterator[str]:
    for name, inner in shape.of.items():
        given = value.get(name)
        here = f"{path}.{name}" if path else name
        if given is not None:
            yield from _broken(given, inner, here)
        elif name in shape.required:
            yield constraint(None, here, "not be null")


def _broken_items(value: list[Any], shape: Items, path: str) -> Iterator[str]:
    if shape.least is not None and len(value) < shape.least:
        yield constraint(_shown(value, shape), path, f"have length greater than or equal to {shape.least}")
    if shape.most is not None and len(value) > shape.most:
        yield constraint(_shown(value, shape), path, f"have length less than or equal to {shape.most}")
    for number, item in enumerate(value, 1):
        here = f"{path}.{number}.member"
        if item is None:
            yield constraint(None, here, "not be null")
        else:
            yield from _broken(item, shape.of, here)


def _broken_text(value: str, shape: Text, path: str) -> Iterator[str]:
    length = len(value) if value.isascii() else len(value.encode("utf-16-le")) // 2
    if shape.least is not None and length < shape.least:
        rule = f"have length greater than or equal to {shape.least}"
        yield constraint(value, path, rule, sensitive=shape.sensitive)
    if shape.most is not None and length > shape.most:
        rule = f"have length less than or equal to {shape.most}"
        yield constraint(value, path, rule, sensitive=shape.sensitive)
    if shape.pattern is not None and not _matches(shape.pattern, value):
        rule = f"satisfy regular expression pattern: {shape.pattern}"
        yield constraint(value, path, rule, sensitive=shape.sensitive)
    if shape.choices is not None and value not in shape.choices:
        rule = f"satisfy enum value set: [{', '.join(shape.choices)}]"
        yield constraint(value, path, rule, sensitive=shape.sensitive)


def _matches(pattern: str, value: str) -> bool:
    if pattern == r"\p{ASCII}*":
        return value.isascii()
    return re.fullmatch(pattern, value) is not None


def _broken_number(value: int | float, shape: Number, path: str) -> Iterator[str]:
    if shape.least is not None and value < shape.least:
        yield constraint(value, path, f"have value greater than or equal to {shape.least}")
    if shape.most is not None and value > shape.most:
        yield constraint(value, path, f"have value less than or equal to {shape.most}")


def _shown(value: Any, shape: Shape) -> str:
    """A value as the service quotes it: as Java writes its classes."""
    if isinstance(shape, Items):
        return f"[{', '.join(_shown(item, shape.of) for item in value)}]"
    if isinstance(shape, Members) and value is not None:
        members = (f"{name}={_shown(value.get(name), inner)}" for name, inner in shape.of.items())
        return f"{shape.name}({', '.join(members)})"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
