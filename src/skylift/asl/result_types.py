"""Fields whose expression must give a value of one type, and the service's words where it gives another."""

from __future__ import annotations

from typing import Any, Literal

from skylift.asl.json_text import json_text
from skylift.asl.scope import EvaluationFailed
from skylift.asl.template import expression_in

Kind = Literal["string", "number", "boolean", "array", "object", "null"]

_KINDS: dict[type, Kind] = {
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    list: "array",
    dict: "object",
}


def kind_of(value: Any) -> Kind:
    return _KINDS.get(type(value), "null")


def require(wanted: Kind, value: Any, source: Any, field: str) -> None:
    """Raises EvaluationFailed(States.QueryEvaluationError) where the value is of another type.

    `source` is the field as written in the document: the message quotes its expression.
    """
    kind = kind_of(value)
    if kind == wanted:
        return
    text = expression_in(source)
    about = "The value" if text is None else f"The JSONata expression '{text}'"
    raise EvaluationFailed(
        "States.QueryEvaluationError",
        f"{about} specified for the field '{field}' returned an unexpected result type. "
        f"Expected '{wanted}', but was '{kind}' for value: {json_text(value)}",
        field,
    )


def out_of_range(jsonata: bool, field: str, cause: str) -> EvaluationFailed:
    """A value of the right type that the field cannot have."""
    if jsonata:
        return EvaluationFailed("States.QueryEvaluationError", cause, field)
    return EvaluationFailed("States.Runtime", cause)
