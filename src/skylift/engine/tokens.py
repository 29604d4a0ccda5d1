"""Task tokens from outside: what is wrong with one, and whether somebody still waits for its answer."""

from __future__ import annotations

import re

from skylift.asl.events import AnyEvent, TaskFailed, TaskSucceeded
from skylift.asl.state import RunState, decode_state
from skylift.asl.status import OPEN
from skylift.engine.library import Library
from skylift.engine.names import split_token
from skylift.errors import SetupError, SkyliftError
from skylift.ports.journal import Journal, RunRecord

_LOCAL = re.compile(r"\d{1,18}-\d{1,18}")


def invalid_token(token: str) -> SetupError:
    return SetupError(f"{token!r} is no task token", code="TOKEN-INVALID")


def unknown_task(token: str) -> SetupError:
    return SetupError(f"no task has the token {token!r}", code="TASK-UNKNOWN")


def task_timed_out(token: str) -> SetupError:
    return SetupError(
        f"no task waits for an answer with the token {token!r}: it was answered, it timed out, or its run has ended",
        code="TASK-TIMED-OUT",
    )


def malformed(token: str) -> bool:
    run_id, local = split_token(token)
    return not run_id or _LOCAL.fullmatch(local) is None


class ForeignTasks:
    """Tasks of runs that another engine drives, as the journal shows them."""

    def __init__(self, journal: Journal, library: Library) -> None:
        self._journal = journal
        self._library = library

    def problem(self, token: str, record: RunRecord | None) -> SkyliftError | None:
        """Why the run cannot be given an answer with this token; None when it waits for one."""
        if malformed(token):
            return invalid_token(token)
        if record is None:
            return unknown_task(token)
        _, local = split_token(token)
        if record.status not in OPEN or self._state(record).task(local) is None or self._answered(record, local):
            return task_timed_out(token)
        return None

    def _state(self, record: RunRecord) -> RunState:
        machine = self._library.machine(record.definition, record.limits)
        snapshot = self._journal.snapshot(record.run_id)
        state = machine.begin() if snapshot is None else decode_state(snapshot.state)
        for entry in self._journal.entries(record.run_id, state.sequence):
            machine.advance(state, entry.event, entry.at_ms)
        return state

    def _answered(self, record: RunRecord, local: str) -> bool:
        """Whether an answer is on its way already."""
        if record.owner is None:
            return False
        signals = self._journal.signals(record.owner)
        return any(signal.run_id == record.run_id and _answers(signal.event, local) for signal in signals)


def _answers(event: AnyEvent, local: str) -> bool:
    return isinstance(event, TaskSucceeded | TaskFailed) and event.token == local
