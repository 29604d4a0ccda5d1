"""Waiting for a run: its progress, Ctrl-C, and how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from skylift.cli.bill import bill_document, bill_of, print_bill
from skylift.cli.output import duration, print_json
from skylift.errors import message_of

if TYPE_CHECKING:
    from skylift.ports.journal import RunRecord
    from skylift.pricing.bill import Bill
    from skylift.runtime import Runtime

LONGEST_REASON = 1_500
_SAID_OF = {
    "ABORTED": "it was stopped",
    "States.Timeout": "it took longer than its timeout",
    "States.HeartbeatTimeout": "no heartbeat came in time",
}


def drive(runtime: Runtime, record: RunRecord, *, as_json: bool) -> int:
    """Wait for a run, showing its progress; print how it ended. Exit status 0 succeeded, 1 failed, 130 paused."""
    from skylift.cli.progress import follow
    from skylift.runtime import RunInterrupted

    pause = _PauseOnInterrupt(runtime, record)
    with pause:
        while True:
            try:
                ended = follow(runtime, record, quiet=as_json, interrupted=pause.asked)
                break
            except RunInterrupted:  # it was driven by another process, which has died
                record = runtime.resume(runtime.reader.record(record.run_id))
    if ended.status == "PAUSED":
        return say_paused(runtime, ended, as_json)
    return report(ended, as_json, bill_of(runtime, ended), late=_late(runtime, ended))


def report(record: RunRecord, as_json: bool, bill: Bill | None = None, late: str | None = None) -> int:
    """Print a finished run. Progress and errors go to standard error, the output alone to standard output."""
    from skylift.values.plain import plain

    failed = record.status != "SUCCEEDED"
    if as_json:
        print_json(
            {
                "run_id": record.run_id,
                "status": record.status,
                "output": plain(record.output),
                "error": record.error,
                "cause": record.cause,
                **({} if bill is None else {"bill": bill_document(bill)}),
            }
        )
        return int(failed)
    took = duration((record.stopped_ms or record.created_ms) - record.created_ms)
    click.echo(f"{record.run_id} {record.status} in {took}", err=True)
    if failed:
        click.echo(f"error[{record.error or record.status}]: {_reason(record, late)}", err=True)
        click.echo(f"  help: skylift show {record.run_id}; skylift logs {record.run_id};", err=True)
        click.echo(f"        once mended: skylift redrive {record.run_id}", err=True)
    if bill is not None:
        print_bill(bill)
    if not failed and record.output is not None:
        print_json(plain(record.output))
    return int(failed)


def _late(runtime: Runtime, record: RunRecord) -> str | None:
    """Which step it was, where a timeout ended the run: the service gives no cause."""
    if record.error != "States.Timeout" or record.cause:
        return None
    late = [attempt for attempt in runtime.reader.view(record).attempts if attempt.status == "TIMED_OUT"]
    if not late:
        return None
    last = late[-1]
    took = duration((last.ended_ms or last.scheduled_ms) - last.scheduled_ms)
    return f"{last.label} took longer than its timeout: attempt {last.number} was ended after {took}"


def _reason(record: RunRecord, late: str | None = None) -> str:
    """The cause on one screen; `skylift show` and the log have the rest."""
    text = message_of(record.cause)
    if len(text) > LONGEST_REASON:
        text = f"{text[:LONGEST_REASON]}… ({len(text) - LONGEST_REASON} more characters)"
    return text or late or _SAID_OF.get(record.error or record.status, "no cause given")


def say_paused(runtime: Runtime, record: RunRecord, as_json: bool) -> int:
    cause = runtime.reader.pause_cause(record)
    if as_json:
        print_json({"run_id": record.run_id, "status": record.status, "output": None, "error": None, "cause": cause})
    if cause is None:
        click.echo(f"{record.run_id} is paused; go on with: skylift resume {record.run_id}", err=True)
        return 130
    click.echo(f"{record.run_id} is paused: {cause}", err=True)
    raised = "" if "project's" in cause else " --budget AMOUNT"
    click.echo(f"  help: nothing is lost; with a higher budget: skylift resume {record.run_id}{raised}", err=True)
    return 130


class _PauseOnInterrupt:
    """Ctrl-C asks for a pause and lets running tasks end; a second one, or SIGTERM, leaves at once. Nothing is lost."""

    def __init__(self, runtime: Runtime, record: RunRecord) -> None:
        self.asked = threading.Event()
        self._runtime = runtime
        self._record = record
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._previous = {
                number: signal.signal(number, handler)
                for number, handler in ((signal.SIGINT, self._interrupt), (signal.SIGTERM, self._terminate))
            }

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked.is_set():
            self._leave(130)
        self.asked.set()
        # Not by `echo`: the signal may come while a line of progress is written, and streams are not entered twice.
        _say_now("\npausing: tasks that run may end; Ctrl-C again leaves at once\n")
        self._runtime.request_pause(self._record)

    def _terminate(self, number: int, _frame: FrameType | None) -> None:
        self._leave(128 + number)

    def _leave(self, status: int) -> None:
        """At once: whatever is not in the journal yet is done again by whoever resumes the run. On a server it goes on
        unless it is paused."""
        _say_now(f"\nleaving; go on with: skylift resume {self._record.run_id}\n")
        os._exit(status)


def _say_now(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, text.encode())
