"""What a worker is told of a job: the service's parameters, the binding that answers for it, and the job's names."""

from __future__ import annotations

from typing import Any

import msgspec

from skylift.compute.worker.failure import Stated
from skylift.config.jobs import JobBinding


class JobOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The event that the functions of this folder are called with."""

    service: str
    """`batch`, `ecs` or `sagemaker`."""
    binding: JobBinding
    parameters: dict[str, Any]
    """As the state gave them, in the service's spelling."""
    id: str
    name: str
    arn: str


def read_order(event: Any) -> JobOrder:
    return msgspec.convert(event, JobOrder)


class JobFailed(Stated):
    """The job ended badly: the state fails with the description that the service would give."""

    def __init__(self, description: dict[str, Any]) -> None:
        from skylift.asl.json_text import json_text

        super().__init__("States.TaskFailed", json_text(description))
