"""The kinds of set-up that are compared, and the services they use: what binds to each, and the way out."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

from skylift.advice.project import Purpose


class Option(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kind of set-up."""

    id: str
    title: str
    cloud: bool
    """Whether data leaves the house."""
    serves: tuple[Purpose, ...]
    uses: tuple[str, ...]
    how: str
    """With Skylift."""
    good: str
    bad: str


class Service(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a set-up takes from a provider."""

    title: str
    level: Literal["low", "medium", "high"]
    """How hard it is to leave."""
    binds: str
    way_out: str


class _Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    option: tuple[Option, ...]


@cache
def options() -> dict[str, Option]:
    """By id, the simplest first."""
    text = files("skylift.advice").joinpath("data/options.toml").read_bytes()
    return {one.id: one for one in msgspec.toml.decode(text, type=_Options).option}


@cache
def services() -> dict[str, Service]:
    text = files("skylift.advice").joinpath("data/services.toml").read_bytes()
    return msgspec.toml.decode(text, type=dict[str, Service])
