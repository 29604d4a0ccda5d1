"""Real Ray clusters for tests, in a network namespace that has only `lo`: Ray listens on more than it is told to."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

_CLONE_NEWNET = 0x40000000
_UP_S = 180.0


class Namespace:
    """Whoever is started while it is entered sees a network of one loopback device."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._holder.stdout is not None and self._holder.stderr is not None
        if self._holder.stdout.readline() != b"up\n":
            self._holder.wait()
            pytest.skip(f"no network namespace here: {self._holder.stderr.read().decode().strip()}")

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """For this thread, and what it starts."""
        back = os.open("/proc/self/ns/net", os.O_RDONLY)
        there = os.open(f"/proc/{self._holder.pid}/ns/net", os.O_RDONLY)
        try:
            _set_namespace(there)
            yield
        finally:
            _set_namespace(back)
            os.close(back)
            os.close(there)

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()
        for stream in (self._holder.stdout, self._holder.stderr):
            assert stream is not None
            stream.close()


_POLITE = ("nice", "-n", "5")
"""A cluster takes all processors that it can get: other tests that run meanwhile go first."""


class RayNode:
    """A node that a test may kill, with all its workers."""

    def __init__(self, temp: Path, arguments: list[str], environment: dict[str, str], prefix: list[str]) -> None:
        self._log = (temp / f"node-{secrets.token_hex(4)}.log").open("w+b")
        command = [
            *prefix,
            *_POLITE,
            sys.executable,
            "-c",
            "from ray.scripts.scripts import main; main()",
            "start",
            "--block",
        ]
        command += ["--disable-usage-stats", "--object-store-memory=80000000", *arguments]
        self._process = subprocess.Popen(
            command, stdout=self._log, stderr=self._log, env=environment, start_new_session=True
        )
        until = time.monotonic() + _UP_S
        while "Ray runtime started" not in (said := self.said()):
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                raise AssertionError(said)
            time.sleep(0.05)

    def said(self) -> str:
        return os.pread(self._log.fileno(), 100_000, 0).decode(errors="replace")  # it may be in the midst of a letter

    def kill(self) -> None:
        """As when the machine vanishes: everything of it at once."""
        try:
            node = psutil.Process(self._process.pid)
            processes = [node, *node.children(recursive=True)]
        except psutil.NoSuchProcess:
            processes = []
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(processes, timeout=30)
        self._process.wait()
        self._log.close()


class RayCluster:
    """A head node, and as many more as tests add."""

    def __init__(self, namespace: Namespace, cpus: int = 2) -> None:
        self.namespace = namespace
        self.temp = Path(tempfile.mkdtemp(prefix="slr-", dir="/tmp"))
        self.environment = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_TMPDIR": str(self.temp),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        self.nodes = [
            self._start(
                [
                    "--head",
                    "--node-ip-address=127.0.0.1",
                    "--port=0",
                    "--include-dashboard=false",
                    f"--num-cpus={cpus}",
                    f"--temp-dir={self.temp}",
                ]
            )
        ]
        self.address = (self.temp / "ray_current_cluster").read_text().strip()

    def add_node(
        self, cpus: int = 1, *, gpus: int = 0, prefix: list[str] | None = None, ip: str = "127.0.0.2", **has: float
    ) -> RayNode:
        """A second machine, as far as Ray can tell."""
        resources = ",".join(f'"{name}": {count}' for name, count in has.items())
        arguments = [f"--address={self.address}", f"--num-cpus={cpus}", f"--num-gpus={gpus}", f"--node-ip-address={ip}"]
        node = self._start([*arguments, f"--resources={{{resources}}}"], prefix or [])
        self.nodes.append(node)
        return node

    def lose(self, node: RayNode) -> None:
        self.nodes.remove(node)
        node.kill()

    def close(self) -> None:
        for node in reversed(self.nodes):
            node.kill()
        shutil.rmtree(self.temp, ignore_errors=True)

    def _start(self, arguments: list[str], prefix: list[str] | None = None) -> RayNode:
        with self.namespace.entered():
            return RayNode(self.temp, arguments, self.environment, prefix or [])


@pytest.fixture(scope="module")
def lonely() -> Iterator[Namespace]:
    """The module's tests run in it."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a network namespace for Ray needs root on Linux")
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("a network namespace for Ray needs the programs unshare and ip")
    namespace = Namespace()
    with namespace.entered():
        yield namespace
    namespace.close()


@pytest.fixture(scope="module")
def ray_cluster(lonely: Namespace) -> Iterator[RayCluster]:
    cluster = RayCluster(lonely)
    old = {name: os.environ.get(name) for name in cluster.environment}
    os.environ.update(cluster.environment)
    yield cluster
    for name, value in old.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
    cluster.close()


def _set_namespace(fd: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
