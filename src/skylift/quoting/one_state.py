"""What one state does to what is known: its arguments, its output, the variables after it."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from skylift.asl.choice import compile_rule
from skylift.asl.document import BooleanRule, Choice, ChoiceRule, Comparison, Fail, Map, State, Succeed, Task, Wait
from skylift.asl.scope import EvaluationFailed
from skylift.quoting import known
from skylift.quoting.known import UNKNOWN, Seen
from skylift.quoting.tree import Pause

_ANY_FAILURE = ("States.ALL", "States.TaskFailed", "States.Timeout", "States.HeartbeatTimeout")


def arguments_of(state: Any, seen: Seen) -> Any:
    field = "arguments" if state.query_language == "JSONata" else "parameters"
    template = getattr(state, field, UNSET)
    return seen.input if template is UNSET else known.evaluated(template, state.query_language, seen)


def finished(state: State, raw: Any, result: Any, seen: Seen) -> tuple[Any, dict[str, Any]]:
    """Its output, and the variables after it."""
    if isinstance(state, Succeed | Fail):
        return result, seen.variables
    language = state.query_language
    if language == "JSONata":
        seen.result = result
        output = result if state.output is UNSET else known.evaluated(state.output, language, seen)
    else:
        selector = getattr(state, "result_selector", UNSET)
        seen.input = result
        if selector is not UNSET:
            seen.input = result = known.evaluated(selector, language, seen)
        placed = known.placed(getattr(state, "result_path", UNSET), raw, result)
        output = known.read_path(state.output_path, Seen(input=placed, variables=seen.variables))
    return output, _assigned(state.assign, language, seen)


def _assigned(assign: Any, language: str, seen: Seen) -> dict[str, Any]:
    if assign is UNSET:
        return seen.variables
    return {**seen.variables, **known.evaluated(assign, language, seen)}


def taken(state: Choice, rule: ChoiceRule | None, seen: Seen) -> tuple[Any, dict[str, Any]]:
    """Output and variables of a Choice that goes by this rule, or by its default."""
    holder: Any = state if rule is None else rule
    output = seen.input
    if holder.output is not UNSET:
        output = known.evaluated(holder.output, state.query_language, seen)
    elif state.query_language == "JSONPath":
        output = known.read_path(state.output_path, seen)
    return output, _assigned(holder.assign, state.query_language, seen)


def is_true(rule: ChoiceRule, state: Choice, seen: Seen) -> Any:
    """True, False or UNKNOWN."""
    if rule.condition is not UNSET:
        return known.condition(rule.condition, seen)
    if rule.rule is None or not all(known.is_known(known.at_path(path, seen)) for path in _paths(rule.rule)):
        return UNKNOWN
    try:
        return compile_rule(rule)(known.scope_of(seen))
    except (EvaluationFailed, LookupError, TypeError, ValueError):
        return UNKNOWN


def _paths(rule: Comparison | BooleanRule) -> list[str]:
    if isinstance(rule, BooleanRule):
        return [path for operand in rule.operands for path in _paths(operand)]
    return [rule.variable, *([str(rule.operand)] if rule.operator.endswith("Path") else [])]


def in_common(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return {name: known.merged(one.get(name, UNKNOWN), other.get(name, UNKNOWN)) for name in {**one, **other}}


def items_of(state: Map, seen: Seen) -> Any:
    if state.item_reader is not UNSET:
        return UNKNOWN
    if state.items is not UNSET:
        return known.evaluated(state.items, state.query_language, seen)
    return known.read_path(state.items_path, seen) if state.query_language == "JSONPath" else seen.input


def pause_of(name: str, state: Wait, seen: Seen) -> Pause:
    seconds: Any = state.seconds
    if state.seconds_path is not UNSET:
        seconds = known.at_path(state.seconds_path, seen)
    elif seconds is not UNSET:
        seconds = known.evaluated(seconds, state.query_language, seen)
    if isinstance(seconds, int | float) and not isinstance(seconds, bool):
        return Pause(state=name, ms=int(seconds * 1000))
    return Pause(state=name, ms=None, why=f"how long {name} waits is not known beforehand")


def repeats_of(state: Task) -> int:
    """How often it tries again, at the most, after a failure of the work itself: each retrier counts for itself."""
    return sum(
        retrier.max_attempts for retrier in state.retry if any(_may_be_of_work(name) for name in retrier.error_equals)
    )


def _may_be_of_work(error: str) -> bool:
    return error in _ANY_FAILURE or not error.startswith(("States.", "Lambda."))
