"""JSON Schemas of pipelines' parameters: which ones are taken, and whether a value fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

DEEPEST = 100
_TYPES: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
}
_SCHEMAS = ("items", "additionalProperties", "propertyNames")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_TABLES = ("properties", "$defs")
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_TEXTS = ("title", "description", "format", "pattern", "$comment", "contentEncoding")
_FREE = ("default", "const", "examples", "deprecated", "discriminator", "uniqueItems")
REF = "#/$defs/"


class SchemaInvalid(ValueError):
    """A schema that cannot be used."""


def check_schema(schema: Any, root: Mapping[str, Any], depth: int = 0) -> None:
    """Raises SchemaInvalid for what is no JSON Schema, or uses more of it than is checked here."""
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict) or depth > DEEPEST:
        raise SchemaInvalid(f"a schema is an object, not {str(schema)[:60]!r}, and not nested more than {DEEPEST} deep")
    for key, value in schema.items():
        if not _sound(key, value, root, depth):
            raise SchemaInvalid(f"{key}: {str(value)[:60]!r} cannot stand there")


def _sound(key: str, value: Any, root: Mapping[str, Any], depth: int) -> bool:
    if key in _SCHEMAS:
        check_schema(value, root, depth + 1)
        return True
    if key in _LISTS or key in _TABLES:
        parts = value.values() if isinstance(value, dict) and key in _TABLES else value
        if not isinstance(value, dict if key in _TABLES else list) or (key in _LISTS and not value):
            return False
        for part in parts:
            check_schema(part, root, depth + 1)
        return True
    return _plainly_sound(key, value, root)


def _plainly_sound(key: str, value: Any, root: Mapping[str, Any]) -> bool:
    if key == "$ref":
        return isinstance(value, str) and value.startswith(REF) and value[len(REF) :] in root.get("$defs", {})
    if key == "type":
        return isinstance(value, str) and value in _TYPES
    if key == "required":
        return isinstance(value, list) and all(isinstance(name, str) for name in value)
    if key == "enum":
        return isinstance(value, list) and bool(value)
    if key in _COUNTS:
        return type(value) is int and value >= 0
    if key in _NUMBERS:
        return type(value) in (int, float)
    return key in _FREE or (key in _TEXTS and isinstance(value, str))


def misfit(schema: Any, value: Any, root: Mapping[str, Any], where: str = "", depth: int = 0) -> str | None:
    """What is wrong with the value, and where; None if it fits. `pattern` and `format` are not looked at."""
    if schema is True or schema == {}:
        return None
    if schema is False or depth > DEEPEST:
        return f"{where or 'the input'} may not be there"
    if "$ref" in schema:
        return misfit(root["$defs"][schema["$ref"][len(REF) :]], value, root, where, depth + 1)
    for check in _CHECKS:
        found = check(schema, value, root, where, depth)
        if found is not None:
            return found
    return None


def _type(schema: dict[str, Any], value: Any, _r: Mapping[str, Any], where: str, _d: int) -> str | None:
    wanted = schema.get("type")
    if wanted is None:
        return None
    fits = isinstance(value, _TYPES[wanted]) and not (isinstance(value, bool) and wanted in ("integer", "number"))
    if fits or (wanted == "integer" and isinstance(value, float) and value.is_integer()):
        return None
    return f"{where or 'the input'} must be of type {wanted}, not {_shown(value)}"


def _choices(schema: dict[str, Any], value: Any, _r: Mapping[str, Any], where: str, _d: int) -> str | None:
    if "enum" in schema and not any(_same(one, value) for one in schema["enum"]):
        return f"{where or 'the input'} must be one of {', '.join(map(_shown, schema['enum']))}, not {_shown(value)}"
    if "const" in schema and not _same(schema["const"], value):
        return f"{where or 'the input'} must be {_shown(schema['const'])}, not {_shown(value)}"
    return None


def _alternatives(schema: dict[str, Any], value: Any, root: Mapping[str, Any], where: str, depth: int) -> str | None:
    for part in schema.get("allOf", ()):
        if (found := misfit(part, value, root, where, depth + 1)) is not None:
            return found
    for key in ("anyOf", "oneOf"):
        if key not in schema:
            continue
        misfits = [misfit(part, value, root, where, depth + 1) for part in schema[key]]
        fitting = misfits.count(None)
        if fitting == 0:
            return misfits[0]
        if key == "oneOf" and fitting > 1:
            return f"{where or 'the input'} fits several alternatives"
    return None


def _bounds(schema: dict[str, Any], value: Any, _r: Mapping[str, Any], where: str, _d: int) -> str | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        for key, outside in _LIMITS.items():
            if key in schema and outside(value, schema[key]):
                return f"{where or 'the input'} is {value}: {key} is {schema[key]}"
    for kind, name in ((str, "Length"), (list, "Items"), (dict, "Properties")):
        if isinstance(value, kind):
            least, most = schema.get(f"min{name}", 0), schema.get(f"max{name}")
            if len(value) < least or (most is not None and len(value) > most):
                return f"{where or 'the input'} has {len(value)} {name.lower()}: {least} to {most or 'any'} are allowed"
    return None


def _members(schema: dict[str, Any], value: Any, root: Mapping[str, Any], where: str, depth: int) -> str | None:
    if not isinstance(value, dict):
        return None
    for name in schema.get("required", ()):
        if name not in value:
            return f"{where}{'.' if where else ''}{name} is missing"
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name, member in value.items():
        place = f"{where}{'.' if where else ''}{name}"
        if name not in properties and others is False:
            return f"{place} is not expected here"
        if (found := misfit(properties.get(name, others), member, root, place, depth + 1)) is not None:
            return found
    return None


def _items(schema: dict[str, Any], value: Any, root: Mapping[str, Any], where: str, depth: int) -> str | None:
    if not isinstance(value, list):
        return None
    first, others = schema.get("prefixItems", []), schema.get("items", True)
    for index, item in enumerate(value):
        part = first[index] if index < len(first) else others
        if (found := misfit(part, item, root, f"{where}[{index}]", depth + 1)) is not None:
            return found
    return None


_CHECKS = (_type, _choices, _alternatives, _bounds, _members, _items)
_LIMITS: dict[str, Callable[[float, float], bool]] = {
    "minimum": lambda value, limit: value < limit,
    "maximum": lambda value, limit: value > limit,
    "exclusiveMinimum": lambda value, limit: value <= limit,
    "exclusiveMaximum": lambda value, limit: value >= limit,
}


def _same(one: Any, other: Any) -> bool:
    """As JSON sees it: true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
