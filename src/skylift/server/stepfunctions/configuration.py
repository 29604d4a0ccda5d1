"""Settings of a state machine or an activity: logging, tracing, encryption. Checked, completed, kept and shown."""

from __future__ import annotations

import re
from typing import Any

from skylift.server.errors import ApiError

_LOG_GROUP = re.compile(r"arn:aws(-[a-z]+)*:logs:[a-z0-9-]+:\d{12}:log-group:[^:]+:\*")

LOG_GROUP_NOT_FOUND = "Log Destination not found."


def read_logging(given: dict[str, Any] | None) -> dict[str, Any]:
    """As it is kept and shown. Raises InvalidLoggingConfiguration."""
    given = given or {}
    level, destinations = given.get("level", "OFF"), given.get("destinations", [])
    if len(destinations) > 1 or (level != "OFF" and not destinations):
        raise invalid_logging("Must specify exactly one Log Destination.")
    for destination in destinations:
        group = (destination or {}).get("cloudWatchLogsLogGroup", {}).get("logGroupArn")
        if group is None:
            raise invalid_logging("Must specify exactly one Log Destination.")
        if not _LOG_GROUP.fullmatch(group):
            raise invalid_logging(LOG_GROUP_NOT_FOUND)
    complete = {"level": level, "includeExecutionData": given.get("includeExecutionData", False)}
    return {**complete, "destinations": destinations} if destinations else complete


def read_tracing(given: dict[str, Any] | None) -> dict[str, Any]:
    """As it is kept and shown."""
    return {"enabled": (given or {}).get("enabled", False)}


def read_encryption(given: dict[str, Any] | None) -> dict[str, Any] | None:
    """As it is kept and shown; None for the service's own key. Raises InvalidEncryptionConfiguration."""
    if given is None:
        return None
    key, period = given.get("kmsKeyId"), given.get("kmsDataKeyReusePeriodSeconds")
    if given["type"] == "AWS_OWNED_KEY":
        if key is not None or period is not None:
            raise _invalid_encryption("a key and its reuse period are for customer managed keys")
        return {"type": "AWS_OWNED_KEY"}
    if key is None:
        raise _invalid_encryption("kmsKeyId is required for a customer managed key")
    return {"type": given["type"], "kmsKeyId": key, "kmsDataKeyReusePeriodSeconds": period or 300}


def invalid_logging(reason: str) -> ApiError:
    return ApiError("InvalidLoggingConfiguration", f"Invalid Logging Configuration: {reason}")


def _invalid_encryption(reason: str) -> ApiError:
    return ApiError("InvalidEncryptionConfiguration", f"Invalid Encryption Configuration: {reason}")
