"""What is to be inspected, and how: the request of TestState, typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

import msgspec

from skylift.asl.commands import StartTask
from skylift.asl.resources import Resource

Level = Literal["INFO", "DEBUG", "TRACE"]
ValidationMode = Literal["STRICT", "PRESENT", "NONE"]

UNNAMED = "StateName"
"""What the service calls a state whose definition is given alone."""


class Refused(Exception):
    """The request is not one that can be carried out: the service's error code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class MockError(msgspec.Struct, frozen=True, kw_only=True):
    error: str | None = None
    cause: str | None = None


class Mock(msgspec.Struct, frozen=True, kw_only=True):
    """What the state's work answers instead of being done. `result` is JSON text."""

    result: str | None = None
    error_output: MockError | None = None
    field_validation_mode: ValidationMode = "STRICT"


class StateConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """Where in the state's life the test stands."""

    retrier_retry_count: int = 0
    """How often the retrier that answers has been used already."""
    error_caused_by_state: str | None = None
    """Which inner state of a Map or Parallel the mocked error comes from."""
    map_iteration_failure_count: int | None = None
    map_item_reader_data: str | None = None
    """What the ItemReader's file holds."""


class InspectionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`input`, `variables`, `context` and the mock's result are JSON text, kept as given: what passes unchanged
    through the state is shown with the spacing it came with."""

    definition: str
    state_name: str | None = None
    """A state of `definition`, which is then a whole document; None: `definition` is the state."""
    input: str = "{}"
    variables: str | None = None
    context: str | None = None
    role_arn: str | None = None
    level: Level = "INFO"
    mock: Mock | None = None
    configuration: StateConfiguration | None = None
    reveal_secrets: bool = False


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What the shell says of the test: names for the context object, the time, a seed for chance."""

    execution_arn: str
    """An EXPRESS execution's: `arn:…:express:MACHINE:NAME:ID`."""
    execution_name: str
    machine_arn: str
    machine_name: str
    now_ms: int
    seed: int


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an HTTP Task sent, as TRACE shows it. Headers and body are JSON or plain text."""

    protocol: str
    method: str
    url: str
    headers: str = ""
    body: str | None = None


class HttpResponse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """What came back."""

    protocol: str
    status_code: str
    status_message: str
    headers: str = ""
    body: str | None = None


class TaskAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How a Task that really ran ended. `failed`: with `error` and `cause`, otherwise with `output`."""

    output: Any = None
    failed: bool = False
    error: str | None = None
    cause: str | None = None
    classes: tuple[str, ...] = ()
    request: HttpRequest | None = None
    response: HttpResponse | None = None


RunTask = Callable[[StartTask], TaskAnswer]
"""Does a Task's work. Blocks."""

ReadData = Callable[[bytes, dict[str, Any]], list[Any]]
"""The items in an ItemReader's file, by its ReaderConfig. Raises ValueError, which says what is wrong with it."""


class ResultModels(Protocol):
    """What services answer, for checking mocked results."""

    def problem(self, resource: Resource, result: Any, *, required: bool) -> str | None:
        """What a result of this resource cannot be, None if nothing is wrong with it or nothing is known of the
        resource. `required`: fields that must be there must be there."""
        ...
