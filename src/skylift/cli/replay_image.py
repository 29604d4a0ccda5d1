"""A recorded job in an image, again: in a container of this machine, with what it prints."""

from __future__ import annotations

import json
import queue
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skylift.cli.output import shorten
from skylift.compute.worker.log_lines import parse_line
from skylift.ports.compute import Failed, Outcome, Submitted, Succeeded, TaskCall

if TYPE_CHECKING:
    from skylift.recorded import RecordedAttempt
    from skylift.runtime import Runtime

BACKEND = "container"
LOOK_S = 0.2


def run_in_its_image(runtime: Runtime, given: RecordedAttempt, folder: Path) -> int:
    """Exit status 1 when the job ends badly. Raises SetupError where no container engine is found."""
    ends: queue.SimpleQueue[Outcome] = queue.SimpleQueue()

    def ended(token: str, outcome: Outcome | Submitted) -> None:
        if not isinstance(outcome, Submitted):
            ends.put(outcome)

    call, log = _call(given, folder), _Log(folder / "log")
    click.echo(f"replaying {given.label}, attempt {given.number}, in {given.requirements.image}", err=True)
    backend = runtime.separate_backend(BACKEND, ended)
    try:
        backend.submit([call])
        outcome = _waited(ends, log)
    except BaseException:  # Ctrl-C
        backend.cancel([call.token])
        _waited(ends, log)
        raise
    finally:
        backend.end([one for one in backend.leased() if one.run_id == call.run_id])  # what has ended too is removed
        backend.close()
    return _told(outcome)


def _call(given: RecordedAttempt, folder: Path) -> TaskCall:
    """Of a run of its own: what belongs to the recorded one stays as it is."""
    run_id = f"replay-{uuid.uuid4().hex[:12]}"
    return TaskCall(
        token=f"{run_id}:{given.token}",
        run_id=run_id,
        task=given.task,
        label=given.label,
        attempt=given.number,
        code=given.code,
        arguments=given.arguments,
        convention=given.convention,
        requirements=given.requirements,
        visit=given.visit,
        log=str(folder / "log"),
    )


class _Log:
    """Shows what is printed, as it comes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._shown = 0

    def show(self) -> None:
        try:
            with self._path.open(encoding="utf-8", errors="replace") as file:
                file.seek(self._shown)
                text = file.read()
        except FileNotFoundError:
            return
        whole, _, _ = text.rpartition("\n")
        self._shown += len(whole.encode()) + bool(whole)
        for line in filter(None, map(parse_line, whole.splitlines())):
            click.echo(line.text, err=line.stream != "stdout")


def _waited(ends: queue.SimpleQueue[Outcome], log: _Log) -> Outcome:
    while True:
        try:
            return ends.get(timeout=LOOK_S)
        except queue.Empty:
            pass
        finally:
            log.show()


def _told(outcome: Outcome) -> int:
    if isinstance(outcome, Succeeded):
        click.echo(shorten(repr(outcome.output), 2000))
        return 0
    if isinstance(outcome, Failed):
        click.echo(f"{outcome.error}: {shorten(_message(outcome.cause), 2000)}", err=True)
    else:
        reason = getattr(outcome, "reason", "")
        click.echo(f"{type(outcome).__name__}{f': {reason}' if reason else ''}", err=True)
    return 1


def _message(cause: str) -> str:
    """Of a cause as Lambda would give it; a job's description as it is."""
    try:
        found: Any = json.loads(cause)
    except ValueError:
        return cause
    return str(found["errorMessage"]) if isinstance(found, dict) and "errorMessage" in found else cause
