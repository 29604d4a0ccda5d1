"""Server processes as a supervisor keeps them: killed at any moment, started again; and what they take up meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import http.client
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from free_ports import free_port

START_S = 180.0
_SETTINGS = """
[server]
requests_per_second = 0
allow_code = ["*"]

[functions]
double = "fault_handlers:double"
"""
_HANDLERS = """
import time

def double(event, context):
    time.sleep(0.05)
    return {"doubled": event["x"] * 2}
"""
_FAULT = re.compile(r"Traceback|^\S+ (error|critical) |error\[INTERNAL|InternalFailure")


@dataclass(slots=True)
class Usage:
    """The most that one process took, and the last."""

    rss_mib: float = 0.0
    threads: int = 0
    files: int = 0
    seen: list[tuple[float, float]] = field(default_factory=list)
    """Age in seconds, MiB."""


class ServerProcess:
    """`skylift server` on a port that stays the same over its lives."""

    def __init__(self, folder: Path, store: str | None) -> None:
        folder.mkdir(parents=True)
        self.folder, self._store = folder, store
        self.port = free_port()
        self.log = folder / "server.log"
        self.kills = self.lives = 0
        self.odd_ends: list[str] = []
        """Ends that nobody asked for."""
        self.usage: dict[int, Usage] = {}
        self.frozen = False
        self._began = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "skylift.toml").write_text(_SETTINGS)
        (folder / "fault_handlers.py").write_text(_HANDLERS)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def running(self) -> bool:
        return self.pid is not None

    def start(self) -> None:
        command = [sys.executable, "-m", "skylift.cli", "server", "--port", str(self.port), "--drain", "3s"]
        command += ["--store", self._store] if self._store else []
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SKYLIFT_")}
        env = {**kept, "SKYLIFT_HOME": str(self.folder / "home"), "NO_COLOR": "1"}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--log-level", "warning"],
                cwd=self.folder, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent,
            )  # fmt: skip
        self.lives += 1
        self._began = time.monotonic()

    async def ready(self) -> bool:
        """Waits until it answers. False where it ended instead."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if not self.running:
                return False
            if await asyncio.to_thread(self._answers):
                return True
            await asyncio.sleep(0.05)
        raise AssertionError(f"a server does not answer after {START_S:.0f} s: {self.tail()}")

    def _answers(self) -> bool:
        asking = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            asking.request("GET", "/health/live")
            return asking.getresponse().status == 200
        except OSError:
            return False
        finally:
            asking.close()

    def kill(self) -> int:
        """SIGKILL. The pid that it had."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(20)
        self.kills += 1
        self.frozen = False
        return self._process.pid

    def freeze(self) -> None:
        if self._process is not None and self.running:
            self._process.send_signal(signal.SIGSTOP)
            self.frozen = True

    def thaw(self) -> None:
        if self._process is not None and self.frozen and self.running:
            self._process.send_signal(signal.SIGCONT)
        self.frozen = False

    def end(self) -> float:
        """In order, by SIGTERM. How long it took; killed after a while."""
        if self._process is None or not self.running:
            return 0.0
        began = time.monotonic()
        self.thaw()
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self.odd_ends.append("it did not end on SIGTERM within 15 s")
            self._process.kill()
            self._process.wait(20)
        return time.monotonic() - began

    def look(self) -> None:
        """Take down what it uses now."""
        pid = self.pid
        if pid is None:
            return
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            with process.oneshot():
                rss, threads, files = process.memory_info().rss / 2**20, process.num_threads(), process.num_fds()
            usage = self.usage.setdefault(pid, Usage())
            usage.seen.append((time.monotonic() - self._began, rss))
            usage.rss_mib = max(usage.rss_mib, rss)
            usage.threads, usage.files = max(usage.threads, threads), max(usage.files, files)

    def now(self) -> tuple[float, int, int]:
        """MiB, threads, open files."""
        process = psutil.Process(self.pid)
        return process.memory_info().rss / 2**20, process.num_threads(), process.num_fds()

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def complaints(self) -> list[str]:
        """Lines of the log that tell of faults of our own, each kind once."""
        found: dict[str, str] = {}
        lines = self.log.read_text(errors="replace").splitlines()
        for number, line in enumerate(lines):
            if _FAULT.search(line):
                found.setdefault(
                    re.sub(r"[0-9a-f-]{6,}|\d+", "#", line), "\n".join(lines[max(0, number - 1) : number + 30])
                )
        return list(found.values())


class Servers:
    """All of them, and one who starts again what has ended."""

    def __init__(self, servers: list[ServerProcess]) -> None:
        self.all = servers
        self.down: set[ServerProcess] = set()
        """Those that are meant to be."""
        self._lenient_until_s = 0.0

    @property
    def ports(self) -> list[int]:
        return [server.port for server in self.all]

    async def start(self) -> None:
        for server in self.all:
            server.start()
        for server in self.all:
            assert await server.ready(), server.tail()

    async def supervise(self) -> None:
        """Until cancelled: once a second take down what each uses, and start what has ended."""
        while True:
            for server in self.all:
                if server.running:
                    server.look()
                elif server not in self.down:
                    if time.monotonic() > self._lenient_until_s:
                        server.odd_ends.append(server.tail())
                    server.start()
            await asyncio.sleep(0.5)

    def be_lenient(self, for_s: float) -> None:
        """A server may end by itself now: it finds no database to start with, and takes a while to say so."""
        self._lenient_until_s = max(self._lenient_until_s, time.monotonic() + for_s + 12)

    async def all_ready(self) -> None:
        for server in self.all:
            server.thaw()
            deadline = time.monotonic() + START_S
            while not await server.ready():
                assert time.monotonic() < deadline, server.tail()
                await asyncio.sleep(0.2)

    def end(self) -> list[float]:
        return [server.end() for server in self.all]

    def left_over(self) -> list[str]:
        """Processes that servers started and that outlived them; ended here."""
        folders = {str(server.folder) for server in self.all}
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.cwd() in folders and process.pid not in {server.pid for server in self.all}:
                    if process.ppid() in {server.pid for server in self.all}:
                        continue
                    found.append(f"{process.pid} {' '.join(process.cmdline())[:200]}")
                    process.kill()
        return found


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
