"""Authentication is off on loopback: web pages, other names for this machine and proxies' clients stay outside."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="the server is an extra")

from tenants import MINE, Tenant, issue, raw

from skylift.config import ServerSettings
from skylift.server.auth.keys import Keys
from skylift.server.auth.sealing import open_sealer
from skylift.server.listening import ListenError, check_exposure, is_only_loopback
from skylift.stores.open import open_store
from skylift.testing.server import running_server

JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_server(tmp_path_factory.mktemp("unsigned")) as server:
        yield server.url


ASKED = (("GET", "/v1/runs", b""), ("POST", "/", b"{}"), ("GET", "/metrics", b""), ("PUT", "/v1/triggers/x", b"{}"))


def test_programs_of_this_machine_are_answered(url: str) -> None:
    port = url.rpartition(":")[2]
    for host in ("localhost", "127.0.0.1", f"127.0.0.1:{port}", "LOCALHOST.", "[::1]", f"sync-localhost:{port}"):
        assert raw(url, "GET", "/v1/runs", b"", {"host": host}).status == 200, host


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8083",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1.nip.io",
        "evil.example:127.0.0.1",
        "evil.example@127.0.0.1",
        "127.0.0.1@evil.example",
        "0.0.0.0",
        "[::]",
        "[::ffff:8.8.8.8]",
        "[::1].evil.example",
        "192.168.1.2",
        "2130706433",
        "0x7f000001",
        "",
        "localhost, evil.example",
    ],
)
def test_names_that_a_page_of_others_can_have(url: str, host: str) -> None:
    """DNS rebinding: the name in the Host header is the one that the browser believes in."""
    for method, path, body in ASKED:
        answer = raw(url, method, path, body, {"host": host, **JSON})
        assert answer.status in (400, 401, 403), (method, path, answer.status, answer.body)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "same-origin"},
        {"x-forwarded-for": "203.0.113.9"},
        {"forwarded": "for=203.0.113.9"},
        {"via": "1.1 proxy"},
        {"x-real-ip": "203.0.113.9"},
    ],
)
def test_pages_and_proxies(url: str, headers: dict[str, str]) -> None:
    for method, path, body in ASKED:
        answer = raw(url, method, path, body, {**JSON, **headers})
        assert answer.status in (401, 403), (method, path, answer.status, answer.body)


@pytest.mark.parametrize(
    "kind", ["text/plain", "TEXT/PLAIN; charset=utf-8", "application/x-www-form-urlencoded", "multipart/form-data; x=y"]
)
def test_forms(url: str, kind: str) -> None:
    """What a page may send without being asked for leave, from browsers that name no origin."""
    for method, path in (("POST", "/"), ("POST", "/v1/runs"), ("POST", "/pipelines/p/runs"), ("PUT", "/v1/triggers/t")):
        answer = raw(
            url, method, path, b"{}", {"content-type": kind, "x-amz-target": "AWSStepFunctions.ListActivities"}
        )
        assert answer.status == 403, (method, path, answer.body)


def test_nobody_is_given_leave(url: str) -> None:
    """CORS: a preflight is refused, and no answer lets a page read it."""
    asks = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    for path in ("/", "/v1/runs", "/health/live", "/metrics"):
        answer = raw(url, "OPTIONS", path, b"", asks)
        assert answer.status >= 400
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    live = raw(url, "GET", "/health/live", b"", {"origin": "https://evil.example"})
    assert not [name for name in live.headers if name.lower().startswith("access-control")]


def test_from_the_first_key_on_and_after_the_last(tmp_path: Path) -> None:
    """`auto`: closed within a second of the first key, and not open again once the last one is revoked."""
    with running_server(tmp_path) as server:
        assert raw(server.url, "GET", "/v1/runs").status == 200
        key = issue(tmp_path, MINE)
        issued = asked = time.monotonic()
        while raw(server.url, "GET", "/v1/runs").status == 200:
            assert asked - issued < 1.5, "unsigned requests are still answered"
            time.sleep(0.05)
            asked = time.monotonic()
        assert Tenant(server.url, key).api("GET", "/v1/runs").status == 200
        store = open_store(None, home=tmp_path)
        Keys(store.resources, lambda: open_sealer(tmp_path)).revoke(key.key_id)
        store.close()
        time.sleep(1.2)
        assert raw(server.url, "GET", "/v1/runs").status == 401
        assert raw(server.url, "GET", "/metrics").status == 401


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "::ffff:0.0.0.0"])
def test_other_machines_need_keys(host: str) -> None:
    try:
        assert not is_only_loopback(host)
    except ListenError:
        return
    for auth in ("auto", "off", "required"):
        with pytest.raises(ListenError):
            check_exposure(ServerSettings(host=host, auth=auth), any_key=False)
    with pytest.raises(ListenError):
        check_exposure(ServerSettings(host=host, auth="off"), any_key=True)
    assert check_exposure(ServerSettings(host=host), any_key=True)
