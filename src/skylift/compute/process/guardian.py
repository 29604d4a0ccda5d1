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
        """The shell is started with the first thing to watch."""
        self._pid = 0
        self._writing = -1

    def watch(self, item: str) -> None:
        """A process group, or the folder of a control group."""
        if not self._pid:
            with contextlib.suppress(OSError):
                self._start()
        self._say("+", item)

    def forget(self, item: str) -> None:
        self._say("-", item)

    def close(self) -> None:
        """All is in order: it ends without killing anything."""
        self._say("end", "")
        self.abandon()
        if self._pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._pid, 0)

    def abandon(self) -> None:
        """In a forked child: only the engine itself may hold the pipe."""
        if self._writing >= 0:
            os.close(self._writing)
        self._writing = -1

    def _start(self) -> None:
        reading, writing = os.pipe()
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
                self._pid = os.posix_spawn(command[0], command, environment, file_actions=actions, setsid=True)
            except NotImplementedError:
                self._pid = os.posix_spawn(command[0], command, environment, file_actions=actions)
        except OSError:
            os.close(writing)
            raise
        finally:
            os.close(reading)
        self._writing = writing

    def _say(self, verb: str, item: str) -> None:
        """Words are parted by blanks: what has one in it cannot be watched."""
        if self._writing >= 0 and " " not in item:
            with contextlib.suppress(OSError):
                os.write(self._writing, f"{verb} {item}\n".encode())
