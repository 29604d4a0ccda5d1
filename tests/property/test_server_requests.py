"""Whatever a request holds, the control plane answers it in the protocol's shape, and never with an error of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_process import HEAD, PASS, ROLE, Api, routing

from skylift.server.stepfunctions import activities, aliases, machines, tags, validation, versions
from skylift.server.stepfunctions.shapes import REQUESTS
from skylift.server.stepfunctions.wire import Items, Members, Number, Shape, Text, Truth
from skylift.stores.memory import MemoryJournal
from skylift.stores.memory_resources import MemoryResources

MODULES = (activities, aliases, machines, tags, validation, versions)
ACTIONS = sorted(name for module in MODULES for name in module.actions.by_name)
INTERESTING = [
    f"{HEAD}:stateMachine:m",
    f"{HEAD}:stateMachine:m:1",
    f"{HEAD}:stateMachine:m:live",
    f"{HEAD}:stateMachine:m/Label",
    f"{HEAD}:activity:a",
    f"{HEAD}:execution:m:x",
    "arn:aws:states:::",
    "arn:",
    PASS,
    PASS.replace('"A"', '"B"'),
    '{"StartAt": "A", "States": {"A": {"Type": "Map", "Iterator": 5}}}',
    "[" * 5000,
    ROLE,
    "INITIAL",
    "live",
    "m",
    "a",
    "n" * 81,
]


def values(shape: Shape) -> st.SearchStrategy[Any]:
    """Mostly of the right shape, so that requests come far."""
    match shape:
        case Members():
            required = {name: values(inner) for name, inner in shape.of.items() if name in shape.required}
            optional = {name: values(inner) for name, inner in shape.of.items() if name not in shape.required}
            return st.fixed_dictionaries(required, optional=optional)
        case Items():
            return st.lists(values(shape.of), max_size=3)
        case Text():
            chosen = st.sampled_from(list(shape.choices)) if shape.choices else st.sampled_from(INTERESTING)
            return chosen | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
        case Number():
            return st.sampled_from([0, 1, 50, 100, 1000]) | st.integers() | st.floats(allow_nan=False)
        case Truth():
            return st.booleans()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    journal = MemoryJournal()
    api = Api(SimpleNamespace(journal=journal, resources=MemoryResources(journal)))
    version = api("CreateStateMachine", name="m", definition=PASS, roleArn=ROLE, publish=True)["stateMachineVersionArn"]
    api("CreateStateMachineAlias", name="live", routingConfiguration=routing((version, 100)))
    api("CreateActivity", name="a")
    yield api
    api.close()


def check(api: Api, action: str, body: bytes) -> None:
    status, headers, answer = api.post(f"AWSStepFunctions.{action}", body)
    content = json.loads(answer)
    assert status in (200, 400), content
    assert headers["x-amzn-requestid"]
    if status == 400:
        assert content["__type"] == headers["x-amzn-errortype"]
        assert content["message"]


@pytest.mark.parametrize("action", ACTIONS)
def test_requests_of_nearly_the_right_shape(api: Api, action: str) -> None:
    @settings(max_examples=40, deadline=None)
    @given(values(REQUESTS[action]))
    def run(request: Any) -> None:
        check(api, action, json.dumps(request).encode("utf-8", "replace"))

    run()


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(ACTIONS), st.binary(max_size=30) | ANYTHING.map(lambda value: json.dumps(value).encode("utf-8")))
def test_bodies_of_any_kind(action: str, body: bytes) -> None:
    journal = MemoryJournal()
    api = Api(SimpleNamespace(journal=journal, resources=MemoryResources(journal)))
    check(api, action, body)
    api.close()


@settings(max_examples=60, deadline=None)
@given(action=st.sampled_from(ACTIONS), data=st.data())
def test_members_of_any_kind(action: str, data: st.DataObject) -> None:
    journal = MemoryJournal()
    api = Api(SimpleNamespace(journal=journal, resources=MemoryResources(journal)))
    request = {name: data.draw(ANYTHING) for name in REQUESTS[action].of}
    check(api, action, json.dumps(request).encode("utf-8"))
    api.close()


@pytest.mark.parametrize(
    "target", ["", "CreateStateMachine", "AWSStepFunctions.", "AWSStepFunctions.X", "DynamoDB.Get"]
)
def test_targets_that_are_not_there(api: Api, target: str) -> None:
    status, headers, answer = api.post(target, b"{}")
    assert (status, headers["x-amzn-errortype"]) == (400, "UnknownOperationException")
    assert json.loads(answer)["__type"] == "UnknownOperationException"
