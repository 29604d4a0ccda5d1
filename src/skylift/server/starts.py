"""A start of a state machine, a version or an alias: what every way to ask for one gives to the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skylift.engine.inputs import StartRun
from skylift.server.machines import Target


def start_of(
    target: Target,
    value: Any,
    *,
    name: str,
    run_id: str,
    input_text: str | None = None,
    attributes: Mapping[str, str] | None = None,
) -> StartRun:
    """`input_text` is the input as it was written, where that is not as we would write it."""
    machine = target.machine
    return StartRun(
        definition=machine.definition,
        pipeline=machine.arn,
        tasks=machine.tasks,
        input=value,
        input_text=input_text,
        name=name,
        run_id=run_id,
        context={"Execution": {"RoleArn": machine.role_arn}},
        attributes={**start_attributes(target), **(attributes or {})},
        account=machine.account,
        type=machine.type,
        limits=machine.limits,
    )


def start_attributes(target: Target) -> dict[str, str]:
    """What a run keeps of how its machine was named, and of its revision."""
    named = {"version": target.version, "alias": target.alias, "revision": target.machine.revision_id}
    return {name: arn for name, arn in named.items() if arn is not None}
