"""The `skylift` command: finds the subcommand, runs it, and turns every error into one clear screen."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from skylift.errors import InternalError, RunFailed, SkyliftError

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("skylift.cli.init:init", "Write a first pipeline, a skylift.toml and a .gitignore."),
    "doctor": ("skylift.cli.doctor:doctor", "Say what is here, what is missing and how to get it."),
    "run": ("skylift.cli.run:run", "Run a pipeline or a States Language document, durably."),
    "runs": ("skylift.cli.runs:runs", "List runs, newest first."),
    "show": ("skylift.cli.show:show", "Steps, attempts and times of a run, and what it waits for."),
    "logs": ("skylift.cli.logs:logs", "What the tasks of a run printed and logged."),
    "events": ("skylift.cli.events:events", "The history of a run, as GetExecutionHistory gives it."),
    "stop": ("skylift.cli.control:stop", "End a run; its tasks are cancelled."),
    "pause": ("skylift.cli.control:pause", "Let a run start no new task."),
    "resume": (
        "skylift.cli.control:resume",
        "Go on with a paused run, or with one whose process died, and wait for it.",
    ),
    "redrive": ("skylift.cli.control:redrive", "Go on with a failed run from the steps that failed."),
    "answer": ("skylift.cli.control:answer", "Answer a run that waits for an approval."),
    "quote": ("skylift.cli.quote:quote", "What a run will cost and take, before it starts."),
    "plan": ("skylift.cli.plan:plan", "Where each step should run, within a deadline and a budget."),
    "rightsize": (
        "skylift.cli.rightsize:rightsize",
        "Which memory and class of compute its steps should have, and what that saves.",
    ),
    "spot": ("skylift.cli.spot:spot", "Jobs with a deadline on spot machines: what policies cost."),
    "advise": ("skylift.cli.advise:advise", "Say whether the cloud is right for a project, and which kind of service."),
    "prices": ("skylift.cli.prices:prices", "What compute costs: find machines, estimate amounts, get newer prices."),
    "ledger": ("skylift.cli.ledger:ledger", "What runs cost, step by step, and what of it was wasted."),
    "replay": ("skylift.cli.replay:replay", "Run one recorded attempt again, here, to debug it."),
    "shell": ("skylift.cli.shell:shell", "Open a prompt in the place of an attempt, while it runs or is kept."),
    "register": ("skylift.cli.register:register", "Make a pipeline known to a server, to be started by name."),
    "compile": ("skylift.cli.compile:compile_", "Print the States Language document of a pipeline."),
    "check": ("skylift.cli.compile:check", "Report every problem of a pipeline or document."),
    "graph": ("skylift.cli.compile:graph", "Draw a pipeline or document as SVG or Mermaid."),
    "server": ("skylift.cli.server:server", "Serve the Step Functions API, and Skylift's own."),
    "keys": ("skylift.cli.keys:keys", "Make, list and revoke the access keys of a server."),
    "triggers": ("skylift.cli.triggers:triggers", "Schedules, queues and files that start runs on a server."),
    "worker": ("skylift.cli.worker:worker", "Lend this machine to a server, or to AWS."),
    "idle": ("skylift.cli.idle:idle", "Stop a development box that nobody uses."),
    "waste": ("skylift.cli.waste:waste", "What a machine that is always there costs while nobody uses it."),
    "box": ("skylift.cli.box:box", "Start, stop and resize a development box, and keep it to office hours."),
    "sweep": ("skylift.cli.sweep:sweep", "End what has outlived its lease."),
    "gc": ("skylift.cli.gc:gc", "Delete old runs and the artifacts nothing refers to any more."),
}
"""Name → where it is implemented, and its line in the help. Modules are imported when their command is used."""


class LazyGroup(click.Group):
    """A group whose commands are imported on use, so that every command starts fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and name not in COMMANDS and not name.startswith("-"):
            import difflib

            near = difflib.get_close_matches(name, COMMANDS, n=1)
            ctx.fail(f"no such command: {name}" + (f". Did you mean {near[0]}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="skylift", prog_name="skylift")
@click.option("--server", metavar="URL", help="Talk to this server instead of running here (also: SKYLIFT_URL).")
def cli(server: str | None) -> None:
    """Plain Python pipelines that run durably here, on your machines or in the cloud."""
    if server is not None:
        import os

        os.environ["SKYLIFT_URL"] = server  # the settings of this command, and of pipelines that the user's file starts


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the console script. Exit status: 0 done, 1 failed, 2 wrong usage or setup, 130 interrupted."""
    _open_standard_streams()
    given = sys.argv[1:] if arguments is None else arguments
    if _command(given) in ("run", "resume", "redrive"):
        _leave_on_interrupt()
    sys.exit(run_cli(given))


def _command(given: list[str]) -> str:
    """The command's name, behind the options of `skylift` itself."""
    behind = 2 if given[:1] == ["--server"] else int(given[:1] != [] and given[0].startswith("--server="))
    return given[behind] if len(given) > behind else ""


def _leave_on_interrupt() -> None:
    """While such a command starts or ends. A KeyboardInterrupt can be lost in a callback of the interpreter, and then
    the run would go on as if nobody had pressed Ctrl-C."""
    import os
    import signal

    def leave(_number: int, _frame: object) -> None:
        os.write(2, b"\ninterrupted\n")
        os._exit(130)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where Ctrl-C is ignored (`nohup`, `&`)
        signal.signal(signal.SIGINT, leave)


def _open_standard_streams() -> None:
    """Started with one of them closed (`2>&-`), the next file we open, the journal say, would get its number."""
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    import os

    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    sys.stdin, sys.stdout, sys.stderr = (
        stream if stream is not None else open(number, mode)  # noqa: SIM115, PTH123
        for number, mode, stream in ((0, "r", sys.stdin), (1, "w", sys.stdout), (2, "w", sys.stderr))
    )


def run_cli(arguments: list[str]) -> int:
    """Run one command line; returns its exit status and never raises, so that no user sees a traceback."""
    try:
        result: Any = cli.main(args=arguments, prog_name="skylift", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        return 130
    except click.ClickException as problem:
        problem.show()
        return 2
    except BrokenPipeError:
        _silence_stdout()
        return 0
    except RunFailed as failure:
        return _report(failure, status=1)
    except SkyliftError as problem:
        return _report(problem, status=2)
    except OSError as problem:
        where = f": {problem.filename}" if problem.filename else ""
        return _report(SkyliftError(f"{problem.strerror or problem}{where}", code="OS"), status=2)
    except Exception as bug:  # noqa: BLE001  # the last line of defence: a bug must not become a traceback
        return _report(_as_bug(bug), status=1)


def _report(problem: SkyliftError, status: int) -> int:
    click.echo(f"error[{problem.code}]: {problem.message}", err=True)
    if problem.hint:
        click.echo(f"  help: {problem.hint}", err=True)
    return status


def _as_bug(bug: Exception) -> InternalError:
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="skylift-bug-", suffix=".txt", delete=False) as file:
        traceback.print_exception(bug, file=file)
    return InternalError(
        f"{type(bug).__name__}: {bug}",
        hint=f"this is a bug in Skylift; please report it with {file.name}",
    )


def _silence_stdout() -> None:
    """The reader of our output has gone: keep the interpreter from complaining when it flushes at exit."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
