"""Triggers on a real server: made by command, started by the clock, by SQS messages and by files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

pytest.importorskip("uvicorn", reason="the server is an extra")
pytest.importorskip("boto3", reason="boto3 is in the extra aws")

from moto_server import Aws, unique
from server_harness import RunningServer, create, ended, until

from skylift.cli.triggers import triggers
from skylift.config import ServiceSettings

ECHO = {"StartAt": "Echo", "States": {"Echo": {"Type": "Pass", "End": True}}}


def command(url: str, *arguments: str) -> str:
    done = CliRunner().invoke(triggers, list(arguments), env={"SKYLIFT_URL": url}, standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.output


def runs(client: Any, machine: str) -> list[dict[str, Any]]:
    """Finished executions of a machine, described."""
    found = client.list_executions(stateMachineArn=machine)["executions"]
    return [ended(client, execution["executionArn"]) for execution in found]


def test_a_schedule_ticks(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server:
        client = server.client()
        machine = create(client, "echo", ECHO)
        command(server.url, "create", "often", "--start", "echo", "--schedule", "rate(1 second)", "--input", '{"n": 1}')
        first, *_ = until(lambda: runs(client, machine))
        assert json.loads(first["input"]) == {"n": 1}
        assert first["name"].startswith("often-2")
        assert "rate(1 second) starts echo" in command(server.url, "list")
        command(server.url, "disable", "often")
        assert "(disabled)" in command(server.url, "list")
        command(server.url, "delete", "often")
        assert json.loads(command(server.url, "list", "--json")) == []


def test_each_message_starts_one_run_and_is_deleted(aws: Aws, tmp_path: Path) -> None:
    sqs = aws.client("sqs")
    queue = sqs.create_queue(QueueName=unique("triggers"))["QueueUrl"]
    services = ServiceSettings(endpoint_url=aws.url)
    with RunningServer(tmp_path, services=services, allow_services=("sqs:*",)) as server:
        client = server.client()
        machine = create(client, "echo", ECHO)
        command(server.url, "create", "mail", "--start", machine, "--queue", queue)
        for number in range(12):
            sqs.send_message(QueueUrl=queue, MessageBody=json.dumps({"number": number}))
        until(lambda: len(runs(client, machine)) == 12)
        bodies = [json.loads(run["input"])["body"]["number"] for run in runs(client, machine)]
        assert sorted(bodies) == list(range(12))
        counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        until(
            lambda: set(sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=counts)["Attributes"].values()) == {"0"}
        )
        until(lambda: json.loads(command(server.url, "list", "--json"))[0]["runs"] >= 12)
        (shown,) = json.loads(command(server.url, "list", "--json"))
        assert shown["runs"] == 12


def test_an_arriving_file_starts_a_run(tmp_path: Path) -> None:
    inbox = tmp_path / "in"
    inbox.mkdir()
    (inbox / "before.csv").write_text("old")
    with RunningServer(tmp_path, allow_paths=(str(inbox),)) as server:
        client = server.client()
        machine = create(client, "echo", ECHO)
        where = ("--files", f"{inbox}/*.csv", "--every", "1", "--settle", "0")
        command(
            server.url, "create", "inbox", "--start", "echo", *where, "--input", '{"path": "{% $states.input.url %}"}'
        )
        (inbox / "new.csv.part").write_text("1,2")
        os.replace(inbox / "new.csv.part", inbox / "new.csv")  # noqa: PTH105
        (run,) = until(lambda: runs(client, machine))
        assert json.loads(run["output"])["path"].endswith("/in/new.csv")


def test_what_is_not_allowed_or_not_there_is_refused(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server:
        create(server.client(), "echo", ECHO)
        for arguments, said in (
            (("--start", "echo", "--files", "/etc/*"), "allow_paths"),
            (("--start", "echo", "--queue", "https://sqs.example/1/q"), "allow_services"),
            (("--start", "nobody", "--schedule", "rate(1 hour)"), "does not exist|Does Not Exist"),
            (("--start", "echo", "--schedule", "rate(1 lightyear)"), "lightyear"),
            (("--start", "echo"), "one of --schedule, --queue and --files"),
        ):
            with pytest.raises(Exception, match=said):
                command(server.url, "create", "t", *arguments)
        assert json.loads(command(server.url, "list", "--json")) == []
        with pytest.raises(Exception, match="no trigger 't'"):
            command(server.url, "delete", "t")
