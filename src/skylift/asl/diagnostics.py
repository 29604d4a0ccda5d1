"""Diagnostics of a States Language document, and the catalogue of their codes.

A code is stable: tools may match on it. Texts may get better at any time. Each code also knows what the real service's
ValidateStateMachineDefinition calls the same problem; a `Diagnostic` has the service's own words where they are known.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from skylift.errors import AuthorError

Severity = Literal["ERROR", "WARNING"]


class Meaning(msgspec.Struct, frozen=True):
    """One row of the catalogue."""

    text: str
    """The code's meaning in one line."""
    severity: Severity = "ERROR"
    service_code: str | None = "SCHEMA_VALIDATION_FAILED"
    """The real service's code for the same problem; None where the service has none."""


class Diagnostic(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One problem: what is wrong, where, and how to mend it."""

    code: str
    pointer: str
    """JSON pointer (RFC 6901) from the document's root; an empty string is the whole document."""
    message: str
    mend: str
    severity: Severity = "ERROR"
    line: int | None = None
    """Place in the source text, 1-based, where the source was text."""
    column: int | None = None
    service_code: str | None = None
    service_message: str | None = None
    """The real service's own text, where it is known."""
    service_location: str | None = None
    """The real service's location (`/States/A/Choices[0]/Next`); None where it gives none."""

    def __str__(self) -> str:
        place = self.pointer or "the document"
        position = f" (line {self.line}, column {self.column})" if self.line is not None else ""
        return f"{self.severity} {self.code} at {place}{position}: {self.message}. {self.mend}."


def service_code(found: Diagnostic) -> str:
    """The service has a code for most problems; the rest are violations of the language's schema."""
    return found.service_code or "SCHEMA_VALIDATION_FAILED"


def service_message(found: Diagnostic) -> str:
    return found.service_message or f"{found.message}. {found.mend}."


def service_refusal(found: Iterable[Diagnostic]) -> str:
    """What the service answers with InvalidDefinition: all errors."""
    problems = ", ".join(_service_problem(one) for one in found if one.severity == "ERROR")
    return f"Invalid State Machine Definition: '{problems}'"


def _service_problem(found: Diagnostic) -> str:
    problem = f"{service_code(found)}: {service_message(found)}"
    if found.service_location is None or problem.endswith(found.service_location):
        return problem
    return f"{problem} at {found.service_location}"


class InvalidDefinition(AuthorError):
    """A States Language document has errors; `diagnostics` holds all of them, warnings included."""

    code = "INVALID-DEFINITION"

    def __init__(self, diagnostics: Iterable[Diagnostic], source: str = "the States Language document") -> None:
        self.diagnostics = tuple(diagnostics)
        errors = [found for found in self.diagnostics if found.severity == "ERROR"]
        count = "one error" if len(errors) == 1 else f"{len(errors)} errors"
        lines = [f"{source} has {count}:", *(f"  {found}" for found in errors)]
        super().__init__("\n".join(lines))


CATALOGUE: dict[str, Meaning] = {
    "INVALID_JSON": Meaning("The source is not JSON.", service_code="INVALID_JSON_DESCRIPTION"),
    "NOT_JSON": Meaning("The document holds a Python value that JSON cannot express.", service_code=None),
    "DUPLICATE_KEY": Meaning("A JSON object has the same key twice; one of them would be ignored.", service_code=None),
    "TOO_LARGE": Meaning("The document is larger than can be handled."),
    "TOO_DEEP": Meaning("The JSON is nested too deeply.", service_code="TOO_DEEPLY_NESTED"),
    "NOT_AN_OBJECT": Meaning("The document is not a JSON object."),
    "MISSING_FIELD": Meaning("A required field is absent."),
    "UNKNOWN_FIELD": Meaning("No States Language field has this name."),
    "FIELD_NOT_ALLOWED": Meaning("A field of the language stands where it has no meaning."),
    "WRONG_QUERY_LANGUAGE": Meaning("A field belongs to the other query language than the state's."),
    "QUERY_LANGUAGE_DOWNGRADE": Meaning("A state says JSONPath inside a document that says JSONata."),
    "CONFLICTING_FIELDS": Meaning("Fields that exclude each other stand together."),
    "WRONG_TYPE": Meaning("A value has the wrong JSON type."),
    "INVALID_VALUE": Meaning("A value is none of those allowed."),
    "OUT_OF_RANGE": Meaning("A number is too small or too large."),
    "TOO_FEW": Meaning("A list or object that needs an entry is empty."),
    "UNKNOWN_STATE_TYPE": Meaning("Type names none of the eight state types."),
    "INVALID_STATE_NAME": Meaning("A state's name is empty or too long.", service_code="INVALID_STATE_NAME"),
    "DUPLICATE_STATE_NAME": Meaning(
        "Two states of the document have the same name.", service_code="DUPLICATE_STATE_NAME"
    ),
    "INVALID_LABEL": Meaning(
        "A Label is too long or has characters that are not allowed.", service_code="INVALID_LABEL_NAME"
    ),
    "DUPLICATE_LABEL": Meaning("Two Map states have the same Label.", service_code="DUPLICATE_LABEL_NAME"),
    "MISSING_TARGET": Meaning(
        "A transition names a state that its flow does not have.", service_code="MISSING_TRANSITION_TARGET"
    ),
    "UNREACHABLE_STATE": Meaning("No transition leads to a state.", service_code="MISSING_TRANSITION_TARGET"),
    "NO_TERMINAL_STATE": Meaning("A flow has no state at which it can end.", service_code="MISSING_END_STATE"),
    "NO_WAY_TO_END": Meaning("From a state no path leads to an end.", "WARNING", None),
    "MISPLACED_CATCH_ALL": Meaning("States.ALL is neither alone in its list nor in the last entry."),
    "UNKNOWN_ERROR_NAME": Meaning("An error name begins with `States.` but is not a reserved one.", "WARNING", None),
    "INVALID_RESOURCE": Meaning("A Resource is not an ARN.", service_code="SCHEMA_VALIDATION_FAILED"),
    "NOT_FOR_EXPRESS": Meaning("An Express machine cannot wait for a callback, a job or an activity."),
    "INVALID_PATH": Meaning("A JSONPath has a syntax error."),
    "INVALID_REFERENCE_PATH": Meaning("A path that must name one place may name several."),
    "INVALID_INTRINSIC": Meaning("A call of an intrinsic function is wrong."),
    "INVALID_TEMPLATE": Meaning("A payload template holds a key or value that it cannot."),
    "INVALID_JSONATA": Meaning("A JSONata expression has a syntax error.", service_code="INVALID_JSONATA_EXPRESSION"),
    "UNSUPPORTED_JSONATA": Meaning(
        "A JSONata expression reads what it cannot see there.", service_code="UNSUPPORTED_JSONATA_EXPRESSION"
    ),
    "INVALID_TIMESTAMP": Meaning("A timestamp is not RFC 3339."),
    "INVALID_VARIABLE_NAME": Meaning("Assign has a name that no variable can have."),
    "VARIABLE_SHADOWED": Meaning("Assign in an inner flow sets a name that an outer flow assigns."),
    "UNKNOWN_VARIABLE": Meaning("An expression reads a variable that nothing assigns.", "WARNING", None),
    "VARIABLE_OUT_OF_SCOPE": Meaning(
        "A Distributed Map's processor reads a variable of the flow around it.", "WARNING", None
    ),
    "NO_DOLLAR": Meaning("A value looks like a path but its key does not end in `.$`.", "WARNING", "NO_DOLLAR"),
    "PASS_RESULT_IS_STATIC": Meaning(
        "A Pass state's Result holds a path, which is not evaluated.", "WARNING", "PASS_RESULT_IS_STATIC"
    ),
    "NOT_EVALUATED": Meaning("A value looks like an expression of the other query language.", "WARNING", None),
}
"""Every code that `asl.parse` can produce. docs/diagnostics.md is written from this table."""


def catalogue_page() -> str:
    """docs/diagnostics.md, made of the catalogue; a test keeps the file equal to this."""
    rows = [
        f"| `{code}` | {row.severity.lower()} | {row.text} | {row.service_code or 'none'} |"
        for code, row in CATALOGUE.items()
    ]
    return "\n".join([_PAGE_HEAD, *rows, ""])


_PAGE_HEAD = """# Diagnostics

`skylift check` and everything else that reads a States Language document reports all problems at once. Each has a
stable code, a JSON pointer to the place, what is wrong with the value seen, and how to mend it. An error makes the
document unusable; a warning does not. The last column is the code that AWS Step Functions'
ValidateStateMachineDefinition gives to the same problem.

| code | severity | meaning | service's code |
|---|---|---|---|"""
