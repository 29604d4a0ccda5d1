"""From a source (text, bytes or a Python dict) to plain JSON, within limits. Never raises on bad input."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from skylift.asl.validation.parser_words import service_words
from skylift.asl.validation.report import NO_LOCATION, Report, escape, show

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 200
MAX_NODES = 2_000_000

MISSING = object()
"""What `read_json` gives when there is nothing to go on with."""


class SourceText:
    """The text a document came from, if it came from text; finds line and column of a pointer when one is asked for."""

    def __init__(self, text: str | None) -> None:
        self.text = text
        self._offsets: dict[str, int] | None = None

    def position(self, pointer: str) -> tuple[int, int] | None:
        """Line and column, 1-based, of the value (of its key, where it has one) or of the nearest place around it."""
        if self.text is None:
            return None
        if self._offsets is None:
            self._offsets = scan(self.text)[0]
        while pointer and pointer not in self._offsets:
            pointer = pointer.rpartition("/")[0]
        return line_and_column(self.text, self._offsets.get(pointer, 0))


def read_json(source: Any, report: Report) -> tuple[Any, SourceText]:
    """The JSON value, or MISSING if there is none; problems go to the report."""
    text = _as_text(source, report)
    if text is MISSING:
        return MISSING, SourceText(None)
    if not isinstance(text, str):
        return (text if _plain(text, report) else MISSING), SourceText(None)
    if not text.strip():
        _not_an_object("the source is empty", report)
        return MISSING, SourceText(text)
    value = _decode(text, report)
    if value is MISSING or not _plain(value, report):
        return MISSING, SourceText(text)
    return value, SourceText(text)


def _as_text(source: Any, report: Report) -> Any:
    """Text without a byte order mark; anything but text as it is; MISSING if it is not usable."""
    if isinstance(source, bytes | bytearray | memoryview):
        source = _decode_utf8(bytes(source), report)
    if isinstance(source, str):
        if len(source) > MAX_BYTES:
            report.add(
                "TOO_LARGE",
                "",
                f"the source has {len(source):,} characters, the limit is {MAX_BYTES:,}",
                "Split the machine: move parts into machines of their own and start them from Task states",
            )
            return MISSING
        return source.removeprefix("\ufeff")
    return source


def _decode_utf8(source: bytes, report: Report) -> Any:
    try:
        return source.decode("utf-8")
    except UnicodeDecodeError as error:
        report.add(
            "INVALID_JSON",
            "",
            f"byte {error.start} (0x{source[error.start]:02x}) is not UTF-8",
            "Save the file as UTF-8",
            service_location=NO_LOCATION,
        )
        return MISSING


class _Constant(ValueError):
    pass


def _reject_constant(name: str) -> Any:
    raise _Constant(name)


def _decode(text: str, report: Report) -> Any:
    repeated = False

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeated
        made = dict(items)
        repeated = repeated or len(made) != len(items)
        return made

    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=_reject_constant)
    except json.JSONDecodeError as error:
        _broken(text, error.pos, error.msg, report, service_words(text, error))
        return MISSING
    except _Constant as error:
        offset = max(text.find(str(error)), 0)
        words = service_words(text, json.JSONDecodeError("Expecting value", text, offset))
        _broken(text, offset, f"{error} is not a JSON value", report, words)
        return MISSING
    except ValueError as error:
        _broken(text, 0, str(error), report)
        return MISSING
    except RecursionError:
        _too_deep("", report)
        return MISSING
    if repeated:
        _report_duplicates(text, report)
    return value


def _broken(
    text: str, offset: int, reason: str, report: Report, words: tuple[str | None, str] = (None, NO_LOCATION)
) -> None:
    line, column = line_and_column(text, offset)
    report.add(
        "INVALID_JSON",
        "",
        f"line {line}, column {column}: {reason[:1].lower()}{reason[1:]}, at {show(text[offset : offset + 20])}",
        "Mend the JSON there; keys and text need double quotes, the last entry has no comma, comments are not allowed",
        service_message=words[0],
        service_location=words[1],
    )


def parser_words(text: str, problem: ValueError) -> str:
    """What is wrong with a text that is no JSON, in the words of the service's parser where they are known."""
    return service_words(text, problem)[0] if isinstance(problem, json.JSONDecodeError) else str(problem)


def _report_duplicates(text: str, report: Report) -> None:
    for pointer, offset in scan(text)[1]:
        line, column = line_and_column(text, offset)
        report.add(
            "DUPLICATE_KEY",
            pointer,
            f"the key stands twice in this object, again at line {line}, column {column}; only the last would count",
            "Remove or rename one of them",
        )


def _not_an_object(message: str, report: Report) -> None:
    report.add(
        "NOT_AN_OBJECT",
        "",
        message,
        "A document is a JSON object with StartAt and States",
        service_message="Definition must be a valid JSON object",
        service_location=NO_LOCATION,
    )


def _too_deep(pointer: str, report: Report) -> None:
    report.add(
        "TOO_DEEP",
        pointer,
        f"the JSON is nested more than {MAX_DEPTH} levels deep",
        "Flatten it: move inner parts into machines of their own",
    )


def _plain(root: Any, report: Report) -> bool:
    """Whether everything in `root` is JSON within the limits. Walks without recursion, so cycles are only deep."""
    before = report.errors
    if not isinstance(root, dict):
        _not_an_object(f"the document is {_kind(root)}, not an object", report)
        return False
    waiting: list[tuple[Any, str, int]] = [(root, "", 1)]
    nodes = 0
    while waiting:
        value, pointer, depth = waiting.pop()
        nodes += len(value)
        if depth > MAX_DEPTH:
            _too_deep(pointer, report)
            return False
        if nodes > MAX_NODES:
            report.add("TOO_LARGE", "", f"the document has more than {MAX_NODES:,} values", "Split the machine")
            return False
        is_object = isinstance(value, dict)
        for key, child in value.items() if is_object else enumerate(value):
            if is_object and not _is_text(key):
                _not_plain(key, f"{pointer}/{escape(show(key))}", report)
            elif isinstance(child, dict | list):
                waiting.append((child, f"{pointer}/{escape(str(key))}", depth + 1))
            elif not _is_scalar(child):
                _not_plain(child, f"{pointer}/{escape(str(key))}", report)
    return report.errors == before


def _is_text(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    if value.isascii():
        return True
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return _is_text(value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, int)


def _not_plain(value: Any, pointer: str, report: Report) -> None:
    report.add(
        "NOT_JSON",
        pointer.encode("ascii", "backslashreplace").decode(),
        f"{show(value)} (a Python {type(value).__name__}) has no JSON form",
        "Use objects with text keys, lists, text that is Unicode, finite numbers, true, false and null",
    )


def _kind(value: Any) -> str:
    names = {list: "a list", str: "text", bool: "a boolean", int: "a number", float: "a number", type(None): "null"}
    return names.get(type(value), f"a Python {type(value).__name__}")


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    line = text.count("\n", 0, offset) + 1
    return line, offset - text.rfind("\n", 0, offset)


_TOKEN = re.compile(r'[ \t\n\r]*("(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+)', re.DOTALL)


def scan(text: str) -> tuple[dict[str, int], list[tuple[str, int]]]:
    """Offsets of every pointer (of its key, where there is one), and the keys that stand twice. For valid JSON."""
    return _Scanner().run(text)


class _Scanner:
    """A pass over the tokens of valid JSON with a stack of its own."""

    def __init__(self) -> None:
        self.offsets: dict[str, int] = {"": 0}
        self.repeated: list[tuple[str, int]] = []
        self.stack: list[list[Any]] = []  # [pointer, next index or -1 in an object, keys seen]
        self.key: str | None = None

    def run(self, text: str) -> tuple[dict[str, int], list[tuple[str, int]]]:
        for match in _TOKEN.finditer(text):
            token = match.group(1)
            start = match.start(1)
            if token in "}]":
                self.stack.pop()
            elif token in ",:":
                continue
            elif self.stack and self.stack[-1][1] < 0 and self.key is None:
                self._take_key(json.loads(token), start)
            else:
                self._take_value(token, start)
        return self.offsets, self.repeated

    def _take_key(self, name: str, start: int) -> None:
        pointer, _, seen = self.stack[-1]
        self.key = f"{pointer}/{escape(name)}"
        if name in seen:
            self.repeated.append((self.key, start))
        seen.add(name)
        self.offsets.setdefault(self.key, start)

    def _take_value(self, token: str, start: int) -> None:
        pointer = self.key if self.key is not None else ""
        if self.key is None and self.stack:
            parent = self.stack[-1]
            pointer = f"{parent[0]}/{parent[1]}"
            parent[1] += 1
        self.offsets.setdefault(pointer, start)
        self.key = None
        if token in "{[":
            self.stack.append([pointer, -1 if token == "{" else 0, set()])
