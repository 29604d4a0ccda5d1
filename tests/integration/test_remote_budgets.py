"""Budgets on a server: those of registered pipelines hold, however they are started, and words that are no amount are
refused before the engine sees them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from remote_server import ApiServer

pytest.importorskip("uvicorn", reason="the server is an extra")

from skylift.remote.client import ServerClient
from skylift.remote.keys import Signer

PIPELINES = """
from skylift import pipeline, task

@task(cpus=4, memory="8 GiB", on="simulated")
def train(part: int) -> int:
    return part

@pipeline(budget="0.0000001 USD")
def held(parts: int = 2) -> int:
    first = train(1)
    second = train(first + 1)
    return train(second + 1)
"""
ACCOUNT = "777777777777"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    made = ApiServer(tmp_path_factory.mktemp("server"))
    with (made.folder / "skylift.toml").open("a") as settings:
        settings.write('allow_backends = ["*"]\n[backends.simulated]\nservices = ["function"]\n')
    yield made.start()
    made.kill()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "p.py").write_text(PIPELINES)
    (tmp_path / "pass.asl.json").write_text('{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}')
    return tmp_path


def call(project: Path, server: ApiServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SKYLIFT_", "AWS_"))}
    done = subprocess.run(
        [sys.executable, "-m", "skylift.cli", *arguments],
        cwd=project,
        env={**kept, "NO_COLOR": "1", **server.environment(ACCOUNT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def ask(server: ApiServer, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, Any]:
    client = ServerClient(server.url, Signer(*server.key(ACCOUNT), "us-east-1"))
    data = b"" if body is None else json.dumps(body).encode()
    try:
        answer = client.request(
            method, path, query=query, body=data, content_type="application/json", accept=range(400, 500)
        )
    finally:
        client.close()
    return answer.status, json.loads(answer.body)


def test_a_registered_pipeline_keeps_its_budget(project: Path, server: ApiServer) -> None:
    assert call(project, server, "register", "p.py:held").returncode == 0
    status, begun = ask(server, "POST", "/pipelines/held/runs", {}, wait=5)
    assert status in (200, 202)
    shown = json.loads(call(project, server, "show", begun["run_id"], "--json").stdout)
    assert shown["attributes"]["budget"] == "0.0000001" and shown["status"] == "PAUSED"
    again = call(project, server, "resume", begun["run_id"], "--budget", "5 USD", "--json")
    assert again.returncode == 0 and json.loads(again.stdout)["output"] == 3, again.stderr


@pytest.mark.parametrize("said", ["lots", "-1", "0", "5" * 40 + "x", "1e3", "", "NaN", "1/0", "9" * 900])
def test_a_budget_that_is_none_is_refused_and_the_server_lives(project: Path, server: ApiServer, said: str) -> None:
    start = {
        "pipeline": "p",
        "document": {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}},
        "input": {},
        "attributes": {"budget": said},
    }
    status, answer = ask(server, "POST", "/v1/runs", start)
    assert status == 400, answer
    assert call(project, server, "run", "pass.asl.json").returncode == 0


def test_a_budget_in_words_is_an_amount(project: Path, server: ApiServer) -> None:
    start = {
        "pipeline": "p",
        "document": {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}},
        "input": {},
        "attributes": {"budget": " $5 "},
    }
    status, answer = ask(server, "POST", "/v1/runs", start)
    assert status in (200, 201, 202) and answer["attributes"]["budget"] == "5", answer
