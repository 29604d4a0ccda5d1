"""The servers that are measured: each in a process of its own on a free loopback port."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.environments import NotInstalled, interpreter
from bench.registry import find_system

START_S = 60


@dataclass(frozen=True, slots=True)
class Server:
    """One that runs."""

    name: str
    port: int
    pid: int


@contextlib.contextmanager
def running(name: str) -> Iterator[Server]:
    """`skylift-sqlite`, `skylift-postgresql` or `moto`. Raises NotInstalled."""
    folder = Path(tempfile.mkdtemp(prefix="bench-service-"))
    try:
        with contextlib.ExitStack() as stack:
            yield stack.enter_context(_STARTERS[name](folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


NAMES = ("skylift-sqlite", "skylift-postgresql", "moto")


@contextlib.contextmanager
def _skylift(folder: Path, store: str | None = None) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "skylift.cli", "server", "--port", str(port)]
    command += ["--store", store] if store else []
    env = {**os.environ, "SKYLIFT_HOME": str(folder / "home")}
    (folder / "skylift.toml").write_text("[server]\nrequests_per_second = 0\n")
    with _process(command, folder, env, port) as pid:
        yield Server("skylift-postgresql" if store else "skylift-sqlite", port, pid)


@contextlib.contextmanager
def _skylift_postgresql(folder: Path) -> Iterator[Server]:
    with postgresql(folder / "pg") as url, _skylift(folder, url) as server:
        yield server


@contextlib.contextmanager
def _moto(folder: Path) -> Iterator[Server]:
    port = free_port()
    command = [interpreter(find_system("moto")), "-m", "moto.server", "-p", str(port)]
    with _process(command, folder, dict(os.environ), port) as pid:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        settings = json.dumps({"stepfunctions": {"execute_state_machine": True}})
        connection.request("POST", "/moto-api/config", settings)
        if connection.getresponse().status >= 300:
            raise NotInstalled("moto does not take its settings")
        yield Server("moto", port, pid)


_STARTERS = {"skylift-sqlite": _skylift, "skylift-postgresql": _skylift_postgresql, "moto": _moto}


@contextlib.contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """A fresh server with its usual settings, fsync included; its URL."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    found = shutil.which("initdb")
    if not binaries and found is None:
        raise NotInstalled("PostgreSQL is not installed")
    home = binaries[-1] if binaries else Path(found or "").parent
    as_other = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder.mkdir()
    folder.parent.chmod(0o755)
    if as_other:
        shutil.chown(folder, "postgres")
    data, port = folder / "data", free_port()
    subprocess.run(
        [*as_other, str(home / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=folder,
    )
    options = ["-p", str(port), "-h", "127.0.0.1", "-k", str(folder)]
    with _process([*as_other, str(home / "postgres"), "-D", str(data), *options], folder, dict(os.environ), port):
        time.sleep(1)
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"


@contextlib.contextmanager
def _process(command: list[str], folder: Path, env: dict[str, str], port: int) -> Iterator[int]:
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    log = folder / f"{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=output, stderr=output)
    try:
        _await(process, port, log)
        yield process.pid
    finally:
        process.send_signal(signal.SIGINT if "postgres" in command[-9:] or "-k" in command else signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise NotInstalled(f"it does not start: {log.read_text()[-500:]}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise NotInstalled(f"it does not listen after {START_S} s")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
