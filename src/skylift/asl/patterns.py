"""Regular expressions of clients, matched in a time that grows with the text only.

Python's own try every way to match: forty letters can take for ever, with the interpreter's lock held. The library of
JSONata has an engine without that; it knows no look-around and no references back, which are refused.
"""

from __future__ import annotations

import random

from skylift.asl.jsonata import JsonataSyntaxError, compile_jsonata
from skylift.asl.scope import EvaluationFailed, Scope
from skylift.asl.state import NO_VARIABLES


class PatternError(Exception):
    """No regular expression, or one that cannot be matched in bounded time."""


class Pattern:
    """A regular expression that must match a whole text."""

    __slots__ = ("_expression",)

    def __init__(self, text: str, *, ignore_case: bool = False) -> None:
        """`text` as between slashes. Raises PatternError."""
        try:
            self._expression = compile_jsonata(f"$contains($states.input, /^(?:{text})$/{'i' if ignore_case else ''})")
            self.matches("")
        except (JsonataSyntaxError, EvaluationFailed) as problem:
            raise PatternError(_reason(str(problem))) from None

    def matches(self, text: str) -> bool:
        """Raises EvaluationFailed where even that takes too long."""
        scope = Scope(input=text, context=dict, variables=NO_VARIABLES, random=_no_random)
        return self._expression.evaluate(scope) is True


def _reason(problem: str) -> str:
    return problem.splitlines()[-1].removeprefix("error: ")


def _no_random() -> random.Random:
    raise EvaluationFailed("States.Runtime", "a pattern is not random")
