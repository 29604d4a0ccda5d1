"""`skylift show`: one run, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from skylift.cli.output import duration, iso, json_option, print_json, print_table, shorten, when
from skylift.cli.parts import open_runtime
from skylift.cli.progress import lost_detail
from skylift.cli.runs import describe, given_name
from skylift.errors import message_of

if TYPE_CHECKING:
    from skylift.asl.events import Usage
    from skylift.engine.views import Attempt, RunView, Step
    from skylift.ports.journal import RunRecord


@click.command()
@click.argument("run")
@click.option("--attempts", is_flag=True, help="List every attempt of every task.")
@json_option
def show(run: str, attempts: bool, as_json: bool) -> None:
    """Steps, attempts and times of RUN (an id, a name, or the beginning of one), and what it waits for."""
    with open_runtime() as runtime:
        reader = runtime.reader
        record = reader.record(run)
        view = reader.view(record)
        status = reader.shown_status(record)
        waiting = reader.waiting(record, view)
        cache = reader.cache_notes(record, view)
    if as_json:
        print_json(_document(record, status, view, waiting, cache, attempts))
        return
    _header(record, status)
    print_table(
        ("STEP", "TYPE", "STATUS", "ATTEMPTS", "TIME", "DETAIL"),
        [_step_row(step, status) for step in view.steps],
        empty="no step has begun",
    )
    if attempts:
        click.echo()
        print_table(
            ("ATTEMPT", "TRY", "STATUS", "TOOK", "CPU", "PEAK MEMORY", "DETAIL"),
            [row for attempt in view.attempts for row in _attempt_rows(attempt)],
            empty="no attempts",
        )
    for title, lines in (("waiting for", waiting), ("cache", cache)):
        if lines:
            click.echo(f"\n{title}:")
            for line in lines:
                click.echo(f"  {line}")


def _header(record: RunRecord, status: str) -> None:
    took = duration(record.stopped_ms - record.created_ms) if record.stopped_ms else "going on"
    click.echo(f"run       {record.run_id}")
    if given_name(record):
        click.echo(f"name      {record.name}")
    click.echo(f"pipeline  {record.pipeline}")
    click.echo(f"status    {status}")
    click.echo(f"started   {when(record.created_ms)}, {took}")
    for key, value in record.attributes.items():
        if key.startswith("skylift."):  # for programs
            continue
        click.echo(f"{key:<9} {value}")
    if record.error or record.cause:
        said = ": ".join(filter(None, (record.error, shorten(message_of(record.cause), 300))))
        click.echo(f"error     {said}")
    click.echo()


def _step_row(step: Step, status: str) -> tuple[str, ...]:
    open_now = step.entered - step.exited
    over = status not in ("RUNNING", "PAUSED", "INTERRUPTED")
    if open_now > 0 and not over:
        state = f"{open_now} RUNNING" if step.entered > 1 else "RUNNING"
    elif open_now > 0:
        state = "ABORTED" if status == "ABORTED" else "FAILED"
    elif step.caught:
        state = "CAUGHT" if step.caught == step.exited else f"SUCCEEDED, {step.caught} CAUGHT"
    else:
        state = "SUCCEEDED"
    name = step.name if step.entered == 1 else f"{step.name} ({step.entered} times)"
    time = duration(step.busy_ms) if step.attempts else duration((step.last_ms or step.first_ms) - step.first_ms)
    return (name, step.type, state, str(step.attempts or "-"), time, _step_detail(step))


def _step_detail(step: Step) -> str:
    parts = []
    if step.items_done:
        parts.append(f"{step.items_done} items")
    if step.cached:
        parts.append(f"{step.cached} from the cache")
    parts += lost_detail(step)
    if step.failed:
        parts.append(f"{step.failed} failed: {step.error}: {shorten(message_of(step.cause), 80)}")
    return ", ".join(parts)


def _attempt_rows(attempt: Attempt) -> list[tuple[str, ...]]:
    """What came of it at last, below the times that it was given out in vain."""
    name, number = attempt.label, str(attempt.number)
    rows = [
        (name, number, lost.reason.upper().replace("-", " "), *_used(lost.usage), shorten(lost.cause, 80))
        for lost in attempt.lost
    ]
    return [*rows, (name, number, attempt.status, *_used(attempt.usage), _ending(attempt))]


def _used(usage: Usage | None) -> tuple[str, str, str]:
    """Time, processor time and memory."""
    return (
        duration(usage.duration_ms if usage else None),
        duration(usage.cpu_ms if usage else None),
        f"{usage.peak_memory_mib:.0f} MiB" if usage and usage.peak_memory_mib else "-",
    )


def _ending(attempt: Attempt) -> str:
    return shorten(f"{attempt.error}: {message_of(attempt.cause)}" if attempt.error else "", 80)


def _document(
    record: RunRecord, status: str, view: RunView, waiting: list[str], cache: list[str], attempts: bool
) -> dict[str, Any]:
    shown: dict[str, Any] = describe(record, status)
    shown["output"] = record.output
    shown["steps"] = view.steps
    shown["waiting"] = waiting
    shown["cache"] = cache
    if attempts:
        shown["attempts"] = [
            {
                "label": a.label,
                "attempt": a.number,
                "status": a.status,
                "scheduled_at": iso(a.scheduled_ms),
                "ended_at": iso(a.ended_ms),
                "error": a.error,
                "cause": a.cause,
                "usage": a.usage,
                "lost": a.lost,
            }
            for a in view.attempts
        ]
    return shown
