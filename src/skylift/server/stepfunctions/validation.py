"""ValidateStateMachineDefinition: what is wrong with a definition, in the service's words."""

from __future__ import annotations

from typing import Any

from skylift.asl.diagnostics import Diagnostic, service_code, service_message
from skylift.server.caller import Caller, Role
from skylift.server.context import ServerContext
from skylift.server.stepfunctions.actions import Actions
from skylift.server.stepfunctions.definitions import diagnostics

actions = Actions()
MOST_RESULTS = 100


@actions.add("ValidateStateMachineDefinition", Role.VIEWER)
async def validate(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    return await context.blocking(_validate, request)


def _validate(request: dict[str, Any]) -> dict[str, Any]:
    found = diagnostics(request["definition"], request.get("type", "STANDARD"))
    failed = any(one.severity == "ERROR" for one in found)
    if request.get("severity", "ERROR") == "ERROR":
        found = [one for one in found if one.severity == "ERROR"]
    most = request.get("maxResults") or MOST_RESULTS
    return {
        "result": "FAIL" if failed else "OK",
        "diagnostics": [_shown(one) for one in found[:most]],
        "truncated": len(found) > most,
    }


def _shown(found: Diagnostic) -> dict[str, str]:
    shown = {"severity": found.severity, "code": service_code(found), "message": service_message(found)}
    return shown if found.service_location is None else {**shown, "location": found.service_location}
