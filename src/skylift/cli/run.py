"""`skylift run`: start a run here, show how it goes on, and print what came out."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from skylift.cli.bill import bill_of
from skylift.cli.driving import drive, report, say_paused
from skylift.cli.output import json_option
from skylift.cli.parts import open_runtime
from skylift.cli.paths import NamedFile
from skylift.cli.pipeline_command import Loaded, PipelineCommand, prepared
from skylift.cli.placing import check_tasks, keeping, kept_nowhere, placement, set_speed
from skylift.cli.target import read_input, resolve_target
from skylift.sdk.parameters import ParameterInvalid

if TYPE_CHECKING:
    from skylift.runtime import Runtime


@click.command(cls=PipelineCommand)
@click.argument("target", metavar="FILE[:PIPELINE]")
@click.option(
    "--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter whose name is an option here."
)
@click.option("--input", "input_text", metavar="JSON|@FILE|-", help="The whole input as JSON.")
@click.option("--name", help="Name of the run: starting it again with the same input gives the same run.")
@click.option(
    "--every", metavar="SCHEDULE", help='Stay and start a run at every tick: "5 minutes", "cron(0 6 * * ? *)".'
)
@click.option(
    "--on",
    "places",
    multiple=True,
    metavar="[TASK=]BACKEND",
    help="Where all tasks run, or one of them, whatever skylift.toml and the tasks say. May be given several times.",
)
@click.option(
    "--plan",
    "plan_path",
    type=NamedFile(),
    help="Run each step on what this plan has bought for it (skylift plan --out).",
)
@click.option(
    "--speed",
    metavar="max|N",
    help="Virtual time: jump from event to event, or N seconds in one of ours. Prints the bill (--on simulated).",
)
@click.option(
    "--for", "length", metavar="TIME", help='With --every: end after so much time ("7d"), virtual time included.'
)
@click.option(
    "--keep-on-failure",
    metavar="TIME",
    help='Keep the place of an attempt that fails for so long ("30m"), for skylift shell.',
)
@json_option
@click.pass_context
def run(
    ctx: click.Context,
    target: str,
    params: tuple[str, ...],
    input_text: str | None,
    name: str | None,
    every: str | None,
    places: tuple[str, ...],
    plan_path: Path | None,
    speed: str | None,
    length: str | None,
    keep_on_failure: str | None,
    as_json: bool,
) -> int:
    """Run a pipeline of a Python file, or a States Language document (.json, .asl), durably, and wait for it.

    Parameters of the pipeline are options: --rates 0.1 0.01. Ctrl-C pauses the run and says how to go on with it.
    """
    loaded: Loaded = ctx.obj
    found = loaded.target or resolve_target(target)
    attributes = {"source": target, **placement(places), **keeping(keep_on_failure)}
    for_ms = _length_ms(length, every)
    with open_runtime() as runtime:
        set_speed(runtime, speed)
        if found.pipeline is not None and speed is None:
            runtime.warm_up()
        given = {} if input_text is None else read_input(input_text)
        submission, value = prepared(runtime, found, loaded, params, given)
        check_tasks(attributes, submission.table.tasks, runtime.config)
        if plan_path is not None:
            from skylift.cli.bound import on_plan, quote_of_plan

            submission = on_plan(runtime, submission, value, plan_path, places)
            attributes |= quote_of_plan(plan_path)
        if (warning := kept_nowhere(attributes, submission.table.tasks, runtime.config)) is not None:
            click.echo(f"warning[KEEP]: {warning}", err=True)
        if every is not None:
            return _run_every(runtime, submission, value, every, attributes, for_ms, as_json=as_json)
        return drive(runtime, runtime.submit(submission, value, name=name, attributes=attributes), as_json=as_json)


def _length_ms(length: str | None, every: str | None) -> int | None:
    from skylift.units import parse_duration_ms

    if length is not None and every is None:
        raise ParameterInvalid("--for says how long --every goes on, which is not given")
    return None if length is None else parse_duration_ms(length, "--for")


def _run_every(
    runtime: Runtime,
    submission: Any,
    value: Any,
    every: str,
    attributes: dict[str, str],
    for_ms: int | None,
    *,
    as_json: bool,
) -> int:
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    previous = signal.signal(signal.SIGINT, stop)
    try:
        for record in runtime.run_every(submission, value, every, stopping, attributes, for_ms):
            if record.status == "PAUSED":
                say_paused(runtime, record, as_json)
            else:
                report(record, as_json, bill_of(runtime, record))
    finally:
        signal.signal(signal.SIGINT, previous)
    return 0
