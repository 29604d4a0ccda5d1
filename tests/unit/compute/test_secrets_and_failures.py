"""Masks, sources of secrets, causes."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from urllib.parse import quote

import pytest

from skylift import task
from skylift.compute.worker.attempt import MarshalError, _marshalled
from skylift.compute.worker.failure import failed, locals_lines
from skylift.compute.worker.log_lines import parse_line, stamp
from skylift.compute.worker.secrets import NO_MASK, Mask, SecretMissing, Secrets

VALUE = 'p"a\\ss/wörd\nsecond line'


@pytest.mark.parametrize(
    "text",
    [
        VALUE,
        json.dumps(VALUE),
        json.dumps(VALUE, ensure_ascii=False),
        repr(VALUE),
        quote(VALUE, safe=""),
        base64.b64encode(VALUE.encode()).decode(),
        "only the second line of it",
    ],
)
def test_all_forms_of_a_secret_are_masked(text: str) -> None:
    mask = Mask([VALUE])
    for masked in (mask(f"<{text}>"), mask.of_bytes(f"<{text}>".encode()).decode()):
        assert "***" in masked
        assert "second line" not in masked and "wörd" not in masked


def test_an_empty_secret_masks_nothing() -> None:
    assert Mask([""])("abc") == "abc"
    assert NO_MASK.longest == 0


def test_sources_are_tried_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "KEY").write_text("from file\n")
    monkeypatch.setenv("SKYLIFT_SECRETS_DIR", str(tmp_path))
    assert Secrets({}).find("KEY") == "from file"
    monkeypatch.setenv("KEY", "from env")
    assert Secrets({}).find("KEY") == "from env"
    assert Secrets({"KEY": "command:printf 'from command'"}).find("KEY") == "from command"
    assert Secrets({"OTHER": "env:KEY"}).find("OTHER") == "from env"


@pytest.mark.parametrize(
    "source", ["env:NOT_SET_ANYWHERE", "file:/no/such/file", "command:false", "vault:x", "command:/no"]
)
def test_a_missing_secret_says_where_it_was_looked_for(source: str) -> None:
    with pytest.raises(SecretMissing) as caught:
        Secrets({"KEY": source}).find("KEY")
    assert "KEY" in str(caught.value)


def test_a_cause_is_never_longer_than_the_language_allows() -> None:
    error = ValueError("\U0001f680" * 100_000)
    for _ in range(6):
        outer = RuntimeError("x" * 20_000)
        outer.__cause__ = error
        error = outer  # type: ignore[assignment]
    outcome = failed(error, NO_MASK)
    assert len(outcome.cause) <= 32_768
    assert json.loads(outcome.cause)["errorType"] == "RuntimeError"


def test_a_lone_surrogate_in_a_message_is_escaped() -> None:
    outcome = failed(ValueError("bad \ud800"), NO_MASK)
    assert outcome.cause.encode()
    assert "bad" in json.loads(outcome.cause)["errorMessage"]


def test_a_handlers_result_with_half_a_character_is_its_failure() -> None:
    """It can be in no history: the engine failed on the run, and an activity's worker ended."""
    with pytest.raises(MarshalError, match="surrogates not allowed"):
        _marshalled({"name": os.fsdecode(b"\xff")})
    assert _marshalled({"name": "\U0001f680", 1: (None,)}) == {"name": "\U0001f680", "1": [None]}


def test_log_lines_can_be_read_back() -> None:
    line = stamp("stderr").decode() + "a message  with spaces"
    found = parse_line(line + "\n")
    assert found is not None
    assert (found.stream, found.text) == ("stderr", "a message  with spaces")
    assert parse_line("something else") is None


def test_the_log_of_a_failure_begins_with_the_users_own_code() -> None:
    @task
    def broken() -> None:
        raise ValueError("mine")

    try:
        broken()
    except ValueError as error:
        error.__traceback__ = (
            error.__traceback__ and error.__traceback__.tb_next
        )  # as in a worker: no frame of the test
        lines = list(locals_lines(error, NO_MASK))
    assert [line.rpartition(", in ")[2] for line in lines if line.startswith("  File")] == ["broken"]
    assert not any("call_task" in line for line in lines)
