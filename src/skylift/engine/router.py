"""Where a task goes, by its resource.

| resource | goes to |
|---|---|
| `arn:aws:states:::skylift:NAME` | task NAME of the run's table, on a backend |
| the same with `.waitForTaskToken` | the task runs, and the outcome comes by callback; NAME `approve` needs no worker |
| a Lambda function's ARN, `arn:aws:states:::lambda:invoke` | the table's handler of the function's name or ARN |
| `arn:aws:states:::states:startExecution`, `.sync`, `.sync:2`, `.waitForTaskToken` | a nested run |

What cannot be routed is refused with an error that Retry and Catch see and a cause that says what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from skylift.asl.commands import StartTask
from skylift.ports.compute import Backend, Requirements
from skylift.ports.journal import RunRecord
from skylift.ports.tasks import TaskSpec, TaskTable

APPROVE = "approve"
"""The task that no worker does: a person or another program calls back."""

_SKYLIFT = "arn:aws:states:::skylift:"
_LAMBDA = "arn:aws:states:::lambda:invoke"
_NESTED = "arn:aws:states:::states:startExecution"
_CALLBACK = ".waitForTaskToken"

NestedMode = Literal["fire", "sync", "sync:2", "callback", "express"]
"""`express` is startSyncExecution: the answer is that of the run's end, whatever it is."""


class WorkerRoute(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt on a backend."""

    spec: TaskSpec
    backend: str
    callback: bool = False
    """The worker's answer only submits; the outcome comes by callback."""
    payload: bool = False
    """`lambda:invoke`: the event stands in Payload, the result is wrapped."""


class CallbackRoute(msgspec.Struct, frozen=True):
    """Nobody works; the outcome comes by callback."""


class NestedRoute(msgspec.Struct, frozen=True):
    """A run of its own."""

    mode: NestedMode
    sdk: bool = False
    """Named as `aws-sdk:sfn`, which answers and fails in words of its own."""


class Refused(msgspec.Struct, frozen=True):
    """It cannot run, and why."""

    error: str
    cause: str


Route = WorkerRoute | CallbackRoute | NestedRoute | Refused

_SDK = "arn:aws:states:::aws-sdk:sfn:"
_NESTED_SDK = {
    "startExecution": NestedRoute("fire", sdk=True),
    f"startExecution{_CALLBACK}": NestedRoute("callback", sdk=True),
    "startSyncExecution": NestedRoute("express", sdk=True),
}

WAITS = CallbackRoute()
NO_TASKS = TaskTable(bundle=None, tasks={})
PLAIN = Requirements()


class Router:
    """Chooses; starts nothing. A run's placement is in its attributes: `on` for all its tasks, `on.NAME` for one."""

    def __init__(self, backends: Mapping[str, Backend], default: str | None = None) -> None:
        self._backends = backends
        self._default = default if default is not None else next(iter(backends), None)
        self._feasible: dict[tuple[str, bytes], bool] = {}

    def route(self, command: StartTask, record: RunRecord, table: TaskTable, known: dict[str, Route]) -> Route:
        """Where this attempt goes. `known` keeps the answers of one run that depend on the resource alone."""
        resource = command.resource
        route = known.get(resource)
        if route is not None:
            return route
        if resource.startswith(_LAMBDA):
            return self._invoke(command, record, table, known)
        route = known[resource] = self._by_resource(resource, record, table)
        return route

    def _by_resource(self, resource: str, record: RunRecord, table: TaskTable) -> Route:
        if resource.startswith(_SKYLIFT):
            name = resource[len(_SKYLIFT) :]
            callback = name.endswith(_CALLBACK)
            return self._task(name.removesuffix(_CALLBACK), callback, record, table)
        if resource.startswith(_NESTED) or resource.removeprefix(_SDK) in _NESTED_SDK:
            return _nested(resource)
        if ":function:" in resource:
            return self._function(resource, record, table)
        return Refused(
            "Skylift.UnknownResource",
            f"No worker is known for the resource {resource}. Skylift runs its own tasks, Lambda functions that "
            "[functions] in skylift.toml maps to Python, and nested runs.",
        )

    def _task(self, name: str, callback: bool, record: RunRecord, table: TaskTable) -> Route:
        spec = table.tasks.get(name)
        if callback and (name == APPROVE if spec is None else not spec.target):
            return WAITS
        if spec is None:
            names = ", ".join(sorted(table.tasks)) or "none"
            return Refused("Skylift.UnknownTask", f"The run's code has no task {name!r}; it has: {names}.")
        return self._worker(spec, record, callback=callback)

    def _function(self, arn: str, record: RunRecord, table: TaskTable) -> Route:
        spec = find_function(arn, table)
        return _no_function(arn) if spec is None else self._worker(spec, record)

    def _invoke(self, command: StartTask, record: RunRecord, table: TaskTable, known: dict[str, Route]) -> Route:
        arguments = command.arguments
        name = arguments.get("FunctionName") if isinstance(arguments, dict) else None
        if not isinstance(name, str):
            return Refused("States.Runtime", f"lambda:invoke needs FunctionName as text, not {name!r}.")
        key = f"{command.resource} {name}"
        route = known.get(key)
        if route is None:
            spec = find_function(name, table)
            callback = command.resource.endswith(_CALLBACK)
            route = known[key] = (
                _no_function(name) if spec is None else self._worker(spec, record, callback=callback, payload=True)
            )
        return route

    def _worker(self, spec: TaskSpec, record: RunRecord, *, callback: bool = False, payload: bool = False) -> Route:
        attributes = record.attributes
        name = attributes.get(f"on.{spec.name}") or attributes.get("on") or spec.on or self._default
        backend = self._backends.get(name) if name is not None else None
        if name is None or backend is None:
            have = ", ".join(sorted(self._backends)) or "none"
            return Refused("Skylift.NoBackend", f"Task {spec.name} wants backend {name!r}; there are: {have}.")
        if not self._can_run(name, backend, spec.requirements):
            return Refused(
                "Skylift.NoOffer",
                f"Backend {name} has no way to run task {spec.name}, which needs {_wanted(spec.requirements)}. "
                "Lower what the task asks for or choose another backend.",
            )
        return WorkerRoute(spec=spec, backend=name, callback=callback, payload=payload)

    def _can_run(self, name: str, backend: Backend, requirements: Requirements) -> bool:
        if requirements == PLAIN:
            return True
        key = (name, msgspec.json.encode(requirements))
        feasible = self._feasible.get(key)
        if feasible is None:
            feasible = self._feasible[key] = bool(backend.offers(requirements))
        return feasible


def find_function(name: str, table: TaskTable) -> TaskSpec | None:
    """The handler for a function name, partial ARN (`ACCOUNT:function:NAME`) or ARN, with or without a qualifier."""
    for candidate in _function_names(name):
        spec = table.tasks.get(candidate)
        if spec is not None:
            return spec
    plain = _plain_name(name)
    for key, spec in table.tasks.items():
        if spec.convention == "handler" and ":function:" in key and _plain_name(key) == plain and ":" not in name:
            return spec
    return None


def _function_names(name: str) -> list[str]:
    """From the most to the least exact."""
    names = [name]
    head, found, tail = name.rpartition(":function:")
    if found:
        function, _, qualifier = tail.partition(":")
        names += [f"{head}:function:{function}"]
        names += [f"{function}:{qualifier}", function] if qualifier else [function]
    elif ":" in name:
        names.append(name.partition(":")[0])
    return names


def _plain_name(name: str) -> str:
    return name.rpartition(":function:")[2].partition(":")[0]


def _nested(resource: str) -> Route:
    if resource.startswith(_SDK):
        return _NESTED_SDK[resource[len(_SDK) :]]
    modes: dict[str, NestedMode] = {"": "fire", ".sync": "sync", ".sync:2": "sync:2", _CALLBACK: "callback"}
    mode = modes.get(resource[len(_NESTED) :])
    if mode is None:
        return Refused("Skylift.UnknownResource", f"{resource} is no form of startExecution: use .sync or .sync:2.")
    return NestedRoute(mode)


def _no_function(name: str) -> Refused:
    return Refused(
        "Lambda.ResourceNotFoundException",
        f"Function not found: {name}. Map it to a handler under [functions] in skylift.toml: "
        f'{_plain_name(name)} = "module:function".',
    )


def _wanted(requirements: Requirements) -> str:
    fields = msgspec.to_builtins(requirements)
    return ", ".join(f"{key}={value}" for key, value in fields.items()) or "nothing special"


def limits_of(command: StartTask, spec: TaskSpec) -> Requirements:
    """The task's requirements with the time limits of the attempt: the shorter of both."""
    timeout = _shorter(command.timeout_ms, spec.requirements.timeout_ms)
    heartbeat = _shorter(command.heartbeat_ms, spec.requirements.heartbeat_ms)
    if timeout == spec.requirements.timeout_ms and heartbeat == spec.requirements.heartbeat_ms:
        return spec.requirements
    return msgspec.structs.replace(spec.requirements, timeout_ms=timeout, heartbeat_ms=heartbeat)


def _shorter(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)


def event_for_handler(route: WorkerRoute, arguments: Any) -> Any:
    """What the worker is given: the Payload of `lambda:invoke`, else the arguments."""
    if not route.payload:
        return arguments
    return arguments.get("Payload", {})


def wrap_result(route: WorkerRoute, output: Any) -> Any:
    """What the state sees of a worker's result."""
    if not route.payload:
        return output
    return {"ExecutedVersion": "$LATEST", "Payload": output, "StatusCode": 200}
