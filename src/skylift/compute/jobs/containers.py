"""What Batch jobs and ECS tasks have in common: a command with overrides, parameters and environment."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from skylift.compute.jobs.handler import PARAMETERS
from skylift.compute.jobs.order import JobOrder
from skylift.compute.jobs.program import handler_command
from skylift.errors import SetupError

STOP_GRACE_S = 30.0
"""Between SIGTERM and SIGKILL for what is stopped: ECS's default, which Batch leaves as it is."""
IMAGE_COMMAND = "SKYLIFT_IMAGE_COMMAND"
"""Set by the container backend: what the image runs by itself, `[entry point, command]` as JSON."""


def pairs(listed: Any) -> dict[str, str]:
    """`[{"Name": …, "Value": …}]` as a dict."""
    return {str(one.get("Name")): str(one.get("Value", "")) for one in listed or () if isinstance(one, dict)}


def command_of(order: JobOrder, overridden: Any, parameters: Mapping[str, Any]) -> list[str]:
    """What to run: the override, else the binding's own command, `Ref::name` replaced by the job's parameters. Raises
    SetupError when nobody says what to run."""
    binding = order.binding
    if binding.handler is not None:
        return handler_command(binding.handler)
    entry, built_in = built_in_command()
    words = list(overridden or binding.command or built_in)
    if binding.image is not None:
        words = [*entry, *words]
    if not words:
        raise SetupError(
            f"nothing says what to run for the job {order.name}",
            hint="give its binding a command under [jobs] in skylift.toml, or the state a Command",
        )
    return [_referred(str(word), parameters) for word in words]


def _referred(word: str, parameters: Mapping[str, Any]) -> str:
    if not word.startswith("Ref::"):
        return word
    return str(parameters.get(word.removeprefix("Ref::"), word))


def built_in_command() -> tuple[list[str], list[str]]:
    """Entry point and command of the image that this runs in."""
    text = os.environ.get(IMAGE_COMMAND)
    if text is None:
        return [], []
    entry, command = json.loads(text)
    return list(entry or ()), list(command or ())


def environment_of(order: JobOrder, *overrides: Mapping[str, str]) -> dict[str, str]:
    env = dict(order.binding.env)
    for override in overrides:
        env.update(override)
    for name, value in env.items():
        if not name or "=" in name or "\0" in name + value:
            raise SetupError(
                f"the variable {name[:80]!r} of the job {order.name} cannot be set: it is no name, or holds \\0"
            )
    if order.binding.handler is not None:
        env[PARAMETERS] = json.dumps(order.parameters)
    return env


def folder_of(order: JobOrder) -> str | None:
    """Where its program runs; None for where the image says."""
    return None if order.binding.image is not None else order.binding.folder


def log_stream(order: JobOrder) -> str:
    return f"{order.name}/default/{order.id}"
