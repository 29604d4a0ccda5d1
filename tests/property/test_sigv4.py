"""Signatures: what botocore signs is accepted, ours are botocore's, and nothing that was signed may be changed."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from skylift import sigv4

botocore_auth = pytest.importorskip("botocore.auth")
from botocore.awsrequest import AWSRequest  # noqa: E402
from botocore.credentials import Credentials  # noqa: E402

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
texts = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
paths = st.lists(st.text("abcXYZ019-._~%20:@", min_size=1, max_size=8), max_size=4).map(
    lambda parts: "/" + "/".join(parts)
)
queries = st.lists(st.tuples(st.text("abc12", min_size=1, max_size=4), st.text("xyz-._~", max_size=4)), max_size=4)


def signed_by_botocore(method: str, path: str, query: str, body: bytes, extra: dict[str, str]) -> AWSRequest:
    url = f"http://localhost:8083{path}" + (f"?{query}" if query else "")
    request = AWSRequest(method, url, {"X-Amz-Target": "AWSStepFunctions.ListActivities", **extra}, body)
    signer = botocore_auth.SigV4Auth(Credentials("AKIDEXAMPLE", SECRET), "states", "eu-west-1")
    signer.add_auth(request)
    return request


def verify(method: str, path: str, query: str, headers: list[tuple[str, str]], digest: str) -> bool:
    by_name = dict(headers)
    signed = sigv4.parse_authorization(by_name["authorization"])
    request = sigv4.Request(method=method, path=path, query=query, headers=headers, digest=digest)
    return sigv4.matches(sigv4.signing_key(SECRET, signed.scope), signed, by_name["x-amz-date"], request)


def wire_headers(request: AWSRequest) -> list[tuple[str, str]]:
    return [("host", "localhost:8083"), *((name.lower(), str(value)) for name, value in request.headers.items())]


@given(
    method=st.sampled_from(["GET", "POST", "PUT"]), path=paths, query=queries, body=st.binary(max_size=50), value=texts
)
def test_what_botocore_signs_is_accepted(
    method: str, path: str, query: list[tuple[str, str]], body: bytes, value: str
) -> None:
    assume(not {".", ".."} & set(path.split("/")) and "%" not in path)
    text = "&".join(f"{name}={given}" for name, given in query)
    request = signed_by_botocore(method, path, text, body, {"X-Amz-Meta": value})
    assert verify(method, path, text, wire_headers(request), hashlib.sha256(body).hexdigest())


@given(path=paths, query=queries, body=st.binary(max_size=50))
def test_what_we_sign_is_accepted(path: str, query: list[tuple[str, str]], body: bytes) -> None:
    text = "&".join(f"{name}={given}" for name, given in query)
    digest = hashlib.sha256(body).hexdigest()
    headers = {"Host": "localhost:8083", "Content-Type": "application/json"}
    added = sigv4.sign(
        key_id="AKIDEXAMPLE", secret=SECRET, region="eu-west-1", method="PUT", path=path, query=text,
        headers=headers, digest=digest, now=NOW,
    )  # fmt: skip
    sent = [(name.lower(), value) for name, value in {**headers, **added}.items()]
    assert verify("PUT", path, text, sent, digest)
    assert added["X-Amz-Date"] == "20261121T120000Z"


def test_our_signature_is_botocores() -> None:
    """The published example of the algorithm: its signature is known."""
    scope = sigv4.Scope("20150830", "us-east-1", "iam")
    headers = [
        ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
        ("host", "iam.amazonaws.com"),
        ("x-amz-date", "20150830T123600Z"),
    ]
    request = sigv4.Request(
        method="GET", path="/", query="Action=ListUsers&Version=2010-05-08", headers=headers, digest=sigv4.EMPTY_DIGEST
    )
    key = sigv4.signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", scope)
    assert key.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
    names = ["content-type", "host", "x-amz-date"]
    assert sigv4.signature(key, scope, "20150830T123600Z", request, names) == (
        "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    )


PARTS = ("method", "path", "query", "digest", "host", "x-amz-date", "x-amz-target", "signature", "region", "names")


@given(part=st.sampled_from(PARTS), at=st.integers(0, 1000), shift=st.integers(1, 9))
def test_nothing_that_was_signed_may_be_changed(part: str, at: int, shift: int) -> None:
    body = b'{"maxResults": 1}'
    request = signed_by_botocore("POST", "/v1/runs", "a=1&b=2", body, {"X-Amz-Meta": "m"})
    headers = dict(wire_headers(request))
    given = sigv4.Request(
        method="POST", path="/v1/runs", query="a=1&b=2", headers=[], digest=hashlib.sha256(body).hexdigest()
    )
    signed = sigv4.parse_authorization(headers["authorization"])

    def changed(text: str) -> str:
        spot = at % len(text)
        new = chr((ord(text[spot]) - 48 + shift) % 70 + 48)
        assume(new not in "/%.&=;, " and new != text[spot])
        return text[:spot] + new + text[spot + 1 :]

    date = headers["x-amz-date"]
    match part:
        case "method" | "query" | "digest":
            given = msgspec.structs.replace(given, **{part: changed(getattr(given, part))})
        case "path":
            given = msgspec.structs.replace(given, path="/" + changed(given.path[1:]))
        case "signature":
            signed = msgspec.structs.replace(signed, signature=changed(signed.signature))
        case "region":
            scope = sigv4.Scope(signed.scope.date, changed(signed.scope.region), "states")
            signed = msgspec.structs.replace(signed, scope=scope)
        case "names":
            signed = msgspec.structs.replace(signed, headers=signed.headers[:-1])
        case "x-amz-date":
            date = headers[part] = changed(date)
        case _:
            headers[part] = changed(headers[part])
    assume(sigv4.canonical_query(given.query) != "a=1&b=2" or part != "query")
    request_seen = msgspec.structs.replace(given, headers=list(headers.items()))
    assert not sigv4.matches(sigv4.signing_key(SECRET, signed.scope), signed, date, request_seen)


@given(st.text(max_size=60) | st.from_regex(r"AWS4-HMAC-SHA256 .*", fullmatch=True))
def test_no_header_breaks_the_parser(text: str) -> None:
    try:
        found = sigv4.parse_authorization(text)
    except sigv4.Incomplete as problem:
        assert str(problem)
    else:
        assert found.key_id
        assert found.signature


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Basic dXNlcg==", "Unsupported authorization type"),
        ("AWS4-HMAC-SHA256 Credential=a/b", "requires 'SignedHeaders' parameter"),
        ("AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=b", "exactly 5 slash-delimited elements"),
        ("AWS4-HMAC-SHA256 Credential", "not a valid key=value pair"),
    ],
)
def test_what_lacks_something_is_told(text: str, message: str) -> None:
    with pytest.raises(sigv4.Incomplete, match=message):
        sigv4.parse_authorization(text)


@pytest.mark.parametrize(
    "text", ["", "20261121", "2026-11-21T12:00:00Z", "20261399T120000Z", "\uff12026112\uff11T1200Z"]
)
def test_a_date_must_be_one(text: str) -> None:
    with pytest.raises(sigv4.Incomplete, match="ISO-8601"):
        sigv4.parse_date(text)


def test_the_region_is_found_without_a_right_signature() -> None:
    assert (
        sigv4.region_of("AWS4-HMAC-SHA256 Credential=test/20260101/eu-north-1/states/aws4_request, x") == "eu-north-1"
    )
    assert sigv4.region_of("Bearer x") is None


def test_paths_are_normal() -> None:
    for path, canonical in (("", "/"), ("//a//b/", "/a/b/"), ("/a/./../b", "/b"), ("/a%20b", "/a%2520b")):
        assert sigv4.canonical_path(path) == canonical
