"""Skylift's own API answers as its description says, whatever is asked; schemathesis does the asking."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from fuzz_server import LONGEST_S, Target, nothing_leaks, target
from hypothesis import HealthCheck, given, settings

pytest.importorskip("uvicorn", reason="the server's extra is not installed")
schemathesis = pytest.importorskip("schemathesis")
from schemathesis import checks  # noqa: E402  # only where it is installed
from schemathesis.specs.openapi import checks as openapi_checks  # noqa: E402

DOCUMENT = json.dumps(
    {"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Succeed"}}}, separators=(",", ":")
)
PARAMETERS = {
    "type": "object",
    "properties": {
        "count": {"type": "integer", "minimum": 0, "maximum": 10},
        "names": {"type": "array", "items": {"type": "string", "maxLength": 5}},
        "kind": {"enum": ["a", "b", None]},
    },
    "required": ["count"],
    "additionalProperties": False,
}
CHECKS = (
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
)


class Signed(requests.auth.AuthBase):
    """By a key, with AWS Signature V4."""

    def __init__(self, key: Any) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body if isinstance(request.body, bytes) else (request.body or "").encode()
        made = AWSRequest(request.method, request.url, data=body)
        made.headers["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest()
        SigV4Auth(Credentials(self._key.key_id, self._key.secret), "states", "us-east-1").add_auth(made)
        request.headers.update(dict(made.headers.items()))
        return request


def register(url: str, auth: Any) -> None:
    digest = hashlib.sha256(DOCUMENT.encode()).hexdigest()
    put = requests.put(f"{url}/v1/documents/{digest}", data=DOCUMENT.encode(), auth=auth, timeout=60)
    assert put.status_code == 201, put.text
    made = requests.put(
        f"{url}/v1/pipelines/orders", json={"definition": digest, "parameters": PARAMETERS}, auth=auth, timeout=60
    )
    assert made.status_code == 201, made.text
    started = requests.post(f"{url}/pipelines/orders/runs?wait=60", json={"count": 1}, auth=auth, timeout=90)
    assert (started.status_code, started.json()["status"]) == (200, "SUCCEEDED")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with target(tmp_path_factory.mktemp("open")) as server:
        register(server.url, None)
        yield server


def check_all(server: Target, auth: Any, examples: int) -> int:
    """Every operation of the description; how many requests that were."""
    description = requests.get(f"{server.url}/openapi.json", auth=auth, timeout=60).json()
    schema = schemathesis.openapi.from_dict(description)
    asked = 0
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            nonlocal asked
            asked += 1
            answer = case.call(base_url=server.url, auth=auth, timeout=LONGEST_S + 60, allow_redirects=False)
            case.validate_response(answer, checks=list(CHECKS))

        ask()
    return asked


def test_the_description_is_kept(server: Target) -> None:
    with nothing_leaks():
        assert check_all(server, None, 8) > 100
    server.healthy()


@pytest.mark.slow
def test_the_description_is_kept_at_length(server: Target) -> None:
    with nothing_leaks():
        assert check_all(server, None, 150) > 2_000
    server.healthy()


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_the_description_is_kept_for_signed_requests(tmp_path: Path, role: str) -> None:
    with target(tmp_path, requests_per_second=0.0) as server:
        register(server.url, Signed(server.key("111111111111")))
        key = server.key("111111111111", role)
        assert check_all(server, Signed(key), 3) > 40
        refused = requests.get(f"{server.url}/v1/runs", timeout=60)
        assert refused.status_code in (401, 403)
        server.healthy()


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics", "/openapi.json", "/v1/runs", "/", "/x"])
def test_methods_that_are_not_there(server: Target, path: str) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "POST"):
        answer = requests.request(method, server.url + path, timeout=60)
        assert answer.status_code < 500, (method, path)
        assert not urlsplit(answer.headers.get("location", "")).netloc
