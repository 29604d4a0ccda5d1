"""Tells a command of the user's what budgets have to say: a message to somebody's phone is no business of ours."""

from __future__ import annotations

import logging
import queue
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from skylift.asl.events import BudgetReached, PauseRequested
from skylift.engine.observe import Progress

LONGEST_S = 30.0
"""How long the command may take."""
_log = logging.getLogger("skylift.budget")


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What the command reads as JSON from its standard input."""

    what: str
    """`alert`, or `paused`."""
    run_id: str
    pipeline: str
    at_ms: int
    cause: str | None = None
    """Of a pause."""
    alert: BudgetReached | None = None


class Notices:
    """Runs the command once for each alert and each pause for a budget, one after the other and on a thread of its own:
    no run waits for it, and none fails with it. What is told is durable before."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._command = list(command)
        self._folder = folder
        self._given: queue.SimpleQueue[Notice | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="skylift-notices", daemon=True)
        self._thread.start()

    def tell(self, progress: Progress) -> None:
        """On the engine's thread."""
        record, entry = progress.record, progress.entry
        event = entry.event
        if isinstance(event, BudgetReached):
            what, cause, alert = "alert", None, event
        elif isinstance(event, PauseRequested) and event.cause is not None:
            what, cause, alert = "paused", event.cause, None
        else:
            return
        self._given.put(
            Notice(
                what=what,
                run_id=record.run_id,
                pipeline=record.pipeline,
                at_ms=entry.at_ms,
                cause=cause,
                alert=alert,
            )
        )

    def close(self) -> None:
        """Once everything is told, or the command takes too long."""
        self._given.put(None)
        self._thread.join(LONGEST_S)

    def _work(self) -> None:
        while (notice := self._given.get()) is not None:
            self._run(notice)

    def _run(self, notice: Notice) -> None:
        try:
            done = subprocess.run(
                self._command,
                input=msgspec.json.encode(notice),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd=self._folder,
                timeout=LONGEST_S,
                check=False,
            )
        except (OSError, ValueError, subprocess.SubprocessError) as problem:
            _log.warning("[budget] notify: %s cannot be run: %s", self._command[0], problem)
            return
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()[:300]
            _log.warning("[budget] notify: %s ended with %d: %s", self._command[0], done.returncode, said)
