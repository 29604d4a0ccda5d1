"""Few references to large values stand for more than there is memory: they are measured without being written out."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from skylift.asl.limits import SERVICE
from skylift.asl.parse import parse
from skylift.asl.sizes import size_of, too_large
from skylift.testing.virtual import VirtualRun

WIDE = "x" * 200_000
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_a_size_is_exact(value: Any) -> None:
    size = size_of(value)
    assert not too_large(value, size)
    assert too_large(value, size - 1)


def test_what_cannot_be_written_out_is_too_large() -> None:
    value: Any = ["x"]
    for _ in range(100):
        value = [value, {"a": value}]
    began = time.thread_time()
    assert too_large(value, 262_144)
    assert too_large([WIDE] * 1_000_000, 262_144)
    assert time.thread_time() - began < 2


def ended(states: dict[str, Any], given: Any, language: str = "JSONPath") -> VirtualRun:
    text = json.dumps({"StartAt": "A", "QueryLanguage": language, "States": states})
    parsed = parse(text)
    assert parsed.document is not None, parsed.errors
    began = time.thread_time()
    run = VirtualRun(parsed.document, {}, limits=SERVICE).run(given)
    assert time.thread_time() - began < 20
    return run


def test_a_template_of_many_references() -> None:
    template = {f"a{number}.$": "$" for number in range(5_000)}
    run = ended({"A": {"Type": "Pass", "Parameters": template, "End": True}}, WIDE)
    assert (run.status, run.error) == ("FAILED", "States.DataLimitExceeded")


def test_a_map_of_large_results() -> None:
    processor = {"StartAt": "B", "States": {"B": {"Type": "Pass", "Result": WIDE, "End": True}}}
    run = ended({"A": {"Type": "Map", "ItemProcessor": processor, "End": True}}, list(range(3_000)))
    assert (run.status, run.error) == ("FAILED", "States.DataLimitExceeded")


def test_a_variable_that_doubles() -> None:
    """One that no output shows: it would be kept with the run's state."""
    states = {
        "A": {"Type": "Pass", "Assign": {"a": "{% $states.input %}"}, "Next": "B"},
        "B": {"Type": "Pass", "Assign": {"a": "{% [[$a], [$a]] %}"}, "Output": 1, "Next": "C"},
        "C": {"Type": "Choice", "Choices": [{"Condition": "{% $states.input = 2 %}", "Next": "D"}], "Default": "B"},
        "D": {"Type": "Succeed"},
    }
    run = ended(states, "x" * 100, "JSONata")
    assert (run.status, run.error) == ("FAILED", "States.DataLimitExceeded")


def test_many_variables() -> None:
    states: dict[str, Any] = {
        "A": {"Type": "Pass", "Assign": {f"a{at}": "{% $states.input %}" for at in range(300)}, "End": True}
    }
    run = ended(states, WIDE, "JSONata")
    assert (run.status, run.error) == ("FAILED", "States.DataLimitExceeded")
    assert ended(states, "x", "JSONata").status == "SUCCEEDED"
    assert msgspec.json.encode(ended(states, "x", "JSONata").output) == b'"x"'


def test_patterns_of_paths_do_not_try_every_way() -> None:
    path = "$.l[?(@ =~ /(a+)+x/)]"
    run = ended({"A": {"Type": "Pass", "Parameters": {"a.$": path}, "End": True}}, {"l": ["a" * 40 + "!", "aax"]})
    assert run.output == {"a": ["aax"]}


def test_patterns_that_need_every_way_are_refused() -> None:
    for pattern in (r"(a|aa)+\1", "(?=a)b", "(?<!a)b", "(a", "a{1,9999}{1,9999}"):
        path = f"$.l[?(@ =~ /{pattern}/)]"
        states = {"A": {"Type": "Pass", "Parameters": {"a.$": path}, "End": True}}
        parsed = parse(json.dumps({"StartAt": "A", "States": states}))
        assert parsed.document is None, pattern
        assert parsed.errors[0].code == "INVALID_PATH"


def test_numbers_beyond_all_floats() -> None:
    template = {"a.$": "States.MathAdd($.n, $.n)"}
    run = ended({"A": {"Type": "Pass", "Parameters": template, "End": True}}, {"n": 10**400})
    assert "could not handle" not in str(run.cause)
