"""`stop`, `pause`, `resume`, `redrive`, `answer`: what a person can ask of a run."""

from __future__ import annotations

import click

from skylift.asl import events as e
from skylift.cli.dollars import Dollars
from skylift.cli.output import json_option
from skylift.cli.parts import open_runtime
from skylift.cli.target import read_input
from skylift.ports.compute import Failed, Succeeded


@click.command()
@click.argument("run")
@click.option("--error", help="Error name to record.")
@click.option("--cause", help="Why, for whoever reads the run later.")
def stop(run: str, error: str | None, cause: str | None) -> None:
    """End RUN: it becomes ABORTED, its tasks are cancelled."""
    with open_runtime() as runtime:
        ended = runtime.ask(runtime.reader.record(run), e.StopRequested(error=error, cause=cause))
    click.echo(f"{ended.run_id} {ended.status}")


@click.command()
@click.argument("run")
def pause(run: str) -> None:
    """Let RUN start no new task; tasks that run go on and are recorded."""
    with open_runtime() as runtime:
        paused = runtime.ask(runtime.reader.record(run), e.PauseRequested())
    click.echo(f"{paused.run_id} {paused.status}; go on with: skylift resume {paused.run_id}")


@click.command()
@click.argument("run")
@click.option("--budget", type=Dollars(), metavar="USD", help="What it may cost from now on.")
@json_option
def resume(run: str, budget: str | None, as_json: bool) -> int:
    """Go on with RUN and wait for it: paused, left behind by a process that died, running elsewhere, or finished."""
    from skylift.cli.driving import drive

    with open_runtime() as runtime:
        record = runtime.reader.record(run)
        return drive(runtime, runtime.resume(record, budget=budget), as_json=as_json)


@click.command()
@click.argument("run")
@json_option
def redrive(run: str, as_json: bool) -> int:
    """Go on with a failed RUN from the steps that did not succeed, and wait for it."""
    from skylift.cli.driving import drive

    with open_runtime() as runtime:
        record = runtime.reader.record(run)
        return drive(runtime, runtime.redrive(record), as_json=as_json)


@click.command()
@click.argument("run")
@click.option("--step", help="Which waiting step, if there are several.")
@click.option("--output", "output", help="The answer as JSON, or @file.  [default: true]")
@click.option("--reject", "cause", help="Reject instead, with this reason.")
def answer(run: str, step: str | None, output: str | None, cause: str | None) -> None:
    """Answer RUN, which waits for an approval or another callback."""
    with open_runtime() as runtime:
        record = runtime.reader.record(run)
        outcome: Succeeded | Failed = Succeeded(output=True if output is None else read_input(output, "--output"))
        if cause is not None:
            outcome = Failed(error="Rejected", cause=cause)
        label = runtime.answer(record, outcome, step=step)
    click.echo(f"answered {label} of {record.run_id}")
