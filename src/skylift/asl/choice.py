"""Choice rules as functions of the scope: comparisons, And, Or, Not, and JSONata conditions."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from msgspec import UNSET

from skylift.asl.document import BooleanRule, ChoiceRule, Comparison
from skylift.asl.jsonata import compile_jsonata
from skylift.asl.jsonpath import Path, PathNotFound, compile_path
from skylift.asl.result_types import require
from skylift.asl.scope import EvaluationFailed, Scope
from skylift.asl.template import expression_in
from skylift.asl.timestamps import parse_timestamp

Rule = Callable[[Scope], bool]
Test = Callable[[Any, Any], bool]


def compile_rule(rule: Comparison | BooleanRule | ChoiceRule) -> Rule:
    """Comparing values of different types is false; a Variable that is not there fails with States.Runtime."""
    if isinstance(rule, ChoiceRule):
        return _condition(rule) if rule.condition is not UNSET else compile_rule(_required(rule))
    if isinstance(rule, BooleanRule):
        return _combine(rule.operator, [compile_rule(operand) for operand in rule.operands])
    return _comparison(rule)


def _required(rule: ChoiceRule) -> Comparison | BooleanRule:
    if rule.rule is None:
        raise ValueError(f"the choice at {rule.pointer} has neither a rule nor a Condition")
    return rule.rule


def _condition(rule: ChoiceRule) -> Rule:
    text = expression_in(rule.condition)
    if text is None:
        fixed = rule.condition is True
        return lambda scope: fixed
    field = f"Choices[{rule.pointer.rpartition('/')[2]}]/Condition"
    evaluate = compile_jsonata(text).evaluator(field)

    def condition(scope: Scope) -> bool:
        value = evaluate(scope)
        require("boolean", value, rule.condition, field)
        return value is True

    return condition


def _combine(name: str, rules: list[Rule]) -> Rule:
    if name == "Not":
        (only,) = rules
        return lambda scope: not only(scope)
    if name == "And":
        return lambda scope: all(rule(scope) for rule in rules)
    return lambda scope: any(rule(scope) for rule in rules)


def _comparison(rule: Comparison) -> Rule:
    variable = compile_path(rule.variable)
    if rule.operator == "IsPresent":
        return _presence(variable, rule.operand)
    read = _reader(variable)
    if rule.operator in _KINDS:
        kind, wanted = _KINDS[rule.operator], rule.operand is True
        return lambda scope: kind(read(scope)) is wanted
    if rule.operator == "StringMatches":
        match = _pattern(str(rule.operand))
        return lambda scope: match(read(scope))
    if rule.operator.endswith("Path"):
        test, other = _TESTS[rule.operator.removesuffix("Path")], _reader(compile_path(str(rule.operand)))
        return lambda scope: test(read(scope), other(scope))
    test, operand = _TESTS[rule.operator], rule.operand
    return lambda scope: test(read(scope), operand)


def _presence(path: Path, wanted: Any) -> Rule:
    def present(scope: Scope) -> bool:
        try:
            path.get(scope)
        except PathNotFound:
            return wanted is not True
        return wanted is True

    return present


def _reader(path: Path) -> Callable[[Scope], Any]:
    get, text = path.get, path.text

    def read(scope: Scope) -> Any:
        try:
            return get(scope)
        except PathNotFound:
            raise EvaluationFailed(
                "States.Runtime",
                f"Invalid path '{text}': The choice state's condition path references an invalid value.",
            ) from None

    return read


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_KINDS: dict[str, Callable[[Any], bool]] = {
    "IsNull": lambda value: value is None,
    "IsNumeric": _is_number,
    "IsString": lambda value: isinstance(value, str),
    "IsBoolean": lambda value: isinstance(value, bool),
    "IsTimestamp": lambda value: isinstance(value, str) and parse_timestamp(value) is not None,
}


def _strings(test: Callable[[Any, Any], bool]) -> Test:
    def compare(left: Any, right: Any) -> bool:
        if not isinstance(left, str) or not isinstance(right, str):
            return False
        if left.isascii() and right.isascii():
            return test(left, right)
        return test(left.encode("utf-16-be", "surrogatepass"), right.encode("utf-16-be", "surrogatepass"))

    return compare


def _numbers(test: Callable[[Any, Any], bool]) -> Test:
    return lambda left, right: _is_number(left) and _is_number(right) and test(left, right)


def _timestamps(test: Callable[[Any, Any], bool]) -> Test:
    def compare(left: Any, right: Any) -> bool:
        if not isinstance(left, str) or not isinstance(right, str):
            return False
        before, after = parse_timestamp(left), parse_timestamp(right)
        return before is not None and after is not None and test(before, after)

    return compare


def _booleans(left: Any, right: Any) -> bool:
    return isinstance(left, bool) and left is right


_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "GreaterThan": operator.gt,
    "LessThanEquals": operator.le,
    "GreaterThanEquals": operator.ge,
}
_TESTS: dict[str, Test] = {"BooleanEquals": _booleans} | {
    kind + name: make(test)
    for kind, make in (("String", _strings), ("Numeric", _numbers), ("Timestamp", _timestamps))
    for name, test in _ORDER.items()
}


def _pattern(pattern: str) -> Callable[[Any], bool]:
    """`*` stands for any text; `\\*` and `\\\\` for the characters. Linear, whatever the pattern."""
    pieces = _pieces(pattern)
    first, last, middle = pieces[0], pieces[-1], pieces[1:-1]

    def match(value: Any) -> bool:
        if not isinstance(value, str):
            return False
        if len(pieces) == 1:
            return value == first
        end = len(value) - len(last)
        if end < len(first) or not value.startswith(first) or not value.endswith(last):
            return False
        at = len(first)
        for piece in middle:
            found = value.find(piece, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True

    return match


def _pieces(pattern: str) -> list[str]:
    pieces = [""]
    characters = iter(pattern)
    for char in characters:
        if char == "\\":
            pieces[-1] += next(characters, "\\")
        elif char == "*":
            pieces.append("")
        else:
            pieces[-1] += char
    return pieces
