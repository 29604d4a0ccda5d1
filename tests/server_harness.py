"""A whole server on a free loopback port, in a thread of the tests' process, with boto3 clients for it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import pytest
import requests
from botocore.exceptions import ClientError

from skylift.asl.status import ENDED
from skylift.config import Config, ServiceSettings
from skylift.server.auth.keys import IssuedKey, Keys
from skylift.server.auth.sealing import open_sealer
from skylift.server.caller import Role
from skylift.stores.sqlite_file import SqliteFile
from skylift.stores.sqlite_resources import SqliteResources
from skylift.testing.server import running_server

ROLE = "arn:aws:iam::123456789012:role/tests"


class RunningServer:
    """A context manager. `url` is where it answers."""

    url: str

    def __init__(
        self, home: Path, *, services: ServiceSettings | None = None, store: str | None = None, **settings: Any
    ) -> None:
        self.config = Config(project=home, home=home / ".skylift")
        self._running = running_server(home, config=self.config, services=services, store=store, **settings)

    def __enter__(self) -> RunningServer:
        self.url = self._running.__enter__().url
        return self

    def __exit__(self, *problem: Any) -> None:
        self._running.__exit__(*problem)

    def key(self, account: str, role: str = "admin") -> IssuedKey:
        """A new key; from the first one on every request needs one."""
        resources = SqliteResources(SqliteFile(self.config.home / "journal.db"))
        try:
            keys = Keys(resources, lambda: open_sealer(self.config.home))
            return keys.create(account=account, role=Role[role.upper()], now_ms=time.time_ns() // 1_000_000)
        finally:
            resources.close()

    def client(self, *, key: IssuedKey | None = None, **options: Any) -> Any:
        """A Step Functions client."""
        config = botocore.config.Config(
            inject_host_prefix=False, retries={"total_max_attempts": 1}, max_pool_connections=20, **options
        )
        return boto3.client(
            "stepfunctions",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=key.key_id if key is not None else "test",
            aws_secret_access_key=key.secret if key is not None else "test",
            config=config,
        )


def create(client: Any, name: str, definition: dict[str, Any], **members: Any) -> str:
    """The ARN of a new state machine."""
    made = client.create_state_machine(name=name, definition=json.dumps(definition), roleArn=ROLE, **members)
    arn: str = made["stateMachineArn"]
    return arn


def ended(client: Any, execution: str, within_s: float = 90.0) -> dict[str, Any]:
    """The description of an execution once it has ended."""
    deadline = time.monotonic() + within_s
    while True:
        found: dict[str, Any] = client.describe_execution(executionArn=execution)
        if found["status"] in ENDED:
            return found
        assert time.monotonic() < deadline, f"{execution} is still {found['status']} after {within_s} s"
        time.sleep(0.01)


def refusal(call: Any, **members: Any) -> tuple[str, str]:
    """Code and message of the error that the call must end with."""
    with pytest.raises(ClientError) as caught:
        call(**members)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def until(question: Any, within_s: float = 90.0) -> Any:
    """What `question` gives once that is true."""
    deadline = time.monotonic() + within_s
    while not (answer := question()):
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.01)
    return answer


def history(client: Any, execution: str, **members: Any) -> list[dict[str, Any]]:
    """All of it, page by page."""
    events: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    while True:
        page = client.get_execution_history(executionArn=execution, **members, **token)
        events += page["events"]
        if "nextToken" not in page:
            return events
        token = {"nextToken": page["nextToken"]}


def long_requests(url: str, action: str = "GetActivityTask") -> int:
    """How many requests of this action the server at `url` is holding, as its metrics say."""
    text = requests.get(f"{url}/metrics", timeout=60).text
    found = re.search(rf'^skylift_long_requests{{action="{action}"}} (\S+)$', text, re.MULTILINE)
    return int(float(found[1])) if found is not None else 0
