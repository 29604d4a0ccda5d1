"""Whether the log group of a logging configuration is there, where the settings say who knows."""

from __future__ import annotations

from typing import Any

from skylift.server.context import ServerContext
from skylift.server.errors import ApiError
from skylift.server.stepfunctions.configuration import LOG_GROUP_NOT_FOUND, invalid_logging


def check_log_group(context: ServerContext, logging: dict[str, Any]) -> None:
    """Asks CloudWatch Logs, or what stands for it, if `[services.endpoints]` names a `logs`; else any group will do.
    Blocks. Raises InvalidLoggingConfiguration."""
    services = context.runtime.config.services
    if "logs" not in services.endpoints:
        return
    for destination in logging.get("destinations", []):
        arn = destination["cloudWatchLogsLogGroup"]["logGroupArn"]
        if not _exists(services, arn):
            raise invalid_logging(LOG_GROUP_NOT_FOUND)


def _exists(services: Any, arn: str) -> bool:
    from botocore.exceptions import BotoCoreError, ClientError

    from skylift.compute.services.clients import Clients

    _, _, _, region, _, _, name, *_ = arn.split(":")
    client = Clients(services).client("logs", region)
    try:
        pages = client.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=name)
        return any(group["logGroupName"] == name for page in pages for group in page["logGroups"])
    except (BotoCoreError, ClientError) as problem:
        raise ApiError("ServiceUnavailable", f"The log groups cannot be looked at: {problem}", status=503) from problem
