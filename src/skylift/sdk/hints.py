"""Evaluated annotations of a user's function."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any


def evaluate_hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Of parameters and result; one that cannot be evaluated is left out."""
    try:
        return typing.get_type_hints(function)
    except Exception:  # noqa: BLE001 - names under TYPE_CHECKING, forward references: try each by itself
        hints = {}
        for name, annotation in getattr(function, "__annotations__", {}).items():
            try:
                hints[name] = (
                    eval(annotation, function.__globals__)  # noqa: S307 - the author's own annotation
                    if isinstance(annotation, str)
                    else annotation
                )
            except Exception:  # noqa: BLE001 - tells nothing
                continue
        return hints
