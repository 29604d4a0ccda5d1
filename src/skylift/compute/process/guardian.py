"""Ends the workers when the engine dies, whatever they are doing.

An idle worker sees the end of its pipe, but one that is deep in user code does not, and its children never would. So a
tiny shell, in a session of its own, keeps a list of the workers' process groups and waits for the end of its standard
input, which only this process holds open: then it kills the groups and removes their control groups. (PR_SET_PDEATHSIG
would end the worker but leave its children, and there is none on macOS.)
"""

from __future__ import annotations

import contextlib
import os

_SCRIPT = """
trap '' INT TERM HUP
list=' '
while read -r verb item; do
  case $verb in
    +) list="$list$item " ;;
    -) list="${list%% $item *} ${list#* $item }" ;;
    end) exit 0 ;;
  esac
done
for item in $list; do
  case $item in
    /*) rmdir "$item" ;;
    *) kill -9 "-$item" ;;
  esac
done 2>/dev/null
for item in $list; do case $item in /*) sleep 0.1; rmdir "$item" ;; esac; done 2>/dev/null
"""


class Guardian:
    """Not thread-safe: the pool's lock guards it."""

    def __init__(self) -> None:
        reading, self._writing = os.pipe()
        actions = [
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ]
        if reading != 0:
            actions.insert(0, (os.POSIX_SPAWN_DUP2, reading, 0))  # type: ignore[arg-type]
        command = ["/bin/sh", "-c", _SCRIPT]
        environment = {"PATH": os.environ.get("PATH", os.defpath)}
        try:
            try:
                self.pid = os.posix_spawn(command[0], command, environment, file_actions=actions, setsid=True)
            except NotImplementedError:
                self.pid = os.posix_spawn(command[0], command, environment, file_actions=actions)
        finally:
            os.close(reading)

    def watch(self, item: int | str) -> None:
        """A process group, or the folder of a control group."""
        self._say(f"+ {item}\n")

    def forget(self, item: int | str) -> None:
        self._say(f"- {item}\n")

    def close(self) -> None:
        """All is in order: it ends without killing anything."""
        self._say("end\n")
        self.abandon()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def abandon(self) -> None:
        """In a forked child: only the engine itself may hold the pipe."""
        if self._writing >= 0:
            os.close(self._writing)
        self._writing = -1

    def _say(self, line: str) -> None:
        with contextlib.suppress(OSError):
            os.write(self._writing, line.encode())
