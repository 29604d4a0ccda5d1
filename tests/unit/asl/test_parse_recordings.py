"""Definitions that the real service accepted or refused, recorded; outside the project, so skipped where absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from skylift.asl.diagnostics import Diagnostic
from skylift.asl.parse import parse

RECORDINGS = Path(__file__).parents[4] / "shared" / "conformance"


def cases(name: str) -> list[dict[str, Any]]:
    file = RECORDINGS / name
    if not file.is_file():
        pytest.skip(f"no recordings at ../shared/conformance ({name})")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("name", ["cases.jsonl", "cases_services.jsonl"])
def test_what_the_service_accepted_has_no_error(name: str) -> None:
    for case in cases(name):
        parsed = parse(case["definition"], machine_type=case["machine_type"])
        assert parsed.errors == (), case["name"]
        assert parsed.document is not None


def test_validation_answers_agree() -> None:
    for case in cases("cases_validate.jsonl"):
        request, expected = case["request"], case["expected"]
        parsed = parse(request["definition"], machine_type=request["type"])
        assert ("FAIL" if parsed.errors else "OK") == expected["result"], case["name"]
        assert [as_the_service_says(found) for found in parsed.diagnostics] == expected["diagnostics"], case["name"]


def test_refused_definitions_are_refused_with_the_same_words() -> None:
    seen = 0
    for case in cases("cases_create_errors.jsonl"):
        for answer in case["expected"].values():
            message = answer.get("message", "") if isinstance(answer, dict) else ""
            if "Invalid State Machine Definition" in message:
                parsed = parse(case["request"]["definition"], machine_type=case["request"].get("type", "STANDARD"))
                words = ", ".join(
                    f"{found.service_code}: {found.service_message} at {found.service_location}"
                    for found in parsed.errors
                )
                assert message == f"Invalid State Machine Definition: '{words}'"
                seen += 1
    assert seen


def as_the_service_says(found: Diagnostic) -> dict[str, str]:
    words = {
        "code": found.service_code,
        "location": found.service_location,
        "message": found.service_message,
        "severity": found.severity,
    }
    return {name: text for name, text in words.items() if text is not None}
