"""What DescribeStateMachine and DescribeStateMachineForExecution show of a state machine."""

from __future__ import annotations

from typing import Any

from skylift.server.context import ServerContext
from skylift.server.machines import StateMachine
from skylift.server.stepfunctions.definitions import variable_references
from skylift.server.stepfunctions.wire import seconds


def describe(
    context: ServerContext, request: dict[str, Any], machine: StateMachine, *, arn: str, created_ms: int
) -> dict[str, Any]:
    """The machine under the ARN that was asked for. Blocks."""
    return {
        "stateMachineArn": arn,
        "name": machine.name,
        "status": machine.status,
        "type": machine.type,
        "creationDate": seconds(created_ms),
        "roleArn": machine.role_arn,
        **describe_settings(machine),
        **describe_definition(context, request, machine.definition),
    }


def describe_settings(machine: StateMachine) -> dict[str, Any]:
    """Logging, tracing, encryption, revision."""
    optional = {"encryptionConfiguration": machine.encryption, "revisionId": machine.revision_id}
    return {
        "loggingConfiguration": machine.logging or {"level": "OFF", "includeExecutionData": False},
        "tracingConfiguration": machine.tracing or {"enabled": False},
        **{name: value for name, value in optional.items() if value is not None},
    }


def describe_definition(context: ServerContext, request: dict[str, Any], digest: str) -> dict[str, Any]:
    """The text as it was given, with the variables that its states read; without data just `{}`."""
    if request.get("includedData") == "METADATA_ONLY":
        return {"definition": "{}"}
    text = context.journal.document(digest).decode()
    references = variable_references(text)
    return {"definition": text, "variableReferences": references} if references else {"definition": text}
