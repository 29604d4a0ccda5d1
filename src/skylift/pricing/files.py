"""Where snapshots lie: those that are shipped, and those that the user has made, side by side."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import msgspec

from skylift.config import load_config
from skylift.errors import SetupError
from skylift.pricing.snapshot import FORMAT, Snapshot, check, read

SHIPPED = Path(__file__).parent / "data"
PRICES = "prices"
"""Folder in the user's home."""


_HINT = "move the file away, or make it anew with `skylift prices update`"


class SnapshotInvalid(SetupError):
    """A file of prices in the user's home that cannot be read."""

    code = "PRICES-INVALID"


def snapshots(cloud: str, home: Path) -> list[Snapshot]:
    shipped = [_read(path) for path in sorted((SHIPPED / cloud).glob("*.json"))]
    return shipped + [_checked(path) for path in sorted((home / PRICES / cloud).glob("*.json"))]


def _checked(path: Path) -> Snapshot:
    """A file of the user's own may have been written by hand, or cut short: all of its texts are taken apart once."""
    found = _read(path)
    try:
        check(found)
    except (ValueError, ArithmeticError, LookupError) as problem:
        raise SnapshotInvalid(f"{path} is no snapshot of prices: {problem}", hint=_HINT) from problem
    return found


def _read(path: Path) -> Snapshot:
    try:
        found = read(path.read_bytes())
    except msgspec.DecodeError as problem:
        raise SnapshotInvalid(f"{path} is no snapshot of prices: {problem}", hint=_HINT) from problem
    if found.format != FORMAT or found.cloud != path.parent.name:
        wanted = f"format {FORMAT} and cloud {path.parent.name!r}"
        raise SnapshotInvalid(f"{path} has format {found.format} and cloud {found.cloud!r}, not {wanted}", hint=_HINT)
    return found


def user_home() -> Path:
    """Of the project that this process is in."""
    return _home(Path.cwd(), os.environ.get("SKYLIFT_HOME"))


@cache
def _home(_folder: Path, _home: str | None) -> Path:
    return load_config().home
