"""The folders of attempts: made, found again by token, read, cleaned away."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from skylift.compute.worker.solo_files import (
    ALIVE,
    BELL,
    CRASH,
    EAR,
    KEPT,
    LEASE,
    ORDER,
    SAVED,
    STOP,
    WARNED,
    SoloOrder,
    locked,
    mark,
    open_pipe,
    read_moment,
    read_order,
    read_outcome,
    read_start,
    there,
    until_ms,
    write_moment,
    write_order,
    write_outcome,
    write_secrets,
)
from skylift.ports.compute import Outcome

_READABLE = 60
_UNFINISHED_MS = 60_000
"""A folder without an order that is older than this was left by somebody who died while making it."""


class AttemptFolder:
    """One delivery of one attempt. Stateless: everything is read when asked for. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = str(path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AttemptFolder) and other.path == self.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __repr__(self) -> str:
        return f"AttemptFolder({self._folder})"

    @cached_property
    def order(self) -> SoloOrder | None:
        """None where it is not there (yet) or cannot be read."""
        return read_order(self._folder)

    @property
    def bell(self) -> str:
        return os.path.join(self._folder, BELL)

    def hear(self) -> int:
        """The bell, opened. OSError where there is none."""
        return open_pipe(self._folder, BELL, os.O_RDONLY)

    def beside(self, name: str) -> Path:
        """A file about the attempt that its code cannot reach; gone with the folder."""
        return self.path.with_name(f"{self.path.name}.{name}")

    def renew(self, until: int) -> None:
        """The attempt may live until then, UTC milliseconds. FileNotFoundError if the folder is gone."""
        write_moment(self._folder, LEASE, until)
        write_moment(str(self.path.parent), self.beside(LEASE).name, until)

    def allow_keeping(self, keep_ms: int) -> None:
        """Its place may be kept for so long after its failure."""
        write_moment(str(self.path.parent), self.beside(KEPT).name, keep_ms)

    @property
    def until_ms(self) -> int:
        """Until when the attempt may live, or its place be kept; 0 where nothing says so.

        What stands in the folder its own code could have written: it counts up to what its holder has noted beside it.
        """
        return min(until_ms(self._folder), self._granted(LEASE) + self._granted(KEPT))

    @property
    def kept(self) -> bool:
        """Whether its place is kept after a failure, and still may be."""
        there = read_moment(self._folder, KEPT) is not None and self._granted(KEPT) > 0
        return there and self.until_ms > time.time() * 1000

    def _granted(self, name: str) -> int:
        """What the holder has noted beside the folder."""
        return read_moment(str(self.path.parent), self.beside(name).name) or 0

    @property
    def warned(self) -> bool:
        """Whether the attempt was told that its machine is about to be taken away."""
        return there(self._folder, WARNED)

    @property
    def saved_ms(self) -> int:
        """Work that its checkpoints keep, as its machine has noted so far."""
        return read_moment(self._folder, SAVED) or 0

    def note_saved(self, saved_ms: float) -> None:
        """In whole milliseconds; a first checkpoint that keeps less is there all the same."""
        write_moment(self._folder, SAVED, math.ceil(saved_ms))

    @property
    def started(self) -> bool:
        """Whether its supervisor has come up, some time."""
        return there(self._folder, ALIVE)

    @property
    def stopping(self) -> bool:
        """Whether somebody has asked for its end."""
        return there(self._folder, STOP)

    @property
    def alive(self) -> bool:
        """Whether its supervisor lives now, on this machine or in a container of it."""
        return locked(self._folder, ALIVE)

    @property
    def process(self) -> tuple[int, int] | None:
        """Number and start of the supervisor's process, as it saw them itself: in a container, those inside."""
        with contextlib.suppress(OSError, ValueError):
            pid, started = read_start(self._folder, ALIVE, 64).split()
            return int(pid), int(started)
        return None

    def last_words(self) -> str:
        """What was written where the interpreter writes when it crashes."""
        with contextlib.suppress(OSError):
            return read_start(self._folder, CRASH, 16_384).decode("utf-8", "replace").strip()
        return ""

    def outcome(self) -> Outcome | None:
        return read_outcome(self._folder)

    def give_outcome(self, outcome: Outcome) -> None:
        """For an attempt whose supervisor can say nothing any more, or never came up. Nothing where its folder is gone,
        or where its code has seen to it that there is no room for the file."""
        with contextlib.suppress(FileNotFoundError, IsADirectoryError, NotADirectoryError):
            write_outcome(self._folder, outcome)

    def give_secrets(self, values: Mapping[str, str]) -> None:
        """Values by name, for the one start that is to come: they are on file only until they are read."""
        if values:
            write_secrets(self._folder, dict(values))

    def ask_to_stop(self) -> None:
        """The supervisor hears it at once, or when it comes up; it ends the attempt with all it started within its
        grace, and says so."""
        with contextlib.suppress(OSError):
            mark(self._folder, STOP)
        with contextlib.suppress(OSError):
            fd = open_pipe(self._folder, EAR, os.O_WRONLY)
            try:
                os.write(fd, b"!")
            finally:
                os.close(fd)

    def remove(self) -> None:
        """Forget it. What still ran in it would end."""
        shutil.rmtree(self.path, ignore_errors=True)
        for file in self.path.parent.glob(f"{self.path.name}.*"):
            file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()


class AttemptFolders:
    """All attempts of one backend of a project: `ROOT/TOKEN/NUMBER`, one number for each time it was given out. Several
    processes may work with them at once; thread-safe."""

    def __init__(self, root: Path, *, lease_ms: int) -> None:
        self.root = root
        self._lease_ms = lease_ms

    def create(self, order: SoloOrder) -> AttemptFolder:
        """A new folder, with a lease that runs from now. Raises TypeError, ValueError or RecursionError for arguments
        that have no JSON form, OSError where there is no room."""
        token = self.root / _name(order.call.token)
        folder = AttemptFolder(_numbered(token))
        try:
            folder.renew(int(time.time() * 1000) + self._lease_ms)
            if order.call.keep_ms is not None:
                folder.allow_keeping(order.call.keep_ms)
            with contextlib.suppress(OSError):  # without it the end is noticed a little later
                os.mkfifo(folder.bell, 0o600)
                os.mkfifo(os.path.join(str(folder.path), EAR), 0o600)
            write_order(str(folder.path), order)
        except BaseException:
            folder.remove()
            raise
        return folder

    def find(self, token: str) -> AttemptFolder | None:
        """The last delivery of an attempt; None if it was never given out here, or so long ago that it is forgotten."""
        found = _numbers(self.root / _name(token))
        return AttemptFolder(self.root / _name(token) / str(found[-1])) if found else None

    def __iter__(self) -> Iterator[AttemptFolder]:
        """All deliveries of all attempts."""
        with contextlib.suppress(FileNotFoundError):
            for name in sorted(os.listdir(self.root)):
                for number in _numbers(self.root / name):
                    yield AttemptFolder(self.root / name / str(number))

    def clean(self) -> list[AttemptFolder]:
        """Remove what nobody will ask for: ended, and its lease over. What is over and has not ended is returned: its
        maker has to end it."""
        now_ms = int(time.time() * 1000)
        overdue = []
        for folder in self:
            if folder.until_ms > now_ms or self._being_made(folder, now_ms):
                continue
            if there(str(folder.path), ORDER) and folder.outcome() is None:
                overdue.append(folder)
            elif not folder.alive:
                folder.remove()
        return overdue

    def _being_made(self, folder: AttemptFolder, now_ms: int) -> bool:
        if there(str(folder.path), ORDER):
            return False
        with contextlib.suppress(OSError):
            return now_ms - folder.path.stat().st_mtime * 1000 < _UNFINISHED_MS
        return False


def _name(token: str) -> str:
    """For people and for certain: readable at its start, and different for different tokens."""
    readable = re.sub(r"[^A-Za-z0-9_-]", "_", token)[:_READABLE]
    return f"{readable}-{hashlib.sha256(token.encode()).hexdigest()[:16]}"


def _numbers(folder: Path) -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(folder) if name.isdigit())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _numbered(folder: Path) -> Path:
    """The next number, made. Somebody who cleans up at the same time may take the outer folder away."""
    while True:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / str((_numbers(folder) or [0])[-1] + 1)
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            path.mkdir(mode=0o700)
            return path
