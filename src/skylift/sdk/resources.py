"""What a task needs, as a user writes it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from skylift.errors import AuthorError
from skylift.ports.compute import Requirements

_MEMORY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(B|[KMGT]i?B?|bytes)?\s*", re.IGNORECASE)
_MIB = {"": 1.0, "m": 1.0, "k": 1 / 1024, "g": 1024.0, "t": 1024.0 * 1024}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d)", re.IGNORECASE)
_MS = {"ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


class ResourcesInvalid(AuthorError):
    """A requirement that cannot be understood."""

    code = "RESOURCES"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Needs shared by several tasks: `@task(resources=Resources(cpus=4, memory="8 GiB"))`. What `@task` says
    itself wins."""

    cpus: float = 1.0
    memory: str | int | None = None
    gpu: str | int | None = None
    spot: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Sequence[str] = ()
    concurrency: int | None = None
    environment: str | None = None
    image: str | None = None
    nodes: int = 1


def requirements_of(
    resources: Resources, *, timeout: str | float | None, heartbeat: str | float | None
) -> Requirements:
    """Checked and in the units of the ports. Raises ResourcesInvalid."""
    if not resources.cpus > 0:
        raise ResourcesInvalid(f"cpus={resources.cpus!r}: must be more than 0")
    if resources.concurrency is not None and resources.concurrency < 1:
        raise ResourcesInvalid(f"concurrency={resources.concurrency!r}: must be 1 or more")
    if resources.nodes < 1:
        raise ResourcesInvalid(f"nodes={resources.nodes!r}: must be 1 or more")
    if isinstance(resources.secrets, str):
        raise ResourcesInvalid(
            f"secrets={resources.secrets!r}: is a text", hint=f"write secrets=[{resources.secrets!r}]"
        )
    return Requirements(
        cpus=float(resources.cpus),
        memory_mib=parse_memory_mib(resources.memory),
        gpu=str(resources.gpu) if resources.gpu else None,
        spot=resources.spot,
        timeout_ms=parse_duration_ms(timeout, "timeout"),
        heartbeat_ms=parse_duration_ms(heartbeat, "heartbeat"),
        env=dict(resources.env),
        secrets=tuple(resources.secrets),
        concurrency=resources.concurrency,
        environment=resources.environment,
        image=resources.image,
        nodes=resources.nodes,
    )


def parse_memory_mib(memory: str | int | None) -> int | None:
    """`"1 GiB"`, `"512 MiB"`, `"2G"`, or a number of MiB.

    >>> parse_memory_mib("1.5 GiB")
    1536
    """
    if memory is None:
        return None
    if isinstance(memory, int) and not isinstance(memory, bool):
        mib = float(memory)
    else:
        match = _MEMORY.fullmatch(str(memory))
        if match is None:
            raise ResourcesInvalid(f"memory={memory!r} is not an amount", hint='write for example "512 MiB" or "2 GiB"')
        unit = (match[2] or "").lower()
        mib = float(match[1]) * (1 / 1024**2 if unit in ("b", "bytes") else _MIB[unit[:1]])
    if mib < 1:
        raise ResourcesInvalid(f"memory={memory!r} is less than 1 MiB", hint='write for example "512 MiB" or "2 GiB"')
    return int(mib)


def parse_duration_ms(duration: str | float | None, name: str = "duration") -> int | None:
    """`"2h"`, `"1h 30m"`, `"90s"`, or a number of seconds.

    >>> parse_duration_ms("1h 30m")
    5400000
    """
    if duration is None:
        return None
    if isinstance(duration, (int, float)) and not isinstance(duration, bool):
        ms = duration * 1000
    else:
        text = str(duration).strip()
        parts = _DURATION.findall(text)
        if not parts or _DURATION.sub("", text).strip():
            raise ResourcesInvalid(
                f"{name}={duration!r} is not a time", hint='write for example "90s", "15m" or "1h 30m"'
            )
        ms = sum(float(number) * _MS[unit.lower()] for number, unit in parts)
    if ms <= 0:
        raise ResourcesInvalid(f"{name}={duration!r}: must be more than 0")
    return int(ms)


def merge_resources(base: Resources | None, changes: Mapping[str, Any]) -> Resources:
    """`base` with what was said otherwise."""
    import dataclasses

    return dataclasses.replace(
        base or Resources(), **{name: value for name, value in changes.items() if value is not None}
    )
