"""A state's Parameters or Arguments as the request of a service: names by its model, text where objects stand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from skylift.compute.services.dialect import uncapitalized
from skylift.compute.services.failure import not_startable

if TYPE_CHECKING:
    from botocore.model import OperationModel, Shape

_JSON_TEXT = {"body", "detail", "input", "message", "messagebody", "output", "payload"}
"""Members whose text is JSON as a rule: any value is written out there. Elsewhere only objects and arrays are."""


class Request:
    """Builds one request; collects what is wrong with it."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.missing: list[str] = []

    def build(self, shape: Shape | None, value: Any, name: str = "Parameters") -> Any:
        kind = "structure" if shape is None else shape.type_name
        if shape is not None and getattr(shape, "is_document_type", False):
            return value
        return getattr(self, f"_{kind}", self._as_is)(shape, value, name)

    def require(self, shape: Any, value: Any, path: str = "") -> None:
        """Note the required members that are not there, deep inside too, as the services name them."""
        if shape is None:
            return
        kind = shape.type_name
        if kind == "structure" and isinstance(value, dict):
            for name in shape.required_members:
                if name not in value:
                    self.missing.append(f"{path}{uncapitalized(name)}")
            for name, part in value.items():
                self.require(shape.members[name], part, f"{path}{uncapitalized(name)}.")
        elif kind == "list":
            for number, part in enumerate(value, start=1):
                self.require(shape.member, part, f"{path}{number}.member.")
        elif kind == "map":
            for key, part in value.items():
                self.require(shape.value, part, f"{path}{key}.member.")

    def _structure(self, shape: Any, value: Any, name: str) -> Any:
        if not isinstance(value, dict):
            return self._wrong(name, "an OBJECT")
        members = shape.members if shape is not None else {}
        by_name = {member.lower(): member for member in members}
        built = {}
        for key, part in value.items():
            member = key if key in members else by_name.get(key.lower())
            if member is None:
                self.problems.append(f'The field "{key}" is not supported by Step Functions')
            elif part is not None:
                built[member] = self.build(members[member], part, key)
        return built

    def _list(self, shape: Any, value: Any, name: str) -> Any:
        if not isinstance(value, list):
            return self._wrong(name, "an ARRAY")
        return [self.build(shape.member, part, name) for part in value]

    def _map(self, shape: Any, value: Any, name: str) -> Any:
        if not isinstance(value, dict):
            return self._wrong(name, "an OBJECT")
        return {key: self.build(shape.value, part, key) for key, part in value.items() if part is not None}

    def _string(self, shape: Any, value: Any, name: str) -> Any:
        if isinstance(value, str):
            return value
        if isinstance(value, (dict, list)) or name.lower() in _JSON_TEXT:
            return json_text(value)
        return self._wrong(name, "a STRING")

    def _blob(self, shape: Any, value: Any, name: str) -> bytes:
        """Text as it is, but the body of an S3 object is always JSON: a text stands there in quotes."""
        as_is = isinstance(value, str) and not shape.serialization.get("streaming")
        return (value if as_is else json_text(value)).encode()

    def _integer(self, shape: Any, value: Any, name: str) -> Any:
        if isinstance(value, bool) or not (isinstance(value, int) or (isinstance(value, float) and value.is_integer())):
            return self._wrong(name, "an INTEGER")
        return int(value)

    _long = _integer

    def _double(self, shape: Any, value: Any, name: str) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return self._wrong(name, "a NUMBER")
        return value

    _float = _double

    def _boolean(self, shape: Any, value: Any, name: str) -> Any:
        return value if isinstance(value, bool) else self._wrong(name, "a BOOLEAN")

    def _timestamp(self, shape: Any, value: Any, name: str) -> Any:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            return self._wrong(name, "a TIMESTAMP")
        return value

    def _as_is(self, shape: Any, value: Any, name: str) -> Any:
        return value

    def _wrong(self, name: str, kind: str) -> None:
        self.problems.append(f"The value for the field '{name}' must be {kind}")


def build_request(operation: OperationModel, arguments: Any, token: str) -> tuple[dict[str, Any], list[str]]:
    """The request, and the required members it lacks. Raises ServiceFailure for what can be no request at all.

    Members that make a request idempotent are filled from the attempt's token, so that an attempt given
    twice acts once.
    """
    request = Request()
    given = {} if arguments is None else arguments
    built = request.build(operation.input_shape, given)
    if request.problems:
        raise not_startable(json_text(given), request.problems)
    for name in operation.idempotent_members:
        built.setdefault(name, token)
    request.require(operation.input_shape, built)
    return built, request.missing


def missing_message(missing: list[str]) -> str:
    """What a service says of a request without required members."""
    said = "; ".join(
        f"Value null at '{name}' failed to satisfy constraint: Member must not be null" for name in missing
    )
    count = len(missing)
    return f"{count} validation error{'s' if count > 1 else ''} detected: {said}"


def json_text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
