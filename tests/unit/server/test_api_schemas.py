"""JSON Schemas of parameters: what fits, what is refused, which schemas are taken. The reference is jsonschema-rs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skylift.server.api.schemas import DEEPEST, SchemaInvalid, check_schema, misfit

NUMBER = {"type": "number"}
POINT = {
    "type": "object",
    "properties": {"x": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}}},
    "required": ["x"],
    "additionalProperties": False,
}
TREE = {"$ref": "#/$defs/Tree", "$defs": {"Tree": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}}}

CASES: list[tuple[dict[str, Any], Any, str | None]] = [
    ({}, object, None),
    ({"type": "integer"}, 3, None),
    ({"type": "integer"}, 3.0, None),
    ({"type": "integer"}, True, "the input must be of type integer, not True"),
    ({"type": "integer"}, "3", "the input must be of type integer, not '3'"),
    (NUMBER, 1, None),
    ({"type": "null"}, None, None),
    ({"enum": [1, "a"]}, "a", None),
    ({"enum": [1, "a"]}, True, "the input must be one of 1, 'a', not True"),
    ({"const": 1}, 2, "the input must be 1, not 2"),
    ({"anyOf": [NUMBER, {"type": "null"}]}, None, None),
    ({"anyOf": [NUMBER, {"type": "null"}]}, "x", "the input must be of type number, not 'x'"),
    ({"oneOf": [NUMBER, {"type": "integer"}]}, 1, "the input fits several alternatives"),
    ({"allOf": [NUMBER, {"minimum": 2}]}, 1, "the input is 1: minimum is 2"),
    ({"exclusiveMaximum": 2}, 2, "the input is 2: exclusiveMaximum is 2"),
    ({"minLength": 2}, "a", "the input has 1 length: 2 to any are allowed"),
    ({"maxItems": 1}, [1, 2], "the input has 2 items: 0 to 1 are allowed"),
    (POINT, {"x": 1, "tags": ["a"]}, None),
    (POINT, {"tags": []}, "x is missing"),
    (POINT, {"x": 1, "y": 2}, "y is not expected here"),
    (POINT, {"x": 1, "tags": ["a", 1]}, "tags[1] must be of type string, not 1"),
    ({"prefixItems": [NUMBER], "items": False}, [1, 2], "[1] may not be there"),
    (TREE, [[], [[]]], None),
    (TREE, [[], [1]], "[1][0] must be of type array, not 1"),
]


@pytest.mark.parametrize(("schema", "value", "said"), CASES)
def test_what_fits(schema: dict[str, Any], value: Any, said: str | None) -> None:
    check_schema(schema, schema)
    assert misfit(schema, value, schema) == said


@pytest.mark.parametrize(
    "schema",
    [
        7,
        {"type": "float"},
        {"type": ["null", "string"]},
        {"$ref": "#/$defs/missing"},
        {"$ref": "http://example.org/schema"},
        {"patternProperties": {}},
        {"properties": []},
        {"anyOf": []},
        {"anyOf": {}},
        {"required": "x"},
        {"enum": []},
        {"minLength": -1},
        {"minimum": "0"},
        {"title": 1},
        {"items": [{}]},
    ],
)
def test_schemas_that_are_not_taken(schema: Any) -> None:
    with pytest.raises(SchemaInvalid):
        check_schema(schema, schema if isinstance(schema, dict) else {})


def test_depth_is_bounded() -> None:
    deep: dict[str, Any] = {}
    for _ in range(DEEPEST + 2):
        deep = {"items": deep}
    with pytest.raises(SchemaInvalid):
        check_schema(deep, deep)
    loop = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}
    check_schema(loop, loop)
    assert misfit(loop, 1, loop) == "the input may not be there"


values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["a", "bb"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
    max_leaves=6,
)
schemas = st.recursive(
    st.sampled_from(
        [
            {"type": "integer"},
            {"type": "string", "minLength": 2},
            {"enum": [None, 1, "a"]},
            {"type": "boolean"},
            {"minimum": 1},
            {},
        ]
    ),
    lambda inner: st.one_of(
        st.builds(lambda item: {"type": "array", "items": item}, inner),
        st.builds(lambda *parts: {"anyOf": list(parts)}, inner, inner),
        st.builds(lambda *parts: {"oneOf": list(parts)}, inner, inner),
        st.builds(lambda x: {"type": "object", "properties": {"x": x}, "required": ["x"]}, inner),
        st.builds(lambda x: {"properties": {"x": x}, "additionalProperties": False}, inner),
    ),
    max_leaves=5,
)


@given(schemas, values)
def test_it_agrees_with_the_reference(schema: dict[str, Any], value: Any) -> None:
    reference = pytest.importorskip("jsonschema_rs", reason="comes with schemathesis")
    check_schema(schema, schema)
    assert (misfit(schema, value, schema) is None) == reference.is_valid(schema, value)
