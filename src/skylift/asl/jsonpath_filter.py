"""Filters of JSONPath: `[?(@.price < 10 && @.kind in ['a', 'b'])]`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from skylift.asl.json_text import parse_json
from skylift.asl.jsonpath_syntax import InvalidPath, closing, unquote
from skylift.asl.patterns import Pattern, PatternError

Keep = Callable[[Any], bool]
Value = Callable[[Any], Any]
PathReader = Callable[[str], Value]

MISSING: Any = object()
_TOKEN = re.compile(
    r"\s*(?:(?P<op>&&|\|\||==|!=|<=|>=|=~|<|>|!|\(|\))|(?P<word>nin|in|size|empty|true|false|null)\b"
    r"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<text>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
    r"|(?P<pattern>/(?:[^/\\]|\\.)*/i?)|(?P<path>[@$])|(?P<list>\[))",
    re.DOTALL,
)
_MOST_DEPTH = 50


def compile_filter(text: str, compile_inner: PathReader) -> Keep:
    parser = _Parser(text, compile_inner)
    keep = parser.either(0)
    if parser.kind:
        raise InvalidPath(f"the filter {text!r} goes on after its end with {parser.token!r}")
    return keep


class _Parser:
    def __init__(self, text: str, compile_inner: PathReader) -> None:
        self._text = text
        self._at = 0
        self._inner = compile_inner
        self.kind = ""
        self.token = ""
        self._next()

    def _next(self) -> None:
        if not self._text[self._at :].strip():
            self.kind = self.token = ""
            return
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            raise InvalidPath(f"the filter {self._text!r} has something unknown at character {self._at + 1}")
        self.kind = match.lastgroup or ""
        self.token = match.group(self.kind)
        self._at = match.end()
        if self.kind == "path":
            self._path(match.start("path"))
        elif self.kind == "list":
            self._list(match.start("list"))

    def _path(self, start: int) -> None:
        end = start + 1
        while end < len(self._text) and (self._text[end] in ".[_*" or self._text[end].isalnum()):
            end = closing(self._text, end) + 1 if self._text[end] == "[" else end + 1
        if self._text.startswith("()", end):
            end += 2
        self.token, self._at = self._text[start:end], end

    def _list(self, start: int) -> None:
        end = closing(self._text, start) + 1
        self.token, self._at = self._text[start:end], end

    def either(self, depth: int) -> Keep:
        keep = self._both(depth)
        while self.token == "||":
            self._next()
            keep = _or(keep, self._both(depth))
        return keep

    def _both(self, depth: int) -> Keep:
        keep = self._one(depth)
        while self.token == "&&":
            self._next()
            keep = _and(keep, self._one(depth))
        return keep

    def _one(self, depth: int) -> Keep:
        if depth > _MOST_DEPTH:
            raise InvalidPath(f"the filter {self._text!r} is nested too deeply")
        if self.kind == "op" and self.token == "!":
            self._next()
            inner = self._one(depth + 1)
            return lambda item: not inner(item)
        if self.kind == "op" and self.token == "(":
            self._next()
            keep = self.either(depth + 1)
            if self.token != ")":
                raise InvalidPath(f"the filter {self._text!r} has an unclosed parenthesis")
            self._next()
            return keep
        return self._comparison()

    def _comparison(self) -> Keep:
        left_is_path, left = self.kind == "path", self._operand()
        operator = self.token
        if operator in _COMPARE:
            self._next()
            return _compare(left, _COMPARE[operator], self._operand())
        if not left_is_path:
            raise InvalidPath(f"the filter {self._text!r} has a value that is compared with nothing")
        return lambda item: left(item) is not MISSING

    def _operand(self) -> Value:
        kind, token = self.kind, self.token
        if kind not in ("word", "number", "text", "pattern", "path", "list"):
            raise InvalidPath(f"the filter {self._text!r} lacks a value before {token or 'its end'!r}")
        self._next()
        if kind == "path":
            return self._of_item(token)
        value = self._literal(kind, token)
        return lambda item: value

    def _of_item(self, token: str) -> Value:
        if token[0] == "$":
            raise InvalidPath(f"the filter {self._text!r} reads {token!r}: inside a filter only @ can be read")
        inner = self._inner("$" + token[1:])

        def read(item: Any) -> Any:
            try:
                return inner(item)
            except Exception as problem:
                if type(problem).__name__ == "PathNotFound":
                    return MISSING
                raise

        return read

    def _literal(self, kind: str, token: str) -> Any:
        if kind == "text":
            return unquote(token)
        if kind == "pattern":
            return self._pattern(token)
        try:
            return parse_json(_DOUBLE.sub(lambda m: _requote(m.group()), token) if kind == "list" else token)
        except ValueError:
            raise InvalidPath(f"the filter {self._text!r} has {token!r}, which is not a value") from None

    def _pattern(self, token: str) -> Pattern:
        try:
            return Pattern(token.removesuffix("i")[1:-1], ignore_case=token.endswith("i"))
        except PatternError as problem:
            raise InvalidPath(f"the pattern {token} of the filter is wrong: {problem}") from None


_DOUBLE = re.compile(r"'(?:[^'\\]|\\.)*'", re.DOTALL)


def _requote(literal: str) -> str:
    return '"' + unquote(literal).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _or(left: Keep, right: Keep) -> Keep:
    return lambda item: left(item) or right(item)


def _and(left: Keep, right: Keep) -> Keep:
    return lambda item: left(item) and right(item)


def _compare(left: Value, test: Callable[[Any, Any], bool], right: Value) -> Keep:
    return lambda item: test(left(item), right(item))


def _same(left: Any, right: Any) -> bool:
    return left is not MISSING and isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(left: Any, right: Any) -> bool:
        if isinstance(left, bool) or isinstance(right, bool):
            return False
        both_numbers = isinstance(left, int | float) and isinstance(right, int | float)
        both_texts = isinstance(left, str) and isinstance(right, str)
        return (both_numbers or both_texts) and test(left, right)

    return compare


def _among(left: Any, right: Any) -> bool:
    return isinstance(right, list) and any(_same(left, one) for one in right)


def _matches(left: Any, right: Any) -> bool:
    return isinstance(left, str) and isinstance(right, Pattern) and right.matches(left)


def _sized(left: Any, right: Any) -> bool:
    return isinstance(left, list | str) and len(left) == (len(right) if isinstance(right, list | str) else right)


def _empty(left: Any, right: Any) -> bool:
    return isinstance(left, list | str | dict) and (len(left) == 0) == right


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": _same,
    "!=": lambda left, right: not _same(left, right),
    "<": _ordered(lambda left, right: left < right),
    "<=": _ordered(lambda left, right: left <= right),
    ">": _ordered(lambda left, right: left > right),
    ">=": _ordered(lambda left, right: left >= right),
    "=~": _matches,
    "in": _among,
    "nin": lambda left, right: not _among(left, right),
    "size": _sized,
    "empty": _empty,
}
