"""What the services of AWS answer, by botocore's models: mocked results are compared with them.

A member that a model does not have is accepted, as the service does. Not known, and so not compared: results of
`.waitForTaskToken` (whatever the callback brings), of `.sync` integrations (a job's description in words of their own)
but for nested executions, of http:invoke and apigateway:invoke, of functions and activities.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

from skylift.asl.resources import Resource
from skylift.compute.services.catalogue import boto_name

_DESCRIBED = {"startExecution.sync": "describeExecution", "startExecution.sync:2": "describeExecution"}
"""Actions whose result is another one's."""

_loading = threading.Lock()
"""A session of botocore is not for several threads."""

_KINDS: dict[str, tuple[str, tuple[type, ...]]] = {
    "string": ("a string", (str,)),
    "character": ("a string", (str,)),
    "blob": ("a string", (str,)),
    "timestamp": ("a valid timestamp", (str,)),
    "boolean": ("a boolean", (bool,)),
    "integer": ("a number", (int,)),
    "long": ("a number", (int,)),
    "bigdecimal": ("a number", (int, float)),
    "float": ("a number", (int, float)),
    "double": ("a number", (int, float)),
    "list": ("an array", (list,)),
    "structure": ("an object", (dict,)),
    "map": ("an object", (dict,)),
}


class ServiceModels:
    """Implements `skylift.asl.inspection.request.ResultModels`. Thread-safe."""

    def problem(self, resource: Resource, result: Any, *, required: bool) -> str | None:
        shape = _result_shape(resource)
        return None if shape is None else _problem(shape, result, "", required)


def service_models() -> ServiceModels | None:
    """None where botocore, of the extra `aws`, is not installed."""
    return ServiceModels() if _session() is not None else None


@lru_cache(maxsize=1)
def _session() -> Any:
    try:
        import botocore.session
    except ImportError:
        return None
    return botocore.session.Session()


def _result_shape(resource: Resource) -> Any:
    """The shape of the action's answer, None where there is no model of it."""
    if resource.family != "Task" or resource.action.endswith(".waitForTaskToken"):
        return None
    action = _DESCRIBED.get(resource.action, resource.action) if resource.service == "states" else resource.action
    if "." in action:
        return None
    with _loading:
        return _output_shape(resource.service.removeprefix("aws-sdk:"), action)


@lru_cache(maxsize=256)
def _output_shape(service: str, action: str) -> Any:
    session = _session()
    name = boto_name("sfn" if service == "states" else service, session.get_available_services())
    if name is None:
        return None
    model = session.get_service_model(name)
    operation = next((known for known in model.operation_names if known.lower() == action.lower()), None)
    return None if operation is None else model.operation_model(operation).output_shape


def _problem(shape: Any, value: Any, path: str, required: bool) -> str | None:
    """The first thing wrong with the value, in the order of its members. None is accepted nowhere."""
    wanted, kinds = _KINDS[shape.type_name]
    if getattr(shape, "is_document_type", False):
        return None
    fits = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
    if not fits:
        return f"Field '{path}' must be {wanted}" if path else f"The result must be {wanted}"
    match shape.type_name:
        case "structure":
            return _structure_problem(shape, value, path, required)
        case "list":
            found = (_problem(shape.member, item, f"{path}[{at}]", required) for at, item in enumerate(value))
            return next(filter(None, found), None) or _range_problem(shape, len(value), "length", path)
        case "map":
            found = (_problem(shape.value, item, _inner(path, key), required) for key, item in value.items())
            return next(filter(None, found), None)
        case "string":
            return _range_problem(shape, len(value), "length", path)
        case "integer" | "long" | "float" | "double":
            return _range_problem(shape, value, "value", path)
        case _:
            return None


def _structure_problem(shape: Any, value: dict[str, Any], path: str, required: bool) -> str | None:
    """Step Functions writes all members with a capital; some services' models do not."""
    members = {_capital(name): member for name, member in shape.members.items()}
    if required:
        absent = next((name for name in map(_capital, shape.required_members) if name not in value), None)
        if absent is not None:
            return f"Required field '{_inner(path, absent)}' is missing"
    found = (
        _problem(members[name], item, _inner(path, name), required) for name, item in value.items() if name in members
    )
    return next(filter(None, found), None)


def _range_problem(shape: Any, size: float, what: str, path: str) -> str | None:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least:
        return f"Field '{path}' must have a {what} of at least {least}"
    if most is not None and size > most:
        return f"Field '{path}' must have a {what} of at most {most}"
    return None


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def _inner(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
