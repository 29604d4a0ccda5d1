"""JSONata text to tokens; enough to find names, and to feed the parser of the fast path."""

from __future__ import annotations

import re
from typing import NamedTuple

from skylift.errors import AuthorError


class JsonataSyntaxError(AuthorError):
    """Text that is not a JSONata expression. `position` counts characters from 0."""

    code = "INVALID-JSONATA"

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message)
        self.position = position


class Token(NamedTuple):
    kind: str
    """variable, name, quoted, text, number, operator, pattern, end."""
    text: str
    """As written; a variable without its `$`, a quoted name without its quotes."""
    start: int
    end: int


_NEXT = re.compile(
    r"(?P<space>\s+|/\*.*?\*/)"
    r"|(?P<text>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
    r"|(?P<quoted>`[^`]*`)"
    r"|(?P<number>(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?)"
    r"|(?P<variable>\$\w*)"
    r"|(?P<name>[^\W\d]\w*)"
    r"|(?P<operator>~>|:=|!=|<=|>=|\*\*|\.\.|\?:|\?\?|[.\[\]{}(),@#;:?+\-*/%|=<>^&!~λ])",
    re.DOTALL,
)
_PATTERN = re.compile(r"/(?:[^/\\\[]|\\.|\[(?:[^\]\\]|\\.)*\])+/[im]*", re.DOTALL)
_CLOSERS = frozenset([")", "]", "}"])
MOST_TEXT = 10_000


def tokenize(text: str) -> list[Token]:
    if len(text) > MOST_TEXT:
        raise JsonataSyntaxError(f"an expression of {len(text)} characters is too long, the most is {MOST_TEXT}")
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        token = _token(text, at, tokens)
        at = token.end
        if token.kind != "space":
            tokens.append(token)
    tokens.append(Token("end", "", at, at))
    return tokens


def _token(text: str, at: int, before: list[Token]) -> Token:
    if text[at] == "/" and not text.startswith("/*", at) and _begins_value(before):
        pattern = _PATTERN.match(text, at)
        if pattern is None:
            raise JsonataSyntaxError("S0301: a regular expression is empty or never ends", at)
        return Token("pattern", pattern.group(), at, pattern.end())
    match = _NEXT.match(text, at)
    if match is None:
        raise JsonataSyntaxError(f"S0204: {text[at]!r} means nothing here", at)
    kind, found = match.lastgroup or "", match.group()
    if found == "λ":
        kind = "operator"
    if kind == "variable":
        found = found[1:]
    elif kind == "quoted":
        found = found[1:-1]
    return Token(kind, found, at, match.end())


def _begins_value(before: list[Token]) -> bool:
    """Whether a value may begin here, so that `/` begins a regular expression and is no division."""
    if not before:
        return True
    last = before[-1]
    return (last.kind == "operator" and last.text not in _CLOSERS) or last.text in ("and", "or", "in")
