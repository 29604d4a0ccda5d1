"""Saves and loads the states of one checkpoint: snapshot here, upload beside the work, at most one at a time."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from skylift.compute.worker import current
from skylift.compute.worker.checkpoint.cadence import Cadence, mtbf_s
from skylift.compute.worker.checkpoint.files import Files, open_files
from skylift.compute.worker.checkpoint.layout import Snapshot, Snapshots, state_of
from skylift.compute.worker.checkpoint.place import NAME, folder_of, joined
from skylift.compute.worker.checkpoint.versions import Writer, claim, clear, newest
from skylift.errors import SetupError
from skylift.values.tags import ValueNotLoadable

LOCAL = "local"
_BEGAN_MS = int(time.time() * 1000)
_APART_MS = 60_000
"""The members of a gang that torchrun and its like start begin within this, and a gang after another one of the same
port later; unless that one lived shorter, on several machines."""
_log = logging.getLogger("skylift.checkpoint")


class Place:
    """Where the checkpoints of this code are, and whose they are."""

    def __init__(self, key: str | None, folder: str | os.PathLike[str] | None) -> None:
        _check_place(key, folder)
        self.attempt = current.attempt()
        self.is_script = self.attempt is None and folder is None
        """Neither a step of a run nor at a place that somebody chose."""
        if folder is not None:
            self.folder = os.fspath(folder)
        elif self.attempt is None:
            home = os.environ.get("SKYLIFT_HOME") or ".skylift"
            self.folder = folder_of(joined(home, NAME), LOCAL, key or _program())
        elif self.attempt.checkpoints is None:
            raise SetupError(
                f"the worker of {self.attempt.label} was given no place for checkpoints",
                hint="give the backend `blobs=` or `checkpoints=`, or the checkpoint a `folder=`: a path or fsspec URL",
            )
        else:
            self.folder = folder_of(self.attempt.checkpoints, self.attempt.run_id, self.attempt.visit, key)

    @property
    def order(self) -> tuple[int, int]:
        """Try and delivery: of two workers that hold the same step, the higher one counts."""
        return (1, 1) if self.attempt is None else (self.attempt.number, self.attempt.delivery)

    @property
    def gang(self) -> str:
        """What the members of one delivery of a gang have in common, and no other gang; empty for none."""
        if _gang()[1] < 2:
            return ""
        if self.attempt is not None:
            return f"{self.attempt.run_id}/{self.attempt.visit}/{self.attempt.number}/{self.attempt.delivery}"
        return _launched()

    @property
    def since_ms(self) -> int:
        """A gang that nobody names but by its port may have been started before with the same one."""
        return 0 if self.attempt is not None else _BEGAN_MS - _APART_MS

    @property
    def follows(self) -> bool:
        """Another member of the gang saves for this one."""
        return _gang()[0] > 0

    @property
    def leads(self) -> bool:
        """This member of a gang saves for the others."""
        rank, size = _gang()
        return rank == 0 and size > 1


class Keeper:
    """Not for several threads at once."""

    def __init__(self, place: Place, cadence: Cadence, keep: int) -> None:
        if not isinstance(keep, int) or isinstance(keep, bool) or keep < 1:
            raise SetupError(f"keep={keep!r}: at least one version must be kept", hint="2 is the default")
        self.place = place
        self.cadence = cadence
        self._keep = keep
        self._files: Files = open_files(place.folder)
        self._writer: Writer | None = None
        self._snapshots = Snapshots()
        self._upload: threading.Thread | None = None
        self._problem: BaseException | None = None
        self._began = time.monotonic()
        self._before_ms = 0.0

    def load(self) -> Any:
        """The last state that was saved whole; `MISSING` where there is none."""
        if not self.place.follows and self._writer is None:
            self._writer = self._claim()
        self._began = time.monotonic()
        place = self.place
        found = newest(self._files, gang=place.gang if place.follows else "", since_ms=place.since_ms)
        if found is None:
            return MISSING
        version, data = found
        if self._writer is not None and self.place.leads:
            self._writer.pinned = version
        state = _state_of(data, self._files.where)
        self._before_ms = version.manifest.saved_ms
        self._tell(version.manifest.saved_ms)
        return state

    @property
    def work_ms(self) -> float:
        """Of this delivery and of what earlier ones left."""
        return self._before_ms + (time.monotonic() - self._began) * 1000

    @property
    def busy(self) -> bool:
        """An upload is under way."""
        return self._upload is not None and self._upload.is_alive()

    def due(self) -> bool:
        """Should the work stop for a save?"""
        if self.place.follows:
            return False
        return self.warned or (self.cadence.due() and (self.cadence.counts_steps or not self.busy))

    @property
    def warned(self) -> bool:
        attempt = self.place.attempt
        return attempt is not None and attempt.warned is not None

    def save(self, state: Any) -> None:
        """Take a snapshot and begin to upload it. Waits for the upload before; raises what went wrong in it."""
        if self.place.follows:
            return
        began = time.monotonic()
        self.wait()
        if self._writer is None:
            self._writer = self._claim()
        if self._writer.overtaken:
            return
        snapshot = self._snapshots.take(state)
        arguments = (self._writer, snapshot, self.work_ms)
        self._upload = threading.Thread(target=self._store, args=arguments, name="skylift-checkpoint")
        self._upload.start()
        self.cadence.saved(time.monotonic() - began)

    def wait(self) -> None:
        """Until nothing is under way. Raises what went wrong since the last time."""
        if self._upload is not None:
            self._upload.join()
            self._upload = None
        problem, self._problem = self._problem, None
        if problem is not None:
            raise problem

    def settle(self) -> None:
        """Wait, and only log what went wrong: the work's own end is what counts."""
        try:
            self.wait()
        except Exception as problem:  # noqa: BLE001 - whatever the storage raises
            _log.warning("the last checkpoint was not saved: %s", problem)

    def leave(self) -> None:
        """Raise Preempted, the state being saved: the machine is about to go."""
        self.wait()
        attempt = self.place.attempt
        left_s = (attempt.warned if attempt is not None else None) or 0.0
        raise current.Preempted(
            f"left after {self.work_ms / 1000:.1f} s of work, saved, {left_s:.0f} s before the machine goes"
        )

    def clear(self) -> None:
        """Forget all versions."""
        self.settle()
        if not self.place.follows:
            clear(self._files)
        self._writer = None

    def _claim(self) -> Writer:
        attempt, delivery = self.place.order
        return claim(self._files, attempt=attempt, delivery=delivery, keep=self._keep, gang=self.place.gang)

    def _store(self, writer: Writer, snapshot: Snapshot, saved_ms: float) -> None:
        try:
            manifest = writer.write(snapshot.chunks(), saved_ms)
            if manifest is None:
                _log.warning("a newer delivery of this step saves checkpoints now: this one no longer does")
            else:
                self._tell(saved_ms)
        except BaseException as problem:  # noqa: BLE001 - raised by the next save, in the thread that works
            self._problem = problem
        finally:
            snapshot.drop()

    def _tell(self, saved_ms: float) -> None:
        if self.place.attempt is not None:
            self.place.attempt.standing.saved_ms = saved_ms
            self.place.attempt.saved(saved_ms)


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()


def cadence_of(every: str | float | None, steps: int | None) -> Cadence:
    """The cadence that was asked for, or the best one for where this code runs."""
    from skylift.units import parse_duration_ms

    if every is not None and steps is not None:
        raise SetupError(f"every={every!r} and steps={steps!r}: a checkpoint has one cadence", hint="give one of them")
    if steps is not None and (not isinstance(steps, int) or isinstance(steps, bool) or steps < 1):
        raise SetupError(f"steps={steps!r} is no number of steps", hint="use a whole number of at least 1")
    attempt = current.attempt()
    return Cadence(
        mtbf_s=mtbf_s(spot=attempt is not None and attempt.spot),
        every_s=None if every is None else parse_duration_ms(every, "every") / 1000,
        steps=steps,
    )


def _state_of(data: bytearray, where: str) -> Any:
    try:
        return state_of(data)
    except ValueNotLoadable as error:
        raise ValueNotLoadable(
            f"the checkpoint at {where} does not fit this code: {error}",
            hint="bring back the classes it names, give the checkpoint another key=, or delete it",
        ) from error


def _gang() -> tuple[int, int]:
    """Rank of this process among those that work on one attempt, and their number, as torchrun and our gangs say."""
    try:
        return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    except ValueError:
        return 0, 1


def _launched() -> str:
    """What torchrun and its like tell all members of a gang that they start, and nobody else on this machine."""
    names = ("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT")
    known = [os.environ.get(name, "") for name in names]
    if os.environ.get("LOCAL_WORLD_SIZE") == os.environ.get("WORLD_SIZE"):
        known.append(str(os.getppid()))
    return "/".join(known)


def _check_place(key: Any, folder: Any) -> None:
    if key is not None and (not isinstance(key, str) or not key):
        raise SetupError(f"key={key!r} is no name", hint='give a text: key="pretraining"')
    path = os.fspath(folder) if isinstance(folder, os.PathLike) else folder
    if path is not None and (not isinstance(path, str) or not path):
        raise SetupError(f"folder={folder!r} is no place", hint="give a path or an fsspec URL")


def _program() -> str:
    file = getattr(sys.modules["__main__"], "__file__", None)
    return Path(file).stem if file else "prompt"
