"""Bodies and query strings as forms write them, with the choices for arrays that `http:invoke` offers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal
from urllib.parse import quote

from skylift.compute.services.request import json_text

ArrayFormat = Literal["INDICES", "REPEAT", "COMMAS", "BRACKETS", "NONE"]
ARRAY_FORMATS: tuple[ArrayFormat, ...] = ("INDICES", "REPEAT", "COMMAS", "BRACKETS", "NONE")


def form(values: Mapping[str, Any], arrays: ArrayFormat = "INDICES") -> str:
    """`a=1&b[c]=2`: objects by their keys in brackets, arrays as told."""
    return "&".join(f"{_quoted(key)}={_quoted(value)}" for key, value in _pairs(values, arrays))


def query(values: Mapping[str, Any]) -> str:
    """Query parameters: an array is a parameter given more than once."""
    return "&".join(f"{_quoted(key)}={_quoted(value)}" for key, value in _pairs(values, "REPEAT"))


def _pairs(values: Mapping[str, Any], arrays: ArrayFormat) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        yield from _flat(key, value, arrays)


def _flat(key: str, value: Any, arrays: ArrayFormat) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _flat(f"{key}[{name}]", part, arrays)
    elif isinstance(value, list) and arrays == "COMMAS":
        yield key, ",".join(_text(part) for part in value)
    elif isinstance(value, list) and arrays != "NONE":
        for number, part in enumerate(value):
            name = {"INDICES": f"{key}[{number}]", "BRACKETS": f"{key}[]"}.get(arrays, key)
            yield from _flat(name, part, arrays)
    elif value is not None:
        yield key, _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json_text(value)


def _quoted(text: str) -> str:
    return quote(text, safe="[]*-._")
