"""Who asks: the account, the region and what they may do."""

from __future__ import annotations

from enum import IntEnum

import msgspec

DEFAULT_ACCOUNT = "123456789012"
DEFAULT_REGION = "us-east-1"


class Role(IntEnum):
    """Each may do what the ones before it may."""

    VIEWER = 1
    """Look at everything of the account."""
    OPERATOR = 2
    """Start, stop, redrive and answer executions; take activity tasks."""
    ADMIN = 3
    """Create, change and delete state machines, activities, triggers."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Of one request, once it is authenticated. Everything it names must belong to `account`."""

    account: str = DEFAULT_ACCOUNT
    region: str = DEFAULT_REGION
    """From the credential scope of the signature."""
    role: Role = Role.ADMIN
    key_id: str | None = None
    """None where authentication is off."""
