"""What an expression can see while a state is being evaluated."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec


class Variables(Protocol):
    """Variables visible to a state: its own flow's and those of the flows around it."""

    def __getitem__(self, name: str) -> Any: ...

    def __contains__(self, name: object) -> bool: ...

    def as_mapping(self) -> Mapping[str, Any]:
        """All visible variables, inner ones hiding outer ones."""
        ...


class Scope(msgspec.Struct, kw_only=True):
    """One evaluation's surroundings, for both query languages.

    JSONPath: `$` is `input` (the caller sets it to what the field at hand works on: raw input, result, …), `$$` is
    `context()`, `$name` a variable. JSONata: `$states` is built of input, result, errorOutput and context.
    """

    input: Any
    context: Callable[[], Mapping[str, Any]]
    """Builds the context object when an expression asks for it."""
    variables: Variables
    random: Callable[[], random.Random]
    """The run's own source of randomness at this event; the only one an expression may use."""
    result: Any = msgspec.UNSET
    error_output: Any = msgspec.UNSET


class EvaluationFailed(Exception):
    """An expression, path, intrinsic or template failed.

    `error` is the States Language error name (States.QueryEvaluationError, States.ParameterPathFailure, …) and `cause`
    the service's message without the "An error occurred while executing the state…" preamble, which `advance` adds.
    `location` is the field of the state, as the EvaluationFailed history event names it ("Output", "Arguments/a", …).
    """

    def __init__(self, error: str, cause: str, location: str | None = None) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause
        self.location = location
