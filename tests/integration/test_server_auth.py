"""Signed requests over the wire: boto3 and the `aws` command line with keys that were issued, and all others."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

pytest.importorskip("boto3")
pytest.importorskip("uvicorn")
import boto3
from aws_command import aws_command
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config as BotoConfig
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from server_harness import until

from skylift.server.auth.keys import IssuedKey, Keys
from skylift.server.auth.sealing import open_sealer
from skylift.server.caller import Role
from skylift.server.serve import Server
from skylift.stores.open import open_store
from skylift.testing.server import running_server

PASS = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}})
ROLE = "arn:aws:iam::111122223333:role/r"


def issue(home: Path, role: Role, account: str = "111122223333") -> IssuedKey:
    store = open_store(None, home=home)
    try:
        return Keys(store.resources, lambda: open_sealer(home, {})).create(account=account, role=role, now_ms=1)
    finally:
        store.close()


def client(server: Server, key: IssuedKey | None, region: str = "eu-west-1", **more: Any) -> Any:
    return boto3.client(
        "stepfunctions",
        endpoint_url=server.url,
        region_name=region,
        aws_access_key_id=key.key_id if key else "nobody",
        aws_secret_access_key=more.pop("secret", key.secret if key else "nothing"),
        config=BotoConfig(retries={"max_attempts": 0}, inject_host_prefix=False),
        **more,
    )


def code_of(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as told:
        call(**arguments)
    return str(told.value.response["Error"]["Code"])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("auth")


@pytest.fixture(scope="module")
def keys(home: Path) -> dict[str, IssuedKey]:
    made = {role.name.lower(): issue(home, role) for role in Role}
    made["other"] = issue(home, Role.ADMIN, "444455556666")
    return made


@pytest.fixture(scope="module")
def server(home: Path, keys: dict[str, IssuedKey]) -> Iterator[Server]:
    with running_server(home) as server:
        yield server


@pytest.fixture(scope="module")
def machine(server: Server, keys: dict[str, IssuedKey]) -> str:
    made = client(server, keys["admin"]).create_state_machine(name="signed", definition=PASS, roleArn=ROLE)
    return str(made["stateMachineArn"])


def test_an_account_and_region_come_from_key_and_signature(machine: str) -> None:
    assert machine == "arn:aws:states:eu-west-1:111122223333:stateMachine:signed"


def test_roles_say_what_may_be_done(server: Server, keys: dict[str, IssuedKey], machine: str) -> None:
    viewer, operator = client(server, keys["viewer"]), client(server, keys["operator"])
    assert viewer.describe_state_machine(stateMachineArn=machine)["name"] == "signed"
    assert code_of(viewer.start_execution, stateMachineArn=machine) == "AccessDeniedException"
    assert operator.start_execution(stateMachineArn=machine, name="o")["executionArn"].endswith(":signed:o")
    assert code_of(operator.create_state_machine, name="x", definition=PASS, roleArn=ROLE) == "AccessDeniedException"


def test_another_account_sees_nothing(server: Server, keys: dict[str, IssuedKey], machine: str) -> None:
    other = client(server, keys["other"])
    assert other.list_state_machines()["stateMachines"] == []
    assert code_of(other.describe_state_machine, stateMachineArn=machine) == "StateMachineDoesNotExist"


def test_wrong_keys_are_refused(server: Server, keys: dict[str, IssuedKey]) -> None:
    assert code_of(client(server, None).list_state_machines) == "UnrecognizedClientException"
    wrong = client(server, keys["admin"], secret="x")
    assert code_of(wrong.list_state_machines) == "InvalidSignatureException"
    session = client(server, keys["admin"], aws_session_token="token")
    assert code_of(session.list_state_machines) == "UnrecognizedClientException"


def test_nothing_is_told_without_a_signature(server: Server) -> None:
    headers = {"X-Amz-Target": "AWSStepFunctions.ListStateMachines", "Content-Type": "application/x-amz-json-1.0"}
    answer = requests.post(server.url, b"{}", headers=headers)
    assert (answer.status_code, answer.json()["__type"]) == (400, "MissingAuthenticationTokenException")
    assert answer.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"
    for path in ("/v1/runs", "/openapi.json", "/nothing", "/metrics"):
        assert requests.get(server.url + path).status_code == 401, path
    assert requests.get(server.url + "/health/live").json() == {"status": "ok"}


def test_the_command_line_of_aws(server: Server, keys: dict[str, IssuedKey], machine: str) -> None:
    key = keys["operator"]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON", "PYENV"))},
        "AWS_ACCESS_KEY_ID": key.key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "PATH": "/usr/bin:/bin",
    }

    def aws(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [aws_command(), "stepfunctions", *arguments, "--endpoint-url", server.url, "--output", "json"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    started = aws("start-execution", "--state-machine-arn", machine, "--name", "cli", "--input", '{"a": "é"}')
    assert started.returncode == 0, started.stderr
    arn = json.loads(started.stdout)["executionArn"]
    assert arn == "arn:aws:states:eu-west-1:111122223333:execution:signed:cli"
    environment["AWS_SECRET_ACCESS_KEY"] = "wrong"
    refused = aws("describe-execution", "--execution-arn", arn)
    assert "InvalidSignatureException" in refused.stderr


def test_a_revoked_key_is_useless_within_two_seconds(home: Path, server: Server) -> None:
    key = issue(home, Role.VIEWER)
    asking = client(server, key)
    assert "stateMachines" in asking.list_state_machines()
    store = open_store(None, home=home)
    Keys(store.resources, lambda: open_sealer(home, {})).revoke(key.key_id)
    revoked = time.monotonic()
    store.close()
    while True:
        asked = time.monotonic()
        try:
            asking.list_state_machines()
        except ClientError as problem:
            assert problem.response["Error"]["Code"] == "UnrecognizedClientException"
            return
        assert asked - revoked < 2, "what was asked 2 s after a key was revoked has been answered"
        time.sleep(0.05)


def test_the_use_of_a_key_is_noted(home: Path, server: Server, keys: dict[str, IssuedKey]) -> None:
    """Behind the answer: no request waits for it."""
    client(server, keys["viewer"]).list_state_machines()
    store = open_store(None, home=home)

    def used_ms() -> int | None:
        found = Keys(store.resources, lambda: open_sealer(home, {})).get(keys["viewer"].key_id)
        assert found is not None
        return found.last_used_ms

    try:
        until(lambda: used_ms() is not None)
    finally:
        store.close()


def test_a_key_is_throttled_and_others_are_not(tmp_path: Path) -> None:
    busy, other = issue(tmp_path, Role.VIEWER), issue(tmp_path, Role.VIEWER)
    with running_server(tmp_path, requests_per_second=1) as server:
        asking = client(server, busy)
        codes: list[str] = []
        for _ in range(100):
            if len(codes) == 3:
                break
            try:
                asking.list_activities()
            except ClientError as problem:
                codes.append(problem.response["Error"]["Code"])
                assert problem.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
        assert codes
        assert set(codes) == {"ThrottlingException"}
        assert client(server, other).list_activities()["activities"] == []


def test_keys_are_asked_for_from_when_there_is_one(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        assert requests.get(server.url + "/v1/runs").status_code == 200
        key = issue(tmp_path, Role.ADMIN)
        issued = asked = time.monotonic()
        while requests.get(server.url + "/v1/runs").status_code == 200:
            assert asked - issued < 5
            time.sleep(0.05)
            asked = time.monotonic()
        assert client(server, key).list_activities()["activities"] == []


def test_without_authentication_no_web_page_is_answered(tmp_path: Path) -> None:
    target = {"X-Amz-Target": "AWSStepFunctions.ListActivities", "Content-Type": "application/x-amz-json-1.0"}
    with running_server(tmp_path, auth="off") as server:
        assert requests.post(server.url, b"{}", headers=target).status_code == 200
        for bad in ({"Origin": "https://example.org"}, {"Host": "example.org"}, {"Content-Type": "text/plain"}):
            refused = requests.post(server.url, b"{}", headers={**target, **bad})
            assert (refused.status_code, refused.json()["__type"]) == (403, "AccessDeniedException")
        for path in ("/v1/runs", "/metrics"):
            assert requests.get(server.url + path, headers={"Host": "example.org"}).status_code in (401, 403)


def test_metrics_have_a_token_of_their_own(tmp_path: Path) -> None:
    issue(tmp_path, Role.ADMIN)
    with running_server(tmp_path, metrics_token="tell me") as server:
        assert requests.get(server.url + "/metrics", headers={"Authorization": "Bearer x"}).status_code == 401
        found = requests.get(server.url + "/metrics", headers={"Authorization": "Bearer tell me"})
        assert found.status_code == 200
        assert "skylift_executions_open 0.0" in found.text


def test_our_own_api_signed_as_most_clients_do(server: Server, keys: dict[str, IssuedKey], machine: str) -> None:
    """Without X-Amz-Content-Sha256: `curl --aws-sigv4` and botocore's signer send it to S3 only."""

    admin = keys["admin"]

    def signed(method: str, path: str, body: bytes = b"") -> dict[str, str]:
        request = AWSRequest(method, server.url + path, {"Content-Type": "application/json"}, body)
        SigV4Auth(Credentials(admin.key_id, admin.secret), "states", "eu-west-1").add_auth(request)
        return dict(request.headers)

    path, body = "/pipelines/signed/runs?wait=20", b'{"a": 1}'
    ended = requests.post(server.url + path, body, headers=signed("POST", path, body))
    assert (ended.status_code, ended.json()["output"]) == (200, {"a": 1})
    assert requests.get(server.url + "/v1/runs", headers=signed("GET", "/v1/runs")).json()["runs"]
    for other in (b'{"a": 2}', b""):
        refused = requests.post(server.url + path, other, headers=signed("POST", path, body))
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "InvalidSignatureException")
    unread = requests.post(server.url + path, b" " * 3_000_000, headers={"Content-Type": "application/json"})
    assert unread.status_code == 401
