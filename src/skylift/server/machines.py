"""State machines with versions and aliases: what is stored of them, and what a start of one of their ARNs starts."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from skylift.ports.journal import LimitsName, MachineType
from skylift.ports.resources import ResourceChanged, ResourceStore
from skylift.server.caller import Caller
from skylift.server.errors import ApiError
from skylift.server.names import Arn, machine_arn_of

MACHINE, VERSION, ALIAS = "state-machine", "state-machine-version", "state-machine-alias"
"""Kinds in the ResourceStore; the key is the ARN."""
ATTEMPTS = 100
"""How often a change is tried while others change the same. A document that was collected in the meantime looks like
that too, and does not come back."""
MOST_VERSIONS, MOST_ALIASES = 1_000, 100
"""Of one state machine, as at the service."""
Kind = TypeVar("Kind", bound=msgspec.Struct)


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
    created_with: tuple[bool, str | None] = (False, None)
    """`publish` and `versionDescription` of its creation, which a repeated creation must give again."""
    last_version: int = 0
    """Number of the newest version that was ever published: numbers are not used twice."""
    published_revision: str | None = None
    """Revision of that version."""


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


class Machines:
    """The state machines of all accounts in a ResourceStore. Methods block for as long as the store does; run them on
    a thread (`ServerContext.blocking`). What belongs to another account does not exist."""

    def __init__(self, resources: ResourceStore, random: Callable[[], float] = random.random) -> None:
        self._resources = resources
        self._random = random

    def get(self, arn: str) -> StateMachine | None:
        """By the ARN of the machine itself, without version or alias."""
        return self._read(MACHINE, arn, StateMachine)

    def version(self, arn: str) -> Version | None:
        return self._read(VERSION, arn, Version)

    def alias(self, arn: str) -> Alias | None:
        return self._read(ALIAS, arn, Alias)

    def owned(self, arn: Arn, caller: Caller) -> StateMachine:
        """The machine of this account that an ARN without version and alias names. Raises StateMachineDoesNotExist."""
        found = self.get(arn.text) if arn.account == caller.account and arn.qualifier is None else None
        if found is None:
            raise does_not_exist(arn.text)
        return found

    def target(self, arn: str, caller: Caller) -> Target:
        """What a start of this ARN starts: of a machine, a version or an alias. Raises ApiError: InvalidArn,
        ValidationException for a Map's label, StateMachineDoesNotExist."""
        parsed = machine_arn_of(arn)
        if parsed.account != caller.account:
            raise does_not_exist(arn)
        if parsed.qualifier is None:
            return Target(machine=self.owned(parsed, caller))
        if parsed.qualifier.isdigit():
            return self._version_target(arn, arn, None)
        alias = self.alias(arn)
        if alias is None:
            raise does_not_exist(arn)
        return self._version_target(arn, self.choose(alias), arn)

    def choose(self, alias: Alias) -> str:
        """ARN of one of the alias's versions, by weight."""
        point = self._random() * 100
        for version, weight in alias.routing:
            point -= weight
            if point < 0:
                return version
        return alias.routing[-1][0]

    def page(self, prefix: str, *, after: str = "", limit: int = 100) -> list[StateMachine]:
        """Machines whose ARN starts with `prefix`, by ARN."""
        return self._list(MACHINE, prefix, after, limit, StateMachine)

    def versions(self, machine: str) -> list[Version]:
        """Of the machine with this ARN, newest first."""
        found = self._list(VERSION, f"{machine}:", "", MOST_VERSIONS, Version)
        return sorted(found, key=lambda version: -version.number)

    def aliases(self, machine: str, *, after: str = "", limit: int = MOST_ALIASES) -> list[Alias]:
        """Of the machine with this ARN, by name."""
        return self._list(ALIAS, f"{machine}:", after, limit, Alias)

    def create(self, machine: StateMachine) -> None:
        """Raises ResourceChanged if there is one."""
        self._put(MACHINE, machine.arn, machine, machine, 0)

    def change(self, arn: str, edit: Callable[[StateMachine], StateMachine]) -> StateMachine | None:
        """Replace the machine by what `edit` makes of it, again if somebody else was faster; None if there is none."""
        for _ in range(ATTEMPTS):
            stored = self._resources.get(MACHINE, arn)
            if stored is None:
                return None
            machine = edit(msgspec.json.decode(stored.body, type=StateMachine))
            with contextlib.suppress(ResourceChanged):
                self._put(MACHINE, arn, machine, machine, stored.revision)
                return machine
        raise too_busy(arn)

    def create_version(self, version: Version) -> Version:
        """This one, or the one that has its number already."""
        try:
            self._put(VERSION, version.arn, version, version.machine, 0)
        except ResourceChanged:
            present = self.version(version.arn)
            if present is None:
                raise too_busy(version.arn) from None
            return present
        return version

    def delete_version(self, arn: str) -> bool:
        return self._resources.delete(VERSION, arn)

    def create_alias(self, alias: Alias) -> None:
        """Raises ResourceChanged if there is one."""
        self._put(ALIAS, alias.arn, alias, None, 0)

    def change_alias(self, arn: str, edit: Callable[[Alias], Alias]) -> Alias | None:
        """As `change`."""
        for _ in range(ATTEMPTS):
            stored = self._resources.get(ALIAS, arn)
            if stored is None:
                return None
            alias = edit(msgspec.json.decode(stored.body, type=Alias))
            with contextlib.suppress(ResourceChanged):
                self._put(ALIAS, arn, alias, None, stored.revision)
                return alias
        raise too_busy(arn)

    def delete_alias(self, arn: str) -> bool:
        return self._resources.delete(ALIAS, arn)

    def delete(self, arn: str) -> bool:
        """The machine, its versions and its aliases; what they started goes on. The machine goes last, so that a
        deletion that was cut off can be done again."""
        while aliases := self.aliases(arn):
            for alias in aliases:
                self.delete_alias(alias.arn)
        while versions := self.versions(arn):
            for version in versions:
                self.delete_version(version.arn)
        return self._resources.delete(MACHINE, arn)

    def _version_target(self, asked: str, version_arn: str, alias: str | None) -> Target:
        version = self.version(version_arn)
        if version is None:
            raise does_not_exist(asked)
        return Target(machine=version.machine, version=version.arn, alias=alias)

    def _read(self, kind: str, arn: str, shape: type[Kind]) -> Kind | None:
        stored = self._resources.get(kind, arn)
        return None if stored is None else msgspec.json.decode(stored.body, type=shape)

    def _list(self, kind: str, prefix: str, after: str, limit: int, shape: type[Kind]) -> list[Kind]:
        found = self._resources.list(kind, prefix, after=after, limit=limit)
        return [msgspec.json.decode(stored.body, type=shape) for stored in found]

    def _put(
        self, kind: str, arn: str, body: msgspec.Struct, machine: StateMachine | None, expected: int | None
    ) -> None:
        documents = [] if machine is None else [digest for digest in (machine.definition, machine.tasks) if digest]
        self._resources.put(kind, arn, msgspec.json.encode(body), expected=expected, documents=documents)


def does_not_exist(arn: str) -> ApiError:
    return ApiError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")


def too_busy(arn: str) -> ApiError:
    """Clients try again by themselves."""
    return ApiError("ServiceUnavailable", f"'{arn}' is being changed by others, try again", status=503)
