from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skylift.errors import SetupError
from skylift.stores.ownership import EngineLock, is_alive
from skylift.testing.ownership import OwnershipConformance

CHILD = """
import sys, time
from skylift.stores.ownership import EngineLock
lock = EngineLock.acquire(sys.argv[1])
print(lock.owner, flush=True)
sys.stdin.read()
"""


def start_child(home: Path) -> tuple[subprocess.Popen[str], str]:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    return child, child.stdout.readline().strip()


def end_child(child: subprocess.Popen[str], number: int) -> None:
    child.send_signal(number)
    child.communicate()


def test_alive_while_held(tmp_path: Path) -> None:
    lock = EngineLock.acquire(tmp_path)
    assert is_alive(tmp_path, lock.owner)
    lock.release()
    lock.release()
    assert not is_alive(tmp_path, lock.owner)
    assert not lock.path.exists()


def test_owners_differ(tmp_path: Path) -> None:
    with EngineLock.acquire(tmp_path) as first, EngineLock.acquire(tmp_path) as second:
        assert first.owner != second.owner
        assert is_alive(tmp_path, first.owner)
        assert is_alive(tmp_path, second.owner)


@pytest.mark.parametrize("owner", ["", "nobody", "../../etc/passwd", "x" * 500])
def test_an_unknown_owner_is_dead(tmp_path: Path, owner: str) -> None:
    assert not is_alive(tmp_path, owner)


def test_another_process_is_seen_and_dies_with_kill_9(tmp_path: Path) -> None:
    child, owner = start_child(tmp_path)
    try:
        assert is_alive(tmp_path, owner)
    finally:
        end_child(child, signal.SIGKILL)
    assert (tmp_path / "engines" / f"{owner}.lock").exists()
    assert not is_alive(tmp_path, owner)
    with EngineLock.acquire(tmp_path):
        assert not (tmp_path / "engines" / f"{owner}.lock").exists()


def test_a_forked_child_does_not_keep_the_engine_alive(tmp_path: Path) -> None:
    lock = EngineLock.acquire(tmp_path)
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready[1], b"x")
        os.read(done[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    assert is_alive(tmp_path, lock.owner)
    assert lock._descriptor is not None
    os.close(lock._descriptor)  # as the death of the parent would
    lock._descriptor = None
    assert not is_alive(tmp_path, lock.owner)
    os.write(done[1], b"x")
    os.waitpid(child, 0)
    for descriptor in (*ready, *done):
        os.close(descriptor)


def test_a_home_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="no engine can be started"):
        EngineLock.acquire(tmp_path / "file")


class TestEngineLock(OwnershipConformance):
    @pytest.fixture
    def acquire(self, tmp_path: Path) -> Iterator[Callable[[], EngineLock]]:
        held: list[EngineLock] = []

        def acquire() -> EngineLock:
            held.append(EngineLock.acquire(tmp_path))
            return held[-1]

        yield acquire
        for lock in held:
            lock.release()
