"""Requests as they are read: types, constraints, the service's words; and that the constraints are the model's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from skylift.server.errors import ApiError
from skylift.server.stepfunctions.shapes import REQUESTS
from skylift.server.stepfunctions.wire import Items, Members, Number, Shape, Text, Truth, encode_error, read_request


def read(action: str, body: Any) -> dict[str, Any]:
    return read_request(body if isinstance(body, bytes) else json.dumps(body).encode(), REQUESTS[action])


def refused(action: str, body: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        read(action, body)
    return caught.value


class TestTypes:
    @pytest.mark.parametrize("body", [b"", b"{}", b'{"unknown": [1], "maxResults": null}'])
    def test_unknown_members_and_nulls_are_left_out(self, body: bytes) -> None:
        assert read("ListStateMachines", body) == {}

    @pytest.mark.parametrize("body", [b"{", b"[1]", b'"x"', b"\xff", b'{"a": "\\ud800"}', b"[" * 100_000, b"NaN", b"1"])
    def test_what_is_no_object_is_refused(self, body: bytes) -> None:
        assert refused("ListStateMachines", body).code == "SerializationException"

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ("1", "STRING_VALUE cannot be converted to Integer"),
            (True, "TRUE_VALUE cannot be converted to Integer"),
            (1.5, "DECIMAL_VALUE cannot be converted to Integer"),
            ([1], "Start of list found where not expected"),
            ({}, "Start of structure or map found where not expected."),
        ],
    )
    def test_numbers(self, value: Any, message: str) -> None:
        problem = refused("ListStateMachines", {"maxResults": value})
        assert (problem.code, problem.message) == ("SerializationException", message)

    def test_a_whole_number_may_be_written_with_a_point(self) -> None:
        assert read("ListStateMachines", b'{"maxResults": 5.0}') == {"maxResults": 5}

    def test_a_number_that_no_float_can_hold(self) -> None:
        body = b'{"mapRunArn": "a", "toleratedFailurePercentage": 1' + b"0" * 400 + b"}"
        assert refused("UpdateMapRun", body).code == "SerializationException"

    @pytest.mark.parametrize(("value", "kind"), [(1, "NUMBER_VALUE"), (False, "FALSE_VALUE"), (0.5, "DECIMAL_VALUE")])
    def test_texts(self, value: Any, kind: str) -> None:
        assert refused("DescribeActivity", {"activityArn": value}).message == f"{kind} cannot be converted to String"


class TestConstraints:
    def test_what_is_missing(self) -> None:
        problem = refused("CreateActivity", {})
        assert problem.message == (
            "1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not be null"
        )

    def test_all_are_listed(self) -> None:
        problem = refused("CreateStateMachine", {"name": "", "definition": "", "type": "X"})
        assert problem.code == "ValidationException"
        assert problem.message == (
            "4 validation errors detected: "
            "Value '' at 'name' failed to satisfy constraint: Member must have length greater than or equal to 1; "
            "Value at 'definition' failed to satisfy constraint: Member must have length greater than or equal to 1; "
            "Value null at 'roleArn' failed to satisfy constraint: Member must not be null; "
            "Value 'X' at 'type' failed to satisfy constraint: Member must satisfy enum value set: [STANDARD, EXPRESS]"
        )

    def test_inside_lists(self) -> None:
        tags = [{"key": "a"}, {"key": "k" * 129, "value": None}]
        problem = refused("TagResource", {"resourceArn": "a", "tags": tags})
        assert (
            "at 'tags.2.member.key' failed to satisfy constraint: Member must have length less than or equal to 128"
            in (problem.message)
        )

    def test_lists_are_quoted_as_the_service_does(self) -> None:
        entry = {"stateMachineVersionArn": "v", "weight": 1}
        problem = refused("CreateStateMachineAlias", {"name": "a", "routingConfiguration": [entry] * 3})
        shown = "RoutingConfigurationListItem(stateMachineVersionArn=v, weight=1)"
        assert problem.message == (
            f"1 validation error detected: Value '[{shown}, {shown}, {shown}]' at 'routingConfiguration' failed to "
            "satisfy constraint: Member must have length less than or equal to 2"
        )

    def test_length_counts_as_java_does(self) -> None:
        assert read("CreateActivity", {"name": "\U0001f600" * 40})
        assert "length less than or equal to 80" in refused("CreateActivity", {"name": "\U0001f600" * 41}).message

    @pytest.mark.parametrize("name", ["a\n", "a b", "1", "\u00e9"])
    def test_patterns_match_the_whole_text(self, name: str) -> None:
        entry = {"stateMachineVersionArn": "v", "weight": 100}
        problem = refused("CreateStateMachineAlias", {"name": name, "routingConfiguration": [entry]})
        assert (
            "Member must satisfy regular expression pattern: ^(?=.*[a-zA-Z_\\-\\.])[a-zA-Z0-9_\\-\\.]+$"
            in problem.message
        )

    def test_errors_have_type_and_message(self) -> None:
        problem = ApiError("ValidationException", "why", details={"reason": "MISSING_REQUIRED_PARAMETER"})
        assert json.loads(encode_error(problem)) == {
            "__type": "ValidationException",
            "message": "why",
            "reason": "MISSING_REQUIRED_PARAMETER",
        }


def test_the_constraints_are_those_of_the_service_model() -> None:
    loaders = pytest.importorskip("botocore.loaders", reason="boto3 is not installed")
    model = loaders.Loader().load_service_model("stepfunctions", "service-2")
    shapes = model["shapes"]
    assert set(REQUESTS) == set(model["operations"])
    for action, request in REQUESTS.items():
        _compare(request, model["operations"][action]["input"]["shape"], shapes)


def _compare(ours: Shape, name: str, shapes: dict[str, Any]) -> None:
    theirs = shapes[name]
    match ours:
        case Members():
            assert (ours.name, set(ours.of), set(ours.required)) == (
                name,
                set(theirs["members"]),
                set(theirs.get("required", ())),
            )
            for member, shape in ours.of.items():
                _compare(shape, theirs["members"][member]["shape"], shapes)
        case Items():
            assert (theirs["type"], ours.least, ours.most) == ("list", theirs.get("min"), theirs.get("max")), name
            _compare(ours.of, theirs["member"]["shape"], shapes)
        case Text():
            kept = (ours.least, ours.most, ours.pattern, list(ours.choices or []), ours.sensitive)
            keys = ("min", "max", "pattern")
            wanted = (*(theirs.get(key) for key in keys), theirs.get("enum", []), theirs.get("sensitive", False))
            assert (theirs["type"], *kept) == ("string", *wanted), name
        case Number():
            kinds = ("integer", "long") if ours.whole else ("float",)
            assert theirs["type"] in kinds, name
            assert (ours.least, ours.most) == (theirs.get("min"), theirs.get("max")), name
        case Truth():
            assert theirs["type"] == "boolean", name
