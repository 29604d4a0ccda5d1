"""Values of the standard library as tagged JSON: exact types only, subclasses go another way.

`ENCODERS` gives for each type a function from the value (and a function that encodes parts) to JSON; `DECODERS` for
each tag the way back.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from math import isfinite
from pathlib import Path, PosixPath, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID

from skylift.values.tags import TYPE

Part = Callable[[Any], Any]

_LONGEST_DECIMAL_BITS = 10_000
INT_MIN, INT_MAX = -(2**63), 2**63 - 1


class NotPlain(Exception):
    """This value of a known type has no JSON form after all (a strange time zone): keep it as an artifact."""


def utf8(text: str) -> bool:
    """Can JSON hold it? Lone surrogates (undecodable file names) cannot be written as UTF-8."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def encode_str(value: str, _part: Part | None = None) -> Any:
    if value.isascii() or utf8(value):
        return value
    return {TYPE: "str", "base64": to_base64(value.encode("utf-8", "surrogatepass"))}


def encode_int(value: int, _part: Part | None = None) -> Any:
    if INT_MIN <= value <= INT_MAX:
        return value
    return {TYPE: "int", "value": str(value) if value.bit_length() < _LONGEST_DECIMAL_BITS else hex(value)}


def encode_float(value: float, _part: Part | None = None) -> Any:
    return value if isfinite(value) else {TYPE: "float", "value": repr(value)}


def to_base64(data: bytes | bytearray) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def _items(tag: str) -> Callable[[Any, Part], Any]:
    return lambda value, part: {TYPE: tag, "items": [part(item) for item in value]}


def _text(tag: str) -> Callable[[Any, Part], Any]:
    return lambda value, part: {TYPE: tag, "value": part(str(value))}


def _bytes(tag: str) -> Callable[[Any, Part], Any]:
    return lambda value, part: {TYPE: tag, "base64": to_base64(value)}


def _encode_complex(value: complex, _part: Part) -> Any:
    return {TYPE: "complex", "real": encode_float(value.real), "imag": encode_float(value.imag)}


def _encode_timedelta(value: timedelta, _part: Part) -> Any:
    return {TYPE: "timedelta", "days": value.days, "seconds": value.seconds, "microseconds": value.microseconds}


def _encode_range(value: range, part: Part) -> Any:
    return {TYPE: "range", "start": part(value.start), "stop": part(value.stop), "step": part(value.step)}


def _encode_moment(tag: str) -> Callable[[Any, Part], Any]:
    """datetime and time: ISO 8601, with the zone's name where it has one."""

    def encode(value: Any, _part: Part) -> Any:
        node = {TYPE: tag, "value": value.replace(tzinfo=None).isoformat()}
        if value.tzinfo is not None:
            node.update(_encode_zone(value.tzinfo))
        if value.fold:
            node["fold"] = 1
        return node

    return encode


def _encode_zone(zone: tzinfo) -> dict[str, Any]:
    if type(zone) is timezone:
        offset = zone.utcoffset(None)
        fixed: dict[str, Any] = {"offset_s": offset.total_seconds()}
        if repr(zone) != repr(timezone(offset)):
            fixed["zone_name"] = zone.tzname(None)
        return fixed
    key = getattr(zone, "key", None)
    if type(zone).__module__ in ("zoneinfo", "zoneinfo._zoneinfo", "_zoneinfo") and key:
        return {"zone": key}
    raise NotPlain


def _decode_moment(parse: Callable[[str], Any]) -> Callable[[dict[str, Any], Part], Any]:
    def decode(node: dict[str, Any], _part: Part) -> Any:
        value = parse(node["value"])
        zone = _decode_zone(node)
        if zone is not None or "fold" in node:
            value = value.replace(tzinfo=zone or value.tzinfo, fold=node.get("fold", 0))
        return value

    return decode


def _decode_zone(node: dict[str, Any]) -> tzinfo | None:
    if "zone" in node:
        from zoneinfo import ZoneInfo

        return ZoneInfo(node["zone"])
    if "offset_s" not in node:
        return None
    offset = timedelta(seconds=node["offset_s"])
    if "zone_name" in node:
        return timezone(offset, node["zone_name"])
    return timezone(offset) if offset else UTC


def _decode_pairs(node: dict[str, Any], part: Part) -> Any:
    return {part(key): part(value) for key, value in node["items"]}


def _collect(kind: Callable[[Any], Any]) -> Callable[[dict[str, Any], Part], Any]:
    return lambda node, part: kind([part(item) for item in node["items"]])


def _read(kind: Callable[[Any], Any]) -> Callable[[dict[str, Any], Part], Any]:
    return lambda node, part: kind(part(node["value"]))


def from_base64(node: dict[str, Any], _part: Part | None = None) -> bytes:
    return binascii.a2b_base64(node["base64"])


ENCODERS: dict[type, Callable[[Any, Part], Any]] = {
    tuple: _items("tuple"),
    set: _items("set"),
    frozenset: _items("frozenset"),
    bytes: _bytes("bytes"),
    bytearray: _bytes("bytearray"),
    complex: _encode_complex,
    datetime: _encode_moment("datetime"),
    time: _encode_moment("time"),
    date: _text("date"),
    timedelta: _encode_timedelta,
    range: _encode_range,
    Decimal: _text("decimal"),
    UUID: _text("uuid"),
    PosixPath: _text("path"),
    PurePosixPath: _text("pure-posix-path"),
    PureWindowsPath: _text("pure-windows-path"),
}

DECODERS: dict[str, Callable[[dict[str, Any], Part], Any]] = {
    "str": lambda node, part: from_base64(node).decode("utf-8", "surrogatepass"),
    "int": lambda node, part: int(node["value"], 0),
    "float": lambda node, part: float(node["value"]),
    "dict": _decode_pairs,
    "tuple": _collect(tuple),
    "set": _collect(set),
    "frozenset": _collect(frozenset),
    "bytes": from_base64,
    "bytearray": lambda node, part: bytearray(from_base64(node)),
    "complex": lambda node, part: complex(part(node["real"]), part(node["imag"])),
    "datetime": _decode_moment(datetime.fromisoformat),
    "time": _decode_moment(time.fromisoformat),
    "date": _read(date.fromisoformat),
    "timedelta": lambda node, part: timedelta(node["days"], node["seconds"], node["microseconds"]),
    "range": lambda node, part: range(part(node["start"]), part(node["stop"]), part(node["step"])),
    "decimal": _read(Decimal),
    "uuid": _read(UUID),
    "path": _read(Path),
    "pure-posix-path": _read(PurePosixPath),
    "pure-windows-path": _read(PureWindowsPath),
}
