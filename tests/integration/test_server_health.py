"""Health: what a balancer and a supervisor are told."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import requests

pytest.importorskip("uvicorn")
from skylift.errors import InternalError, JournalUnavailable
from skylift.server import health, serve
from skylift.testing.server import running_server


def test_a_store_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "KEPT_S", 0)
    with running_server(tmp_path) as server:
        assert requests.get(server.url + "/health/ready").status_code == 200

        def fail(*_: object, **__: object) -> None:
            raise JournalUnavailable("no space left")

        monkeypatch.setattr(server._runtime.resources, "put", fail)
        answer = requests.get(server.url + "/health/ready")
        assert (answer.status_code, answer.json()["reason"]) == (
            503,
            "the store cannot be written: JOURNAL-UNAVAILABLE",
        )
        assert requests.get(server.url + "/health/live").status_code == 200


def test_a_server_whose_engine_has_died_says_so_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "GUARD_S", 1.0)

    def fail(_inputs: object) -> None:
        raise RuntimeError("broken")

    answers: list[int] = []

    def ask_until_it_has_gone() -> None:
        with running_server(tmp_path) as server:
            monkeypatch.setattr(server._runtime.engine.engine, "turn", fail)
            for _ in range(1_200):
                try:
                    answers.append(requests.get(server.url + "/health/live").status_code)
                except requests.ConnectionError:
                    return
                time.sleep(0.05)

    with pytest.raises(InternalError, match="broken"):
        ask_until_it_has_gone()
    assert 503 in answers
    assert len(answers) < 1_200


def test_an_ending_server_is_not_ready(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        server._context.draining.set()
        answer = requests.get(server.url + "/health/ready")
        assert (answer.status_code, answer.json()["reason"]) == (503, "the server is ending")
        assert requests.get(server.url + "/health/live").status_code == 200


def test_other_paths_and_methods(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        for path in ("/", "/nope", "/v1/nope"):
            refused = requests.get(server.url + path)
            assert (refused.status_code, refused.json()["error"]["message"]) == (404, f"there is no GET {path}")
        refused = requests.delete(server.url + "/v1/runs")
        assert (refused.status_code, refused.json()["error"]["code"]) == (405, "REQUEST")
        assert "GET" in refused.headers["Allow"]
        assert requests.post(server.url + "/health/live").status_code == 405
        unknown = requests.post(server.url, b"{}", headers={"X-Amz-Target": "Other.Action"})
        assert unknown.json()["__type"] == "UnknownOperationException"
        deep = b'{"stateMachineArn":' + b"[" * 1_000 + b"]" * 1_000 + b"}"
        headers = {"X-Amz-Target": "AWSStepFunctions.DescribeStateMachine"}
        refused = requests.post(server.url, deep, headers=headers)
        assert (refused.status_code, refused.json()["__type"]) == (400, "SerializationException")
        long = requests.post(server.url, b" " * 1_048_577, headers=headers)
        assert (long.status_code, long.json()["__type"]) == (413, "RequestEntityTooLargeException")
