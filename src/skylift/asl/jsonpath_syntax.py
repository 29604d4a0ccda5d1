"""JSONPath text to steps. The dialect is Jayway's, which the real service uses, plus `$$` and `$variable`."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from skylift.errors import AuthorError


class InvalidPath(AuthorError):
    """Text that is not a path of the States Language."""

    code = "INVALID-PATH"


class Field(NamedTuple):
    name: str


class Index(NamedTuple):
    at: int


class Fields(NamedTuple):
    names: tuple[str, ...]


class Indexes(NamedTuple):
    at: tuple[int, ...]


class Slice(NamedTuple):
    start: int | None
    stop: int | None


class Wildcard(NamedTuple):
    pass


class Descend(NamedTuple):
    """`..`: the step after it is applied to every node below."""


class Filter(NamedTuple):
    condition: str


class Call(NamedTuple):
    name: str


Step = Field | Index | Fields | Indexes | Slice | Wildcard | Descend | Filter | Call

FUNCTIONS = frozenset({"length", "size", "min", "max", "avg", "sum", "stddev", "keys", "first", "last"})


class Parsed(NamedTuple):
    root: str
    """`$`, `$$` or the name of a variable."""
    steps: tuple[Step, ...]


_ROOT = re.compile(r"\$(?:\$|([^\W\d]\w*))?")
_NAME = re.compile(r"[^.\[\]()\s]+")
_CALL = re.compile(r"\.(\w+)\(\s*\)")
_INTEGER = re.compile(r"-?\d+")
_SLICE = re.compile(r"(-?\d+)?\s*:\s*(-?\d+)?")
_QUOTED = re.compile(r"\s*('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")\s*(,|$)", re.DOTALL)
_MOST_TEXT = 10_000


def parse_path(text: str) -> Parsed:
    if len(text) > _MOST_TEXT:
        raise InvalidPath(f"a path of {len(text)} characters is too long, the most is {_MOST_TEXT}")
    match = _ROOT.match(text)
    if match is None:
        raise InvalidPath(f"a path begins with `$`, this is {text!r}")
    root = match.group(1) or match.group()
    steps: list[Step] = []
    at = match.end()
    while at < len(text):
        at = _step(text, at, steps)
    if steps and isinstance(steps[-1], Descend):
        raise InvalidPath(f"{text!r} must not end with `..`")
    return Parsed(root, tuple(steps))


def _step(text: str, at: int, steps: list[Step]) -> int:
    if text[at] == "[":
        end = closing(text, at)
        steps.append(_bracket(text[at + 1 : end].strip(), text))
        return end + 1
    if text[at] != ".":
        raise InvalidPath(f"{text!r} has {text[at]!r} at character {at + 1}, where `.` or `[` belongs")
    if text.startswith("..", at):
        steps.append(Descend())
        if text.startswith("[", at + 2):
            return at + 2
        at += 1
    call = _CALL.match(text, at)
    if call is not None:
        return _call(call, text, steps)
    name = _NAME.match(text, at + 1)
    if name is None:
        raise InvalidPath(f"{text!r} has no name after the `.` at character {at + 1}")
    steps.append(Wildcard() if name.group() == "*" else Field(name.group()))
    return name.end()


def _call(call: re.Match[str], text: str, steps: list[Step]) -> int:
    if call.group(1) not in FUNCTIONS:
        raise InvalidPath(f"{text!r} calls {call.group(1)}(), there are only {', '.join(sorted(FUNCTIONS))}")
    if call.end() != len(text):
        raise InvalidPath(f"{text!r} goes on after {call.group(1)}(), which must stand last")
    steps.append(Call(call.group(1)))
    return call.end()


def closing(text: str, at: int) -> int:
    """The index of the bracket that closes the one at `at`; text in quotes is skipped."""
    opening, depth, quote = text[at], 0, ""
    other = {"[": "]", "(": ")"}[opening]
    index = at
    while index < len(text):
        char = text[index]
        if quote:
            if char == "\\":
                index += 1
            elif char == quote:
                quote = ""
        elif char in "'\"":
            quote = char
        elif char == opening:
            depth += 1
        elif char == other:
            depth -= 1
            if depth == 0:
                return index
        index += 1
    raise InvalidPath(f"{text!r} never closes the {opening!r} at character {at + 1}")


def _bracket(inner: str, text: str) -> Step:
    if inner == "*":
        return Wildcard()
    if inner.startswith("?"):
        condition = inner[1:].strip()
        if not condition.startswith("(") or closing(condition, 0) != len(condition) - 1:
            raise InvalidPath(f"{text!r}: a filter is written [?(condition)]")
        return Filter(condition[1:-1])
    if inner[:1] in ("'", '"'):
        return _names(inner, text)
    found = _SLICE.fullmatch(inner)
    if found is not None:
        start, stop = found.groups()
        if start is None and stop is None:
            raise InvalidPath(f"{text!r}: a slice needs a start or an end")
        return Slice(None if start is None else _int(start), None if stop is None else _int(stop))
    parts = [part.strip() for part in inner.split(",")]
    if not all(_INTEGER.fullmatch(part) for part in parts):
        raise InvalidPath(f"{text!r}: {inner!r} is neither an index, a slice, a quoted name, `*` nor a filter")
    numbers = tuple(_int(part) for part in parts)
    return Index(numbers[0]) if len(numbers) == 1 else Indexes(numbers)


def _int(text: str) -> int:
    if len(text) > 10:
        raise InvalidPath(f"the index {text} is too large")
    return int(text)


def _names(inner: str, text: str) -> Step:
    names: list[str] = []
    at = 0
    while at < len(inner):
        match = _QUOTED.match(inner, at)
        if match is None or (match.group(2) == "," and match.end() == len(inner)):
            raise InvalidPath(f"{text!r}: {inner!r} is not a list of quoted names")
        names.append(unquote(match.group(1)))
        at = match.end()
    return Field(names[0]) if len(names) == 1 else Fields(tuple(names))


def unquote(literal: str) -> str:
    """A backslash escapes itself and the quote around; before anything else it stands for itself."""
    quote = literal[0]
    return re.sub(rf"\\([\\{quote}])", r"\1", literal[1:-1])


def canonical(steps: tuple[Any, ...]) -> str:
    """`$['a'][0]`, as Jayway writes paths in its messages."""
    return "$" + "".join(_canonical(step) for step in steps)


def _canonical(step: Step) -> str:
    match step:
        case Field(name):
            return f"['{name}']"
        case Index(at):
            return f"[{at}]"
        case Fields(names):
            return "[" + ",".join(f"'{name}'" for name in names) + "]"
        case Indexes(numbers):
            return "[" + ",".join(map(str, numbers)) + "]"
        case Slice(start, stop):
            return f"[{'' if start is None else start}:{'' if stop is None else stop}]"
        case Wildcard():
            return "[*]"
        case Descend():
            return ".."
        case Filter():
            return "[?]"
        case Call(name):
            return f".{name}()"
