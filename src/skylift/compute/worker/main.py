"""The worker's program: reads tickets and orders, runs attempts, sends replies.

Everything happens in the main thread, so user code may use signals, event loops and GUI toolkits, and no thread of ours
competes with it (the one that copies output sleeps until there is some).
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import select
import signal
import socket
import time
from _thread import allocate_lock
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any

from skylift.compute.gangs import MEMBER
from skylift.compute.worker import current, failure
from skylift.compute.worker.attempt import Runner, Stopping, catch_logging
from skylift.compute.worker.capture import Capture, LogFile
from skylift.compute.worker.secrets import NO_MASK
from skylift.compute.worker.usage import Meter, resident_mib
from skylift.compute.worker.wire import (
    LENGTH,
    NOTICE,
    NOTICE_AT,
    TICKET,
    WARNING,
    Beat,
    Began,
    Done,
    Ended,
    Hello,
    Loaded,
    Order,
    Saved,
    WorkerConfig,
    call_of,
    decode_config,
    decode_order,
    done_frame,
    frame,
)
from skylift.ports.compute import CodeRef, Failed, Lost, Succeeded, TaskCall

if TYPE_CHECKING:
    from skylift.ports.blobs import BlobStore

STOPPED_STATUS = 143
"""Exit status after the backend stopped the attempt (as a shell shows death by SIGTERM)."""
_BEAT_PAUSE_S = 0.02


def main() -> None:
    """Standard input is the ticket pipe, standard output the stream to the backend, standard error a file for crash
    reports. They are moved away before user code can see them."""
    with contextlib.suppress(OSError):
        os.setsid()
    tickets, stream, crash = os.dup(0), socket.socket(fileno=os.dup(1)), os.dup(2)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    worker = Worker(_Inbox(tickets, stream), stream)
    faulthandler.enable(crash)
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(WARNING, partial(_warned, crash))
    try:
        worker.serve()
    except Stopping:
        worker.leave()
        os._exit(STOPPED_STATUS)
    except (BrokenPipeError, ConnectionResetError):
        _end_group()


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise Stopping


def _warned(notice: int, _signal: int, _frame: FrameType | None) -> None:
    """How long is left stands in the file for crash reports."""
    data = os.pread(notice, NOTICE.size, NOTICE_AT)
    current.warn(*NOTICE.unpack(data)) if len(data) == NOTICE.size else current.warn()


def _end_group() -> None:
    """The backend is gone: nobody waits for this process or its children."""
    os.killpg(0, signal.SIGKILL)


class _Inbox:
    """Orders whose tickets this worker got."""

    def __init__(self, tickets: int, stream: socket.socket) -> None:
        self._tickets = tickets
        self._poll = select.poll()
        self._poll.register(tickets, select.POLLIN)
        self._stream = stream
        self._buffer = bytearray()
        self._start = 0
        self._view: Any = None

    def config(self) -> WorkerConfig:
        return decode_config(self._frame())

    def next(self) -> Order | None:
        """The next order, when there is one; None after the backend closed the ticket pipe."""
        ticket = self._ticket()
        while ticket is not None:
            order = decode_order(self._frame())
            if order.number == ticket:
                return order
        return None

    def _ticket(self) -> int | None:
        while True:
            try:
                data = os.read(self._tickets, TICKET.size)
            except BlockingIOError:
                self._poll.poll()
                continue
            return int(TICKET.unpack(data)[0]) if data else None

    def _frame(self) -> bytes:
        self._fill(4)
        (length,) = LENGTH.unpack_from(self._buffer, self._start)
        self._fill(4 + length)
        begin = self._start + 4
        self._start = begin + length
        return bytes(self._buffer[begin : self._start])

    def _fill(self, size: int) -> None:
        """Read until `size` bytes lie in the buffer from its start on."""
        while len(self._buffer) - self._start < size:
            if self._start:
                del self._buffer[: self._start]
                self._start = 0
            data = self._stream.recv(max(65_536, size - len(self._buffer)))
            if not data:
                raise BrokenPipeError("the backend closed the stream")
            self._buffer += data


class Worker:
    """Carries out orders until the ticket pipe ends."""

    def __init__(self, inbox: _Inbox, stream: socket.socket) -> None:
        self._inbox = inbox
        self._stream = stream
        self._sending = allocate_lock()
        self._config = inbox.config()
        self._blobs: BlobStore | None = None
        os.environ.update(self._config.env)
        if self._config.cwd is not None:
            os.chdir(self._config.cwd)
        self._capture = Capture()
        catch_logging(self._capture)
        self._runner = Runner(self._config, self._open_blobs)

    def serve(self) -> None:
        self._send(frame(Hello(os.getpid())))
        while (order := self._inbox.next()) is not None:
            if order.preload is not None:
                self._preload(order.number, order.preload)
            else:
                self._send(self._carry_out(order.number, call_of(order)))

    def leave(self) -> None:
        """Put what was printed last into the log."""
        self._capture.end()

    def _preload(self, number: int, code: CodeRef) -> None:
        self._runner.load(code)
        self._send(frame(Loaded(number, resident_mib())))

    def _carry_out(self, number: int, call: TaskCall) -> bytes:
        """The reply to one call."""
        meter = Meter()
        found = self._runner.mask(call)
        if isinstance(found, Failed):
            self._capture.begin(LogFile(call.log, prefix=_rank(call)))
            return self._ended(number, found, meter, note=failure.plain(found))
        mask, secrets = found
        self._capture.begin(LogFile(call.log, mask, _rank(call)))
        function = self._runner.load(call.code)
        if isinstance(function, Failed):
            return self._ended(number, function, meter, note=failure.plain(function))
        limits = call.requirements
        if limits.timeout_ms is not None or limits.heartbeat_ms is not None or limits.memory_mib is not None:
            self._send(frame(Began(number)))
        beat, saved = _Beats(self, number), partial(self.saved, number)
        outcome = self._runner.run(call, function, meter, mask, secrets, beat=beat, saved=saved, note=self._note)
        if not isinstance(outcome, Succeeded):
            return self._ended(number, outcome, meter)
        cpu_ms = meter.stop()
        self._capture.end()
        done = Done(
            number,
            outcome.output,
            meter.started_ms,
            meter.duration_ms,
            cpu_ms,
            meter.peak_mib,
            meter.rss_mib,
            in_bytes=meter.in_bytes,
            out_bytes=meter.out_bytes,
        )
        try:
            return done_frame(done)
        except (TypeError, ValueError, RecursionError, OverflowError) as error:
            return self._ended(number, failure.failed(error, NO_MASK), meter)

    def _ended(self, number: int, outcome: Failed | Lost, meter: Meter, note: str | None = None) -> bytes:
        if note is not None:
            self._note(note)
        self._capture.end()
        return frame(Ended(number, outcome, meter.duration_ms, meter.rss_mib or resident_mib()))

    def _note(self, text: str) -> None:
        self._capture.note("skylift", text)

    def _send(self, data: bytes) -> None:
        with self._sending:
            self._stream.sendall(data)

    def beat(self, number: int) -> None:
        self._send(frame(Beat(number)))

    def saved(self, number: int, saved_ms: float) -> None:
        self._send(frame(Saved(number, saved_ms)))

    def _open_blobs(self) -> BlobStore:
        if self._blobs is None:
            self._blobs = open_blobs(self._config)
        return self._blobs


def _rank(call: TaskCall) -> bytes:
    """In front of what a member of a gang prints: all of them write to the log of their attempt."""
    return b"" if MEMBER not in call.token else f"[{call.requirements.env.get('RANK', '?')}] ".encode()


class _Beats:
    """`heartbeat()` of one attempt, from any thread of it; no more than one message in a while."""

    def __init__(self, worker: Worker, number: int) -> None:
        self._worker = worker
        self._number = number
        self._lock = allocate_lock()
        self._next = 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        with self._lock:
            if now >= self._next:
                self._next = now + _BEAT_PAUSE_S
                self._worker.beat(self._number)


def open_blobs(config: WorkerConfig) -> BlobStore:
    """The blob store that the configuration names."""
    import importlib

    from skylift.errors import SetupError

    if config.blobs is None:
        raise SetupError(
            "this worker was given no place for artifacts, and a value or a code bundle needs one",
            hint="give the backend `blobs=`, a path or an fsspec URL",
        )
    module, _, name = config.blobs_factory.partition(":")
    store: BlobStore = getattr(importlib.import_module(module), name)(config.blobs)
    return store


if __name__ == "__main__":
    main()
