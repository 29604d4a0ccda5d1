"""JSON Schemas of a pipeline's parameters and result, from its annotations."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from skylift.sdk.definition import Definition

_REF = "#/$defs/{name}"


def input_schema(pipeline: Definition[..., Any]) -> dict[str, Any]:
    """An object of the parameters; those without a default are required. What an annotation says and JSON Schema
    cannot is left open.

    >>> from skylift import pipeline
    >>> @pipeline
    ... def add(x: int, y: int = 1) -> int:
    ...     return x + y
    >>> input_schema(add)["required"]
    ['x']
    """
    properties: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for parameter in pipeline.parameters:
        schema = _schema(parameter.annotation, definitions)
        properties[parameter.name] = {**schema, **({"description": parameter.help} if parameter.help else {})}
    found: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "required": [p.name for p in pipeline.parameters if p.default is msgspec.UNSET],
        "additionalProperties": False,
    }
    return {**found, "$defs": definitions} if definitions else found


def result_schema(pipeline: Definition[..., Any]) -> dict[str, Any]:
    """Of what the pipeline returns."""
    definitions: dict[str, Any] = {}
    found = _schema(pipeline.result_type, definitions)
    return {**found, "$defs": definitions} if definitions else found


def description(pipeline: Definition[..., Any]) -> str:
    """The docstring's first paragraph."""
    return inspect.cleandoc(pipeline.function.__doc__ or "").partition("\n\n")[0]


def _schema(annotation: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """Any JSON for classes that JSON Schema knows nothing of, which travel as tagged JSON or references."""
    if annotation is Any:
        return {}
    try:
        (schema,), components = msgspec.json.schema_components([annotation], ref_template=_REF)
    except (TypeError, NameError, RecursionError):
        return {}
    definitions.update(components)
    return schema
