"""A real PostgreSQL server for tests: Debian's binaries, a folder of its own, a free port of the loopback.

Tests take the fixture `postgres_url` (an empty database each) or `postgres_server` (the server, which they may stop,
kill and start again); both skip where PostgreSQL or psycopg is not installed.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port

_USER = "skylift"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "120",
    "shared_buffers": "32MB",
    "autovacuum_naptime": "10min",
    "log_min_messages": "warning",
}
_PATIENCE_S = 120.0


def missing() -> str | None:
    """Why there can be no server here; None when there can."""
    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is not installed (pip install 'skylift[postgres]')"
    if _binaries() is None:
        return "PostgreSQL's server is not installed (Debian: apt-get install postgresql)"
    if os.geteuid() == 0 and _unprivileged() is None:
        return "PostgreSQL does not run as root, and there is no other user (postgres, nobody)"
    return None


class PostgresServer:
    """Made and started by `start`; content survives `stop` and `kill`."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="skylift-postgres-"))
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._bin = _binaries() or Path()
        self._as: dict[str, Any] = {}
        account = _unprivileged() if os.geteuid() == 0 else None
        if account is not None:
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            self._as = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        self._initialize()

    def url(self, database: str = "postgres", *, socket_file: bool = False) -> str:
        """Of a database; with `socket_file` by the Unix socket."""
        if socket_file:
            return f"postgresql://{_USER}@/{database}?host={self.folder}&port={self.port}"
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """The URL of a new, empty one."""
        name = f"t{secrets.token_hex(6)}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        return self.url(name)

    def drop_database(self, url: str) -> None:
        name = url.rpartition("/")[2]
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def execute(self, sql: str, url: str | None = None) -> list[tuple[Any, ...]]:
        """A statement of the administrator, for itself."""
        import psycopg

        with psycopg.connect(url or self.url(), autocommit=True) as connection:
            cursor = connection.execute(sql)  # type: ignore[call-overload]  # only literal texts are typed
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Returns when it takes connections; the port stays the same over restarts."""
        if self.process is not None and self.process.poll() is None:
            return
        self.port = self.port or free_port()
        settings = {**_SETTINGS, "port": self.port, "unix_socket_directories": self.folder}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self._bin / "postgres", "-D", self.folder / "data", *options],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                preexec_fn=_die_with_parent,
                **self._as,
            )
        self._wait_until_up()

    def stop(self, mode: str = "fast") -> None:
        """`smart` waits for clients, `fast` throws them out, `immediate` is a crash that is cleaned up at the start."""
        self._end({"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode])

    def kill(self) -> None:
        """SIGKILL to the server and to each of its processes, as if the machine had stopped."""
        if self.process is None:
            return
        import psutil

        with contextlib.suppress(psutil.NoSuchProcess):
            family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
            for member in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.kill()
            psutil.wait_procs(family[1:], timeout=_PATIENCE_S)
        self.process.wait(_PATIENCE_S)
        self.process = None

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def close(self) -> None:
        """Stop it and delete everything."""
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _initialize(self) -> None:
        options = ["-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        done = subprocess.run(
            [self._bin / "initdb", "-D", self.folder / "data", *options],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={**os.environ, "LC_ALL": "C"},
            **self._as,
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed: {done.stderr or done.stdout}")

    def _wait_until_up(self) -> None:
        import psycopg

        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
            except psycopg.OperationalError as problem:
                if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL did not start: {problem}\n{self._log()}") from problem
                time.sleep(0.02)
            else:
                return

    def _log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-2_000:]

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait(_PATIENCE_S)
        self.process = None


@pytest.fixture(scope="session")
def _postgres() -> Iterator[PostgresServer]:
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    server = PostgresServer()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def postgres_server(_postgres: PostgresServer) -> PostgresServer:
    """The server, running."""
    _postgres.start()
    return _postgres


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """An empty database of this test's own."""
    url = postgres_server.create_database()
    yield url
    postgres_server.start()
    postgres_server.drop_database(url)


@functools.cache
def _binaries() -> Path | None:
    """Debian keeps them out of the path, a folder for each version."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: _number(path.parent.name))
    found = shutil.which("postgres")
    candidates = [*reversed(folders), *([Path(found).resolve().parent] if found else [])]
    return next((path for path in candidates if (path / "initdb").exists() and (path / "postgres").exists()), None)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _unprivileged() -> pwd.struct_passwd | None:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    return None


def _die_with_parent() -> None:
    """Also where the tests are killed: PR_SET_PDEATHSIG."""
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)
