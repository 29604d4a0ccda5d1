"""`skylift run`: start a run here, show how it goes on, and print what came out."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from skylift.cli.bill import bill_document, bill_of, print_bill
from skylift.cli.output import duration, json_option, print_json
from skylift.cli.parameters import add_params, help_rows, is_list, nearest, option, split_arguments
from skylift.cli.parts import open_runtime
from skylift.cli.placing import check_tasks, keeping, kept_nowhere, placement, set_speed
from skylift.cli.target import Target, checked_document, read_input, resolve_target
from skylift.errors import message_of
from skylift.sdk.parameters import Parameter, ParameterInvalid

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


class RunCommand(click.Command):
    """Reads the target first: the pipeline's parameters become options, in parsing and in the help."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.obj = Loaded()
        file = next((word for word in args if not word.startswith("-")), None)
        if file is not None and Path(file.partition(":")[0]).suffix == ".py":
            ctx.obj = Loaded.of(resolve_target(file))
            given, args = split_arguments(ctx.obj.parameters, self.params, args)
            ctx.obj.given = given
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as problem:
            raise _unknown_option(problem, ctx.obj) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        loaded: Loaded = ctx.obj
        if loaded.parameters:
            with formatter.section(f"Parameters of {loaded.name}"):
                formatter.write_dl(help_rows(loaded.parameters))
        super().format_options(ctx, formatter)


class Loaded:
    """What `parse_args` found out: the target, its parameters, and the raw texts given for them."""

    def __init__(self, target: Target | None = None, parameters: Sequence[Parameter] = ()) -> None:
        self.target = target
        self.parameters = parameters
        self.given: dict[str, list[str]] = {}

    @classmethod
    def of(cls, target: Target) -> Loaded:
        return cls(target, target.pipeline.parameters)

    @property
    def name(self) -> str:
        return self.target.name if self.target else ""


def _unknown_option(problem: click.NoSuchOption, loaded: Loaded) -> Exception:
    """In words of the pipeline where one is run: what its parameters are, and which is meant."""
    if loaded.target is None:
        return problem
    name = problem.option_name.lstrip("-").replace("-", "_")
    message = f"{loaded.name} has no parameter {problem.option_name}"
    return ParameterInvalid(message, hint=nearest(name, loaded.parameters))


@click.command(cls=RunCommand)
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
    type=click.Path(dir_okay=False, path_type=Path),
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
        return _say_paused(runtime, ended, as_json)
    return report(ended, as_json, bill_of(runtime, ended), late=_late(runtime, ended))


def _length_ms(length: str | None, every: str | None) -> int | None:
    from skylift.units import parse_duration_ms

    if length is not None and every is None:
        raise ParameterInvalid("--for says how long --every goes on, which is not given")
    return None if length is None else parse_duration_ms(length, "--for")


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


def prepared(
    runtime: Runtime, found: Target, loaded: Loaded, params: Sequence[str], given_input: Any
) -> tuple[Any, Any]:
    """What is submitted, and the run's input."""
    from skylift.sdk.submission import document_submission, pipeline_submission

    if found.document is not None:
        if params or loaded.given:
            raise ParameterInvalid("a States Language document takes no parameters", hint="use --input JSON")
        return document_submission(found.name, checked_document(found)), given_input
    add_params(loaded.given, params, loaded.parameters)
    return pipeline_submission(found.pipeline, runtime.blobs, runtime.config.home), _bind(
        runtime, found, loaded, given_input
    )


def _bind(runtime: Runtime, found: Target, loaded: Loaded, given_input: Any) -> Any:
    from skylift.sdk.parameters import bind_input, parse_argument

    if not isinstance(given_input, dict):
        raise ParameterInvalid(f"--input must be a JSON object of parameters, not {type(given_input).__name__}")
    values: dict[str, Any] = dict(given_input)
    by_name = {p.name: p for p in loaded.parameters}
    for name, texts in loaded.given.items():
        parameter = by_name[name]
        if len(texts) > 1 and not is_list(parameter):
            raise ParameterInvalid(f"{option(parameter)} was given {len(texts)} times: {', '.join(texts)}")
        values[name] = parse_argument(parameter.annotation, texts if is_list(parameter) else texts[0], name)
    return bind_input(found.pipeline, values, runtime.codec)


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
                _say_paused(runtime, record, as_json)
            else:
                report(record, as_json, bill_of(runtime, record))
    finally:
        signal.signal(signal.SIGINT, previous)
    return 0


def _say_paused(runtime: Runtime, record: RunRecord, as_json: bool) -> int:
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
        click.echo("\npausing: tasks that run may end; Ctrl-C again leaves at once", err=True)
        self._runtime.request_pause(self._record)

    def _terminate(self, number: int, _frame: FrameType | None) -> None:
        self._leave(128 + number)

    def _leave(self, status: int) -> None:
        """At once: whatever is not in the journal yet is done again by whoever resumes the run. On a server it goes on
        unless it is paused."""
        with contextlib.suppress(OSError):
            os.write(2, f"\nleaving; go on with: skylift resume {self._record.run_id}\n".encode())
        os._exit(status)
