"""An engine killed with SIGKILL while its attempts run on every backend: what is left ends by itself, is swept where it
hangs, and is adopted by the next engine."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from podman import containers, podman, podman_variables  # noqa: F401  # a fixture
from ray_cluster import Namespace, lonely

__all__ = ["lonely"]

BACKENDS = ("process", "container", "batch", "ray")
OUTLIVE = ("container", "batch", "ray")
WAIT_S = 150.0

PIPELINE = """
import os, time
from pathlib import Path

from skylift import parallel, pipeline, task

MARKS = Path({marks!r})


def held(name):
    handle = os.open(MARKS / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, b"began ")
    while not (MARKS / "go").exists():
        time.sleep(0.05)
    os.write(handle, b"ended ")
    os.close(handle)
    return name


{tasks}

@pipeline
def flow() -> list[str]:
    return parallel({names})
"""
TASK = """
@task(on={name!r}, cpus=0.1)
def on_{name}() -> str:
    return held({name!r})

"""
SETTINGS = """
[backends.container]
network = "none"
mounts = ["{marks}"]
lease = "{lease}"
[backends.batch]
lease = "{lease}"
[backends.ray]
cpus = 1
lease = "{lease}"
"""


class Project:
    """A pipeline of one task for each backend; each waits until it is let go."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.folder = folder
        self.marks = folder / "marks"
        self.marks.mkdir()
        self.tag = f"SKYLIFT_TEST_TAG={uuid.uuid4().hex}"
        kept = {key: value for key, value in os.environ.items() if not key.startswith("SKYLIFT_")}
        name, value = self.tag.split("=")
        self.variables = {**kept, **variables, "SKYLIFT_HOME": str(folder / "home"), name: value}

    def write(self, backends: tuple[str, ...], lease: str) -> None:
        tasks = "".join(TASK.format(name=name) for name in backends)
        names = ", ".join(f"on_{name}()" for name in backends)
        (self.folder / "flow.py").write_text(PIPELINE.format(marks=str(self.marks), tasks=tasks, names=names))
        (self.folder / "skylift.toml").write_text(SETTINGS.format(marks=self.marks, lease=lease))

    def start(self, backends: tuple[str, ...]) -> subprocess.Popen[bytes]:
        """An engine of which all attempts run."""
        with (self.folder / "engine.log").open("wb") as log:
            engine = subprocess.Popen(
                [sys.executable, "-m", "skylift.cli", "run", "flow.py"],
                cwd=self.folder,
                env=self.variables,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + WAIT_S
        while engine.poll() is None and (missing := [one for one in backends if not (self.marks / one).exists()]):
            assert time.monotonic() < end, (missing, (self.folder / "engine.log").read_text())
            time.sleep(0.1)
        assert engine.poll() is None, (self.folder / "engine.log").read_text()
        return engine

    def call(self, *words: str) -> Any:
        """What a command of another process answers."""
        command = [sys.executable, "-m", "skylift.cli", *words, "--json"]
        done = subprocess.run(
            command, cwd=self.folder, env=self.variables, capture_output=True, text=True, timeout=WAIT_S
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def processes(self) -> list[psutil.Process]:
        """All that an engine has started and that lives, but for what is inside of containers."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if self.tag.encode() in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0"):
                    found.append(process)
        return found

    def left(self) -> list[str]:
        """Whatever lives of what was started, in words."""
        words = containers(self.variables)
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                words.append(" ".join(process.cmdline())[:300])
        return words

    def marks_of(self, name: str) -> list[str]:
        return (self.marks / name).read_text().split()


@pytest.fixture
def project(tmp_path: Path, podman_variables: dict[str, str], lonely: Namespace) -> Iterator[Project]:  # noqa: F811
    project = Project(tmp_path, podman_variables)
    yield project
    for process in project.processes():
        with contextlib.suppress(psutil.Error):
            process.kill()


def wait_until_gone(project: Project, timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while (left := project.left()) and time.monotonic() < end:
        time.sleep(0.2)
    assert left == []


def killed(engine: subprocess.Popen[bytes]) -> None:
    engine.kill()
    engine.wait()


def test_what_outlives_the_engine_is_adopted_by_the_next_one_and_runs_once(project: Project) -> None:
    project.write(OUTLIVE, "30s")
    killed(project.start(OUTLIVE))
    [run] = project.call("runs")["runs"]
    resumed = subprocess.Popen(
        [sys.executable, "-m", "skylift.cli", "resume", run["run_id"], "--json"],
        cwd=project.folder,
        env=project.variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    time.sleep(3.0)  # most of what would run again has begun by then
    assert resumed.poll() is None
    (project.marks / "go").touch()
    said, _ = resumed.communicate(timeout=WAIT_S)
    assert resumed.returncode == 0, said.decode()
    assert {name: project.marks_of(name) for name in OUTLIVE} == {name: ["began", "ended"] for name in OUTLIVE}
    [record] = project.call("runs")["runs"]
    assert record["status"] == "SUCCEEDED"
    wait_until_gone(project, 60.0)


@pytest.mark.slow
def test_with_nobody_alive_everything_ends_by_itself(project: Project) -> None:
    project.write(BACKENDS, "15s")
    killed(project.start(BACKENDS))
    wait_until_gone(project, 60.0)
    assert {name: project.marks_of(name) for name in BACKENDS} == {name: ["began"] for name in BACKENDS}
    assert project.call("sweep") == {"swept": True, "over": [], "left": [], "troubles": []}


@pytest.mark.slow
def test_what_hangs_past_its_lease_is_swept_by_another_process(
    project: Project, request: pytest.FixtureRequest
) -> None:
    project.write(BACKENDS, "15s")
    engine = project.start(BACKENDS)
    enders = [psutil.Process(pid) for pid in _enders(project, engine)]
    for ender in enders:
        ender.suspend()
    request.addfinalizer(lambda: _kill_all(enders))
    killed(engine)
    before = project.call("sweep", "--list")
    assert {one["backend"] for one in [*before["left"], *before["over"]]} == set(BACKENDS)
    for file in (project.folder / "home/attempts/process").glob("*.json"):
        os.utime(file, (0, 0))  # the lease of workers is ten minutes
    time.sleep(16.0)
    swept = project.call("sweep")
    assert {one["backend"] for one in swept["over"]} == set(BACKENDS)
    assert not swept["troubles"]
    wait_until_gone(project, 30.0)
    assert {name: project.marks_of(name) for name in BACKENDS} == {name: ["began"] for name in BACKENDS}
    assert project.call("sweep", "--list") == {"swept": False, "over": [], "left": [], "troubles": []}


def _kill_all(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):  # most have ended, and psutil knows its own by the time they began
            process.kill()


def _enders(project: Project, engine: subprocess.Popen[bytes]) -> Iterator[int]:
    """Who would end what is left: the workers' guardian, the container's first process, the agent, Ray's keeper."""
    for child in psutil.Process(engine.pid).children():
        if child.cmdline()[:2] == ["/bin/sh", "-c"]:
            yield child.pid
    for name in containers(project.variables):
        yield int(podman(project.variables, "inspect", "--format", "{{.State.Pid}}", name))
    for process in project.processes():
        try:
            words, parent = process.cmdline(), process.parent()
        except psutil.Error:
            continue
        program = any("compute.batch.agent" in word or "compute.ray.keeper" in word for word in words)
        if program and (parent is None or parent.cmdline() != words):  # a fork of one ends the rest once that is gone
            yield process.pid
