"""Without authentication: programs of this machine may ask, web pages may not."""

from __future__ import annotations

import pytest

from skylift.server.auth.request import Head
from skylift.server.auth.unsigned import anonymous, is_loopback
from skylift.server.caller import Caller, Role
from skylift.server.errors import ApiError


def head(method: str = "POST", **headers: str) -> Head:
    given = {"host": "localhost:8083", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Head(method=method, path="/", query="", headers=list(given.items()), by_name=given)


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.8.9.10", "::1", "[::1]", "LOCALHOST.", "sync-localhost"]
)
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "example.org", "10.0.0.1", "0.0.0.0", "localhost.example.org", "127.0.0.1.nip.io"]
)
def test_not_this_machine(host: str) -> None:
    assert not is_loopback(host)


def test_anybody_is_the_default_account_in_the_region_that_is_signed_for() -> None:
    assert anonymous(head()) == Caller(account="123456789012", region="us-east-1", role=Role.ADMIN, key_id=None)
    signed = "AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-3/states/aws4_request, SignedHeaders=host, Signature=0"
    assert anonymous(head(authorization=signed)).region == "eu-west-3"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:80", "[::1]:8083", "sync-localhost:8083"])
def test_names_of_this_machine_are_fine(host: str) -> None:
    assert anonymous(head(host=host)).account == "123456789012"


@pytest.mark.parametrize(
    "bad",
    [
        head(host="rebound.example.org:8083"),
        head(host=""),
        head(host="[fe80::1]:8083"),
        head(origin="https://example.org"),
        head(origin="null"),
        head("GET", origin="http://localhost:8083"),
        head(sec_fetch_site="cross-site"),
        head("GET", sec_fetch_site="same-site"),
        head(content_type="text/plain;charset=UTF-8"),
        head(content_type="application/x-www-form-urlencoded"),
        head(content_type="Multipart/Form-Data; boundary=x"),
    ],
    ids=lambda head: " ".join(f"{name}={value}" for name, value in head.headers)[:60],
)
def test_what_a_browser_may_have_sent_is_refused(bad: Head) -> None:
    with pytest.raises(ApiError) as told:
        anonymous(bad)
    assert told.value.status == 403
