"""Signed requests: what is accepted, and what those are told whose signature is not right."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from skylift import sigv4
from skylift.server.auth.keys import StoredKey
from skylift.server.auth.request import Head
from skylift.server.auth.signatures import KNOWN_S, KeyCache, KnownKey, verified
from skylift.server.caller import Caller, Role
from skylift.server.errors import ApiError

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
KEY = StoredKey(key_id="AKIAEXAMPLE", account="111122223333", role=Role.OPERATOR, created_ms=1, sealed=b"")
BODY = b'{"maxResults": 1}'
DIGEST = hashlib.sha256(BODY).hexdigest()


class Store:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.known: KnownKey | None = KnownKey(key=KEY, secret="secret")
        self.asked = 0
        self.now = 0.0

    async def load(self, key_id: str) -> KnownKey | None:
        self.asked += 1
        return self.known if key_id == KEY.key_id else None

    def cache(self) -> KeyCache:
        return KeyCache(self.load, lambda: self.now)


def signed(at: datetime = NOW, *, key_id: str = KEY.key_id, secret: str = "secret", **more: Any) -> dict[str, str]:
    """Headers of a signed request, by lower-case name."""
    headers = {"Host": "localhost:8083", "X-Amz-Target": "AWSStepFunctions.ListActivities", **more.pop("headers", {})}
    added = sigv4.sign(
        key_id=key_id, secret=secret, region=more.pop("region", "eu-west-1"), method="POST", path="/", headers=headers,
        digest=DIGEST, now=at, **more,
    )  # fmt: skip
    return {name.lower(): value for name, value in {**headers, **added}.items()}


def check(headers: dict[str, str], *, digest: str | None = DIGEST, cache: KeyCache | None = None) -> tuple[Caller, str]:
    head = Head(method="POST", path="/", query="", headers=list(headers.items()), by_name=headers)
    return asyncio.run(verified(head, digest, cache or Store().cache(), NOW))


def refusal(headers: dict[str, str], **more: Any) -> tuple[str, str]:
    with pytest.raises(ApiError) as told:
        check(headers, **more)
    assert told.value.status == 400
    return told.value.code, told.value.message


def test_who_has_signed_is_known() -> None:
    caller, claimed = check(signed())
    assert caller == Caller(account="111122223333", region="eu-west-1", role=Role.OPERATOR, key_id="AKIAEXAMPLE")
    assert claimed == DIGEST


@pytest.mark.parametrize("minutes", [-5, 0, 5])
def test_clocks_may_be_five_minutes_apart(minutes: int) -> None:
    assert check(signed(NOW + timedelta(minutes=minutes)))[0].account == "111122223333"


def test_an_old_signature_is_refused_in_the_services_words() -> None:
    assert refusal(signed(NOW - timedelta(minutes=5, seconds=1))) == (
        "InvalidSignatureException",
        "Signature expired: 20261121T115459Z is now earlier than 20261121T115500Z (20261121T120000Z - 5 min.)",
    )
    assert refusal(signed(NOW + timedelta(minutes=6))) == (
        "InvalidSignatureException",
        "Signature not yet current: 20261121T120600Z is still later than 20261121T120500Z (20261121T120000Z + 5 min.)",
    )


def test_an_unsigned_request_is_refused() -> None:
    headers = signed()
    del headers["authorization"]
    assert refusal(headers) == ("MissingAuthenticationTokenException", "Missing Authentication Token")


@pytest.mark.parametrize("authorization", ["Bearer x", "AWS4-HMAC-SHA256 Credential=a/b/c/d/e", "AWS4-HMAC-SHA256 "])
def test_half_a_signature_is_refused(authorization: str) -> None:
    assert refusal({**signed(), "authorization": authorization})[0] == "IncompleteSignatureException"


def test_the_date_is_needed() -> None:
    headers = signed()
    assert refusal({**headers, "x-amz-date": "yesterday"})[0] == "IncompleteSignatureException"
    del headers["x-amz-date"]
    assert refusal(headers)[0] == "IncompleteSignatureException"


def test_unknown_keys_wrong_secrets_and_sessions_are_refused() -> None:
    unknown = ("UnrecognizedClientException", "The security token included in the request is invalid.")
    assert refusal(signed(key_id="AKIAOTHER")) == unknown
    assert refusal(signed(key_id="../../x")) == unknown
    assert refusal(signed(headers={"X-Amz-Security-Token": "session"})) == unknown
    assert refusal(signed(secret="other"))[0] == "InvalidSignatureException"


def test_the_scope_must_be_right() -> None:
    assert "correct service: 'states'" in refusal(signed(service="sqs"))[1]
    assert "valid region" in refusal(signed(region="a b"))[1]
    headers = signed()
    headers["authorization"] = headers["authorization"].replace("/20261121/", "/20261120/")
    assert "'20261120' != '20261121'" in refusal(headers)[1]


@pytest.mark.parametrize("name", ["host", "x-amz-target", "x-amz-date"])
def test_what_counts_must_be_signed(name: str) -> None:
    """Else somebody on the way could change what is asked."""
    headers = signed()
    names = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    left = ";".join(one for one in names.split(";") if one != name)
    headers["authorization"] = headers["authorization"].replace(names, left)
    assert "must be a 'SignedHeader'" in refusal(headers)[1]


def test_a_header_that_comes_later_is_refused() -> None:
    assert "x-amz-extra" in refusal({**signed(), "x-amz-extra": "1"})[1]


def test_the_body_must_be_the_one_that_was_signed() -> None:
    other = hashlib.sha256(b"{}").hexdigest()
    assert "x-amz-content-sha256" in refusal(signed(), digest=other)[1]
    headers = signed()
    del headers["x-amz-content-sha256"]
    assert refusal(headers)[0] == "InvalidSignatureException"


def test_a_body_that_comes_later_has_a_digest_to_be_checked() -> None:
    assert check(signed(), digest=None)[1] == DIGEST


def test_keys_are_looked_up_once_a_second() -> None:
    store = Store()
    cache = store.cache()
    for _ in range(5):
        check(signed(), cache=cache)
    assert store.asked == 1
    store.known = None
    store.now += KNOWN_S * 0.9
    check(signed(), cache=cache)
    store.now += KNOWN_S * 0.2
    assert refusal(signed(), cache=cache)[0] == "UnrecognizedClientException"
    assert store.asked == 2
