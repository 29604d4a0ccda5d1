"""`skylift worker` as a process beside a server with real keys: foreign tasks, tasks of ours, losses, drains."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from remote_server import ALONE, ApiServer

pytest.importorskip("uvicorn", reason="the server is an extra")
boto3 = pytest.importorskip("boto3", reason="the extra `aws`")

PIPELINE = """
import os
import time
from dataclasses import dataclass
from pathlib import Path

from skylift import pipeline, task


@task
def where(gate: str) -> int:
    print("waiting here")
    Path(gate + ".began").touch()
    while not Path(gate).exists():
        time.sleep(0.02)
    return os.getpid()


@task
def many(count: int) -> list[str]:
    return ["x" * 100] * count


@task
def large(count: int) -> bytes:
    return b"x" * count


@task
def length(data: bytes) -> int:
    return len(data)


@task
def broken(x: int) -> int:
    raise ValueError(f"no {x}")


@task(timeout="1s")
def slow() -> int:
    time.sleep(60)
    return 1


@pipeline
def waits(gate: str) -> int:
    return where(gate)


@pipeline
def big(count: int) -> int:
    data = large(count)
    return length(data)


@pipeline
def wide(count: int) -> int:
    texts = many(count)
    return len(texts)


@pipeline
def fails(x: int) -> int:
    return broken(x)


@pipeline
def late() -> int:
    return slow()
"""
HANDLER = """
import time
from pathlib import Path


def square(event, context):
    if event.get("gate"):
        Path(event["gate"] + ".began").touch()
        while not Path(event["gate"]).exists():
            time.sleep(0.02)
    if event.get("large"):
        return "x" * 300_000
    if event["n"] < 0:
        raise ValueError("negative")
    return {"squared": event["n"] ** 2, "function": context.function_name}
"""


class Box:
    """A machine with a worker on it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "faces.py").write_text(PIPELINE)
        (folder / "box.py").write_text(HANDLER)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("SKYLIFT_", "AWS_"))}
        self.folder, self.environment = folder, {**kept, **environment}
        self.processes: list[subprocess.Popen[str]] = []

    def worker(self, *options: str) -> subprocess.Popen[str]:
        return self.begin("worker", "--activity", "gpu-box", *options)

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "skylift.cli", *arguments],
            cwd=self.folder,
            env=self.environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "skylift.cli", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=240
        )

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    server = ApiServer(tmp_path_factory.mktemp("lending"), allowed="[]").start()
    yield server
    server.kill()


@pytest.fixture
def box(server: ApiServer, tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path / "box", server.environment())
    client(server, box).create_activity(name="gpu-box")
    yield box
    box.close()


def client(server: ApiServer, box: Box) -> Any:
    return boto3.client(
        "stepfunctions",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=box.environment["SKYLIFT_ACCESS_KEY_ID"],
        aws_secret_access_key=box.environment["SKYLIFT_SECRET_ACCESS_KEY"],
    )


def until(question: Callable[[], Any], within_s: float = 90.0) -> Any:
    end = time.monotonic() + within_s
    while not (found := question()):
        assert time.monotonic() < end, f"not within {within_s} s"
        time.sleep(0.02)
    return found


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Status, and the rest of what it said."""
    said = process.communicate(timeout=120)[1]
    return process.returncode, said


def heard(process: subprocess.Popen[str], words: str) -> str:
    """What it says, up to the line with these words. Unbuffered, for `communicate` reads on where this has stopped."""
    assert process.stderr is not None
    said = b""
    while words.encode() not in said or not said.endswith(b"\n"):
        ready, _, _ = select.select([process.stderr], [], [], 120)
        piece = os.read(process.stderr.fileno(), 1) if ready else b""
        assert piece, f"{words!r} never came: {said.decode()}"
        said += piece
    return said.decode()


def machine_of(sfn: Any, name: str, **more: Any) -> str:
    activity = sfn.create_activity(name="gpu-box")["activityArn"]
    state = {"Type": "Task", "Resource": activity, "End": True, **more}
    definition = json.dumps({"StartAt": "A", "States": {"A": state}})
    role = "arn:aws:iam::123456789012:role/r"
    made = sfn.create_state_machine(name=name, definition=definition, roleArn=role)
    return str(made["stateMachineArn"])


def execution(sfn: Any, machine: str, value: Any) -> Callable[[], dict[str, Any] | None]:
    arn = sfn.start_execution(stateMachineArn=machine, input=json.dumps(value))["executionArn"]

    def outcome() -> dict[str, Any] | None:
        found: dict[str, Any] = sfn.describe_execution(executionArn=arn)
        return None if found["status"] == "RUNNING" else found

    return outcome


def test_a_foreign_machines_tasks_run_by_a_handler(server: ApiServer, box: Box) -> None:
    sfn = client(server, box)
    machine = machine_of(sfn, "squares", HeartbeatSeconds=30)
    worker = box.worker("--handler", "box:square", "--at-once", "2", "--name", "box 7")
    done = until(execution(sfn, machine, {"n": 12}))
    assert json.loads(done["output"]) == {"squared": 144, "function": "gpu-box"}
    events = sfn.get_execution_history(executionArn=done["executionArn"])["events"]
    assert [e["activityStartedEventDetails"]["workerName"] for e in events if e["type"] == "ActivityStarted"] == [
        "box 7"
    ]
    failed = until(execution(sfn, machine, {"n": -1}))
    assert (failed["status"], failed["error"]) == ("FAILED", "ValueError")
    assert json.loads(failed["cause"])["errorMessage"] == "negative"
    large = until(execution(sfn, machine, {"large": True}))
    assert (large["error"], "300002 bytes" in large["cause"]) == ("States.DataLimitExceeded", True)
    worker.send_signal(signal.SIGTERM)
    code, said = ended(worker)
    assert code == 0, said
    assert "ended taken=3 succeeded=1 failed=2 dropped=0" in said


def test_draining_finishes_what_runs_and_takes_nothing_more(server: ApiServer, box: Box, tmp_path: Path) -> None:
    sfn = client(server, box)
    machine = machine_of(sfn, "gated")
    worker = box.worker("--handler", "box:square", "--at-once", "2")
    gate = tmp_path / "gate"
    first = execution(sfn, machine, {"n": 3, "gate": str(gate)})
    until(Path(f"{gate}.began").exists)
    worker.send_signal(signal.SIGTERM)
    heard(worker, "draining running=1")
    second = execution(sfn, machine, {"n": 4})
    time.sleep(0.3)
    assert worker.poll() is None
    gate.touch()
    assert json.loads(until(first)["output"])["squared"] == 9
    code, said = ended(worker)
    assert code == 0, said
    assert second() is None
    other = box.worker("--handler", "box:square")
    assert json.loads(until(second)["output"])["squared"] == 16
    other.send_signal(signal.SIGTERM)
    assert ended(other)[0] == 0


def test_a_second_signal_leaves_at_once(server: ApiServer, box: Box, tmp_path: Path) -> None:
    sfn = client(server, box)
    worker = box.worker("--handler", "box:square")
    gate = tmp_path / "gate"
    execution(sfn, machine_of(sfn, "left"), {"n": 3, "gate": str(gate)})
    until(Path(f"{gate}.began").exists)
    worker.send_signal(signal.SIGTERM)
    heard(worker, "draining")
    worker.send_signal(signal.SIGTERM)
    code, said = ended(worker)
    assert (code, "leaving at once" in said) == (143, True)


def test_tasks_of_ours_run_on_the_box_with_code_and_artifacts_from_the_server(server: ApiServer, box: Box) -> None:
    """The account's code may not run on the server itself."""
    worker = box.worker("--at-once", "2")
    on = ("--on", "activity:gpu-box")
    for arguments, printed in (
        (("faces.py:big", "--count", "300000"), "300000"),
        (("faces.py:wide", "--count", "5000"), "5000"),
    ):
        ran = box.run("run", *arguments, *on)
        assert (ran.returncode, ran.stdout.strip()) == (0, printed), ran.stderr
    failed = box.run("run", "faces.py:fails", "--x", "3", *on)
    assert (failed.returncode, "error[ValueError]: no 3" in failed.stderr) == (1, True), failed.stderr
    late = box.run("run", "faces.py:late", *on)
    assert (late.returncode, "States.Timeout" in late.stderr) == (1, True), late.stderr
    refused = box.run("run", "faces.py:fails", "--x", "3")
    assert "CODE-NOT-ALLOWED" in refused.stderr
    worker.send_signal(signal.SIGTERM)
    assert ended(worker)[0] == 0


CHECKPOINTS = """
from skylift import checkpoint, pipeline, task


@task(retry=1)
def trained() -> int:
    state = checkpoint.load({"done": 0})
    if state["done"] == 0:
        checkpoint.save({"done": 7})
        raise ValueError("once")
    return state["done"]


@pipeline
def training() -> int:
    return trained()
"""


def test_checkpoints_lie_on_the_box_where_the_server_has_the_artifacts(server: ApiServer, box: Box) -> None:
    (box.folder / "training.py").write_text(CHECKPOINTS)
    worker = box.worker()
    ran = box.run("run", "training.py", "--on", "activity:gpu-box")
    assert (ran.returncode, ran.stdout.strip()) == (0, "7"), ran.stderr
    assert list((box.folder / ".skylift" / "worker" / "checkpoints").iterdir())
    worker.send_signal(signal.SIGTERM)
    assert ended(worker)[0] == 0


def test_an_answer_longer_than_the_protocol_takes(server: ApiServer, box: Box) -> None:
    """5,000 texts of 100 characters stay JSON, since the graph looks at them."""
    (box.folder / "long.py").write_text(
        PIPELINE.replace("texts = many(count)\n    return len(texts)", "texts = many(count)\n    return texts[4999]")
    )
    worker = box.worker()
    ran = box.run("run", "long.py:wide", "--count", "5000", "--on", "activity:gpu-box")
    assert (ran.returncode, ran.stdout.strip()) == (0, json.dumps("x" * 100)), ran.stderr
    worker.send_signal(signal.SIGTERM)
    assert ended(worker)[0] == 0


def test_stopping_the_run_stops_the_task_on_the_box(server: ApiServer, box: Box, tmp_path: Path) -> None:
    worker = box.worker("--heartbeat", "1s")
    gate = tmp_path / "gate"
    box.begin("run", "faces.py:waits", "--gate", str(gate), "--on", "activity:gpu-box")
    until(Path(f"{gate}.began").exists)
    (run,) = json.loads(box.run("runs", "--json").stdout)["runs"]
    stopped = box.run("stop", run["run_id"])
    assert stopped.returncode == 0, stopped.stderr
    worker.send_signal(signal.SIGTERM)
    code, said = ended(worker)
    assert (code, "dropped=1" in said) == (0, True), said


def test_a_server_that_restarts_is_waited_for(tmp_path: Path) -> None:
    server = ApiServer(tmp_path / "server", allowed="[]") if (tmp_path / "server").mkdir() is None else None
    assert server is not None
    server.start()
    box = Box(tmp_path / "box", server.environment())
    try:
        sfn = client(server, box)
        machine = machine_of(sfn, "squares")
        worker = box.worker("--handler", "box:square")
        assert json.loads(until(execution(sfn, machine, {"n": 2}))["output"])["squared"] == 4
        gate = tmp_path / "gate"
        during = execution(sfn, machine, {"n": 5, "gate": str(gate)})
        until(Path(f"{gate}.began").exists)
        server.kill()
        gate.touch()
        heard(worker, " away ")
        server.start()
        assert json.loads(until(during)["output"])["squared"] == 25
        heard(worker, " back")
        worker.send_signal(signal.SIGTERM)
        code, said = ended(worker)
        assert code == 0, said
    finally:
        box.close()
        server.kill()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--activity", "other"), 2, "there is no activity 'other'"),
        (("--handler", "square"), 2, "--handler 'square' names no function"),
        (("--handler", "nowhere.at.all:square"), 2, "there is no module nowhere in"),
        (("--server", "http://127.0.0.1:99999"), 2, "is not the address of a server"),
        (("--region", "us-east-1", "--server", "http://127.0.0.1:1"), 2, "two places"),
        (("--server", "http://127.0.0.1:1"), 2, "does not answer"),
    ],
)
def test_what_keeps_a_worker_from_starting(box: Box, options: tuple[str, ...], code: int, words: str) -> None:
    worker = box.worker(*options)
    found, said = ended(worker)
    assert (found, words in said) == (code, True), said


def test_a_key_that_may_not(server: ApiServer, tmp_path: Path) -> None:
    box = Box(tmp_path / "box", server.environment(ALONE, role="viewer"))
    admin = Box(tmp_path / "admin", server.environment(ALONE))
    client(server, admin).create_activity(name="gpu-box")
    found, said = ended(box.worker())
    assert (found, "AccessDeniedException" in said, "SKYLIFT_ACCESS_KEY_ID" in said) == (2, True, True), said
    box.environment["SKYLIFT_SECRET_ACCESS_KEY"] = "wrong"
    found, said = ended(box.worker())
    assert (found, "signature" in said.lower()) == (2, True), said


def test_the_activity_is_made_if_asked(server: ApiServer, tmp_path: Path) -> None:
    box = Box(tmp_path / "box", server.environment())
    worker = box.worker("--create", "--handler", "box:square")
    sfn = client(server, box)
    until(lambda: sfn.list_activities()["activities"])
    worker.send_signal(signal.SIGTERM)
    code, said = ended(worker)
    assert code == 0, said


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_nothing(server: ApiServer, box: Box, tmp_path: Path) -> None:
    """Its lease of a minute ends, and the attempt goes to the next worker."""
    gate = tmp_path / "gate"
    first = box.worker()
    run = box.begin("run", "faces.py:waits", "--gate", str(gate), "--on", "activity:gpu-box")
    until(Path(f"{gate}.began").exists)
    os.killpg(first.pid, signal.SIGKILL)
    gate.touch()
    second = box.worker()
    code, said = run.communicate(timeout=240)[1], run.returncode
    assert said == 0, code
    second.send_signal(signal.SIGTERM)
    assert ended(second)[0] == 0
    shown = box.run("runs", "--json")
    (record,) = json.loads(shown.stdout)["runs"]
    history = box.run("show", record["run_id"], "--attempts")
    assert "lost" in history.stdout + history.stderr
