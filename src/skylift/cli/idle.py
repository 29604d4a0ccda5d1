"""`skylift idle`: stop a box that nobody uses."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from skylift.cli.output import duration, print_table
from skylift.cli.server import Duration
from skylift.errors import SetupError

if TYPE_CHECKING:
    from skylift.box.signs import Source

LOOK_S = 1.0
"""For how long processors are watched by `--once`."""


LONGEST_EVERY_S = 86_400.0


class Percent(click.ParamType[float]):
    """`5%` or `5`."""

    name = "percent"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            found = float(str(value).removesuffix("%"))
        except ValueError:
            found = -1.0
        if not 0 <= found <= 100:
            self.fail(f"{value!r} is no share of the processors; write 5%", param, ctx)
        return found


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--after", type=Duration(), default="30m", help="How long nobody may have used it.  [default: 30m]")
@click.option("--cpu", type=Percent(), default="5%", help="Use of processors or a GPU that is none.  [default: 5%]")
@click.option("--every", type=Duration(), default="30s", help="How often is looked.  [default: 30s]")
@click.option(
    "--keep", type=click.Path(path_type=Path), help="File that keeps it awake.  [default: ~/.skylift-keep-awake]"
)
@click.option("--once", is_flag=True, help="Only say what keeps it awake. Exit status 0 if something does, else 1.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def idle(after: float, cpu: float, every: float, keep: Path | None, once: bool, command: tuple[str, ...]) -> int:
    """Run COMMAND when nobody has used this machine for so long.

    Use is: processors, GPUs, Jupyter kernels and terminals, key presses in logins, connections by ssh, tasks of
    Skylift, a file that says to stay awake. What comes after -- is run as it is, without a shell.
    """
    from skylift.box.signs import KEEP_AWAKE, now_ms, usual
    from skylift.box.watch import watch

    if keep is not None and keep.is_dir():
        raise SetupError(f"--keep {keep} is a folder", hint="name a file, which need not be there")
    sources = usual(cpu, keep or Path(KEEP_AWAKE).expanduser())
    if once:
        return _once(sources, round(after * 1000))
    _refuse_senseless(after, every, command)

    def say(line: str) -> None:
        click.echo(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}", err=True)

    return watch(
        sources,
        lambda: _run(command),
        after_ms=round(after * 1000),
        every_ms=round(every * 1000),
        now_ms=now_ms,
        sleep=time.sleep,
        say=say,
    )


def _refuse_senseless(after: float, every: float, command: tuple[str, ...]) -> None:
    """What would only be seen when the machine is idle is told at once: nobody is there then."""
    if not command:
        raise SetupError("there is no command to stop this machine", hint="skylift idle --after 30m -- sudo poweroff")
    if shutil.which(command[0]) is None:
        raise SetupError(f"there is no program {command[0]!r} to stop this machine", hint="give its whole path")
    if every > after:
        raise SetupError(f"--every {every:g}s is longer than --after {after:g}s", hint="look more often")
    if every > LONGEST_EVERY_S:
        raise SetupError(f"--every {every:g}s is longer than a day", hint="look more often")


def _run(command: tuple[str, ...]) -> int:
    try:
        return subprocess.run(command, check=False).returncode
    except OSError as problem:
        click.echo(f"{command[0]}: {problem.strerror}", err=True)
        return 127


def _once(sources: list[Source], after_ms: int) -> int:
    from skylift.box.idle import begin, judge
    from skylift.box.signs import now_ms

    time.sleep(LOOK_S)
    now = now_ms()
    signs = [source.look(now) for source in sources]
    _, verdict = judge(begin(0), signs, now_ms=now, after_ms=after_ms, every_ms=now + 1)
    rows = []
    for sign in signs:
        last = "now" if sign.busy else "-" if sign.last_ms is None else f"{duration(now - sign.last_ms)} ago"
        rows.append((sign.source, "awake" if sign in verdict.awake_by else "idle", last, sign.note))
    print_table(("source", "state", "used", "what"), rows, empty="nothing to look at")
    by = ", ".join(sign.source for sign in verdict.awake_by)
    click.echo(f"kept awake by {by}" if by else "nothing keeps it awake", err=True)
    return 0 if verdict.awake_by else 1
