"""The API's description and its routes name the same operations; references lead somewhere."""

from __future__ import annotations

import re
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the server is an extra")

from skylift.server.api.openapi import component, document
from skylift.server.api.operations import OPERATIONS
from skylift.server.api.pipelines import PipelineState
from skylift.server.api.routes import TABLE

PIPELINE = PipelineState(
    name="größe 1",
    arn="arn:aws:states:us-east-1:123456789012:stateMachine:x",
    type="STANDARD",
    definition="0" * 64,
    created_ms=0,
    updated_ms=None,
    parameters={
        "type": "object",
        "properties": {"tree": {"$ref": "#/$defs/Tree"}},
        "required": ["tree"],
        "$defs": {"Tree": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}},
    },
    defaults={},
    result={},
    description="",
    url="/pipelines/x/runs",
)


def test_every_route_is_described_and_no_other() -> None:
    routed = {(method.lower(), path) for method, path, _, _ in TABLE}
    triggers = {operation for operation in OPERATIONS if operation[1].startswith("/v1/triggers")}
    assert routed - {("post", "/pipelines/{name}/runs")} == set(OPERATIONS) - triggers


def test_operations_have_names_of_their_own() -> None:
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(names) == len(set(names))


def test_every_reference_leads_somewhere() -> None:
    found = document([PIPELINE])
    references = list(_references(found))
    assert f"#/components/schemas/{component(PIPELINE.name)}.input/$defs/Tree" in references
    for reference in references:
        place: Any = found
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
        assert isinstance(place, dict)


def test_names_of_components_are_plain() -> None:
    names = document([PIPELINE])["components"]["schemas"]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in names)
    assert component("a b") != component("a_b")


def _references(node: Any) -> Any:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)
