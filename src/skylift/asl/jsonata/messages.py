"""Evaluation errors in the words of JSONata's reference implementation, which the real service's causes follow.

The library says the same with other words and without the function's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from skylift.asl.jsonata.library import FUNCTION_NAMES
from skylift.asl.jsonata.tokens import tokenize

_CHANGES: list[tuple[str, str]] = [
    (
        r"T(200[12]): The (left|right) side of the (\S+) operator must (.*)",
        r'T\1: The \2 side of the "\3" operator must \4',
    ),
    (r"T2003: Left operand of range .*", "T2003: The left side of the range operator (..) must evaluate to an integer"),
    (
        r"T2004: Right operand of range .*",
        "T2004: The right side of the range operator (..) must evaluate to an integer",
    ),
    (r"T1006: Attempted to invoke a non-function: .*", "T1006: Attempted to invoke a non-function"),
    (r"D3030: Cannot convert '(.*)' to number", r'D3030: Unable to cast value to a number: "\1"'),
    (r"D3010: Pattern cannot be empty", "D3010: Second argument of replace function cannot be an empty string"),
    (
        r"D3100: Radix must be between 2 and 36, got (.*)",
        r"D3100: The radix of the formatBase function must be between 2 and 36.  It was given \1",
    ),
]
_TYPES = {"Number": "numbers", "String": "strings", "Boolean": "booleans", "Object": "objects", "Array": "arrays"}


def in_reference_words(problem: str, expression: str) -> str:
    """`problem` as it is where the reference's words are not known."""
    for pattern, words in _CHANGES:
        if re.fullmatch(pattern, problem, re.DOTALL):
            return re.sub(pattern, words, problem, flags=re.DOTALL)
    for pattern, describe in _OF_FUNCTIONS:
        match = re.fullmatch(pattern, problem, re.DOTALL)
        if match is not None:
            name = _only_function(expression)
            return problem if name is None else describe(match, name)
    return problem


def _only_function(expression: str) -> str | None:
    """The function of JSONata's own that the expression calls, if it calls just one."""
    tokens = tokenize(expression)
    names = {token.text for token in tokens if token.kind == "variable" and token.text in FUNCTION_NAMES}
    return names.pop() if len(names) == 1 else None


def _mismatch(match: re.Match[str], name: str) -> str:
    return f'T0410: Argument {match[1]} of function "{name}" does not match function signature'


def _miscount(match: re.Match[str], name: str) -> str:
    wanted, given = int(match[1]), int(match[2])
    return f'T0410: Argument {min(wanted, given) + 1} of function "{name}" does not match function signature'


def _no_list(match: re.Match[str], name: str) -> str:
    kind = _TYPES.get(match[2], match[2].lower())
    return f'T0412: Argument {match[1]} of function "{name}" must be an array of "{kind}"'


def _context(match: re.Match[str], name: str) -> str:
    return f'T0411: Context value is not a compatible type with argument 1 of function "{name}"'


_OF_FUNCTIONS: list[tuple[str, Callable[[re.Match[str], str], str]]] = [
    (r"T0410: Argument (\d+) must be (?!a ).*", _mismatch),
    (r"T0410: Argument (\d+) of function .* does not match function signature.*", _mismatch),
    (r"T0410: Argument count mismatch: expected (\d+), got (\d+)", _miscount),
    (r"T0412: Argument (\d+) must be an array of (\w+)", _no_list),
    (r"T0411: Context value .*", _context),
]
