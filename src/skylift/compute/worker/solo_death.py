"""What the end of a process means that gave no outcome."""

from __future__ import annotations

import contextlib
import os
import signal


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


def by_kill(status: int) -> bool:
    """Whether it was ended as the kernel ends what runs out of memory (137 to a shell)."""
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
