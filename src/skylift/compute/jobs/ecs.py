"""`ecs:runTask.sync`: one container's command with its overrides, described as DescribeTasks does."""

from __future__ import annotations

import time
from typing import Any

from skylift.compute.jobs.containers import command_of, environment_of, folder_of, pairs
from skylift.compute.jobs.order import JobFailed, JobOrder, read_order
from skylift.compute.jobs.program import Exit, run
from skylift.errors import SetupError


def run_job(event: Any, context: Any) -> dict[str, Any]:
    """Run the task; its description. Raises JobFailed with the same when its container ended with an error."""
    order = read_order(event)
    if order.parameters.get("Count", 1) != 1:
        raise SetupError(
            f"Count is {order.parameters['Count']!r}: a binding runs one copy of the task {order.name}",
            hint="let a Map state run several",
        )
    created = int(time.time() * 1000)
    override = _override(order)
    ended = run(
        command_of(order, override.get("Command"), {}),
        environment_of(order, pairs(override.get("Environment"))),
        cwd=folder_of(order),
    )
    description = _description(order, created, override, ended)
    if ended.code != 0:
        raise JobFailed(description)
    return description


def _override(order: JobOrder) -> dict[str, Any]:
    listed = (order.parameters.get("Overrides") or {}).get("ContainerOverrides") or [{}]
    if len(listed) != 1:
        raise SetupError(
            f"{len(listed)} containers are overridden: a binding stands for the one container of the task {order.name}"
        )
    return dict(listed[0])


def _description(order: JobOrder, created: int, override: dict[str, Any], ended: Exit) -> dict[str, Any]:
    parameters = order.parameters
    cluster = parameters.get("Cluster", "default")
    return {
        "Attachments": [],
        "ClusterArn": cluster,
        "Containers": [
            {
                "ContainerArn": order.arn.replace(":task/", ":container/"),
                "ExitCode": ended.code,
                "Image": order.binding.image,
                "LastStatus": "STOPPED",
                "Name": override.get("Name", order.name),
                "TaskArn": order.arn,
            }
        ],
        "CreatedAt": created,
        "DesiredStatus": "STOPPED",
        "LastStatus": "STOPPED",
        "LaunchType": parameters.get("LaunchType", "FARGATE"),
        "Overrides": parameters.get("Overrides") or {},
        "StartedAt": ended.started_ms,
        "StopCode": "EssentialContainerExited",
        "StoppedAt": ended.stopped_ms,
        "StoppedReason": "Essential container in task exited",
        "TaskArn": order.arn,
        "TaskDefinitionArn": parameters.get("TaskDefinition"),
    }
