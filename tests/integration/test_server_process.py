"""`skylift server` and `skylift keys` as an operator uses them: real processes, real signals."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

pytest.importorskip("boto3")
pytest.importorskip("uvicorn")
import boto3
from botocore.config import Config as BotoConfig
from server_harness import long_requests

Project = Any
"""The fixture `folder`: a project and the commands in it."""

HANDLERS = """
import time
from pathlib import Path


def slow(event, context):
    Path("began").write_text("")
    while not Path("go").exists():
        time.sleep(0.02)
    Path("ended").write_text("")
    return "slept"
"""
ROLE = "arn:aws:iam::123456789012:role/r"
SLOW = {
    "StartAt": "A",
    "States": {"A": {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:slow", "End": True}},
}
WAIT = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 5, "End": True}}}


def client(url: str) -> Any:
    return boto3.client(
        "stepfunctions", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x",
        config=BotoConfig(retries={"max_attempts": 0}, inject_host_prefix=False),
    )  # fmt: skip


@contextmanager
def serving(project: Project, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    process = project.start("server", "--port", "0", *arguments, stderr=subprocess.STDOUT)
    try:
        yield url_of(process), process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if found := re.match(r"Skylift answers at (\S+)", line):
            return found[1]
    raise AssertionError("".join(seen))


def wait_until(there: Callable[[], Any], what: str, most_s: float = 90) -> Any:
    deadline = time.monotonic() + most_s
    while not (found := there()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return found


def answers_no_more(url: str) -> bool:
    """It is ending: it says so, or listens no more."""
    try:
        return requests.get(url + "/health/ready", timeout=60).status_code == 503
    except requests.ConnectionError:
        return True


def machine(asking: Any, name: str, definition: dict[str, Any]) -> str:
    made = asking.create_state_machine(name=name, definition=json.dumps(definition), roleArn=ROLE)
    return str(made["stateMachineArn"])


def ended(asking: Any, execution: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = asking.describe_execution(executionArn=execution)
        return found if found["status"] != "RUNNING" else None

    found: dict[str, Any] = wait_until(look, "the execution does not end")
    return found


@pytest.fixture
def project(folder: Project) -> Project:
    return folder


@pytest.fixture
def slow_project(project: Project) -> Project:
    project.write("handlers.py", HANDLERS)
    project.write("skylift.toml", '[functions]\nslow = "handlers:slow"\n')
    return project


def test_sigterm_lets_requests_and_tasks_end(slow_project: Project) -> None:
    with serving(slow_project, "--allow-code", "*") as (url, process):
        asking = client(url)
        execution = asking.start_execution(stateMachineArn=machine(asking, "slow", SLOW))["executionArn"]
        activity = asking.create_activity(name="idle")["activityArn"]
        polled: list[Any] = []
        polling = threading.Thread(target=lambda: polled.append(client(url).get_activity_task(activityArn=activity)))
        polling.start()
        wait_until(lambda: long_requests(url) == 1, "nobody polls")
        wait_until((slow_project.folder / "began").exists, "the task does not begin")
        process.send_signal(signal.SIGTERM)
        polling.join(25)
        assert polled
        assert not polled[0].get("taskToken"), "a long poll is answered empty"
        wait_until(lambda: answers_no_more(url), "it does not end")
        assert process.poll() is None, "it waits for the task"
        (slow_project.folder / "go").touch()
        assert process.wait(60) == 0
    assert (slow_project.folder / "ended").exists()
    with serving(slow_project, "--allow-code", "*") as (url, _):
        found = ended(client(url), execution)
        assert (found["status"], found["output"]) == ("SUCCEEDED", '"slept"')


def test_tasks_that_take_too_long_are_cut_off_and_done_by_the_next(slow_project: Project) -> None:
    with serving(slow_project, "--allow-code", "*", "--drain", "300ms") as (url, process):
        asking = client(url)
        execution = asking.start_execution(stateMachineArn=machine(asking, "slow", SLOW))["executionArn"]
        wait_until((slow_project.folder / "began").exists, "the task does not begin")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert not (slow_project.folder / "ended").exists()
    (slow_project.folder / "go").touch()
    with serving(slow_project, "--allow-code", "*") as (url, _):
        assert ended(client(url), execution)["status"] == "SUCCEEDED"


def test_a_second_signal_leaves_at_once(slow_project: Project) -> None:
    with serving(slow_project, "--allow-code", "*", "--drain", "10m") as (url, process):
        asking = client(url)
        asking.start_execution(stateMachineArn=machine(asking, "slow", SLOW))
        wait_until((slow_project.folder / "began").exists, "the task does not begin")
        process.send_signal(signal.SIGINT)
        wait_until(lambda: answers_no_more(url), "it does not end")
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def test_another_server_takes_over_at_once(project: Project) -> None:
    with serving(project) as (first, one), serving(project) as (second, _):
        asking = client(first)
        execution = asking.start_execution(stateMachineArn=machine(asking, "wait", WAIT))["executionArn"]
        one.send_signal(signal.SIGTERM)
        assert one.wait(60) == 0
        found = ended(client(second), execution)
        assert found["status"] == "SUCCEEDED"
        took = (found["stopDate"] - found["startDate"]).total_seconds()
        assert 5 <= took < 7.5


def test_it_listens_elsewhere_only_with_keys(project: Project) -> None:
    project.write("text.pem", "no certificate")
    for arguments, said in (
        (("--host", "0.0.0.0"), "skylift keys create"),
        (("--host", "0.0.0.0", "--auth", "off"), "authentication is off"),
        (("--host", "no.such.host.invalid"), "no address of this machine"),
        (("--tls-cert", "cert.pem"), "--tls-key"),
        (("--tls-cert", "none.pem", "--tls-key", "none.key"), "none.pem cannot be read: No such file"),
        (("--tls-cert", "text.pem", "--tls-key", "text.pem"), "cannot be used for TLS"),
        (("--allow-code", "1234"), "'1234' is no account: use 12 digits"),
    ):
        refused = project.call("server", "--port", "0", *arguments)
        assert refused.returncode == 2
        assert said in refused.stderr, refused.stderr
    made = project.call("keys", "create", "--role", "admin", "--json")
    assert made.returncode == 0, made.stderr
    with serving(project, "--host", "0.0.0.0") as (url, process):
        key = json.loads(made.stdout)
        port = url.rpartition(":")[2]
        asking = boto3.client(
            "stepfunctions", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
            aws_access_key_id=key["key_id"], aws_secret_access_key=key["secret"],
        )  # fmt: skip
        assert asking.list_activities()["activities"] == []
        assert requests.get(f"http://127.0.0.1:{port}/v1/runs").status_code == 401
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_a_port_that_is_taken(project: Project) -> None:
    with serving(project) as (url, _):
        refused = project.call("server", "--port", url.rpartition(":")[2])
        assert refused.returncode == 2
        assert "cannot listen on 127.0.0.1" in refused.stderr


def test_keys_on_the_command_line(project: Project) -> None:
    shown = project.call("keys", "create", "--account", "111122223333", "--role", "viewer", "--name", "ci")
    assert shown.returncode == 0, shown.stderr
    key_id, secret = re.fullmatch(
        r"export AWS_ACCESS_KEY_ID=(AKIA[A-Z2-7]{16})\nexport AWS_SECRET_ACCESS_KEY=(\S{40})\n", shown.stdout
    ).groups()  # type: ignore[union-attr]
    listed = json.loads(project.call("keys", "list", "--json").stdout)
    assert [(key["key_id"], key["account"], key["role"], key["name"]) for key in listed] == [
        (key_id, "111122223333", "viewer", "ci")
    ]
    assert secret not in project.call("keys", "list").stdout
    home = project.folder / ".skylift"
    assert (home / "master.key").stat().st_mode & 0o077 == 0
    assert not any(secret.encode() in path.read_bytes() for path in home.iterdir() if path.is_file())
    assert project.call("keys", "revoke", key_id).stdout == f"revoked {key_id}\n"
    again = project.call("keys", "revoke", key_id)
    assert (again.returncode, "KEY-UNKNOWN" in again.stderr) == (2, True)
    assert project.call("keys", "create", "--account", "x").returncode == 2


def test_the_master_key_is_changed(project: Project) -> None:
    old, new = (project.call("keys", "master").stdout.strip() for _ in range(2))
    made = json.loads(project.call("keys", "create", "--json", env={"SKYLIFT_MASTER_KEY": old}).stdout)
    assert not (project.folder / ".skylift" / "master.key").exists()
    resealed = project.call("keys", "reseal", env={"SKYLIFT_MASTER_KEY": f"{new},{old}"})
    assert resealed.stdout == "encrypted the secrets of 1 key anew\n"
    assert project.call("keys", "reseal", env={"SKYLIFT_MASTER_KEY": new}).returncode == 0
    lost = project.call("keys", "reseal", env={"SKYLIFT_MASTER_KEY": old})
    assert (lost.returncode, "MASTER-KEY" in lost.stderr) == (2, True)
    assert made["key_id"].startswith("AKIA")


def test_logs_are_json_lines_without_payloads(project: Project) -> None:
    with serving(project, "--log-format", "json") as (url, process):
        asking = client(url)
        wait = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
        execution = asking.start_execution(stateMachineArn=machine(asking, "m", wait), input='{"hush": "payload"}')
        ended(asking, execution["executionArn"])
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
    assert "payload" not in out
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert all({"time", "level", "event"} <= line.keys() for line in lines)
    started = next(line for line in lines if line.get("action") == "StartExecution")
    assert (started["status"], started["account"]) == (200, "123456789012")
    assert started["request_id"] == execution["ResponseMetadata"]["RequestId"]
    assert started["duration_ms"] > 0
    run = next(line for line in lines if line["event"] == "run_ended")
    assert (run["status"], run["account"]) == ("SUCCEEDED", "123456789012")
    assert run["run_id"] in {line["run_id"] for line in lines if line["event"] == "run_started"}
    assert lines[-1]["event"] == "ended"


def test_tls(project: Project) -> None:
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        cwd=project.folder, capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("openssl cannot make a certificate here")
    with serving(project, "--tls-cert", "cert.pem", "--tls-key", "key.pem") as (url, _):
        assert url.startswith("https://127.0.0.1:")
        answer = requests.get(url + "/health/ready", verify=str(project.folder / "cert.pem"))
        assert answer.json() == {"status": "ok"}


def test_help_does_not_import_the_server(project: Project) -> None:
    shown = project.python("-X", "importtime", "-c", "from skylift.cli.main import main; main(['server', '--help'])")
    assert "--allow-code" in shown.stdout
    assert not re.search(r"\| +(uvicorn|starlette|cryptography)$", shown.stderr, re.MULTILINE)
