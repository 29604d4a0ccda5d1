"""State machines with their versions and aliases: what is stored of them, and what a start of one of their ARNs starts."""

from __future__ import annotations

from typing import Any

import msgspec

from skylift.ports.journal import LimitsName, MachineType

MACHINE, VERSION, ALIAS = "state-machine", "state-machine-version", "state-machine-alias"
"""Kinds in the ResourceStore; the key is the ARN."""


class StateMachine(msgspec.Struct, kw_only=True):
    """A state machine; a Python pipeline that was registered is one too (`tasks` and `limits` tell)."""

    arn: str
    """`arn:aws:states:REGION:ACCOUNT:stateMachine:NAME`."""
    name: str
    account: str
    region: str
    type: MachineType
    limits: LimitsName = "service"
    definition: str
    """Digest of the States Language document in the journal; the text is kept as it was given."""
    tasks: str | None = None
    """Digest of the task table of a registered pipeline."""
    role_arn: str
    revision_id: str | None = None
    """None until the first update, as at the service."""
    created_ms: int
    updated_ms: int | None = None
    status: str = "ACTIVE"
    logging: dict[str, Any] = {}
    tracing: dict[str, Any] = {}
    encryption: dict[str, Any] | None = None
    tags: dict[str, str] = {}
    last_version: int = 0
    """Number of the newest version that was ever published: numbers are not used twice."""


class Version(msgspec.Struct, kw_only=True):
    """A published version: what the machine was then."""

    arn: str
    """The machine's with `:NUMBER`."""
    number: int
    description: str | None = None
    created_ms: int
    machine: StateMachine


class Alias(msgspec.Struct, kw_only=True):
    """A name for one version, or for two with weights."""

    arn: str
    """The machine's with `:NAME`."""
    name: str
    description: str | None = None
    routing: list[tuple[str, int]]
    """ARN of a version, weight; weights add up to 100."""
    created_ms: int
    updated_ms: int | None = None


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a start of an ARN starts: the machine as it is now, or as it was when the version was published."""

    machine: StateMachine
    version: str | None = None
    """ARN of the version that was asked for or that the alias has chosen."""
    alias: str | None = None
