"""Catches what an attempt prints, at the level of file descriptors, and writes it line by line to the attempt's log.

File descriptors 1 and 2 of the worker are pipes for its whole life, so output of C code and of child processes is
caught like that of Python. A thread waits for output and writes it at once; the end of an attempt drains what is left.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable
from typing import IO, Any

from skylift.compute.worker.log_lines import Stream, stamp
from skylift.compute.worker.secrets import NO_MASK, Mask

_CHUNK = 65_536
_LONGEST_LINE = 65_536


class LogFile:
    """The log of one attempt, opened when the first line comes. Lines are appended whole, masked and stamped; with
    `prefix` where several write to one log."""

    def __init__(self, path: str | None, mask: Mask = NO_MASK, prefix: bytes = b"") -> None:
        self._path = path
        self._mask = mask
        self._prefix = prefix
        self._fd = -1

    def write(self, stream: Stream, lines: list[bytes]) -> None:
        if self._path is None or not lines:
            return
        before = stamp(stream) + self._prefix
        self._append(b"".join(before + self._mask.of_bytes(line) + b"\n" for line in lines))

    def note(self, stream: Stream, text: str) -> None:
        self.write(stream, text.encode("utf-8", "backslashreplace").splitlines() or [b""])

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @property
    def mask(self) -> Mask:
        return self._mask

    def _append(self, data: bytes) -> None:
        """A log that cannot be written (disk full, folder gone) must not fail the attempt."""
        with contextlib.suppress(OSError):
            if self._fd < 0:
                self._fd = _open(self._path or os.devnull)
            while data:
                data = data[os.write(self._fd, data) :]


class _Stream:
    """One captured file descriptor: bytes in, whole lines out."""

    def __init__(self, name: Stream, target: int) -> None:
        self.name = name
        self.target = target
        self.fd, writing = os.pipe()
        os.set_blocking(self.fd, False)
        os.dup2(writing, target, inheritable=True)
        os.close(writing)
        self._rest = b""

    def drain(self, log: LogFile) -> None:
        while data := self._read():
            self._take(data, log)

    def finish(self, log: LogFile) -> None:
        """Also writes a last line that has no end yet."""
        self.drain(log)
        if self._rest:
            log.write(self.name, [self._rest])
            self._rest = b""

    def _read(self) -> bytes:
        try:
            return os.read(self.fd, _CHUNK)
        except BlockingIOError:
            return b""

    def _take(self, data: bytes, log: LogFile) -> None:
        lines = (self._rest + data).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > _LONGEST_LINE:
            keep = max(log.mask.longest - 1, 0)
            masked = log.mask.of_bytes(self._rest)
            lines.append(masked[: len(masked) - keep])
            self._rest = masked[len(masked) - keep :]
        log.write(self.name, lines)


class Capture:
    """Owns the process's standard output and error from its construction on."""

    def __init__(self) -> None:
        self._streams = (_Stream("stdout", 1), _Stream("stderr", 2))
        sys.stdout = sys.__stdout__ = _text(1)  # type: ignore[misc, assignment]
        sys.stderr = sys.__stderr__ = _text(2)  # type: ignore[misc, assignment]
        self._lock = allocate_lock()
        self.log = LogFile(None)
        self._flush_c = _line_buffered_c()
        start_new_thread(self._pump, ())

    def begin(self, log: LogFile) -> None:
        """Output goes to `log` from here on."""
        with self._lock:
            for stream in self._streams:
                stream.finish(self.log)
            self.log = log

    def end(self) -> None:
        """What was printed until now is in the log when this returns."""
        for file in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                file.flush()
        self._flush_c(None)
        with self._lock:
            for stream in self._streams:
                stream.finish(self.log)
            self.log.close()
            self.log = LogFile(None)

    def note(self, stream: Stream, text: str) -> None:
        with self._lock:
            for printed in self._streams:
                printed.drain(self.log)
            self.log.note(stream, text)

    def _pump(self) -> None:
        poll = select.poll()
        for stream in self._streams:
            poll.register(stream.fd, select.POLLIN)
        while True:
            poll.poll()
            with self._lock:
                for stream in self._streams:
                    stream.drain(self.log)
            time.sleep(0.002)


def _text(fd: int) -> IO[str]:
    return open(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


def _open(path: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - pathlib costs start-up time here
        return os.open(path, flags, 0o600)


def _line_buffered_c() -> Callable[[Any], Any]:
    """Makes C's `stdout` hand over whole lines at once; what flushes the rest."""
    try:
        import ctypes

        c = ctypes.CDLL(None)
        c.setvbuf(ctypes.c_void_p.in_dll(c, _C_STDOUT), None, _IOLBF, 8192)
        flush: Callable[[Any], Any] = c.fflush
    except (ImportError, OSError, AttributeError, ValueError):
        return lambda _: None
    return flush


_IOLBF = 1
_C_STDOUT = "__stdoutp" if sys.platform == "darwin" else "stdout"
