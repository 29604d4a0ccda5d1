"""`skylift worker --pool`: boxes join a server's batch pool, run its tasks, drain, and are missed when they die."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from remote_server import ApiServer
from test_activity_worker import Box, ended, until

pytest.importorskip("uvicorn", reason="the server is an extra")

POOL = '\n[backends.batch]\nprovider = "workers"\n\n[placement]\n"*" = "batch"\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    server = ApiServer(tmp_path_factory.mktemp("pool"))
    settings = server.folder / "skylift.toml"
    settings.write_text(settings.read_text() + POOL)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def box(server: ApiServer, tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path / "box", server.environment())
    yield box
    box.close()


def test_tasks_run_on_a_box_that_joined_and_it_leaves_in_order(box: Box, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    waiting = box.begin("run", "faces.py:waits", "--gate", str(gate))
    time.sleep(1.0)
    assert waiting.poll() is None, "nobody has joined yet"
    worker = box.begin("worker", "--pool", "--name", "one", "--vcpus", "2")
    until(Path(f"{gate}.began").exists)
    worker.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert worker.poll() is None
    gate.touch()
    code, said = ended(worker)
    assert (code, "joined" in said) == (0, True), said
    assert waiting.wait(120) == 0
    other = box.begin("worker", "--pool", "--name", "two")
    big = box.run("run", "faces.py:big", "--count", "300000")
    assert (big.returncode, big.stdout.strip()) == (0, "300000"), big.stderr
    failed = box.run("run", "faces.py:fails", "--x", "3")
    assert "error[ValueError]: no 3" in failed.stderr
    other.send_signal(signal.SIGTERM)
    assert ended(other)[0] == 0


def test_stopping_a_run_stops_its_task_on_the_box(box: Box, tmp_path: Path) -> None:
    worker = box.begin("worker", "--pool", "--name", "one")
    gate = tmp_path / "gate"
    box.begin("run", "faces.py:waits", "--gate", str(gate))
    until(Path(f"{gate}.began").exists)
    (run,) = json.loads(box.run("runs", "--json").stdout)["runs"]
    assert box.run("stop", run["run_id"]).returncode == 0
    worker.send_signal(signal.SIGTERM)
    assert ended(worker)[0] == 0, "it does not wait for what was stopped"


@pytest.mark.slow
def test_a_box_that_is_killed_is_missed_and_its_task_runs_elsewhere(box: Box, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    first = box.begin("worker", "--pool", "--name", "one")
    run = box.begin("run", "faces.py:waits", "--gate", str(gate))
    until(Path(f"{gate}.began").exists)
    os.killpg(first.pid, signal.SIGKILL)
    gate.touch()
    second = box.begin("worker", "--pool", "--name", "two")
    assert run.wait(240) == 0
    second.send_signal(signal.SIGTERM)
    assert ended(second)[0] == 0


def test_what_keeps_a_box_from_joining(box: Box, server: ApiServer, tmp_path: Path) -> None:
    code, said = ended(box.begin("worker", "--pool", "--activity", "x"))
    assert (code, "one place" in said) == (2, True)
    viewer = Box(tmp_path / "viewer", server.environment(role="viewer"))
    code, said = ended(viewer.begin("worker", "--pool"))
    assert (code, "error[" in said) == (2, True), said
    plain = ApiServer(Path(tmp_path / "plain")) if (tmp_path / "plain").mkdir() is None else None
    assert plain is not None
    plain.start()
    try:
        lonely = Box(tmp_path / "lonely", plain.environment())
        code, said = ended(lonely.begin("worker", "--pool"))
        assert (code, "NO-POOL" in said, 'provider = "workers"' in said) == (2, True, True), said
    finally:
        plain.kill()
