"""How a run begins: made, or found by its name or id when it was started before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from skylift.asl.events import AnyEvent, RunStarted
from skylift.engine.book import Book
from skylift.engine.inputs import StartRun
from skylift.engine.library import Library
from skylift.engine.limits import BUDGET_ATTRIBUTE
from skylift.engine.names import (
    arn_of,
    express_name,
    global_token,
    input_digest,
    machine_arn,
    machine_name,
    plain_name,
    seed_of,
)
from skylift.engine.run import LiveRun
from skylift.engine.turn import Turn
from skylift.errors import RunAlreadyExists
from skylift.ports.journal import Journal, RunRecord
from skylift.ports.tasks import TaskTable
from skylift.units import parse_usd

ROLE = "arn:aws:iam::000000000000:role/skylift-local"


class Starts:
    """Touches memory only. `apply` takes an event into a run."""

    def __init__(
        self,
        *,
        book: Book,
        journal: Journal,
        library: Library,
        apply: Callable[[LiveRun, AnyEvent, Turn], None],
        owner: str,
        version: str,
    ) -> None:
        self._book = book
        self._journal = journal
        self._library = library
        self._apply = apply
        self._owner = owner
        self._version = version

    def known(self, start: StartRun, turn: Turn, *, ids_in_doubt: bool) -> RunRecord | None:
        """The run that this start has begun before. An id is only looked up where a name cannot tell, or where ids that
        starts bring are `ids_in_doubt`: usually they are fresh. Raises RunAlreadyExists for another run's name."""
        name = start.name if start.type != "EXPRESS" else None
        found = self.find(start.pipeline, name, turn) if name is not None else None
        if found is None and start.run_id is not None and (ids_in_doubt or name is None):
            found = self._journal.run(start.run_id)
        if found is not None and found.input_digest != input_digest(start.input):
            raise _name_taken(found)
        return found

    def create(self, start: StartRun, turn: Turn) -> LiveRun:
        """A new run; its first event is applied. Raises what the definition's or table's loading raises."""
        assert start.run_id is not None
        machine = self._library.machine(start.definition, start.limits)
        table = self._library.table(start.tasks)
        record = self._record(start, start.run_id, table, turn.now_ms)
        run = LiveRun(record, machine, machine.begin(), table)
        # The journal is given the record as it is born: this one goes on changing.
        turn.created[record.run_id] = msgspec.structs.replace(record)
        turn.created_names[record.pipeline, record.name] = record.run_id
        self._book.put(run)
        event = RunStarted(
            input=start.input,
            input_text=start.input_text,
            seed=seed_of(record.run_id),
            context=context_of(record, start.context),
        )
        self._apply(run, event, turn)
        return run

    def _record(self, start: StartRun, run_id: str, table: TaskTable, now_ms: int) -> RunRecord:
        name = start.name or run_id
        attributes = start.attributes
        budget = attributes.get(BUDGET_ATTRIBUTE) or table.budget
        if budget and start.parent is None:  # what is called spends its caller's
            attributes = {**attributes, BUDGET_ATTRIBUTE: parse_usd(budget, "budget")}
        return RunRecord(
            run_id=run_id,
            name=express_name(name, run_id) if start.type == "EXPRESS" else name,
            pipeline=start.pipeline,
            account=start.account,
            type=start.type,
            limits=start.limits,
            definition=start.definition,
            tasks=start.tasks,
            input_digest=input_digest(start.input),
            created_ms=now_ms,
            owner=self._owner,
            parent=start.parent,
            engine_version=self._version,
            attributes=attributes,
        )

    def find(self, pipeline: str, name: str, turn: Turn) -> RunRecord | None:
        """The run of this name, also one that this turn has created."""
        run_id = turn.created_names.get((pipeline, name))
        if run_id is not None:
            return self._book.runs[run_id].record
        record = self._journal.run_named(pipeline, name)
        live = self._book.runs.get(record.run_id) if record is not None else None
        return live.record if live is not None else record

    def find_by_id(self, run_id: str) -> RunRecord | None:
        """The run of this id, also one that this turn has created."""
        live = self._book.runs.get(run_id)
        return live.record if live is not None else self._journal.run(run_id)


def context_of(record: RunRecord, further: Any) -> dict[str, Any]:
    """What the outside knows of a run's context object."""
    execution = {"Id": arn_of(record), "Name": plain_name(record), "RoleArn": ROLE}
    machine = {"Id": machine_arn(record.pipeline), "Name": machine_name(record.pipeline)}
    return {
        **further,
        "Execution": {**execution, **further.get("Execution", {})},
        "StateMachine": {**machine, **further.get("StateMachine", {})},
        "Task": {"TokenPrefix": global_token(record.run_id, "")},
    }


def _name_taken(record: RunRecord) -> RunAlreadyExists:
    return RunAlreadyExists(
        f"pipeline {record.pipeline} has a run named {record.name!r} with another input (run {record.run_id}, "
        f"{record.status})",
        hint="choose another name, or leave the name out to get a fresh one",
    )
