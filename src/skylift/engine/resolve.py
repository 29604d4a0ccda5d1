"""How the engine finds a state machine that one of its runs wants to start."""

from __future__ import annotations

from typing import Protocol

import msgspec

from skylift.ports.journal import LimitsName, MachineType, RunRecord


class ResolvedMachine(msgspec.Struct, frozen=True, kw_only=True):
    """What a nested run is started from."""

    pipeline: str
    """ARN of the machine, without version or alias."""
    definition: str
    """Digest of its document."""
    tasks: str | None = None
    """Digest of its task table."""
    type: MachineType = "STANDARD"
    limits: LimitsName = "service"
    role_arn: str | None = None
    attributes: dict[str, str] = {}
    """`version` and `alias`, where the start names one."""


class Resolve(Protocol):
    """Finds a server's state machines. Called on the engine's thread, between two commits."""

    def __call__(self, machine: str, record: RunRecord) -> ResolvedMachine | None:
        """The machine of this ARN, also with a version or alias; None for one that the account of `record`, the run
        that wants to start it, does not have. Raises JournalUnavailable."""
        ...
