"""The supervisor of one attempt: its limits, its lease, its end. Everything in one thread, woken by what happens."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import time
from types import FrameType

import msgspec

from skylift.compute.worker.capture import LogFile
from skylift.compute.worker.solo_death import End, usage_of
from skylift.compute.worker.solo_files import (
    ALIVE,
    BELL,
    CRASH,
    EAR,
    KEPT,
    STOP,
    WARNED,
    SoloOrder,
    mark,
    there,
    until_ms,
    write_moment,
    write_outcome,
)
from skylift.compute.worker.solo_lease import LOOK_S, LeaseLook
from skylift.compute.worker.solo_memory import GroupMemory, used_mib
from skylift.compute.worker.solo_tree import descendants, die_with_parent, end_all
from skylift.compute.worker.wire import Beat, Began, Done, Ended, Reply, Saved, output_of, replies
from skylift.ports.compute import Cancelled, Lost, Outcome, OutOfMemory, Succeeded, TimedOut

_RECEIVE = 262_144
_WATCH_S = 0.025
_RSS_MIB = 2**-10
_NEVER = float("inf")


class Supervisor:
    """`alone`, `listen`, `fork`, then `serve` in the parent."""

    def __init__(self, folder: str, order: SoloOrder) -> None:
        self._folder = folder
        self._order = order
        self._memory = GroupMemory(order.group)
        self._wake_end, self._wake = os.pipe()
        self._bell = self._ear = self._alive = -1
        self._child = 0
        self._status: int | None = None
        self._rusage: tuple[float, float] = (0.0, 0.0)
        """Processor time in milliseconds and highest memory in MiB of the child, once it has ended."""
        self._outcome: Outcome | None = None
        """What the attempt itself said."""
        self._verdict: Outcome | None = None
        """Why it was stopped."""
        self._buffer = bytearray()
        self._deadline = self._beat_deadline = self._kill_at = _NEVER
        self._lease_at = 0.0
        self._lease = LeaseLook()
        self._began_ms: int | None = None
        self._saved_ms: float | None = None
        """Work that the last checkpoint keeps."""
        self._stopping = self._warned = False

    # Before the attempt -----------------------------------------------------------------------------------------

    def alone(self) -> bool:
        """Whether this is the first supervisor of the attempt: there is never a second one. The file that says so is
        locked when it appears, and for as long as this process lives."""
        path = os.path.join(self._folder, ALIVE)
        draft = f"{path}.{os.getpid()}"
        self._alive = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.write(self._alive, f"{os.getpid()} {started_at(os.getpid())}\n".encode())
        fcntl.flock(self._alive, fcntl.LOCK_EX)
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        finally:
            os.unlink(draft)
        self._bell, self._ear = self._pipe(BELL), self._pipe(EAR)
        return True

    def _pipe(self, name: str) -> int:
        """Open in both directions, so that it is there whoever else has it open."""
        try:
            return os.open(os.path.join(self._folder, name), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return -1

    def listen(self) -> None:
        for end in (self._wake_end, self._wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_warning)
        signal.signal(signal.SIGINT, self._on_stop)
        signal.signal(signal.SIGCHLD, _woken)

    def fork(self) -> tuple[int, socket.socket]:
        """0 and the child's end of the stream in the child."""
        ours, theirs = socket.socketpair()
        parent = os.getpid()
        self._child = os.fork()
        if self._child:
            theirs.close()
            return self._child, ours
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else signal.SIG_IGN)
        ours.close()
        for fd in (self._wake_end, self._wake, self._bell, self._ear, self._alive):
            if fd >= 0:
                os.close(fd)
        die_with_parent(parent)
        if self._order.join:
            self._memory.join(os.getpid())
        return 0, theirs

    # While it runs ----------------------------------------------------------------------------------------------

    def serve(self, child: int, stream: socket.socket) -> None:
        """Returns when the attempt has ended, its outcome is on file and its place need not be kept."""
        needs = self._order.call.requirements
        limited = needs.timeout_ms is not None or needs.heartbeat_ms is not None or needs.memory_mib is not None
        if limited:
            self._deadline = time.monotonic() + self._order.load_timeout_ms / 1000
        stream.setblocking(False)
        poll = self._poll()
        poll.register(stream, select.POLLIN)
        while self._outcome is None and self._status is None:
            self._act()
            poll.poll(max(0, self._next() - time.monotonic()) * 1000 + 1)
            self._hear(stream)
            self._notice()
        self._end(stream)

    def _act(self) -> None:
        """What is due by the clock, or was asked for by a signal or a file."""
        now = time.monotonic()
        if self._stopping or there(self._folder, STOP):
            self._stop(Cancelled())
        if now >= self._lease_at:
            self._look_at_lease(now)
        if now >= self._deadline:
            self._stop(TimedOut())
        elif now >= self._beat_deadline:
            self._stop(TimedOut(heartbeat=True))
        if self._order.watch and self._verdict is None:
            self._look_at_memory()
        if now >= self._kill_at:
            self._kill_child()

    def _next(self) -> float:
        moments = [self._deadline, self._beat_deadline, self._kill_at, self._lease_at]
        if self._order.watch:
            moments.append(time.monotonic() + _WATCH_S)
        return min(moments)

    def _look_at_lease(self, now: float) -> None:
        over, again_s = self._lease.look(until_ms(self._folder) / 1000, time.time(), now)
        if over:
            self._stop(Lost(reason="nobody renewed its lease: whoever started it is gone"))
        self._lease_at = now + again_s

    def _look_at_memory(self) -> None:
        limit_mib = self._order.limit_mib
        used = used_mib(descendants(os.getpid()))
        self._rusage = (0.0, max(self._rusage[1], used))
        if limit_mib is not None and used > limit_mib:
            self._verdict = OutOfMemory(limit_mib=limit_mib, peak_mib=round(used, 2))
            self._kill_child()

    def _hear(self, stream: socket.socket) -> None:
        while True:
            try:
                data = stream.recv(_RECEIVE)
            except (BlockingIOError, ConnectionResetError):
                return
            if not data:
                return
            self._buffer += data
            try:
                for reply in replies(self._buffer):
                    self._take(reply)
            except msgspec.MsgspecError:  # user code wrote into our stream: nothing it says can be trusted
                self._kill_child()
                return

    def _take(self, reply: Reply) -> None:
        needs = self._order.call.requirements
        if isinstance(reply, Began):
            self._began_ms = int(time.time() * 1000)
            now = time.monotonic()
            self._deadline = _NEVER if needs.timeout_ms is None else now + needs.timeout_ms / 1000
            self._beat_deadline = _NEVER if needs.heartbeat_ms is None else now + needs.heartbeat_ms / 1000
        elif isinstance(reply, Beat) and needs.heartbeat_ms is not None:
            self._beat_deadline = time.monotonic() + needs.heartbeat_ms / 1000
        elif isinstance(reply, Saved):
            self._saved_ms = reply.saved_ms
        elif isinstance(reply, Done):
            self._outcome = Succeeded(output=output_of(reply), usage=usage_of(reply))
        elif isinstance(reply, Ended):
            self._outcome = reply.outcome

    def _notice(self) -> None:
        """Take in what signals said; wait for what has ended, also for orphans that came to us."""
        self._drain()
        with contextlib.suppress(ChildProcessError):
            while self._status is None:
                pid, status, used = os.wait4(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self._child:
                    self._ended(status, used.ru_utime + used.ru_stime, used.ru_maxrss)

    def _ended(self, status: int, cpu_s: float, rss_kib: int) -> None:
        self._status = status
        self._rusage = (cpu_s * 1000, max(self._rusage[1], rss_kib * _RSS_MIB))

    def _stop(self, verdict: Outcome) -> None:
        """Told once; killed when the grace is over."""
        self._deadline = self._beat_deadline = _NEVER
        if self._verdict is not None:
            return
        self._verdict = verdict
        self._kill_at = time.monotonic() + self._order.grace_ms / 1000
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._child, signal.SIGINT)

    def _kill_child(self) -> None:
        self._kill_at = _NEVER
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)

    def _on_warning(self, _signal: int, _frame: FrameType | None) -> None:
        self._warned = True
        with contextlib.suppress(OSError):
            mark(self._folder, WARNED)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._child, signal.SIGTERM)

    def _on_stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

    # The end ----------------------------------------------------------------------------------------------------

    def _end(self, stream: socket.socket) -> None:
        """Nothing of the attempt is left when its outcome appears."""
        if self._status is None:
            self._kill_child()
            with contextlib.suppress(ChildProcessError):
                _, status, used = os.wait4(self._child, 0)
                self._ended(status, used.ru_utime + used.ru_stime, used.ru_maxrss)
        self._hear(stream)
        end_all()
        end = self._known()
        outcome = end.with_usage(self._verdict or end.judged())
        self._note(outcome, end)
        if self._order.join:
            self._memory.remove()
        kept_ms = self._order.call.keep_ms
        keeps = kept_ms is not None and not isinstance(outcome, Succeeded | Cancelled) and not self._over()
        if keeps and kept_ms is not None:
            write_moment(self._folder, KEPT, int(time.time() * 1000) + kept_ms)
        write_outcome(self._folder, outcome)
        self._ring()
        if keeps:
            self._keep()

    def _known(self) -> End:
        """All that its outcome is made from."""
        cpu_ms, peak_mib = self._rusage
        return End(
            order=self._order,
            said=self._outcome,
            status=self._status or 0,
            counted=self._memory.counts,
            killed=self._memory.killed(),
            group_peak_mib=self._memory.peak_mib(),
            cpu_ms=cpu_ms,
            peak_mib=peak_mib,
            began_ms=self._began_ms,
            saved_ms=self._saved_ms,
            warned=self._warned,
            words=self._last_words(),
        )

    def _note(self, outcome: Outcome, end: End) -> None:
        """What only the supervisor knows is said in the attempt's log."""
        text = end.note(outcome)
        if text is not None:
            log = LogFile(self._order.call.log)
            log.note("skylift", text)
            log.close()

    def _last_words(self) -> str:
        with contextlib.suppress(OSError), open(os.path.join(self._folder, CRASH), "rb") as crash:
            return crash.read(16_384).decode(errors="replace").strip()
        return ""

    def _over(self) -> bool:
        """Whether there is no place to be kept: its machine goes, or nobody is there any more."""
        return self._warned or isinstance(self._verdict, Lost)

    def _ring(self) -> None:
        if self._bell >= 0:
            with contextlib.suppress(OSError):
                os.write(self._bell, b"!")

    def _keep(self) -> None:
        """The place is left as it is for somebody to look at, until its time is over."""
        self._stopping = self._warned = False
        poll = self._poll()
        while not (self._stopping or self._warned or there(self._folder, STOP)):
            left_ms = until_ms(self._folder) - time.time() * 1000
            if left_ms <= 0:
                break
            poll.poll(min(left_ms, LOOK_S * 1000))
            self._notice_orphans()
        end_all()

    def _poll(self) -> select.poll:
        poll = select.poll()
        for fd in (self._wake_end, self._ear):
            if fd >= 0:
                poll.register(fd, select.POLLIN)
        return poll

    def _drain(self) -> None:
        for fd in (self._wake_end, self._ear):
            with contextlib.suppress(BlockingIOError):
                while fd >= 0 and os.read(fd, 512):
                    pass

    def _notice_orphans(self) -> None:
        self._drain()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _woken(_signal: int, _frame: FrameType | None) -> None:
    return None


def started_at(pid: int) -> int:
    """When a process started, in ticks since the machine did: with its number that names it for good. 0 if unknown."""
    with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/stat", "rb") as stat:
        return int(stat.read().rpartition(b")")[2].split()[19])
    return 0
