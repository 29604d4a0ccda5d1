"""Registered pipelines: state machines that anybody's HTTP client starts by name, with their parameters as JSON."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from skylift.asl.status import ENDED
from skylift.engine.names import arn_of, child_run_id, express_name, new_run_id, plain_name
from skylift.ports.journal import RunRecord
from skylift.ports.resources import ResourceChanged
from skylift.remote.wire import Registration
from skylift.server.api.answers import Refusal, json_response, not_found, read_json, seconds
from skylift.server.api.limits import REGISTRATION_BYTES, REQUEST_BYTES, check_name
from skylift.server.api.schemas import SchemaInvalid, check_schema, misfit
from skylift.server.api.services import Services
from skylift.server.api.starting import begin, check_references, checked_documents, role_arn
from skylift.server.caller import Caller
from skylift.server.errors import ApiError
from skylift.server.machines import Machines, StateMachine, Target
from skylift.server.names import own_machine_arn
from skylift.server.starts import start_of
from skylift.values.plain import plain

FACE = "pipeline"
"""Kind in the ResourceStore: what a registered pipeline takes and gives; the key is the state machine's ARN."""
SERVICE_INPUT_BYTES = 262_144
LONGEST_WAIT_S = 60.0
LIST_PAGE = 1_000


class Face(msgspec.Struct, frozen=True, kw_only=True):
    """What a pipeline takes and gives."""

    parameters: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    result: dict[str, Any] = {}
    description: str = ""


class PipelineState(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline or state machine as clients see it."""

    name: str
    arn: str
    type: str
    definition: str
    created_ms: int
    updated_ms: int | None
    parameters: dict[str, Any]
    defaults: dict[str, Any]
    result: dict[str, Any]
    description: str
    url: str
    """Where runs of it are started."""


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `POST /pipelines/NAME/runs`: at once, or with `wait` when the run has ended."""

    run_id: str
    name: str
    execution_arn: str
    status: str
    url: str
    """Where the run is looked at."""
    output: Any = None
    error: str | None = None
    cause: str | None = None


async def put_pipeline(services: Services, caller: Caller, request: Request) -> Response:
    """Register it, or replace what is registered; runs that go on keep what they were started with."""
    name = request.path_params["name"]
    check_name("pipeline", name)
    given: Registration = await read_json(request, Registration, REGISTRATION_BYTES)
    _check_face(given)
    machine, created = await services.context.blocking(_register, services, caller, name, given)
    face = Face(
        parameters=given.parameters, defaults=given.defaults, result=given.result, description=given.description
    )
    return json_response(pipeline_state(machine, face), 201 if created else 200)


def _check_face(given: Registration) -> None:
    for what, schema in (("parameters", given.parameters), ("result", given.result)):
        try:
            check_schema(schema, schema)
        except SchemaInvalid as problem:
            raise Refusal(400, "SCHEMA", f"{what}: {problem}") from None
    if given.parameters and given.parameters.get("type") != "object":
        raise Refusal(400, "SCHEMA", "parameters: the type must be object")


def _register(services: Services, caller: Caller, name: str, given: Registration) -> tuple[StateMachine, bool]:
    """The machine, and whether it is new."""
    definition, tasks = checked_documents(services, caller, given.definition, given.tasks)
    context, arn = services.context, own_machine_arn(caller, name)
    machines = Machines(context.resources)
    now_ms = context.now_ms()

    def edit(machine: StateMachine) -> StateMachine:
        return msgspec.structs.replace(
            machine,
            definition=definition,
            tasks=tasks,
            limits="local",
            type="STANDARD",
            updated_ms=now_ms,
            revision_id=new_run_id(),
        )

    machine = machines.change(arn, edit)
    created = machine is None
    if machine is None:
        machine = StateMachine(
            arn=arn,
            name=name,
            account=caller.account,
            region=caller.region,
            type="STANDARD",
            limits="local",
            definition=definition,
            tasks=tasks,
            role_arn=role_arn(caller.account),
            created_ms=now_ms,
        )
        with contextlib.suppress(ResourceChanged):
            machines.create(machine)
    face = Face(
        parameters=given.parameters, defaults=given.defaults, result=given.result, description=given.description
    )
    context.resources.put(FACE, arn, msgspec.json.encode(face))
    return machine, created


def pipeline_state(machine: StateMachine, face: Face) -> PipelineState:
    return PipelineState(
        name=machine.name,
        arn=machine.arn,
        type=machine.type,
        definition=machine.definition,
        created_ms=machine.created_ms,
        updated_ms=machine.updated_ms,
        parameters=face.parameters,
        defaults=face.defaults,
        result=face.result,
        description=face.description,
        url=f"/pipelines/{machine.name}/runs",
    )


def face_of(services: Services, arn: str) -> Face:
    """Of a machine that was not registered one that takes anything. Blocking."""
    stored = services.context.resources.get(FACE, arn)
    return Face() if stored is None else msgspec.json.decode(stored.body, type=Face)


def pipelines_of(services: Services, caller: Caller) -> list[PipelineState]:
    """All state machines of the caller's account and region, by name. Blocking."""
    machines, prefix = Machines(services.context.resources), own_machine_arn(caller, "")
    found: list[StateMachine] = []
    after = ""
    while page := machines.page(prefix, after=after, limit=LIST_PAGE):
        found += page
        after = page[-1].arn
        if len(page) < LIST_PAGE:
            break
    return [pipeline_state(machine, face_of(services, machine.arn)) for machine in found if machine.status == "ACTIVE"]


async def list_pipelines(services: Services, caller: Caller, request: Request) -> Response:
    return json_response({"pipelines": await services.context.blocking(pipelines_of, services, caller)})


async def get_pipeline(services: Services, caller: Caller, request: Request) -> Response:
    target = await services.context.blocking(_target, services, caller, request.path_params["name"])
    face = await services.context.blocking(face_of, services, target.machine.arn)
    return json_response(pipeline_state(target.machine, face))


async def delete_pipeline(services: Services, caller: Caller, request: Request) -> Response:
    """What it started goes on."""
    name = request.path_params["name"]
    arn = own_machine_arn(caller, name)
    if not await services.context.blocking(_forget, services, arn):
        raise not_found("pipeline", name)
    return Response(status_code=204)


def _forget(services: Services, arn: str) -> bool:
    there = Machines(services.context.resources).delete(arn)
    services.context.resources.delete(FACE, arn)
    return there


def _target(services: Services, caller: Caller, name: str) -> Target:
    """Of a name, also with `:VERSION` or `:ALIAS`."""
    try:
        target = Machines(services.context.resources).target(own_machine_arn(caller, name), caller)
    except ApiError:
        raise not_found("pipeline", name) from None
    if target.machine.status != "ACTIVE":
        raise not_found("pipeline", name)
    return target


async def post_pipeline_run(services: Services, caller: Caller, request: Request) -> Response:
    """Start a run with the body as input; with `?wait=SECONDS` the answer has the result if it is there by then."""
    wait_s = seconds(request, "wait", LONGEST_WAIT_S)
    key = request.headers.get("idempotency-key")
    if key is not None:
        check_name("Idempotency-Key", key)
    target = await services.context.blocking(_target, services, caller, request.path_params["name"])
    limit = SERVICE_INPUT_BYTES if target.machine.limits == "service" else REQUEST_BYTES
    given = await read_json(request, Any, limit) if _has_body(request) else {}
    record = await start_target(services, caller, target, given, name=key, attributes={"trigger": "http"})
    if wait_s:
        record = await services.ends.wait(record, wait_s)
    url = f"/v1/runs/{record.run_id}"
    done = wait_s is not None and record.status in ENDED
    return json_response(_started(record, url, done=done), 200 if done else 202, {"Location": url})


def _has_body(request: Request) -> bool:
    return request.headers.get("content-length") not in (None, "0") or "transfer-encoding" in request.headers


def _started(record: RunRecord, url: str, *, done: bool) -> Started:
    started = Started(
        run_id=record.run_id, name=plain_name(record), execution_arn=arn_of(record), status=record.status, url=url
    )
    if not done:
        return started
    return msgspec.structs.replace(started, output=plain(record.output), error=record.error, cause=record.cause)


async def start_target(
    services: Services,
    caller: Caller,
    target: Target,
    given: Any,
    *,
    name: str | None = None,
    attributes: dict[str, str] | None = None,
) -> RunRecord:
    """Start a run of a machine, version or alias: the input is checked against the pipeline's parameters, its defaults
    filled in. A name that was given before with the same input gives the same run."""
    machine = target.machine
    value = await services.context.blocking(_checked_input, services, caller, machine, given)
    run_id = new_run_id() if name is None else _run_id_of(machine, name)
    name = name or run_id
    if machine.type == "EXPRESS":
        name = express_name(name, run_id)
    return await begin(services, caller, start_of(target, value, name=name, run_id=run_id, attributes=attributes))


def _run_id_of(machine: StateMachine, name: str) -> str:
    """The same one each time. Other accounts, which may choose ids for their runs, do not know when it was made."""
    return child_run_id(f"{machine.arn}:{machine.created_ms}:{name}")


def _checked_input(services: Services, caller: Caller, machine: StateMachine, given: Any) -> Any:
    check_references(services, caller, given)
    return with_defaults(machine.name, face_of(services, machine.arn), given)


def with_defaults(pipeline: str, face: Face, given: Any) -> Any:
    """The run's input. Raises Refusal for one that does not fit the parameters."""
    if not face.parameters:
        return given
    problem = misfit(face.parameters, given, face.parameters)
    if problem is not None:
        names = ", ".join(face.parameters.get("properties", {}))
        raise Refusal(400, "PARAMETER", f"{pipeline}: {problem}", hint=f"it takes {pipeline}({names})")
    return {**face.defaults, **given}
