"""Definitions as the protocol sees them: kept as given, refused with the service's diagnostics."""

from __future__ import annotations

import re
from typing import Any

from skylift.asl.diagnostics import Diagnostic, service_refusal
from skylift.asl.parse import parse
from skylift.asl.validation.check import Check
from skylift.asl.validation.flow import read_document
from skylift.asl.validation.json_reader import MISSING, read_json
from skylift.asl.validation.report import Report
from skylift.ports.journal import MachineType
from skylift.server.errors import ApiError

_STATE = re.compile(r"/States/[^/]+(?:/(?:Branches/\d+|ItemProcessor|Iterator)/States/[^/]+)*")


def check_definition(text: str, machine_type: MachineType) -> None:
    """Raises InvalidDefinition in the service's words."""
    parsed = parse(text, machine_type=machine_type)
    if parsed.document is None:
        raise ApiError("InvalidDefinition", service_refusal(parsed.diagnostics))


def diagnostics(text: str, machine_type: MachineType) -> list[Diagnostic]:
    """All that the service would report; our own warnings, for which it has no code, are left out."""
    found = parse(text, machine_type=machine_type).diagnostics
    return [one for one in found if one.severity == "ERROR" or one.service_code is not None]


def variable_references(text: str) -> dict[str, list[str]]:
    """Which variables the expressions of each state read, in the order of the definition; states without are absent."""
    value, _ = read_json(text, Report())
    if value is MISSING:
        return {}
    check = Check(Report())
    read_document(value, check)
    reads = [(_state_of(pointer), pointer, name) for scope in check.scopes for name, pointer in scope.reads]
    found: dict[str, dict[str, None]] = {}
    for state, _pointer, name in sorted(reads, key=lambda read: _place(value, *read)):
        found.setdefault(state, {})[name] = None
    return {state: list(names) for state, names in found.items()}


def _state_of(pointer: str) -> str:
    """The innermost state that a pointer leads into."""
    path = _STATE.match(pointer)
    return "" if path is None else _unescape(path.group().rpartition("/")[2])


def _place(value: Any, _: str, pointer: str, name: str) -> tuple[list[int], int]:
    """Where in the document an expression reads a variable."""
    place = []
    for segment in pointer.split("/")[1:]:
        if isinstance(value, list):
            place.append(int(segment))
            value = value[int(segment)]
        else:
            key = _unescape(segment)
            place.append(list(value).index(key))
            value = value[key]
    found = re.search(rf"\${re.escape(name)}(?!\w)", value) if isinstance(value, str) else None
    return place, found.start() if found else 0


def _unescape(segment: str) -> str:
    return segment.replace("~1", "/").replace("~0", "~")
