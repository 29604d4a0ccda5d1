"""`[box]`: a persistent development box in the cloud."""

from __future__ import annotations

from typing import Literal

import msgspec


class BoxSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which machine it is. One of id and name is set."""

    provider: Literal["ec2"] = "ec2"
    id: str | None = None
    """Of the instance."""
    name: str | None = None
    """Its tag `Name`, which no other machine of the region has."""
    region: str | None = None
    """None for the one of the environment."""
    lease: str = "12h"
    """How long it may run after it was started by hand, outside office hours."""
    endpoint_url: str | None = None
    """None for AWS itself."""
