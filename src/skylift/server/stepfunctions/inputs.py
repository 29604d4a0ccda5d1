"""JSON text that a request carries: an execution's input, a task's output."""

from __future__ import annotations

from typing import Any

import msgspec

from skylift.asl.json_text import parse_json
from skylift.asl.validation.json_reader import parser_words
from skylift.server.errors import ApiError
from skylift.server.stepfunctions.wire import constraint, validation_errors

MOST_BYTES = 262_144
"""Largest input or output of an execution, as UTF-8."""


def read_input(text: str) -> Any:
    """An execution's input. Raises ApiError: InvalidExecutionInput, ValidationException for one that is too large."""
    check_size(text, "input")
    try:
        return parse(text)
    except ValueError as problem:
        words = parser_words(text, problem)
        raise ApiError("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{words}'") from None


def read_output(text: str) -> Any:
    """A task's output. Raises ApiError: InvalidOutput, ValidationException for one that is too large."""
    check_size(text, "output")
    try:
        return parse(text)
    except ValueError as problem:
        raise ApiError("InvalidOutput", f"Invalid Output: '{parser_words(text, problem)}'") from None


def check_size(text: str, member: str) -> None:
    """The constraint counts bytes; the shapes of requests count characters."""
    if len(text) * 4 > MOST_BYTES and len(text.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        rule = f"have length less than or equal to {MOST_BYTES}"
        raise validation_errors([constraint(text, member, rule, sensitive=True)])


def parse(text: str) -> Any:
    """Raises ValueError."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return parse_json(text)  # knows halves of surrogate pairs, and says where the text is broken


def as_given(text: str, value: Any) -> str | None:
    """The text, if it is another one than we would write for the value."""
    return None if msgspec.json.encode(value) == text.encode("utf-8", "replace") else text
