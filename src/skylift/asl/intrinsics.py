"""Intrinsic functions of JSONPath states: `States.Format('{} is {}', $.name, 1)`. Compiled once, nested too."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from skylift.asl.intrinsic_functions import FUNCTIONS, FormatText, IntrinsicError
from skylift.asl.json_text import json_text
from skylift.asl.jsonpath import PathNotFound, compile_path
from skylift.asl.jsonpath_syntax import closing
from skylift.asl.scope import EvaluationFailed, Scope
from skylift.errors import AuthorError

Evaluate = Callable[[Scope], Any]


class InvalidIntrinsic(AuthorError):
    """Text that is no call of a States function."""

    code = "INVALID-INTRINSIC"


class Intrinsic:
    """A compiled call. `evaluate` raises EvaluationFailed."""

    __slots__ = ("_call", "text")

    def __init__(self, text: str, call: Evaluate) -> None:
        self.text = text
        self._call = call

    def evaluate(self, scope: Scope) -> Any:
        try:
            return self._call(scope)
        except IntrinsicError as problem:
            raise EvaluationFailed(
                "States.IntrinsicFailure", f"The function '{self.text}' had the following error: {problem}"
            ) from None


def compile_intrinsic(text: str) -> Intrinsic:
    """Raises InvalidIntrinsic or InvalidPath, which say what is wrong with the text."""
    if len(text) > _MOST_TEXT:
        raise InvalidIntrinsic(f"a call of {len(text)} characters is too long, the most is {_MOST_TEXT}")
    call, end = _parse_call(text, 0, 0)
    if text[end:].strip():
        raise InvalidIntrinsic(f"{text!r} goes on after the call with {text[end:]!r}")
    return Intrinsic(text, call)


_MOST_TEXT = 10_000
_MOST_DEPTH = 10
_NAME = re.compile(r"\s*States\.(\w+)\s*\(")
_TEXT = re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])")
_WORD = re.compile(r"(true|false|null)\b")
_SPACE = re.compile(r"\s*")
_WORDS = {"true": True, "false": False, "null": None}


def _parse_call(text: str, at: int, depth: int) -> tuple[Evaluate, int]:
    match = _NAME.match(text, at)
    if match is None:
        raise InvalidIntrinsic(f"{text[at:]!r} is not a call like States.Format('{{}}', $.a)")
    name = match.group(1)
    if name not in FUNCTIONS:
        known = ", ".join("States." + known for known in sorted(FUNCTIONS))
        raise InvalidIntrinsic(f"there is no function States.{name}, there are {known}")
    if depth >= _MOST_DEPTH:
        raise InvalidIntrinsic(f"calls are nested more than {_MOST_DEPTH} deep")
    arguments, end = _parse_arguments(text, match.end(), depth)
    function, least, most = FUNCTIONS[name]
    if len(arguments) < least or (most is not None and len(arguments) > most):
        wanted = f"{least}" if most == least else f"at least {least}" if most is None else f"{least} to {most}"
        raise InvalidIntrinsic(f"States.{name} takes {wanted} arguments, here are {len(arguments)}")
    return _apply(function, arguments, keep_escapes=name == "Format"), end


class _Literal(NamedTuple):
    value: Any
    raw: str | None = None


def _apply(function: Callable[..., Any], arguments: list[_Literal | Evaluate], *, keep_escapes: bool) -> Evaluate:
    getters: list[Evaluate] = []
    for number, argument in enumerate(arguments):
        if isinstance(argument, _Literal):
            fixed = argument.value
            if keep_escapes and number == 0 and argument.raw is not None:
                fixed = FormatText(argument.raw)
            getters.append(_constant(fixed))
        else:
            getters.append(argument)
    return lambda scope: function(scope, *[get(scope) for get in getters])


def _constant(value: Any) -> Evaluate:
    return lambda scope: value


def _parse_arguments(text: str, at: int, depth: int) -> tuple[list[_Literal | Evaluate], int]:
    arguments: list[_Literal | Evaluate] = []
    at = _skip(text, at)
    if text.startswith(")", at):
        return arguments, at + 1
    while True:
        argument, at = _parse_argument(text, _skip(text, at), depth)
        arguments.append(argument)
        at = _skip(text, at)
        if text.startswith(")", at):
            return arguments, at + 1
        if not text.startswith(",", at):
            raise InvalidIntrinsic(f"{text!r} lacks a `,` or `)` at character {at + 1}")
        at += 1


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return at if match is None else match.end()


def _parse_argument(text: str, at: int, depth: int) -> tuple[_Literal | Evaluate, int]:
    if text.startswith("$", at):
        end = _path_end(text, at)
        return _reader(text[at:end].rstrip()), end
    if text.startswith("States.", at):
        return _parse_call(text, at, depth + 1)
    if match := _TEXT.match(text, at):
        return _Literal(_unescape(match.group(1)), match.group(1)), match.end()
    if match := _NUMBER.match(text, at):
        number = match.group()
        return _Literal(float(number) if any(char in number for char in ".eE") else int(number)), match.end()
    if match := _WORD.match(text, at):
        return _Literal(_WORDS[match.group()]), match.end()
    raise InvalidIntrinsic(f"{text!r} has something at character {at + 1} that is no path, number, 'text' or call")


def _path_end(text: str, at: int) -> int:
    while at < len(text) and text[at] not in ",)":
        if text[at] in "[(":
            at = closing(text, at)
        at += 1
    return at


def _reader(text: str) -> Evaluate:
    get = compile_path(text).get

    def read(scope: Scope) -> Any:
        try:
            return get(scope)
        except PathNotFound:
            raise IntrinsicError(
                f"The JsonPath argument for the field '{text}' could not be found in the input "
                f"'{json_text(scope.input)}'"
            ) from None

    return read


_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def _unescape(raw: str) -> str:
    return _ESCAPED.sub(_unescape_one, raw)


def _unescape_one(match: re.Match[str]) -> str:
    char = match.group(1)
    return _ESCAPES.get(char, char)
