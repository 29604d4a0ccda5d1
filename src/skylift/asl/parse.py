"""From a States Language document as text, bytes or a dict to the typed document, with all its problems at once."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from skylift.asl.diagnostics import Diagnostic, InvalidDefinition
from skylift.asl.document import Document, State
from skylift.asl.validation.check import Check
from skylift.asl.validation.flow import read_document, read_state_alone
from skylift.asl.validation.json_reader import MISSING, SourceText, read_json
from skylift.asl.validation.report import Report
from skylift.asl.validation.variables import check_scopes

MachineType = Literal["STANDARD", "EXPRESS"]


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """What `parse` found. `document` is None if any diagnostic is an error."""

    document: Document | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(found for found in self.diagnostics if found.severity == "ERROR")

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        return tuple(found for found in self.diagnostics if found.severity == "WARNING")


def parse(source: str | bytes | dict[str, Any], *, machine_type: MachineType = "STANDARD") -> Parsed:
    """Read and check a document. Never raises on bad input: every problem is a diagnostic.

    A dict is taken as it is and must not be changed while the document is in use.

    >>> parsed = parse('{"StartAt": "A", "States": {"A": {"Type": "Pass", "Ned": true}}}')
    >>> [found.code for found in parsed.diagnostics]
    ['UNKNOWN_FIELD', 'MISSING_FIELD']
    """
    report = Report()
    value, text = read_json(source, report)
    if value is MISSING:
        return Parsed(document=None, diagnostics=_placed(report, text))
    check = Check(report, express=machine_type == "EXPRESS")
    document = read_document(value, check)
    check_scopes(check.scopes, report)
    return Parsed(document=None if report.errors else document, diagnostics=_placed(report, text))


class ParsedState(msgspec.Struct, frozen=True, kw_only=True):
    """What `parse_state` found. `state` is None if any diagnostic is an error."""

    state: State | None
    diagnostics: tuple[Diagnostic, ...]


def parse_state(source: str | bytes | dict[str, Any], name: str) -> ParsedState:
    """Read and check one state that stands alone; the states it leads to need not be there. Never raises."""
    report = Report()
    value, text = read_json(source, report)
    if value is MISSING:
        return ParsedState(state=None, diagnostics=_placed(report, text))
    check = Check(report)
    state = read_state_alone(value, name, check)
    check_scopes(check.scopes, report)
    return ParsedState(state=None if report.errors else state, diagnostics=_placed(report, text))


def load(source: str | bytes | dict[str, Any], *, machine_type: MachineType = "STANDARD") -> Document:
    """The typed document; raises InvalidDefinition, which lists every error, if it has any."""
    parsed = parse(source, machine_type=machine_type)
    if parsed.document is None:
        raise InvalidDefinition(parsed.diagnostics)
    return parsed.document


def _placed(report: Report, text: SourceText) -> tuple[Diagnostic, ...]:
    """The diagnostics, with line and column where the source was text that could be read."""
    return tuple(_with_position(found, text) for found in report)


def _with_position(found: Diagnostic, text: SourceText) -> Diagnostic:
    if text.text is None or found.code in ("INVALID_JSON", "TOO_LARGE", "TOO_DEEP"):
        return found
    place = text.position(found.pointer)
    return msgspec.structs.replace(found, line=place[0], column=place[1]) if place else found
