"""Packages that a command needs and the base install does not have."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from skylift.errors import SetupError


def check_installed(what: str, packages: Sequence[str], extra: str) -> None:
    """Raises SetupError, which says how to get them. Nothing is imported."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise SetupError(
            f"{what} packages that are not installed: {', '.join(missing)}", hint=f"pip install 'skylift[{extra}]'"
        )
