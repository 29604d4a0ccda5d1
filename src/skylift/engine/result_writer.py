"""Writes the results of a Distributed Map's child executions."""

from __future__ import annotations

from typing import Any

from skylift.asl.commands import WriteResults


class WriterFailed(Exception):
    """States.ResultWriterFailed, with the service's message."""


def write_results(command: WriteResults) -> dict[str, Any]:
    raise WriterFailed(f"{command.resource} is not supported")
