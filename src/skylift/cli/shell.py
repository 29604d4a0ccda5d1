"""`skylift shell`: a prompt in the place of an attempt, while it runs or while its place is kept."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from skylift.cli.parts import open_runtime
from skylift.errors import SetupError

if TYPE_CHECKING:
    from skylift.engine.views import Attempt
    from skylift.runtime import Runtime

_TERMINAL = ("-t", "--tty")


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("run")
@click.argument("step")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--attempt", type=click.IntRange(1), help="Which try.  [default: the last]")
def shell(run: str, step: str, command: tuple[str, ...], attempt: int | None) -> int:
    """Open a prompt beside an attempt of STEP (`train`, or `trials[3].train`) of RUN that is running now, or whose
    place was kept after it failed (`skylift run --keep-on-failure 30m`).

    With COMMAND (after `--`) that is run there instead. The exit status is that of the prompt or command.
    """
    from skylift.recorded import OPENED, choose_attempt

    with open_runtime() as runtime:
        record = runtime.reader.record(run)
        chosen = choose_attempt(runtime.reader.view(record).attempts, step, attempt, OPENED)
        words = _prompt(runtime, record.run_id, chosen)
    return subprocess.run(prompt_words(words, command, terminal=sys.stdin.isatty())).returncode


def prompt_words(prompt: Sequence[str], command: Sequence[str], *, terminal: bool) -> list[str]:
    """What to run, from what the backend says opens a prompt: its last word is a shell."""
    words = [word for word in prompt if terminal or word not in _TERMINAL]
    return [*words, "-c", shlex.join(command)] if command else words


def _prompt(runtime: Runtime, run_id: str, attempt: Attempt) -> Sequence[str]:
    from skylift.engine.names import global_token

    backends = runtime.with_prompts()
    for backend in backends.values():
        words: Sequence[str] | None = backend.shell(global_token(run_id, attempt.token))
        if words is not None:
            return words
    raise SetupError(_why_not(attempt, sorted(backends)), hint=_mend(attempt), code="NO-SHELL")


def _why_not(attempt: Attempt, able: Sequence[str]) -> str:
    where = attempt.usage.backend if attempt.usage is not None else None
    known = f" (it ran on {where})" if where is not None else ""
    if attempt.status != "RUNNING":
        return f"attempt {attempt.number} of {attempt.label} has ended{known}, and its place is not kept"
    looked = f" (looked at: {', '.join(able)})" if able else ""
    return f"attempt {attempt.number} of {attempt.label} runs where no prompt can be opened{looked}"


def _mend(attempt: Attempt) -> str:
    if attempt.status != "RUNNING":
        return (
            "containers can be kept: start the run with --on container --keep-on-failure 30m; "
            "`skylift replay` runs the attempt again here"
        )
    return "worker processes have no place of their own: run the step with `--on container`"
