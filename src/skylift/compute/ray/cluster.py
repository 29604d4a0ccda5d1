"""A Ray cluster on this machine that was started for a project: who uses it until when, and its end.

It belongs to its keeper (see `keeper`), a process that outlives the engine and ends with the last lease. Everything
there is to know lies in a folder: `facts.json`, the token, and a file for each engine with its lease.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from skylift.compute.ray.remains import alive, born, end_remains, left_behind
from skylift.errors import SetupError

_START_S = 120.0
_END_S = 20.0
_POLL_S = 0.05
_LEFT = "left-"
_FRESH = ".new"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the keeper writes once its cluster is up."""

    address: str
    pid: int
    """Of the keeper."""
    started: float
    """When the keeper's process was created, as the system tells: a process id alone may be another's by now."""
    listens: tuple[str, ...] = ()
    """On what, for people."""


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """Of one engine."""

    until_ms: int
    pid: int
    started: float
    machine: str
    busy: bool

    def counts(self, *, left: bool) -> bool:
        """That of an engine which was killed, and had nothing in the cluster that anybody could ask for, does not."""
        if self.busy or left or self.machine != os.uname().nodename:
            return True
        return alive(self.pid, self.started)


class Cluster:
    def __init__(self, folder: Path, engine: str) -> None:
        self.folder = folder
        self._lease = folder / "leases" / engine
        self._until_ms = 0
        self._busy = False
        self._writing = threading.Lock()

    @property
    def token_file(self) -> Path:
        return self.folder / "token"

    def facts(self) -> Facts | None:
        """None where no cluster lives."""
        facts = facts_in(self.folder)
        return facts if facts is not None and alive(facts.pid, facts.started) else None

    def ensure(self, cpus: int | None, lease_ms: int) -> tuple[Facts, bool]:
        """The cluster, and whether it was started for this. Raises SetupError when it does not start."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(self.folder):
            self.renew(lease_ms)
            facts = self.facts()
            if facts is not None:
                return facts, False
            self.end_left()
            return self._start(cpus), True

    def renew(self, lease_ms: int) -> None:
        self._until_ms = int(time.time() * 1000) + lease_ms
        self._write_lease(busy=self._busy)

    def mark(self, *, busy: bool) -> None:
        """Whether this engine has given out what it has not heard the end of: only then its lease outlives it."""
        if busy != self._busy:
            if self._until_ms:
                self._write_lease(busy=busy)
            self._busy = busy

    def leave(self) -> None:
        """This engine goes, and what it gave out runs on: the lease stays, until whoever adopts that is done."""
        with contextlib.suppress(FileNotFoundError):
            self._lease.rename(self._lease.with_name(f"{_LEFT}{self._lease.name}"))

    def release(self) -> None:
        """This engine needs it no more, and nothing is left in it; without leases it ends, which is waited for."""
        self._lease.unlink(missing_ok=True)
        for left in self._lease.parent.glob(f"{_LEFT}*"):
            left.unlink(missing_ok=True)
        facts = self.facts()
        if facts is not None and time.time() * 1000 > last_lease_ms(self.folder):
            wait_gone(facts)

    def until_ms(self) -> int:
        return last_lease_ms(self.folder)

    def end(self) -> None:
        """At once, whoever uses it, also where its keeper hangs. Waits until it is gone."""
        facts = self.facts()
        if facts is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(facts.pid, signal.SIGTERM)
        if not wait_gone(facts):
            with contextlib.suppress(ProcessLookupError):
                os.kill(facts.pid, signal.SIGKILL)
            wait_gone(facts)
            self.end_left()

    def left(self) -> list[Path]:
        """Of clusters whose keeper was killed, with the fork that should have ended them: their temporary folders."""
        return left_behind(self.folder)

    def end_left(self) -> None:
        for temp in self.left():
            end_remains(temp)

    def environment(self) -> dict[str, str]:
        """Of whoever speaks with it."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token_file)}

    def _write_lease(self, *, busy: bool) -> None:
        self._lease.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lease = Lease(
            until_ms=self._until_ms,
            pid=os.getpid(),
            started=born(os.getpid()),
            machine=os.uname().nodename,
            busy=busy,
        )
        fresh = self._lease.with_name(f"{self._lease.name}{_FRESH}")
        with self._writing:  # whoever connects renews too
            fresh.write_bytes(msgspec.json.encode(lease))
            fresh.replace(self._lease)

    def _start(self, cpus: int | None) -> Facts:
        (self.folder / "facts.json").unlink(missing_ok=True)
        self._write_token()
        words = self.folder / "keeper.log"
        keeper = self._spawn_keeper(words, cpus)
        until = time.monotonic() + _START_S
        while (facts := self.facts()) is None:
            if _reaped(keeper) or time.monotonic() > until:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(keeper, signal.SIGTERM)
                raise _did_not_start(words)
            time.sleep(_POLL_S)
        return facts

    def _spawn_keeper(self, words: Path, cpus: int | None) -> int:
        """Not a child that is waited for: it may outlive this process."""
        command = [sys.executable, "-m", "skylift.compute.ray.keeper", str(self.folder), str(cpus or 0)]
        actions: Any = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(words), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        environment = {**os.environ, **self.environment()}
        try:
            return os.posix_spawn(command[0], command, environment, file_actions=actions, setsid=True)
        except NotImplementedError:  # macOS: it stays in our session
            return os.posix_spawn(command[0], command, environment, file_actions=actions)

    def _write_token(self) -> None:
        self.token_file.unlink(missing_ok=True)
        handle = os.open(self.token_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))


def facts_in(folder: Path) -> Facts | None:
    """What the last keeper wrote, whether it lives or not."""
    try:
        return msgspec.json.decode((folder / "facts.json").read_bytes(), type=Facts)
    except (OSError, msgspec.MsgspecError):
        return None


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Against others who take leases, start a cluster or end it."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _reaped(pid: int) -> bool:
    """Whether it has ended, if it is a child of this process."""
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return False


def wait_gone(facts: Facts, timeout_s: float = _END_S) -> bool:
    until = time.monotonic() + timeout_s
    while not _reaped(facts.pid) and alive(facts.pid, facts.started):
        if time.monotonic() > until:
            return False
        time.sleep(_POLL_S)
    return True


def last_lease_ms(folder: Path) -> int:
    """When the last lease that counts ends; 0 without one."""
    found = [0]
    with contextlib.suppress(OSError):
        for file in (folder / "leases").iterdir():
            if file.name.endswith(_FRESH):
                continue
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                lease = msgspec.json.decode(file.read_bytes(), type=Lease)
                if lease.counts(left=file.name.startswith(_LEFT)):
                    found.append(lease.until_ms)
    return max(found)


def _did_not_start(words: Path) -> SetupError:
    said = " ".join(words.read_text(errors="replace")[-1_500:].split())
    return SetupError(
        f"Ray does not start on this machine: {said or 'it said nothing'}",
        hint="is `skylift[ray]` installed? Or give [backends.ray] address, that of a cluster which runs",
        code="RAY",
    )
