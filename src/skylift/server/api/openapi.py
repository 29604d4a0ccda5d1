"""`/openapi.json`: this API and every pipeline of the caller's account, as OpenAPI 3.1."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from skylift.server.api.answers import json_response
from skylift.server.api.operations import COMPONENTS, OPERATIONS, error_responses
from skylift.server.api.pipelines import LONGEST_WAIT_S, PipelineState, pipelines_of
from skylift.server.api.schemas import REF
from skylift.server.api.services import Services
from skylift.server.caller import Caller


async def get_openapi(services: Services, caller: Caller, request: Request) -> Response:
    pipelines = await services.context.blocking(pipelines_of, services, caller)
    return json_response(document(pipelines))


def document(pipelines: list[PipelineState]) -> dict[str, Any]:
    """The description; pipelines become paths of their own, with their parameters as the schema of the body."""
    schemas = dict(COMPONENTS)
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), operation in OPERATIONS.items():
        paths.setdefault(path, {})[method] = operation
    for pipeline in pipelines:
        key = component(pipeline.name)
        schemas[f"{key}.input"] = relocated(pipeline.parameters, f"#/components/schemas/{key}.input/$defs/")
        schemas[f"{key}.output"] = relocated(pipeline.result, f"#/components/schemas/{key}.output/$defs/")
        paths[pipeline.url.replace("{", "%7B").replace("}", "%7D")] = {"post": _start(pipeline, key)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Skylift",
            "version": version("skylift"),
            "description": "Runs of pipelines and States Language documents. The Step Functions API is at `/`.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "sigv4": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "AWS Signature V4 for the service `states`, with a key of `skylift keys create`.",
                    "x-amazon-apigateway-authtype": "awsSigv4",
                }
            },
        },
        "security": [{"sigv4": []}, {}],
    }


def component(name: str) -> str:
    """A pipeline's name as the name of a component: other characters by their code."""
    return re.sub(r"[^A-Za-z0-9._-]", lambda found: f"_x{ord(found[0]):x}_", f"pipeline.{name}")


def relocated(schema: Any, base: str) -> Any:
    """The schema with its references pointing at where its `$defs` stand in the whole description."""
    if isinstance(schema, list):
        return [relocated(part, base) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: base + value[len(REF) :] if key == "$ref" and isinstance(value, str) else relocated(value, base)
        for key, value in schema.items()
    }


def _start(pipeline: PipelineState, key: str) -> dict[str, Any]:
    required = bool(pipeline.parameters.get("required"))
    output = {"$ref": f"#/components/schemas/{key}.output"}
    ended = {
        "allOf": [{"$ref": "#/components/schemas/Started"}],
        "properties": {"output": {"anyOf": [output, {"type": "null"}]}},
    }
    return {
        "operationId": f"start.{key}",
        "summary": f"Start a run of {pipeline.name}.",
        "description": pipeline.description or f"Starts {pipeline.arn}.",
        "parameters": [
            {
                "name": "wait",
                "in": "query",
                "description": "Seconds to wait for the end of the run.",
                "schema": {"type": "number", "minimum": 0, "maximum": LONGEST_WAIT_S},
            },
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "Name of the run: the same key with the same input is the same run.",
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,80}$"},
            },
        ],
        "requestBody": {
            "required": required,
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{key}.input"}}},
        },
        "responses": {
            "200": {
                "description": "The run has ended; `output`, `error` and `cause` say how.",
                "content": {"application/json": {"schema": ended}},
            },
            "202": {
                "description": "The run has been started.",
                "headers": {"Location": {"schema": {"type": "string"}}},
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Started"}}},
            },
            **error_responses(400, 404, 409, 413),
        },
    }
