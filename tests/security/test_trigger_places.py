"""Triggers look at places with the server's own files and keys: what is allowed is what an administrator meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skylift.config import ServerSettings, ServiceSettings
from skylift.server.errors import ApiError
from skylift.server.triggers.allowed import check_allowed
from skylift.server.triggers.trigger import Files, Queue, Trigger


def check(source: Any, services: ServiceSettings | None = None, **settings: Any) -> None:
    trigger = Trigger(name="t", account="1" * 12, region="r", start="arn", source=source, created_ms=0)
    check_allowed(trigger, ServerSettings(**settings), services or ServiceSettings())


def refused(source: Any, services: ServiceSettings | None = None, **settings: Any) -> bool:
    try:
        check(source, services, **settings)
    except ApiError as problem:
        assert problem.status == 403
        return True
    return False


@pytest.mark.parametrize(
    "url",
    [
        "simplecache::/etc",
        "simplecache::file:///etc/*",
        "s3::file:///etc/*",
        "zip::file:///etc/x.zip",
        "file:/etc",
        "local:/etc",
        "local:///etc",
        "LOCAL:///etc",
        "FILE:///etc",
        "~/secrets",
        "~root/secrets",
        ".",
        "in/*.csv",
        "../../etc",
        "file://in",
        "file://localhost/etc",
        "{here}/zip::/etc",
        "{here}/../*.csv",
        "{here}/link/*.csv",
        "file://{here}/link",
        "{here}/a\u0000b",
    ],
)
def test_only_absolute_folders_inside_those_that_are_allowed(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server may itself have been started in an allowed folder: what is relative would lie there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("/etc")
    url = url.format(here=tmp_path)
    assert refused(Files(url=url), allow_paths=(str(tmp_path),), allow_services=("s3:*", "*"))
    check(Files(url=f"{tmp_path}/in/*.csv"), allow_paths=(str(tmp_path),))
    check(Files(url=f"file://{tmp_path}/in/*.csv"), allow_paths=(str(tmp_path),))


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest/", "https://x/", "ftp://x/", "memory://x", "git:///r"])
def test_schemes_that_are_no_object_stores_must_be_named(url: str) -> None:
    scheme = url.partition(":")[0]
    assert refused(Files(url=url), allow_services=("*",))
    assert refused(Files(url=url), allow_services=("s3:*",))
    check(Files(url=url), allow_services=(f"{scheme}:*",))


def test_object_stores_are_services() -> None:
    for url in ("s3://bucket/in/*.csv", "gs://bucket"):
        check(Files(url=url), allow_services=("*",))
    assert refused(Files(url="gs://bucket"), allow_services=("s3:*",))


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/1/q",
        "http://localhost:8080/1/q",
        "https://sqs.us-east-1.amazonaws.com.evil.example/1/q",
        "https://amazonaws.com.evil.example/1/q",
        "https://evil.example/1/q.amazonaws.com",
        "https://sqs.us-east-1.amazonaws.com@evil.example/1/q",
        "http://[::1]/1/q",
    ],
)
def test_a_queues_url_does_not_send_signed_requests_anywhere(url: str) -> None:
    assert refused(Queue(url=url), allow_services=("sqs:*",), allow_http=("*", "*.example"))
    check(Queue(url=url), ServiceSettings(endpoint_url="http://127.0.0.1:1"), allow_services=("sqs:*",))


def test_queues_that_are_allowed() -> None:
    check(Queue(url="https://sqs.us-east-1.amazonaws.com/1/q"), allow_services=("sqs:*",))
    check(Queue(url="https://sqs.cn-north-1.amazonaws.com.cn/1/q"), allow_services=("sqs:*",))
    check(Queue(url="http://elastic:9324/1/q"), allow_services=("sqs:*",), allow_http=("elastic",))
    assert refused(Queue(url="https://sqs.us-east-1.amazonaws.com/1/q"), allow_services=("sqs:sendMessage",))
