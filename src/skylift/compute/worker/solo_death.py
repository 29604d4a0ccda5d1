"""What the end of an attempt means: from all that its supervisor has seen to an outcome, without any side effect."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import msgspec

from skylift.asl.events import Usage
from skylift.compute.worker.solo_files import SoloOrder
from skylift.compute.worker.solo_memory import near
from skylift.compute.worker.wire import Done
from skylift.ports.compute import Cancelled, Lost, Outcome, OutOfMemory, Succeeded


class End(msgspec.Struct, frozen=True, kw_only=True):
    order: SoloOrder
    said: Outcome | None
    """By the attempt itself."""
    status: int
    """The wait status of its process."""
    counted: bool
    """A control group counts its memory, so `killed` can be believed."""
    killed: bool
    """The kernel has killed for memory in that group."""
    group_peak_mib: float
    cpu_ms: float
    peak_mib: float
    """Of its process, as far as the kernel or a look at it has told."""
    began_ms: int | None
    saved_ms: float | None = None
    """Work that its last checkpoint keeps."""
    warned: bool
    words: str
    """What the interpreter wrote when it crashed."""

    def judged(self) -> Outcome:
        """What the attempt said, or what its silent end means. Where something was killed for lack of memory, that is
        what happened, whatever the attempt made of it."""
        if isinstance(self.said, Succeeded):
            return self.said
        by_kill = os.WIFSIGNALED(self.status) and os.WTERMSIG(self.status) == signal.SIGKILL
        limit_mib = self.order.limit_mib
        killed = self.killed if self.counted else by_kill and near(self.peak_mib, limit_mib)
        if killed and limit_mib is not None and (self.said is not None or by_kill):
            peak_mib = self.group_peak_mib or self.peak_mib
            usage = getattr(self.said, "usage", None)
            return OutOfMemory(limit_mib=limit_mib, peak_mib=round(peak_mib, 2), usage=usage)
        return self.said or Lost(reason=reason_of(self.status, self.words), preempted=self.warned)

    def with_usage(self, outcome: Outcome) -> Outcome:
        """What was measured, completed by what is known of the place."""
        if isinstance(outcome, Cancelled):
            return outcome
        usage, config = outcome.usage or self._of_process(), self.order.config
        place = msgspec.structs.replace(self.order.place, backend=config.backend, worker=config.name)
        known = {
            name: value
            for name in Usage.__struct_fields__
            if getattr(usage, name) is None and (value := getattr(place, name)) is not None
        }
        if usage.started_ms is not None:
            known["startup_ms"] = float(max(0, usage.started_ms - self.order.asked_ms))
        peak_mib = max(usage.peak_memory_mib or 0.0, self.group_peak_mib)
        usage = msgspec.structs.replace(usage, **known, peak_memory_mib=round(peak_mib, 2))
        return msgspec.structs.replace(outcome, usage=usage)

    def note(self, outcome: Outcome) -> str | None:
        """For the attempt's log: what nobody else can say there."""
        if isinstance(outcome, OutOfMemory):
            return f"the attempt was killed because it used more memory than its limit of {outcome.limit_mib} MiB"
        if isinstance(outcome, Lost) and self.said is None:
            return f"{outcome.reason}\n{self.words}".rstrip()
        return None

    def _of_process(self) -> Usage:
        took_ms = None if self.began_ms is None else float(int(time.time() * 1000) - self.began_ms)
        return Usage(
            saved_ms=self.saved_ms,
            started_ms=self.began_ms,
            duration_ms=took_ms,
            cpu_ms=round(self.cpu_ms, 3),
            peak_memory_mib=round(self.peak_mib, 2),
        )


def usage_of(done: Done) -> Usage:
    """As the worker's own parts measured it."""
    return Usage(
        started_ms=done.started_ms,
        duration_ms=done.duration_ms,
        cpu_ms=done.cpu_ms,
        peak_memory_mib=done.peak_mib,
        in_bytes=done.in_bytes or None,
        out_bytes=done.out_bytes or None,
    )


def reason_of(status: int, words: str) -> str:
    """What is known of how a process ended, in a sentence. `status` is its wait status, `words` what it left on its
    standard error."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        name = f"signal {number}"
        with contextlib.suppress(ValueError):
            name = f"{signal.Signals(number).name} (signal {number})"
        return f"the worker process was killed by {name}"
    code = os.waitstatus_to_exitcode(status)
    last = words.splitlines()[-1] if words else ""
    return f"the worker process exited with status {code} in the middle of its work" + (f": {last}" if last else "")
