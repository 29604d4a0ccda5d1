"""Syntax errors of JSON in the words of the service's parser: the message, and the place as it writes places."""

from __future__ import annotations

import json
import re

_WORD = re.compile(r"[^\W\d]\w*|\$[\w$]*")
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
_VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_MOST_QUOTED = 500


def service_words(text: str, problem: json.JSONDecodeError) -> tuple[str, str]:
    """Message, which ends with the place, and the place alone."""
    message, end = _words(text, problem)
    place = _place(text, end)
    return f"{message}\n at {place}", place


def _words(text: str, problem: json.JSONDecodeError) -> tuple[str, int]:
    """The message, and how far the parser has read."""
    kind, offset = problem.msg, problem.pos
    if kind.startswith("Unterminated string"):
        return "Unexpected end-of-input: was expecting closing quote for a string value", len(text)
    if kind.startswith("Invalid control character"):
        reason = "has to be escaped using backslash to be included in string value"
        return f"Illegal unquoted character ((CTRL-CHAR, code {ord(text[offset])})): {reason}", offset + 1
    if kind.startswith("Invalid \\u"):
        return "Unexpected character: expected a hex-digit for character escape sequence", offset + 1
    if kind.startswith("Invalid \\"):
        return f"Unrecognized character escape {_character(text[offset + 1])}", offset + 2
    if kind.startswith("Illegal trailing comma"):
        offset += 1
    offset += len(text[offset:]) - len(text[offset:].lstrip(" \t\r\n"))
    if offset >= len(text):
        return _end(text), len(text)
    return _unexpected(text, kind, offset)


def _end(text: str) -> str:
    start = _open_bracket(text)
    if start is None:
        return "No content to map due to end-of-input"
    what = "Object" if text[start] == "{" else "Array"
    return f"Unexpected end-of-input: expected close marker for {what} (start marker at {_place(text, start)})"


def _unexpected(text: str, kind: str, offset: int) -> tuple[str, int]:
    if kind in ("Expecting value", "Extra data"):
        word = _WORD.match(text, offset)
        if word is not None:
            return f"Unrecognized token '{word.group()}': was expecting {_VALUES}", word.end()
        expected = f"expected a valid value {_VALUES}"
    elif kind.startswith("Expecting ':'"):
        expected = "was expecting a colon to separate field name and value"
    elif kind.startswith("Expecting ','"):
        start = _open_bracket(text[:offset])
        what = "Array" if start is not None and text[start] == "[" else "Object"
        expected = f"was expecting comma to separate {what} entries"
    else:
        expected = "was expecting double-quote to start field name"
    return f"Unexpected character ({_character(text[offset])}): {expected}", offset + 1


def _open_bracket(text: str) -> int | None:
    """Where the innermost object or list that is open at the end of the text begins."""
    opened: list[int] = []
    for match in _STRING_OR_BRACKET.finditer(text):
        token = match.group()
        if token in "{[":
            opened.append(match.start())
        elif token in "}]" and opened:
            opened.pop()
    return opened[-1] if opened else None


def _character(char: str) -> str:
    code = ord(char)
    return f"(CTRL-CHAR, code {code})" if code < 32 else f"'{char}' (code {code})"


def _place(text: str, offset: int) -> str:
    line = text.count("\n", 0, offset) + 1
    column = offset - text.rfind("\n", 0, offset)
    quoted = text if len(text) <= _MOST_QUOTED else f"{text[:_MOST_QUOTED]}[truncated {len(text) - _MOST_QUOTED} chars]"
    return f'[Source: (String)"{quoted}"; line: {line}, column: {column}]'
