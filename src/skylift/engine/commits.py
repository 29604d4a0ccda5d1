"""A turn's batch into the journal, with snapshots of runs that have grown long."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import msgspec

from skylift.asl.state import encode_state
from skylift.asl.status import OPEN
from skylift.engine.book import Book
from skylift.engine.limits import EngineLimits
from skylift.engine.observe import TurnReport
from skylift.engine.planner import RunBroken
from skylift.engine.turn import Turn
from skylift.ports.journal import Append, Batch, Journal, RunRecord, Snapshot


class Commits:
    """`on_turn` is told of each one."""

    def __init__(
        self,
        *,
        book: Book,
        journal: Journal,
        owner: str,
        limits: EngineLimits,
        on_turn: Callable[[TurnReport], None] | None,
    ) -> None:
        self._book = book
        self._journal = journal
        self._owner = owner
        self._limits = limits
        self._on_turn = on_turn

    def commit(self, turn: Turn) -> None:
        """Raises what the journal raises, and RunBroken for a run whose part of the batch cannot be written."""
        batch = turn.batch(self._owner, self._snapshots(turn))
        if batch is None:
            return
        began = 0.0 if self._on_turn is None else time.perf_counter()
        try:
            self._journal.commit(batch)
        except (RecursionError, TypeError, ValueError, OverflowError) as problem:
            raise RunBroken(_unwritable(batch, problem), problem) from problem
        if self._on_turn is not None:
            self._tell(self._on_turn, turn, batch, time.perf_counter() - began)

    def _snapshots(self, turn: Turn) -> list[Snapshot]:
        snapshots = []
        for run_id, run in turn.dirty.items():
            if run.since_snapshot < self._limits.snapshot_events or run.state.status not in OPEN:
                continue
            if run.since_snapshot > max(self._limits.snapshot_events, run.snapshot_size // 200):
                data = encode_state(run.state)
                run.since_snapshot, run.snapshot_size = 0, len(data)
                snapshots.append(Snapshot(run_id=run_id, sequence=run.sequence, state=data))
        return snapshots

    def _tell(self, tell: Callable[[TurnReport], None], turn: Turn, batch: Batch, commit_s: float) -> None:
        report = TurnReport(
            now_ms=turn.now_ms,
            created=batch.created,
            ended=[run.record for run in turn.ended],
            events=sum(len(append.entries) for append in batch.appends),
            tasks=turn.tasks,
            commit_s=commit_s,
            open_runs=len(self._book.runs) - len(turn.ended),
        )
        try:
            tell(report)
        except Exception:  # whoever counts must not stop those who work
            logging.getLogger("skylift.engine").exception("the listener to the engine's turns failed")


def _unwritable(batch: Batch, problem: Exception) -> str:
    """The run whose part of the batch has no JSON form. Raises the problem where none of them is at fault."""
    parts: list[RunRecord | Append] = [*batch.created, *batch.appends]
    for part in parts:
        try:
            msgspec.json.encode(part)
        except (RecursionError, TypeError, ValueError, OverflowError):
            return part.run_id
    raise problem
