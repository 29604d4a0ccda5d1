"""Every recorded machine that needs no other service: status, output, error, cause, events and their details."""

import pytest
from recorded import context_of, history_problems, input_of, outcome_problems, read_cases, type_problems

from skylift.asl.machine import Machine
from skylift.asl.parse import load
from skylift.testing.virtual import VirtualRun

CASES = read_cases("cases.jsonl")


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_recorded_case(case: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "reraise", True)
    document = load(case["definition"], machine_type=case["machine_type"])
    run = VirtualRun(document, context=context_of(case)).run(input_of(case))
    assert outcome_problems(case, run) + type_problems(case, run) + history_problems(case, run) == []
