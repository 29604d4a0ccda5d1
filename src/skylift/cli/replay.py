"""`skylift replay`: one recorded attempt again, here, where a debugger can look at it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from skylift.cli.again import Again, run_again
from skylift.cli.parts import open_runtime
from skylift.errors import SetupError
from skylift.recorded_jobs import is_job

if TYPE_CHECKING:
    from skylift.ports.blobs import BlobStore
    from skylift.recorded import RecordedAttempt
    from skylift.runtime import Runtime


@click.command()
@click.argument("run")
@click.argument("step")
@click.option("--attempt", type=click.IntRange(1), help="Which try.  [default: the last]")
@click.option("--pdb", "debug", is_flag=True, help="Open the debugger where it fails.")
@click.option("--from-checkpoint", is_flag=True, help="Let it go on from what it saved, instead of from its beginning.")
def replay(run: str, step: str, attempt: int | None, debug: bool, from_checkpoint: bool) -> int:
    """Run an attempt of STEP (`train`, or `trials[3].train`) of RUN again, here, with the same inputs, code and
    packages, wherever it ran.

    Nothing is recorded: the run and its checkpoints stay as they are. Exit status 1 when the task raises again.
    """
    with open_runtime() as runtime, tempfile.TemporaryDirectory(prefix="skylift-replay-") as folder:
        given = runtime.recorded_attempt(runtime.reader.record(run), step, attempt)
        if is_job(given):
            return _job(runtime, given, Path(folder), debug=debug, from_checkpoint=from_checkpoint)
        given = _with_checkpoints(given, Path(folder), wanted=from_checkpoint)
        nodes = given.requirements.nodes
        if nodes > 1:
            click.echo(f"of {nodes} members of a gang only rank 0 runs here, as a gang of one", err=True)
        if given.requirements.image is not None:
            click.echo(f"its image {given.requirements.image} is not started: it runs with what is here", err=True)
        if given.requirements.environment is None:
            return run_again(given, runtime.blobs, debug=debug)
        return _in_its_environment(runtime, given, Path(folder), debug=debug)


def _job(runtime: Runtime, given: RecordedAttempt, folder: Path, *, debug: bool, from_checkpoint: bool) -> int:
    """What a Batch, ECS or SageMaker job is bound to, with the job's own parameters."""
    from skylift.recorded_jobs import apart, checkpoints_of

    if debug:
        click.echo("its program is a process of its own: --pdb does not see into it, breakpoint() works", err=True)
    there, image = checkpoints_of(given), given.requirements.image
    if image is not None and from_checkpoint:
        raise SetupError(
            f"{given.label} runs in the image {image}, which finds no folder of this machine",
            hint="leave out --from-checkpoint",
            code="NO-CHECKPOINT",
        )
    given = apart(given, folder)
    found = there is not None and _copied(there, str(folder / "saved") if from_checkpoint else None)
    _tell_of_checkpoints(given, found=found, wanted=from_checkpoint)
    if image is not None:
        from skylift.cli.replay_image import run_in_its_image

        return run_in_its_image(runtime, given, folder)
    return run_again(given, runtime.blobs, debug=False)


def _in_its_environment(runtime: Runtime, given: RecordedAttempt, folder: Path, *, debug: bool) -> int:
    """A process with the attempt's own packages does the rest, on this terminal."""
    from skylift.compute.environments import environment_python
    from skylift.compute.environments.ours import surroundings

    digest = given.requirements.environment
    assert digest is not None
    click.echo("making sure of its environment", err=True)
    python = environment_python(digest, runtime.blobs, runtime.config.home / "environments")
    blobs = _local_blobs(given, runtime.blobs, folder)
    order = folder / "again.json"
    order.write_bytes(msgspec.json.encode(Again(attempt=given, blobs=blobs, debug=debug)))
    with _leaving_ctrl_c_to_it():
        return subprocess.run([python, "-P", "-m", "skylift.cli.again", order], env=surroundings(python)).returncode


@contextlib.contextmanager
def _leaving_ctrl_c_to_it() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _local_blobs(given: RecordedAttempt, blobs: BlobStore, folder: Path) -> str:
    """Where that process finds code and inputs: what lies elsewhere is fetched first, for its environment may not have
    what it takes to reach it."""
    if "://" not in blobs.url or blobs.url.startswith("file://"):
        return blobs.url
    from skylift.stores.files import FileBlobStore
    from skylift.stores.gc import value_blobs
    from skylift.values.bundle import bundle_blobs

    needed = value_blobs(given.arguments, blobs)
    if given.code.bundle is not None:
        needed |= bundle_blobs(given.code.bundle, blobs)
    copy = FileBlobStore(str(folder / "blobs"))
    for digest in needed:
        copy.put_file(blobs.local_path(digest))
    return str(folder / "blobs")


def _with_checkpoints(given: RecordedAttempt, folder: Path, *, wanted: bool) -> RecordedAttempt:
    """The attempt with a place for checkpoints of its own: empty, or with a copy of what the run has."""
    from skylift.compute.worker.checkpoint.place import folder_of

    own = str(folder / "checkpoints")
    there = None if given.checkpoints is None else folder_of(given.checkpoints, given.run_id, given.visit)
    found = there is not None and _copied(there, folder_of(own, given.run_id, given.visit) if wanted else None)
    _tell_of_checkpoints(given, found=found, wanted=wanted)
    return msgspec.structs.replace(given, checkpoints=own)


def _tell_of_checkpoints(given: RecordedAttempt, *, found: bool, wanted: bool) -> None:
    if wanted and not found:
        raise SetupError(
            f"{given.label} has no checkpoint here",
            hint="leave out --from-checkpoint; a run that has succeeded keeps none",
            code="NO-CHECKPOINT",
        )
    if found and not wanted:
        click.echo("it has saved a checkpoint: --from-checkpoint goes on from there", err=True)


def _copied(source: str, target: str | None) -> bool:
    """Whether there are checkpoints; copied to `target`, if that is said."""
    from fsspec.core import url_to_fs

    system, path = url_to_fs(source)
    if not system.exists(path) or not system.find(path):
        return False
    if target is not None:
        Path(target).mkdir(parents=True, exist_ok=True)
        system.get(path.rstrip("/") + "/", target + "/", recursive=True)
    return True
