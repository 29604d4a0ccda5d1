"""podman for tests: its own storage, its own settings, nothing of the user's touched."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_CONTAINERS = """
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=8192:8192"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
helper_binaries_dir = ["/usr/lib/podman", "/usr/local/lib/podman", "/usr/libexec/podman"]
events_logger = "none"
lock_type = "file"
tmp_dir = "{folder}/tmp"
"""
_STORAGE = """
[storage]
driver = "overlay"
graphroot = "{folder}/root"
runroot = "{folder}/run"
"""


def why_not() -> str | None:
    """What is missing to run containers here."""
    missing = [name for name in ("podman", "runc", "conmon") if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if os.geteuid() != 0:
        return "these tests run podman as root"
    return None


@contextmanager
def podman_storage() -> Iterator[dict[str, str]]:
    """Variables with which `podman` works in a folder of its own; everything in it is gone afterwards. Skips the test
    where podman cannot be used."""
    problem = why_not()
    if problem is not None:
        pytest.skip(problem)
    folder = Path(tempfile.mkdtemp(prefix="podman-"))  # short: podman refuses long paths
    (folder / "containers.conf").write_text(_CONTAINERS.format(folder=folder))
    (folder / "storage.conf").write_text(_STORAGE.format(folder=folder))
    variables = {
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
    }
    try:
        tried = _podman(variables, "info")
        if tried.returncode != 0:
            pytest.skip(f"podman cannot be used here: {tried.stderr.strip()[-300:]}")
        yield variables
    finally:
        _podman(variables, "rm", "--all", "--force", "--time", "0")
        _podman(variables, "rmi", "--all", "--force")
        for mount in sorted(_mounts(folder), reverse=True):
            subprocess.run(["umount", "--lazy", mount], check=False)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def podman_variables() -> Iterator[dict[str, str]]:
    """For tests that use containers: `podman`, here and in processes that are started, works in a folder of its own."""
    with podman_storage() as variables:
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        yield variables
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def podman(variables: dict[str, str], *words: str, data: bytes | None = None) -> str:
    """What it says; the test fails where it does not do what it is asked for."""
    done = subprocess.run(
        ["podman", *words], env={**os.environ, **variables}, capture_output=True, timeout=60, check=False, input=data
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def containers(variables: dict[str, str]) -> list[str]:
    """Names of all that exist in this storage."""
    return _podman(variables, "ps", "--all", "--format", "{{.Names}}").stdout.split()


def _podman(variables: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["podman", *words], env={**os.environ, **variables}, capture_output=True, text=True, timeout=60, check=False
    )


def _mounts(folder: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line.split()[1] for line in lines if line.split()[1].startswith(str(folder))]
