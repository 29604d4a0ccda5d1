"""A flow (the document, a branch, a processor): its states, their names and languages, and how they hang together."""

from __future__ import annotations

from typing import Any, get_args

from skylift.asl.document import Document, Flow, QueryLanguage, State
from skylift.asl.validation.check import Check
from skylift.asl.validation.fields import EVERYWHERE, JSONATA, Allowed, Fields, kind_of
from skylift.asl.validation.graph import check_graph
from skylift.asl.validation.report import escape, listed, show, suggestion
from skylift.asl.validation.retry import MAX_SECONDS
from skylift.asl.validation.states import STATE_FIELDS, read_state

MAX_NAME = 80
LANGUAGES = get_args(QueryLanguage)

TOP: Allowed = dict.fromkeys(("Comment", "QueryLanguage", "StartAt", "States", "TimeoutSeconds", "Version"), EVERYWHERE)
NESTED: Allowed = dict.fromkeys(("Comment", "StartAt", "States"), EVERYWHERE)
PROCESSOR: Allowed = {**NESTED, "ProcessorConfig": EVERYWHERE}


def read_document(value: dict[str, Any], check: Check) -> Document:
    fields = Fields(value, "", "the document", check, EVERYWHERE)
    fields.allow(TOP)
    language = fields.one_of("QueryLanguage", *LANGUAGES)
    check.language = language if isinstance(language, str) else "JSONPath"
    version = fields.one_of("Version", "1.0")
    timeout = fields.whole("TimeoutSeconds", 1, MAX_SECONDS)
    return Document(
        flow=_read_flow(fields),
        timeout_seconds=timeout if isinstance(timeout, int) else None,
        version=version if isinstance(version, str) else "1.0",
    )


def read_state_alone(value: dict[str, Any], name: str, check: Check) -> State | None:
    """A state without its document: where it leads to is not looked for."""
    language = value.get("QueryLanguage")
    check.language = language if isinstance(language, str) and language in LANGUAGES else "JSONPath"
    return _read_state(name, value, "", check)


def read_nested(value: dict[str, Any], pointer: str, what: str, check: Check, closed: bool) -> Flow:
    """A `FlowReader`."""
    fields = Fields(value, pointer, what, check, EVERYWHERE)
    fields.allow(NESTED if what == "a branch" else PROCESSOR, TOP)
    around = check.enter(closed=closed)
    flow = _read_flow(fields)
    check.leave(around)
    return flow


def _read_flow(fields: Fields) -> Flow:
    fields.require("States", "StartAt")
    start = fields.target("StartAt")
    written = fields.object("States")
    comment = fields.comment()
    states: dict[str, State] = {}
    entries = written if isinstance(written, dict) else {}
    if isinstance(written, dict) and not written:
        fields.report.add("TOO_FEW", fields.at("States"), "'States' is empty", "Add a state")
    for name, entry in entries.items():
        state = _read_state(name, entry, f"{fields.pointer}/States/{escape(name)}", fields.check)
        if state is not None:
            states[name] = state
    flow = Flow(
        pointer=fields.pointer,
        start_at=start if isinstance(start, str) else "",
        states=states,
        query_language=_as_language(fields.check.language),
        comment=comment,
    )
    if entries:
        check_graph(flow, frozenset(entries), fields.report)
    return flow


def _read_state(name: str, entry: Any, pointer: str, check: Check) -> State | None:
    _check_name(name, pointer, check)
    if not isinstance(entry, dict):
        check.report.add("WRONG_TYPE", pointer, f"a state must be an object, it is {kind_of(entry)}", "Mend it")
        return None
    fields = Fields(entry, pointer, "a state", check, check.language)
    fields.require("Type")
    kind = fields.text("Type")
    if not isinstance(kind, str):
        return None
    if kind not in STATE_FIELDS:
        guess = suggestion(kind, STATE_FIELDS)
        check.report.add(
            "UNKNOWN_STATE_TYPE",
            fields.at("Type"),
            f"{show(kind)} is not a state type",
            f"{guess[:1].upper()}{guess[1:]}The types are {listed(STATE_FIELDS)}",
        )
        return None
    fields.what = f"a {kind} state"
    fields.language = _language(fields)
    return read_state(fields, name, kind, read_nested)


def _check_name(name: str, pointer: str, check: Check) -> None:
    if not name or len(name) > MAX_NAME:
        problem = f"has {len(name)} characters" if name else "is empty"
        check.report.add("INVALID_STATE_NAME", pointer, f"the state's name {problem}", f"Use 1 to {MAX_NAME}")
    first = check.state_pointers.setdefault(name, pointer)
    if first != pointer:
        check.report.add(
            "DUPLICATE_STATE_NAME",
            pointer,
            f"{show(name)} is the name of the state at {first} too",
            "Rename one: names are unique over the whole document, branches and processors included",
            service_message=f"Duplicate State name: {name}",
        )


def _language(fields: Fields) -> str:
    """The state's query language: its own word, else the document's, whatever the state around it says."""
    own = fields.one_of("QueryLanguage", *LANGUAGES)
    top = fields.check.language
    if own == "JSONPath" and top == JSONATA:
        fields.report.add(
            "QUERY_LANGUAGE_DOWNGRADE",
            fields.pointer,
            "the state says JSONPath, the document says JSONata",
            'Write the state in JSONata, or take "QueryLanguage" off the document and put it on the states',
            service_message="'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine",
        )
    return own if isinstance(own, str) else top


def _as_language(name: str) -> QueryLanguage:
    return "JSONata" if name == JSONATA else "JSONPath"
