"""Evaluation errors say what JSONata's reference implementation says, function and operator quoted."""

from __future__ import annotations

import pytest

from skylift.asl.jsonata import compile_jsonata
from skylift.asl.jsonata.messages import in_reference_words
from skylift.asl.scope import EvaluationFailed, Scope
from skylift.asl.state import NO_VARIABLES


def cause(expression: str) -> str:
    scope = Scope(input={}, context=dict, variables=NO_VARIABLES, random=lambda: pytest.fail("no randomness is needed"))
    with pytest.raises(EvaluationFailed) as failed:
        compile_jsonata(expression).evaluate(scope, "Output")
    return failed.value.cause


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("1 + 'a'", 'T2002: The right side of the "+" operator must evaluate to a number'),
        ("'a' * 2", 'T2001: The left side of the "*" operator must evaluate to a number'),
        ("[1..'x']", "T2004: The right side of the range operator (..) must evaluate to an integer"),
        ("['x'..2]", "T2003: The left side of the range operator (..) must evaluate to an integer"),
        ("$abs('x')", 'T0410: Argument 1 of function "abs" does not match function signature'),
        ("'x' ~> $abs()", 'T0410: Argument 1 of function "abs" does not match function signature'),
        ("$count(1, 2)", 'T0410: Argument 2 of function "count" does not match function signature'),
        ("$append(1)", 'T0410: Argument 2 of function "append" does not match function signature'),
        ("$sum(['a'])", 'T0412: Argument 1 of function "sum" must be an array of "numbers"'),
        ("$join([1, 2])", 'T0412: Argument 1 of function "join" must be an array of "strings"'),
        ("$substring(1, 2)", 'T0411: Context value is not a compatible type with argument 1 of function "substring"'),
        ("$number('x')", 'D3030: Unable to cast value to a number: "x"'),
        ("$nosuch(1)", "T1006: Attempted to invoke a non-function"),
        ("$replace('a', '', 'b')", "D3010: Second argument of replace function cannot be an empty string"),
        (
            "$formatBase(10, 99)",
            "D3100: The radix of the formatBase function must be between 2 and 36.  It was given 99",
        ),
        ("$error('as written')", "D3137: as written"),
    ],
)
def test_words(expression: str, words: str) -> None:
    assert cause(expression) == (
        f"The JSONata expression '{expression}' specified for the field 'Output' threw an error during evaluation. "
        f"{words}"
    )


def test_a_function_is_named_only_where_it_is_certain() -> None:
    said = "T0410: Argument 1 must be Number"
    assert in_reference_words(said, "$abs($uppercase('x'))") == said
    assert in_reference_words("D9999: new", "$abs(1)") == "D9999: new"
