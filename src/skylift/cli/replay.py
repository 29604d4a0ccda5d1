"""`skylift replay`: one recorded attempt again, in this process, where a debugger can look at it."""

from __future__ import annotations

import sys
import traceback

import click

from skylift.cli.output import shorten
from skylift.cli.parts import open_runtime


@click.command()
@click.argument("run")
@click.argument("step")
@click.option("--attempt", type=click.IntRange(1), help="Which try.  [default: the last]")
@click.option("--pdb", "debug", is_flag=True, help="Open the debugger where it fails.")
def replay(run: str, step: str, attempt: int | None, debug: bool) -> int:
    """Run an attempt of STEP (`train`, or `trials[3].train`) of RUN again, here, with the same inputs and code.

    Nothing is recorded: the run stays as it is. Exit status 1 when the task raises again.
    """
    with open_runtime() as runtime:
        call = runtime.recorded_call(runtime.reader.record(run), step, attempt)
        click.echo(f"replaying {call.label}, attempt {call.attempt}: {call.describe()}", err=True)
        try:
            result = call()
        except Exception as raised:  # noqa: BLE001  # whatever the user's task raises is what is wanted here
            frames = call.user_frames(raised)
            traceback.print_exception(type(raised), raised, frames)
            if debug:
                import pdb

                pdb.post_mortem(frames)
            return 1
    click.echo(shorten(repr(result), 2000))
    sys.stdout.flush()
    return 0
