"""JSONata as the States Language uses it: `compile_jsonata(text).evaluate(scope)`.

Common shapes run as Python closures without copying a value (`fast`); everything else, and any value that the
closures do not handle exactly as JSONata does, goes to the library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skylift.asl.jsonata.fast import compile_fast
from skylift.asl.jsonata.library import FUNCTION_NAMES, NOTHING, JsonataError, LibraryExpression
from skylift.asl.jsonata.messages import in_reference_words
from skylift.asl.jsonata.names import find_names
from skylift.asl.jsonata.parser import NotCovered
from skylift.asl.jsonata.tokens import JsonataSyntaxError, Token, tokenize
from skylift.asl.jsonata.values import Fallback
from skylift.asl.scope import EvaluationFailed, Scope

__all__ = ["Jsonata", "JsonataSyntaxError", "compile_jsonata"]


class Jsonata:
    """A compiled expression; may be used by any thread."""

    __slots__ = ("_library", "_names_function", "fast", "reads", "text", "variables")

    def __init__(self, text: str) -> None:
        self.text = text
        tokens = tokenize(text)
        names = find_names(tokens)
        self.variables: frozenset[str] = names.free - names.bound
        """Variables taken from outside."""
        self.reads: frozenset[str] = names.reads
        """Which of input, result, errorOutput and context are read."""
        self._names_function = _names_function(tokens)
        self._library = LibraryExpression(text, tokens, names)
        self.fast: Callable[[Scope], Any] | None = None
        """The closure, if the expression has one."""
        try:
            self.fast = compile_fast(tokens)
        except NotCovered:
            self._library.check()

    def evaluate(self, scope: Scope, field: str = "") -> Any:
        """Raises EvaluationFailed(States.QueryEvaluationError), also where the expression gives nothing."""
        return self.evaluator(field)(scope)

    def evaluator(self, field: str) -> Callable[[Scope], Any]:
        """`evaluate` for the field that the messages are to name."""
        text, slow, suspect = self.text, self._library.evaluate, self._names_function
        quick = self.fast or slow

        def evaluate(scope: Scope) -> Any:
            try:
                try:
                    value = quick(scope)
                except (Fallback, RecursionError):
                    value = slow(scope)
                if value is None and suspect and self._gives_function(scope):
                    raise _failed(text, field, "returned an unsupported result type.")
                if value is not NOTHING:
                    return value
            except JsonataError as problem:
                words = in_reference_words(str(problem), text)
                raise _failed(text, field, f"threw an error during evaluation. {words}") from None
            raise _failed(text, field, "returned nothing (undefined).")

        return evaluate

    def _gives_function(self, scope: Scope) -> bool:
        """A function has no JSON form: the library gives null for it."""
        text = f"$type((\n{self.text}\n))"
        tokens = tokenize(text)
        return bool(LibraryExpression(text, tokens, find_names(tokens)).evaluate(scope) == "function")


def _names_function(tokens: list[Token]) -> bool:
    """Whether a function, or a regular expression, which is one, stands in the expression as a value."""
    return any(
        token.kind == "pattern"
        or token.text in ("function", "λ")
        or (token.kind == "variable" and token.text in FUNCTION_NAMES and tokens[index + 1].text != "(")
        for index, token in enumerate(tokens)
    )


def _failed(text: str, field: str, what: str) -> EvaluationFailed:
    cause = f"The JSONata expression '{text}' specified for the field '{field}' {what}"
    return EvaluationFailed("States.QueryEvaluationError", cause, field or None)


def compile_jsonata(text: str) -> Jsonata:
    """The text with or without its `{%` and `%}`. Raises JsonataSyntaxError."""
    if len(text) >= 4 and text.startswith("{%") and text.endswith("%}"):
        text = text[2:-2]
    return Jsonata(text.strip())
