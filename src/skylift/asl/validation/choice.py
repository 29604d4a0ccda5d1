"""Choice states: their rules, with every comparison operator, and JSONata conditions."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET

from skylift.asl.document import BooleanRule, Choice, ChoiceRule, Comparison
from skylift.asl.validation.expressions import assign, check_jsonata_text, is_jsonata, path, template
from skylift.asl.validation.fields import EVERYWHERE, JSONATA, JSONPATH, Allowed, Fields, kind_of
from skylift.asl.validation.report import listed, show, suggestion
from skylift.asl.validation.timestamp import check_timestamp

Rule = Comparison | BooleanRule

_ORDERED = ("Equals", "LessThan", "GreaterThan", "LessThanEquals", "GreaterThanEquals")
OPERANDS: dict[str, str] = {
    **{f"{kind}{order}": kind for kind in ("String", "Numeric", "Timestamp") for order in _ORDERED},
    "BooleanEquals": "Boolean",
    "StringMatches": "String",
    **{f"{kind}{order}Path": "Path" for kind in ("String", "Numeric", "Timestamp") for order in _ORDERED},
    "BooleanEqualsPath": "Path",
    **{f"Is{kind}": "Boolean" for kind in ("Null", "Present", "Numeric", "String", "Boolean", "Timestamp")},
}
"""Comparison operator to the kind of its operand."""

BOOLEAN: tuple[Literal["And", "Or", "Not"], ...] = ("And", "Or", "Not")
INNER: Allowed = {
    **dict.fromkeys(("Comment",), EVERYWHERE),
    **dict.fromkeys(("Variable", *BOOLEAN, *OPERANDS), JSONPATH),
}
TOP: Allowed = {**INNER, "Next": EVERYWHERE, "Assign": EVERYWHERE, "Output": JSONATA, "Condition": JSONATA}


def choice(fields: Fields, common: dict[str, Any]) -> Choice:
    fields.require("Choices")
    default = fields.target("Default")
    entries = fields.list("Choices")
    if entries == []:
        fields.report.add("TOO_FEW", fields.at("Choices"), "'Choices' is empty", "Add a rule, or use a Pass state")
    rules = [
        _top_rule(entry, f"{fields.at('Choices')}/{index}", fields)
        for index, entry in enumerate(entries if isinstance(entries, list) else ())
    ]
    return Choice(
        **common,
        choices=tuple(rule for rule in rules if rule is not None),
        default=default if isinstance(default, str) else None,
    )


def _top_rule(entry: Any, pointer: str, state: Fields) -> ChoiceRule | None:
    if not isinstance(entry, dict):
        state.report.add("WRONG_TYPE", pointer, f"a Choice rule must be an object, it is {kind_of(entry)}", "Mend it")
        return None
    fields = Fields(entry, pointer, "a Choice rule", state.check, state.language)
    fields.allow(TOP)
    target = fields.target("Next")
    if state.language == JSONATA:
        fields.require("Condition", "Next")
    elif not fields.has("Next"):
        fields.require("Next")
    comment = fields.comment()
    return ChoiceRule(
        pointer=pointer,
        next=target if isinstance(target, str) else "",
        rule=_test(fields) if state.language == JSONPATH else None,
        condition=_condition(fields),
        assign=assign(fields),
        output=template(fields, "Output"),
        comment=comment,
    )


def _condition(fields: Fields) -> Any:
    value = fields.raw("Condition")
    if value is UNSET or isinstance(value, bool):
        return value
    pointer = fields.at("Condition")
    if is_jsonata(value):
        check_jsonata_text(value, pointer, fields.check)
    elif isinstance(value, str):
        fields.report.add(
            "INVALID_JSONATA",
            pointer,
            f"'Condition' is {show(value)}, which is not an expression",
            "Write it as {% … %}; it must give true or false",
        )
    else:
        fields.wrong_type("Condition", "an expression, true or false", "Write it as {% … %}")
    return value


def _test(fields: Fields) -> Rule | None:
    """The one comparison or And, Or, Not that a JSONPath rule has."""
    tests = [name for name in fields.value if name in OPERANDS or name in BOOLEAN]
    if len(tests) != 1:
        if not tests and fields.skipped:
            return None  # a misspelt operator is reported already
        fields.report.add(
            "CONFLICTING_FIELDS" if tests else "MISSING_FIELD",
            fields.pointer,
            f"a rule needs exactly one test, this has {listed(tests) or 'none'}",
            "Keep one; join several with And or Or"
            if tests
            else "Add Variable and a comparison like StringEquals, or And, Or, Not",
        )
        return None
    if tests[0] == "Not":
        return _not(fields)
    return _junction(fields, tests[0]) if tests[0] in BOOLEAN else _comparison(fields, tests[0])


def _not(fields: Fields) -> BooleanRule | None:
    _no_variable(fields, "Not")
    value = fields.object("Not")
    if not isinstance(value, dict):
        return None
    inner = _inner_rule(value, fields.at("Not"), fields)
    return BooleanRule(pointer=fields.pointer, operator="Not", operands=(inner,)) if inner is not None else None


def _junction(fields: Fields, operator: str) -> BooleanRule | None:
    _no_variable(fields, operator)
    entries = fields.list(operator)
    if not isinstance(entries, list):
        return None
    if not entries:
        fields.report.add("TOO_FEW", fields.at(operator), f"{operator!r} is empty", "Add a rule to it")
    inner = [_inner_rule(entry, f"{fields.at(operator)}/{index}", fields) for index, entry in enumerate(entries)]
    operands = tuple(rule for rule in inner if rule is not None)
    return BooleanRule(pointer=fields.pointer, operator="And" if operator == "And" else "Or", operands=operands)


def _no_variable(fields: Fields, operator: str) -> None:
    if fields.has("Variable"):
        fields.report.add(
            "CONFLICTING_FIELDS",
            fields.pointer,
            f"'Variable' has no meaning beside {operator!r}",
            f"Move it into the rules inside {operator}",
        )


def _inner_rule(entry: Any, pointer: str, around: Fields) -> Rule | None:
    if not isinstance(entry, dict):
        around.report.add("WRONG_TYPE", pointer, f"a rule must be an object, it is {kind_of(entry)}", "Mend it")
        return None
    fields = Fields(entry, pointer, "a rule inside And, Or or Not", around.check, around.language)
    fields.allow(INNER, TOP)
    fields.comment()
    return _test(fields)


def _comparison(fields: Fields, operator: str) -> Comparison | None:
    fields.require("Variable")
    variable = path(fields, "Variable")
    operand = fields.value[operator]
    kind = OPERANDS[operator]
    if kind == "Path":
        path(fields, operator)
    elif not _fits(operand, kind):
        fields.wrong_type(operator, _KIND_NAMES[kind], _path_hint(operator, operand))
    elif kind == "Timestamp":
        check_timestamp(operand, fields.at(operator), fields.report)
    if not isinstance(variable, str):
        return None
    return Comparison(pointer=fields.pointer, variable=variable, operator=operator, operand=operand)


_KIND_NAMES = {"String": "text", "Numeric": "a number", "Boolean": "true or false", "Timestamp": "a timestamp"}


def _fits(operand: Any, kind: str) -> bool:
    if kind == "Boolean":
        return isinstance(operand, bool)
    if kind == "Numeric":
        return isinstance(operand, int | float) and not isinstance(operand, bool)
    return isinstance(operand, str)


def _path_hint(operator: str, operand: Any) -> str | None:
    if isinstance(operand, str) and operand.startswith("$") and f"{operator}Path" in OPERANDS:
        return f"To compare with a path use {operator}Path"
    guess = suggestion(f"Is{operator}", OPERANDS) if operator.startswith("Is") else ""
    return guess or None
