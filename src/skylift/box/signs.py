"""Where signs of use come from: processors, GPUs, Jupyter, logins, Skylift itself, a file that says to stay awake."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import psutil  # type: ignore[import-untyped, unused-ignore]

from skylift.box.idle import Sign
from skylift.box.use import GPU_COMMAND, ProcessorUse, gpus, has_gpus
from skylift.errors import SkyliftError
from skylift.units import parse_duration_ms

ASK_S = 5.0
_LONGEST_ANSWER = 4 * 1024 * 1024
KEEP_AWAKE = "~/.skylift-keep-awake"
_WORKER = "skylift.compute.worker"


class Source(Protocol):
    """Looked at again and again. Never raises: what cannot be looked at says so in its note and keeps nothing awake."""

    def look(self, now_ms: int) -> Sign: ...


class Processors:
    """Use since the last look, of all processors together, in percent."""

    def __init__(self, most: float, read: Callable[[], tuple[float, float]] | None = None) -> None:
        self._most = most
        self._use = ProcessorUse(read)

    def look(self, now_ms: int) -> Sign:
        percent = self._use.percent()
        return Sign(source="cpu", busy=percent > self._most, note=f"{percent:.1f} % used, {self._most:g} % is idle")


class Gpus:
    """The busiest GPU, as nvidia-smi says."""

    def __init__(self, most: float, command: Sequence[str] | None = None) -> None:
        self._most = most
        self._command = command or GPU_COMMAND

    def there(self) -> bool:
        return has_gpus(self._command)

    def look(self, now_ms: int) -> Sign:
        try:
            used = [gpu.percent for gpu in gpus(self._command)]
        except (OSError, subprocess.SubprocessError, ValueError) as problem:
            return Sign(source="gpu", note=f"nvidia-smi does not tell: {type(problem).__name__}")
        busiest = max(used, default=0.0)
        return Sign(source="gpu", busy=busiest > self._most, note=f"{busiest:g} % used of the busiest of {len(used)}")


class Jupyter:
    """Kernels and terminals of the servers whose connection files lie in these folders."""

    def __init__(self, folders: Iterable[Path] | None = None) -> None:
        self._folders = None if folders is None else list(folders)

    def look(self, now_ms: int) -> Sign:
        servers = [server for folder in self._folders or runtime_folders() for server in _servers(folder)]
        running, last, told = 0, 0, []
        for server in servers:
            try:
                kernels = _asked(server, "api/kernels")
                terminals = _asked(server, "api/terminals")
            except (OSError, ValueError, RecursionError, http.client.HTTPException) as problem:
                told.append(f"the server of process {server.get('pid')} does not answer: {type(problem).__name__}")
                continue
            running += sum(one.get("execution_state") == "busy" for one in kernels)
            last = max([last, *(_at(one.get("last_activity")) for one in (*kernels, *terminals))])
            told.append(f"{len(kernels)} kernels, {running} running")
        note = "; ".join(told) or "no server"
        return Sign(source="jupyter", busy=running > 0, last_ms=last or None, note=note)


def runtime_folders() -> list[Path]:
    """Of this user, and where we may look also of the others."""
    own = os.environ.get("JUPYTER_RUNTIME_DIR")
    homes = [Path.home(), *(home for home in (Path("/root"), *Path("/home").glob("*")) if os.access(home, os.X_OK))]
    usual = [home / ".local/share/jupyter/runtime" for home in homes]
    return list(dict.fromkeys([*([Path(own)] if own else []), *usual]))


def _servers(folder: Path) -> list[dict[str, Any]]:
    """Those whose process lives."""
    found = []
    for file in sorted([*folder.glob("jpserver-*.json"), *folder.glob("nbserver-*.json")]):
        try:
            if not file.is_file():
                continue
            server = json.loads(file.read_text(encoding="utf-8"))
            alive = psutil.pid_exists(int(server["pid"])) and str(server["url"]).startswith("http")
        except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError):
            continue
        if alive:
            found.append(server)
    return found


def _asked(server: dict[str, Any], path: str) -> list[dict[str, Any]]:
    headers = {"Authorization": f"token {server.get('token', '')}"}
    request = urllib.request.Request(f"{str(server['url']).rstrip('/')}/{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=ASK_S) as answer:
            found = json.loads(answer.read(_LONGEST_ANSWER))
            return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    except urllib.error.HTTPError as problem:
        with problem:
            if problem.code == 404:
                return []  # a server without terminals
            raise


def _at(text: Any) -> int:
    try:
        return int(datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp() * 1000)
    except (ValueError, OverflowError):
        return 0


class Logins:
    """Terminals by their last key press; connections by ssh that have no terminal (editors, copies) as long as they
    last."""

    def __init__(
        self,
        users: Callable[[], Sequence[Any]] = psutil.users,
        processes: Callable[[], Iterable[str]] | None = None,
        devices: Path = Path("/dev"),
    ) -> None:
        self._users = users
        self._processes = processes or _titles
        self._devices = devices

    def look(self, now_ms: int) -> Sign:
        users = self._users()
        pressed = [self._pressed(user.terminal or "") for user in users]
        bare = sum(title.startswith("sshd") and title.endswith("@notty") for title in self._processes())
        note = f"{len(users)} terminals" + (f", {bare} connections without one" if bare else "")
        return Sign(source="logins", busy=bare > 0, last_ms=max(pressed, default=0) or None, note=note)

    def _pressed(self, terminal: str) -> int:
        try:
            return int((self._devices / terminal).stat().st_atime * 1000) if terminal else 0
        except OSError:
            return 0


class Attempts:
    """Worker processes and supervisors of Skylift on this machine. A worker without work leaves after a minute."""

    def __init__(self, processes: Callable[[], Iterable[str]] | None = None) -> None:
        self._processes = processes or _titles

    def look(self, now_ms: int) -> Sign:
        count = sum(_WORKER in title for title in self._processes())
        return Sign(source="skylift", busy=count > 0, note=f"{count} workers" if count else "no workers")


def _titles() -> list[str]:
    """Command lines of all processes."""
    found = []
    for process in psutil.process_iter():
        try:
            found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


class KeepAwake:
    """A file. Empty, it keeps the box awake as long as it is there; else for as long as it says (`2h`) from when it was
    written."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def look(self, now_ms: int) -> Sign:
        try:
            text, written = self._file.read_text(encoding="utf-8").strip(), self._file.stat().st_mtime
        except (OSError, UnicodeDecodeError):
            return Sign(source="keep-awake", note=f"no {self._file}")
        if not text:
            return Sign(source="keep-awake", busy=True, note=f"{self._file} is there")
        try:
            until_ms = int(written * 1000) + parse_duration_ms(text)
        except SkyliftError:
            return Sign(
                source="keep-awake", busy=True, note=f"{self._file} says {text[:40]!r}, which is no time: awake"
            )
        left_s = (until_ms - now_ms) // 1000
        note = f"{self._file} says {text}, {left_s} s are left" if left_s > 0 else f"{self._file} says {text}: over"
        return Sign(source="keep-awake", busy=left_s > 0, note=note)


def usual(cpu: float, keep: Path) -> list[Source]:
    """All that apply to this machine."""
    graphics = Gpus(cpu)
    sources: list[Source] = [Processors(cpu), Jupyter(), Logins(), Attempts(), KeepAwake(keep)]
    return [*sources[:1], *([graphics] if graphics.there() else []), *sources[1:]]


def now_ms() -> int:
    return time.time_ns() // 1_000_000
