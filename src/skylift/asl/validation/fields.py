"""Reading the fields of one JSON object of a document, reporting what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, UnsetType

from skylift.asl.validation.check import Check
from skylift.asl.validation.report import as_service_location, escape, listed, show, suggestion

EVERYWHERE = ""
"""In a table of allowed fields: in both query languages."""
JSONPATH = "JSONPath"
JSONATA = "JSONata"

Allowed = Mapping[str, str]
"""Field name to the query language that has it, or EVERYWHERE."""


class Fields:
    """An object of the document: its fields by type. A field that is wrong is reported and reads as absent."""

    __slots__ = ("check", "language", "pointer", "report", "skipped", "value", "what")

    def __init__(self, value: dict[str, Any], pointer: str, what: str, check: Check, language: str) -> None:
        self.value = value
        self.pointer = pointer
        self.what = what
        """How messages call the object: "a Task state", "a Retrier", …"""
        self.check = check
        self.report = check.report
        self.language = language
        self.skipped: set[str] = set()

    def at(self, name: str) -> str:
        return f"{self.pointer}/{escape(name)}"

    def has(self, name: str) -> bool:
        return name in self.value

    def raw(self, name: str) -> Any:
        """The value as written, UNSET if absent or already found to be out of place."""
        return UNSET if name in self.skipped else self.value.get(name, UNSET)

    def allow(self, allowed: Allowed, known: Allowed | None = None) -> None:
        """Report every field that `allowed` lacks or that belongs to the other language; `known` are fields of
        other places, which get a message of their own."""
        for name in self.value:
            belongs = allowed.get(name)
            if belongs == EVERYWHERE or belongs == self.language:
                continue
            self.skipped.add(name)
            if belongs is not None:
                self._wrong_language(name, belongs)
            elif known is not None and name in known:
                self._not_here(name, allowed)
            else:
                self._unknown(name, allowed)

    def _wrong_language(self, name: str, belongs: str) -> None:
        twin = _TWINS.get((name, belongs))
        # a document in JSONata cannot have states in JSONPath
        switch = f'"QueryLanguage": "{belongs}"' if self.check.language != JSONATA else ""
        mend = f"Use {twin}" if twin else "Remove it"
        self.report.add(
            "WRONG_QUERY_LANGUAGE",
            self.at(name),
            f"{name!r} belongs to {belongs}, but the query language here is {self.language}",
            f"{mend}, or set {switch} on the state" if switch else mend,
            service_message=f"The QueryLanguage is set to '{self.language}', but field '{name}' is only supported for "
            f"the '{belongs}' QueryLanguage",
            service_location=as_service_location(self.pointer),
        )

    def _not_here(self, name: str, allowed: Allowed) -> None:
        self.report.add(
            "FIELD_NOT_ALLOWED",
            self.at(name),
            f"{self.what} has no field {name!r}",
            f"Remove it; {self.what} may have {listed(allowed)}",
            service_message=f"Field '{name}' is not supported",
            service_location=as_service_location(self.pointer),
        )

    def _unknown(self, name: str, allowed: Allowed) -> None:
        guess = suggestion(name, allowed)
        self.report.add(
            "UNKNOWN_FIELD",
            self.at(name),
            f"{self.what} has no field {show(name)}",
            f"{guess[:1].upper()}{guess[1:]}Otherwise remove it; notes go into Comment"
            if guess
            else f"Remove it; {self.what} may have {listed(allowed)}; notes go into Comment",
            service_message=f"Field '{name}' is not supported",
            service_location=as_service_location(self.pointer),
        )

    def require(self, *names: str) -> None:
        """All of these must be there; what is absent is reported at once."""
        absent = [name for name in names if name not in self.value]
        if absent:
            self.missing(absent, f"{self.what} needs {listed(absent)}", f"Add {listed(absent)}")

    def missing(self, absent: list[str], message: str, mend: str) -> None:
        self.report.add(
            "MISSING_FIELD",
            self.pointer,
            message,
            mend,
            service_message=f"These fields are required: [{listed(absent)}]",
            service_location=as_service_location(self.pointer),
        )

    def exclusive(self, *names: str) -> None:
        """At most one of these."""
        there = [name for name in names if name in self.value and name not in self.skipped]
        if len(there) > 1:
            self.report.add(
                "CONFLICTING_FIELDS",
                self.pointer,
                f"{' and '.join(there)} exclude each other",
                "Keep one of them",
                service_message=f"There should only be one of the following fields: [{listed(names)}]",
                service_location=as_service_location(self.pointer),
            )

    def wrong_type(self, name: str, wanted: str, mend: str | None = None) -> None:
        value = self.value[name]
        self.report.add(
            "WRONG_TYPE",
            self.at(name),
            f"{name!r} must be {wanted}, it is {kind_of(value)}",
            mend or f"Write {wanted}",
            service_message=f"Expected value of type {_SERVICE_TYPES[wanted]}" if wanted in _SERVICE_TYPES else None,
        )

    def text(self, name: str) -> str | UnsetType:
        value = self.raw(name)
        if value is UNSET or isinstance(value, str):
            return value
        self.wrong_type(name, "text")
        return UNSET

    def target(self, name: str) -> str | UnsetType:
        """The name of a state to go to. None is empty, so an empty one leads nowhere."""
        value = self.text(name)
        if value != "":
            return value
        self.report.add(
            "MISSING_TARGET",
            self.at(name),
            f"'{name}' is empty, and every state has a name",
            "Name a state of the same States object",
            service_message="Missing 'Next' target: ",
        )
        return UNSET

    def comment(self) -> str | None:
        value = self.text("Comment")
        return None if value is UNSET else value

    def flag(self, name: str) -> bool:
        value = self.raw(name)
        if value is UNSET or isinstance(value, bool):
            return value is True
        self.wrong_type(name, "true or false")
        return False

    def one_of(self, name: str, *allowed: str) -> str | UnsetType:
        value = self.text(name)
        if value is UNSET or value in allowed:
            return value
        guess = suggestion(value, allowed)
        self.report.add(
            "INVALID_VALUE",
            self.at(name),
            f"{name!r} is {show(value)}",
            f"{guess[:1].upper()}{guess[1:]}It must be one of {listed(allowed)}",
        )
        return UNSET

    def number(self, name: str, least: float, most: float | None = None, wanted: str = "a number") -> Any:
        """A number in the range, as written; UNSET if absent or wrong."""
        value = self.raw(name)
        if value is UNSET:
            return UNSET
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.wrong_type(name, wanted)
            return UNSET
        if value < least or (most is not None and value > most):
            self._out_of_range(name, value, least, most)
            return UNSET
        return value

    def whole(self, name: str, least: int, most: int | None = None) -> int | UnsetType:
        value = self.number(name, least, most, "a whole number")
        if value is UNSET or isinstance(value, int):
            return value
        if value.is_integer():
            return int(value)
        self.wrong_type(name, "a whole number")
        return UNSET

    def _out_of_range(self, name: str, value: float, least: float, most: float | None) -> None:
        above = most is not None and value > most
        span = f"at least {least:g}" if most is None else f"from {least:g} to {most:,}"
        self.report.add(
            "OUT_OF_RANGE",
            self.at(name),
            f"{name!r} is {show(value)}",
            f"It must be {span}",
            service_message=f"Maximum value is {most}" if above else f"Minimum value is {least}",
        )

    def object(self, name: str) -> dict[str, Any] | UnsetType:
        value = self.raw(name)
        if value is UNSET or isinstance(value, dict):
            return value
        self.wrong_type(name, "an object")
        return UNSET

    def list(self, name: str) -> list[Any] | UnsetType:
        value = self.raw(name)
        if value is UNSET or isinstance(value, list):
            return value
        self.wrong_type(name, "a list")
        return UNSET


_SERVICE_TYPES = {
    "text": "String",
    "true or false": "Boolean",
    "a number": "Double",
    "a whole number": "Integer",
    "an object": "Object",
    "a list": "Array",
}
"""What the service calls the types of fields."""


def kind_of(value: Any) -> str:
    """`text 'abc'`, `an object`, …: a value as messages call it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return f"text {show(value)}" if isinstance(value, str) else f"the number {show(value)}"


_TWINS: Mapping[tuple[str, str], str] = {
    ("Parameters", JSONPATH): "Arguments",
    ("Result", JSONPATH): "Output",
    ("ResultSelector", JSONPATH): "Output with $states.result",
    ("ResultPath", JSONPATH): "Output or Assign with $states.result",
    ("OutputPath", JSONPATH): "Output",
    ("InputPath", JSONPATH): "$states.input in an expression",
    ("ItemsPath", JSONPATH): "Items",
    ("Variable", JSONPATH): "Condition",
    ("Arguments", JSONATA): "Parameters",
    ("Output", JSONATA): "ResultSelector, ResultPath or OutputPath",
    ("Items", JSONATA): "ItemsPath",
    ("Condition", JSONATA): "Variable and a comparison",
    **{
        (f"{name}Path", JSONPATH): f"{name} with an expression"
        for name in (
            "Seconds", "Timestamp", "TimeoutSeconds", "HeartbeatSeconds", "Error", "Cause", "MaxConcurrency",
            "ToleratedFailureCount", "ToleratedFailurePercentage", "MaxItems", "MaxItemsPerBatch",
            "MaxInputBytesPerBatch",
        )
    },
}  # fmt: skip
"""What stands for a field in the other language."""
