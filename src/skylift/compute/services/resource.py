"""What a Task's resource ARN asks for: which action of which service, and when the task is done."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from skylift.compute.services.failure import ServiceFailure

Pattern = Literal["request", "token", "sync"]

_INTEGRATION = re.compile(
    r"arn:aws[\w-]*:states:[\w-]*:\d*:(?P<sdk>aws-sdk:)?(?P<service>[A-Za-z0-9-]+):(?P<action>[A-Za-z0-9]+)"
    r"(?P<suffix>\.sync(?::2)?|\.waitForTaskToken)?"
)
_FUNCTION = re.compile(r"arn:aws[\w-]*:lambda:(?P<region>[\w-]+):(?P<account>\d+):function:[^:]+(?::[^:]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A resource ARN, taken apart."""

    kind: Literal["sdk", "optimized", "function"]
    service: str
    """As Step Functions spells it: `sfn`, `dynamodb`; `lambda` for a function."""
    action: str
    """In camel case, as it stands in the ARN."""
    pattern: Pattern
    arn: str
    region: str | None = None
    """Of a function; the others are called in the region of the state machine."""


def parse_target(arn: str) -> Target:
    """Raises ServiceFailure for what names no integration."""
    function = _FUNCTION.fullmatch(arn)
    if function is not None:
        return Target(
            kind="function", service="lambda", action="invoke", pattern="request", arn=arn, region=function["region"]
        )
    found = _INTEGRATION.fullmatch(arn)
    if found is None:
        raise ServiceFailure("States.Runtime", f"The resource '{arn}' names no function and no service integration")
    suffix = found["suffix"] or ""
    sdk = found["sdk"] is not None
    if sdk and suffix.startswith(".sync"):
        raise ServiceFailure("States.Runtime", f"The resource '{arn}': aws-sdk integrations have no {suffix}")
    return Target(
        kind="sdk" if sdk else "optimized",
        service=found["service"],
        action=found["action"],
        pattern="token" if suffix == ".waitForTaskToken" else "sync" if suffix else "request",
        arn=arn,
    )
