"""What a Task's Resource says: which history events its life leaves, and what they are called.

arn:aws:lambda:REGION:ACCOUNT:function:NAME             LambdaFunctionScheduled, …Started, …Succeeded
arn:aws:states:REGION:ACCOUNT:activity:NAME             ActivityScheduled, …
arn:aws:states:::SERVICE:ACTION[.sync|.waitForTaskToken]  TaskScheduled, TaskStarted, [TaskSubmitted,] …
"""

from __future__ import annotations

from typing import Literal

import msgspec

Family = Literal["LambdaFunction", "Activity", "Task"]


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    arn: str
    family: Family
    service: str = ""
    """resourceType of the history: `sqs`, `lambda`, `skylift`, `aws-sdk:s3`."""
    action: str = ""
    """resource of the history: `sendMessage.waitForTaskToken`."""
    submits: bool = False
    """Whether a `.sync` or `.waitForTaskToken` suffix makes the request's answer come before the task's outcome."""


def read_resource(arn: str) -> Resource:
    """Never fails: what is not known counts as a service's task."""
    parts = arn.split(":")
    if len(parts) > 5 and parts[2] == "lambda":
        return Resource(arn=arn, family="LambdaFunction", service="lambda", action=arn)
    if len(parts) > 5 and parts[2] == "states" and parts[5] == "activity":
        return Resource(arn=arn, family="Activity", service="activity", action=arn)
    if len(parts) <= 5:
        return Resource(arn=arn, family="Task", service=arn, action=arn)
    service, action = _service_and_action(parts[5:])
    submits = action.endswith(".waitForTaskToken") or ".sync" in action
    return Resource(arn=arn, family="Task", service=service, action=action, submits=submits)


def _service_and_action(rest: list[str]) -> tuple[str, str]:
    """`["sqs", "sendMessage"]`, `["aws-sdk", "s3", "getObject"]`, `["states", "startExecution.sync", "2"]`."""
    cut = len(rest) - 1
    if cut > 0 and rest[cut] == "2" and rest[cut - 1].endswith(".sync"):
        cut -= 1
    cut = max(cut, 1)
    return ":".join(rest[:cut]), ":".join(rest[cut:]) or rest[0]
