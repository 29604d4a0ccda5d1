"""What is noted while a state is worked through, and which of it the service shows for which state."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from skylift.asl.document import Map, Pass, State, Task

_INPUT = ("afterInputPath",)
_RESULT = ("afterResultSelector", "afterResultPath")
_ITEMS = ("afterItemsPointer", "afterItemSelector", "afterItemBatcher")
_SETTINGS = ("maxConcurrency", "toleratedFailureCount", "toleratedFailurePercentage")

_JSONPATH: dict[str, tuple[str, ...]] = {
    "Task": (*_INPUT, "afterParameters", "result", *_RESULT),
    "Pass": (*_INPUT, "afterParameters", *_RESULT),
    "Map": (*_INPUT, "afterItemsPath", *_ITEMS, *_RESULT, *_SETTINGS),
    "Parallel": (*_INPUT, *_RESULT),
}
_JSONATA: dict[str, tuple[str, ...]] = {"Task": ("afterArguments", "result"), "Map": (*_ITEMS, *_SETTINGS)}
_PASS_WITH_RESULT = ("result", *_RESULT)

NUMBERS = frozenset(_SETTINGS)
"""Members that are numbers; all others are JSON text."""


def shown(state: State) -> tuple[str, ...]:
    """The members of inspectionData that the service has for a state, by its type and query language.

    As recorded: nothing of the input of a Pass state with a Result; of a Parallel or Map neither what it hands to its
    branches nor its raw result.
    """
    if isinstance(state, Pass) and state.result is not UNSET:
        return _PASS_WITH_RESULT
    kind = type(state).__name__
    if state.query_language != "JSONata":
        return _JSONPATH.get(kind, _INPUT)
    if isinstance(state, Task) and state.arguments is UNSET:
        return ("result",)
    return _JSONATA.get(kind, ())


class Notes:
    """Values by the member of inspectionData that shows them. The last note of a name counts: a retry's, say."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.selected: dict[int, Any] = {}
        """What the ItemSelector made of each item."""
        self.batches: list[Any] = []

    def take(self, name: str, value: Any) -> Any:
        self.values[name] = value
        return value

    def close(self, state: State) -> None:
        """Put together what was noted one by one."""
        if not isinstance(state, Map):
            return
        if self.selected:
            self.take("afterItemSelector", [self.selected[index] for index in sorted(self.selected)])
        if self.batches:
            self.take("afterItemBatcher", self.batches)
