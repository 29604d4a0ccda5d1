"""Runs a recorded attempt again and shows what comes of it: in this process, or as the program of one with the
attempt's own packages (`python -m skylift.cli.again ORDER`, started by `skylift replay`)."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from skylift.cli.output import shorten
from skylift.compute.worker.failure import Stated
from skylift.recorded import RecordedAttempt, RecordedCall

if TYPE_CHECKING:
    from skylift.ports.blobs import BlobStore


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """What the other process is told."""

    attempt: RecordedAttempt
    blobs: str
    debug: bool


def run_again(attempt: RecordedAttempt, blobs: BlobStore, *, debug: bool) -> int:
    """Exit status 1 when the task raises."""
    call = RecordedCall(attempt, blobs)
    click.echo(f"replaying {attempt.label}, attempt {attempt.number}: {call.describe()}", err=True)
    try:
        result = call()
    except Stated as raised:  # a job has ended badly: what its program said stands above
        click.echo(f"{raised.error}: {shorten(raised.cause, 2000)}", err=True)
        return 1
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


def main() -> None:
    from skylift.errors import SkyliftError
    from skylift.stores.open import open_blobs

    order = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Again)
    try:
        sys.exit(run_again(order.attempt, open_blobs(order.blobs), debug=order.debug))
    except SkyliftError as problem:
        click.echo(f"error[{problem.code}]: {problem.message}", err=True)
        if problem.hint:
            click.echo(f"  hint: {problem.hint}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
