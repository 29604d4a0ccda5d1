"""What errors say."""

from __future__ import annotations

import json

from skylift.errors import RunFailed, message_of


def test_a_failed_run_says_the_message_not_the_json() -> None:
    cause = json.dumps({"errorType": "ValueError", "errorMessage": "rate 7 diverges", "stackTrace": []})
    failure = RunFailed("abc", "FAILED", "ValueError", cause)
    assert str(failure) == "run abc FAILED: ValueError: rate 7 diverges"
    assert failure.cause == cause
    assert "skylift show abc" in str(failure.hint)


def test_a_failed_run_without_a_cause() -> None:
    assert str(RunFailed("abc", "ABORTED", None, None)) == "run abc ABORTED: no cause given"


def test_message_of_takes_any_cause() -> None:
    assert message_of(None) == ""
    assert message_of("plain") == "plain"
    assert message_of('{"other": 1}') == '{"other": 1}'
    assert message_of("{broken") == "{broken"
