"""One worker process, seen from the backend: how it is started, sent orders, listened to and ended."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import sys
import tempfile
from collections import deque
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING

from skylift.compute.process.entry import Entry
from skylift.compute.process.gpus import Gauge
from skylift.compute.process.memory import Guarded
from skylift.compute.worker.wire import (
    NOTICE,
    NOTICE_AT,
    TICKET,
    WARNING,
    Order,
    Reply,
    WorkerConfig,
    frame,
    replies,
)
from skylift.ports.compute import CodeRef

if TYPE_CHECKING:
    import psutil  # type: ignore[import-untyped, unused-ignore]

_PROGRAM = "from skylift.compute.worker.main import main; main()"
_RECEIVE = 262_144
_SOCKET_BUFFER = 1_048_576


class Phase(Enum):
    STARTING = "starting"
    READY = "ready"
    LEAVING = "leaving"
    """Gets no more orders; ends by itself."""
    DYING = "dying"
    """Was told to stop, or is being killed."""


class WorkerProcess:
    """Not thread-safe; the pool's lock guards it."""

    def __init__(
        self,
        config: WorkerConfig,
        variables: Mapping[str, str],
        *,
        python: str = sys.executable,
        environment: str | None = None,
    ) -> None:
        """`python` is the interpreter of the virtual environment that `environment` names."""
        self.name = config.name
        self.environment = environment
        self.phase = Phase.STARTING
        self.window: deque[Entry] = deque()
        """Calls handed over and not answered; the first one runs."""
        self.bundle: str | None = None
        self.bound = False
        """Whether it serves one bundle already: `bundle`, or code without a bundle."""
        self.seen: set[str] = set()
        self.served = 0
        self.settled_mib = 0.0
        """Memory after the last first call of a task: what loaded code and models take."""
        self.head_since = 0.0
        self.head_ms = 0
        """The same by the clock on the wall."""
        self.deadline: float | None = None
        self.beat_deadline: float | None = None
        self.idle_since = 0.0
        self.kill_at: float | None = None
        self.gpus: tuple[int, ...] = ()
        """Devices it was given, for life."""
        self.gauge: Gauge | None = None
        """What its call makes of them."""
        self.rss_mib = 0.0
        self.must_watch = False
        """Its memory must be looked at now and then, for no control group does it."""
        self.up = False
        """It has said Hello."""
        self.silent = False
        """Its stream has ended."""
        self.full = False
        """Its stream takes nothing more for now: whoever listens to it waits for that, too."""
        self.pidfd = -1
        self._out = bytearray()
        self._orders = bytearray()
        self._tickets = bytearray()
        self._in = bytearray()
        self._number = 0
        self._strays: list[psutil.Process] = []
        self._start(python, variables)
        self.guarded = Guarded(self.pid)
        self._orders += frame(config)
        self.flush()

    def _start(self, python: str, variables: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        crash, path = tempfile.mkstemp(prefix="skylift-worker-")
        os.unlink(path)  # noqa: PTH108
        self.stream, self.crash = ours, crash
        self.ticket_end, self.ticket_rest = writing, reading
        ours.setblocking(False)
        for fd in (reading, writing):
            os.set_blocking(fd, False)
        with contextlib.suppress(OSError):
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
        try:
            self.pid = _spawn(python, (reading, theirs.fileno(), crash), variables)
        except OSError:
            self.release()
            raise
        finally:
            theirs.close()
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self.pidfd = os.pidfd_open(self.pid)

    # Orders down ------------------------------------------------------------------------------------------------

    @property
    def next_number(self) -> int:
        return self._number + 1

    def give(self, entry: Entry, order: bytes) -> None:
        """Put a call behind those it has; `order` is its frame under `next_number`. Nothing is sent before `flush`."""
        self._number += 1
        entry.number = self._number
        entry.worker = self
        self.window.append(entry)
        self._orders += order
        self._tickets += TICKET.pack(entry.number)

    def preload(self, code: CodeRef) -> None:
        self._number += 1
        self._orders += frame(Order(self._number, preload=code))
        self._tickets += TICKET.pack(self._number)

    def flush(self) -> bool:
        """Send what can be sent without waiting; whether some of it is left for when the worker reads on."""
        if self._orders:
            self._out += self._orders
            self._orders.clear()
        if self._out:
            self._push()
        if self._tickets and self.ticket_end >= 0:
            tickets = bytes(self._tickets)
            self._tickets.clear()
            with contextlib.suppress(BrokenPipeError):
                os.write(self.ticket_end, tickets)
        return bool(self._out)

    def _push(self) -> None:
        try:
            sent = self.stream.send(self._out)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN):
                raise
            self._out.clear()
            return
        del self._out[:sent]

    def take_back(self) -> list[Entry]:
        """Calls that the worker has not begun and now will not: the kernel gave their tickets to us."""
        numbers: set[int] = set()
        with contextlib.suppress(BlockingIOError, OSError):
            while data := os.read(self.ticket_rest, 4096):
                numbers.update(number for (number,) in TICKET.iter_unpack(data))
        if not numbers:
            return []
        back = [entry for entry in self.window if entry.number in numbers]
        self.window = deque(entry for entry in self.window if entry.number not in numbers)
        for entry in back:
            entry.worker = None
        return back

    # Replies up -------------------------------------------------------------------------------------------------

    def read(self) -> tuple[list[Reply], bool]:
        """What it said, and whether that was its last word."""
        try:
            data = self.stream.recv(_RECEIVE)
        except BlockingIOError:
            return [], False
        except OSError:
            data = b""
        self._in += data
        return list(replies(self._in)), not data

    # The end ----------------------------------------------------------------------------------------------------

    def let_go(self) -> None:
        """No more orders: it ends after what it has."""
        if self.ticket_end >= 0:
            os.close(self.ticket_end)
            self.ticket_end = -1

    def signal(self, number: signal.Signals) -> None:
        """To the worker and its process group."""
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(self.pid, number)

    def warn(self, seconds: float) -> None:
        """Tell the attempt that runs that its place is taken away in so many seconds. How many stands in the file for
        crash reports, beyond what is ever written there: a signal carries no number."""
        if not self.up:
            return
        with contextlib.suppress(OSError):
            os.pwrite(self.crash, NOTICE.pack(seconds), NOTICE_AT)
            os.kill(self.pid, WARNING)

    def note_strays(self) -> None:
        """Remember what it started, so that children that left its process group end with it."""
        import psutil

        with contextlib.suppress(psutil.Error):
            self._strays = psutil.Process(self.pid).children(recursive=True)

    def end_strays(self) -> None:
        for child in self._strays:
            with contextlib.suppress(Exception):  # gone already, or not ours
                child.kill()
        self._strays = []

    def reap(self) -> int | None:
        """The wait status, once it has ended; its children are ended too."""
        if hasattr(os, "waitid"):
            try:
                if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
                    return None
            except ChildProcessError:
                return 0
            self.signal(signal.SIGKILL)
            self.end_strays()
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            return 0
        return status if pid else None

    def last_words(self) -> str:
        """What the interpreter wrote when it crashed."""
        with contextlib.suppress(OSError):
            return os.pread(self.crash, 16_384, 0).partition(b"\0")[0].decode(errors="replace").strip()
        return ""

    def release(self) -> None:
        self.let_go()
        for fd in (self.ticket_rest, self.crash, self.pidfd):
            if fd >= 0:
                os.close(fd)
        self.ticket_rest = self.crash = self.pidfd = -1
        self.stream.close()


def _spawn(python: str, stdio: tuple[int, int, int], variables: Mapping[str, str]) -> int:
    """Start the program with these as standard input, output and error, in a session of its own."""
    moved = [_above_stdio(fd) for fd in stdio]
    actions = [(os.POSIX_SPAWN_DUP2, fd, target) for target, fd in enumerate(moved)]
    command = [python, "-P", "-c", _PROGRAM]
    try:
        try:
            return os.posix_spawn(command[0], command, variables, file_actions=actions, setsid=True)
        except NotImplementedError:
            return os.posix_spawn(command[0], command, variables, file_actions=actions)
    finally:
        for fd, original in zip(moved, stdio, strict=True):
            if fd != original:
                os.close(fd)


def _above_stdio(fd: int) -> int:
    """A copy above 2, so that none of the three is overwritten before it is used."""
    import fcntl

    return fd if fd > 2 else fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
