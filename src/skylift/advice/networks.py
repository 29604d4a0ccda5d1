"""Where work can run without an address on the internet, and what has to be set for it: data with sources."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import msgspec

from skylift.ports.compute import ServiceClass


class Network(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one service class of a cloud."""

    cloud: str
    service: ServiceClass
    how: str = ""
    """What has to be set."""
    none: str = ""
    """Why it cannot be had."""
    source: str


class _Networks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    network: tuple[Network, ...]


@cache
def networks() -> tuple[Network, ...]:
    text = files("skylift.advice").joinpath("data/networks.toml").read_bytes()
    return msgspec.toml.decode(text, type=_Networks).network


def network(cloud: str, service: str) -> Network | None:
    """None where nothing is known of it."""
    return next((one for one in networks() if (one.cloud, one.service) == (cloud, service)), None)


def can_be_private(cloud: str, service: str) -> bool:
    """Where nothing is known of it, nothing is bought."""
    found = network(cloud, service)
    return found is not None and not found.none
