"""Reads the items of a Distributed Map from a file or a folder, page by page."""

from __future__ import annotations

from typing import Any

from skylift.asl.commands import ReadItems


class ReaderFailed(Exception):
    """States.ItemReaderFailed, with the service's message."""


def read_page(command: ReadItems) -> tuple[list[Any], Any]:
    raise ReaderFailed(f"{command.resource} is not supported")
