"""What a picture of a document shows: nodes, edges and the short texts on them, for every drawing style."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec import UNSET

from skylift.asl.document import (
    BooleanRule,
    Choice,
    ChoiceRule,
    Comparison,
    Fail,
    Flow,
    Map,
    Parallel,
    State,
    Succeed,
    Task,
    Wait,
)

EdgeKind = Literal["next", "choice", "catch"]


class Edge(msgspec.Struct, frozen=True):
    source: str
    target: str
    kind: EdgeKind
    label: str = ""


def edges_of(flow: Flow) -> list[Edge]:
    """All transitions of a flow, those with the same ends and kind joined into one."""
    joined: dict[tuple[str, str, EdgeKind], list[str]] = {}
    for state in flow.states.values():
        for edge in _edges(state):
            labels = joined.setdefault((edge.source, edge.target, edge.kind), [])
            if edge.label and edge.label not in labels:
                labels.append(edge.label)
    return [Edge(source, target, kind, " or ".join(labels)) for (source, target, kind), labels in joined.items()]


def _edges(state: State) -> Iterable[Edge]:
    if state.next is not None:
        yield Edge(state.name, state.next, "next")
    if isinstance(state, Choice):
        for rule in state.choices:
            yield Edge(state.name, rule.next, "choice", _rule_label(rule))
        if state.default is not None:
            yield Edge(state.name, state.default, "choice", "otherwise")
    elif isinstance(state, Task | Parallel | Map):
        for catcher in state.catch:
            yield Edge(state.name, catcher.next, "catch", _errors_label(catcher.error_equals))


def is_end(state: State) -> bool:
    return state.end or isinstance(state, Succeed)


def inner_flows(state: State) -> tuple[Flow, ...]:
    if isinstance(state, Parallel):
        return state.branches
    return (state.item_processor,) if isinstance(state, Map) else ()


def detail(state: State) -> str:
    """The small line under a state's name."""
    if isinstance(state, Task):
        return _resource_label(state.resource)
    if isinstance(state, Wait):
        return _wait_label(state)
    if isinstance(state, Fail):
        return state.error if isinstance(state.error, str) else "Fail"
    if isinstance(state, Map):
        limit = state.max_concurrency
        return ("Distributed Map" if state.mode == "DISTRIBUTED" else "Map") + (
            f", {limit} at once" if isinstance(limit, int) and limit > 0 else ""
        )
    return type(state).__name__


def _resource_label(resource: str) -> str:
    """`lambda:invoke` of `arn:aws:states:::lambda:invoke`, the name of a function, a task or an activity."""
    parts = resource.split(":")
    if len(parts) > 6 and parts[2] == "states" and not parts[3]:
        rest = ":".join(parts[5:])
        return f"task {rest.removeprefix('skylift:')}" if rest.startswith("skylift:") else rest
    if len(parts) > 6 and parts[2] in ("lambda", "states"):
        return f"{parts[5]} {parts[6]}"
    return resource


def _wait_label(state: Wait) -> str:
    if state.seconds is not UNSET:
        return f"Wait {state.seconds} s" if isinstance(state.seconds, int) else f"Wait {_bare(state.seconds)} s"
    if state.timestamp is not UNSET:
        return f"Wait until {_bare(state.timestamp)}"
    return f"Wait {state.seconds_path if state.seconds_path is not UNSET else f'until {state.timestamp_path}'}"


def _errors_label(names: tuple[str, ...]) -> str:
    return "any error" if names == ("States.ALL",) else ", ".join(name.removeprefix("States.") for name in names)


def _rule_label(rule: ChoiceRule) -> str:
    if rule.comment:
        return rule.comment
    if rule.rule is not None:
        return _rule_text(rule.rule)
    return _bare(rule.condition) if isinstance(rule.condition, str) else str(rule.condition).lower()


def _bare(text: str) -> str:
    """An expression without its delimiters."""
    return text[2:-2].strip() if text.startswith("{%") and text.endswith("%}") else text


_SIGNS = {
    "Equals": "=",
    "LessThan": "<",
    "GreaterThan": ">",
    "LessThanEquals": "≤",
    "GreaterThanEquals": "≥",
    "Matches": "like",
}


def _rule_text(rule: Comparison | BooleanRule) -> str:
    if isinstance(rule, Comparison):
        return _comparison_text(rule)
    if rule.operator == "Not":
        return f"not ({_rule_text(rule.operands[0])})"
    return f" {rule.operator.lower()} ".join(
        f"({_rule_text(each)})" if isinstance(each, BooleanRule) else _rule_text(each) for each in rule.operands
    )


def _comparison_text(rule: Comparison) -> str:
    operator = rule.operator.removesuffix("Path")
    if operator.startswith("Is"):
        return f"{rule.variable} is {'' if rule.operand else 'not '}{operator[2:].lower()}"
    for kind in ("String", "Numeric", "Boolean", "Timestamp"):
        operator = operator.removeprefix(kind)
    operand = rule.operand if isinstance(rule.operand, str) else str(rule.operand).lower()
    if isinstance(rule.operand, str) and not rule.operator.endswith("Path"):
        operand = f"'{operand}'"
    return f"{rule.variable} {_SIGNS.get(operator, operator)} {operand}"


def shorten(text: str, limit: int) -> str:
    """One line of at most `limit` characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
