"""A States Language document, typed. Built by `asl.parse`, which has checked it; compiled once by `asl.machine`.

Fields keep the specification's names in snake case and its meaning. A field that is absent is `UNSET`; a JSON `null`
(`ResultPath: null`) is None. Values that may hold expressions are kept as written.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

QueryLanguage = Literal["JSONPath", "JSONata"]


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """Anything with a place in the document."""

    pointer: str
    """JSON pointer (RFC 6901) from the document's root."""


class Retrier(Node, frozen=True, kw_only=True):
    error_equals: tuple[str, ...]
    interval_seconds: int = 1
    max_attempts: int = 3
    backoff_rate: float = 2.0
    max_delay_seconds: int | None = None
    jitter_strategy: Literal["NONE", "FULL"] = "NONE"


class Catcher(Node, frozen=True, kw_only=True):
    error_equals: tuple[str, ...]
    next: str
    result_path: str | UnsetType | None = UNSET
    assign: dict[str, Any] | UnsetType = UNSET
    output: Any = UNSET


class Comparison(Node, frozen=True, kw_only=True):
    """`{"Variable": …, "NumericEquals": …}`; `operator` is the key as written, Path forms included."""

    variable: str
    operator: str
    operand: Any


class BooleanRule(Node, frozen=True, kw_only=True):
    """And, Or, Not. Not has one operand."""

    operator: Literal["And", "Or", "Not"]
    operands: tuple[Comparison | BooleanRule, ...]


class ChoiceRule(Node, frozen=True, kw_only=True):
    """One entry of Choices: a JSONPath rule or a JSONata Condition."""

    next: str
    rule: Comparison | BooleanRule | None = None
    condition: Any = UNSET
    assign: dict[str, Any] | UnsetType = UNSET
    output: Any = UNSET
    comment: str | None = None


class State(Node, frozen=True, kw_only=True):
    """Fields that every state type has."""

    name: str
    query_language: QueryLanguage
    comment: str | None = None
    next: str | None = None
    end: bool = False
    input_path: str | UnsetType | None = UNSET
    output_path: str | UnsetType | None = UNSET
    assign: dict[str, Any] | UnsetType = UNSET
    output: Any = UNSET


class Pass(State, frozen=True, kw_only=True):
    result: Any = UNSET
    parameters: Any = UNSET
    result_path: str | UnsetType | None = UNSET


class Task(State, frozen=True, kw_only=True):
    resource: str
    parameters: Any = UNSET
    arguments: Any = UNSET
    result_selector: Any = UNSET
    result_path: str | UnsetType | None = UNSET
    credentials: Any = UNSET
    timeout_seconds: int | str | UnsetType = UNSET
    """A number, or a JSONata string."""
    timeout_seconds_path: str | UnsetType = UNSET
    heartbeat_seconds: int | str | UnsetType = UNSET
    heartbeat_seconds_path: str | UnsetType = UNSET
    retry: tuple[Retrier, ...] = ()
    catch: tuple[Catcher, ...] = ()


class Choice(State, frozen=True, kw_only=True):
    choices: tuple[ChoiceRule, ...]
    default: str | None = None


class Wait(State, frozen=True, kw_only=True):
    """Exactly one of the four is set."""

    seconds: int | str | UnsetType = UNSET
    seconds_path: str | UnsetType = UNSET
    timestamp: str | UnsetType = UNSET
    timestamp_path: str | UnsetType = UNSET


class Succeed(State, frozen=True, kw_only=True):
    pass


class Fail(State, frozen=True, kw_only=True):
    error: str | UnsetType = UNSET
    error_path: str | UnsetType = UNSET
    cause: str | UnsetType = UNSET
    cause_path: str | UnsetType = UNSET


class Parallel(State, frozen=True, kw_only=True):
    branches: tuple[Flow, ...]
    parameters: Any = UNSET
    arguments: Any = UNSET
    result_selector: Any = UNSET
    result_path: str | UnsetType | None = UNSET
    retry: tuple[Retrier, ...] = ()
    catch: tuple[Catcher, ...] = ()


class ItemReader(Node, frozen=True, kw_only=True):
    resource: str
    reader_config: dict[str, Any] | str | UnsetType = UNSET
    """Keys as written: InputType, CSVHeaderLocation, CSVHeaders, CSVDelimiter, MaxItems, MaxItemsPath, …"""
    parameters: Any = UNSET
    arguments: Any = UNSET


class ItemBatcher(Node, frozen=True, kw_only=True):
    batch_input: Any = UNSET
    max_items_per_batch: int | str | UnsetType = UNSET
    max_items_per_batch_path: str | UnsetType = UNSET
    max_input_bytes_per_batch: int | str | UnsetType = UNSET
    max_input_bytes_per_batch_path: str | UnsetType = UNSET


class ResultWriter(Node, frozen=True, kw_only=True):
    resource: str | UnsetType = UNSET
    writer_config: dict[str, Any] | UnsetType = UNSET
    parameters: Any = UNSET
    arguments: Any = UNSET


class Map(State, frozen=True, kw_only=True):
    item_processor: Flow
    """Also from the old Iterator."""
    mode: Literal["INLINE", "DISTRIBUTED"] = "INLINE"
    execution_type: Literal["STANDARD", "EXPRESS"] | None = None
    items_path: str | UnsetType | None = UNSET
    items: Any = UNSET
    item_selector: Any = UNSET
    """Also from the old Parameters of a Map state."""
    item_reader: ItemReader | UnsetType = UNSET
    item_batcher: ItemBatcher | UnsetType = UNSET
    result_writer: ResultWriter | UnsetType = UNSET
    max_concurrency: int | str | UnsetType = UNSET
    max_concurrency_path: str | UnsetType = UNSET
    tolerated_failure_count: int | str | UnsetType = UNSET
    tolerated_failure_count_path: str | UnsetType = UNSET
    tolerated_failure_percentage: float | str | UnsetType = UNSET
    tolerated_failure_percentage_path: str | UnsetType = UNSET
    label: str | UnsetType = UNSET
    arguments: Any = UNSET
    result_selector: Any = UNSET
    result_path: str | UnsetType | None = UNSET
    retry: tuple[Retrier, ...] = ()
    catch: tuple[Catcher, ...] = ()


class Flow(Node, frozen=True, kw_only=True):
    """A sequence of states with one start: the document itself, a branch, an item processor."""

    start_at: str
    states: dict[str, State]
    """Pass | Task | Choice | Wait | Succeed | Fail | Parallel | Map, by name, in the order written."""
    query_language: QueryLanguage = "JSONPath"
    comment: str | None = None


class Document(msgspec.Struct, frozen=True, kw_only=True):
    flow: Flow
    timeout_seconds: int | None = None
    version: str = "1.0"
