"""How property tests draw their examples: at random where people work, the same ones every time where CI runs.

A random find belongs on a desk, where somebody can follow it up, not in the way of an unrelated change.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings
from moto_server import _aws, aws
from podman import podman_variables
from postgres import _postgres, postgres_server, postgres_url
from ray_cluster import lonely, ray_cluster

__all__ = [
    "_aws",
    "_postgres",
    "aws",
    "lonely",
    "podman_variables",
    "postgres_server",
    "postgres_url",
    "ray_cluster",
]

settings.register_profile("ci", derandomize=True, print_blob=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

_HEAVY = {"ray_cluster": "ray", "lonely": "ray", "podman_variables": "containers"}
"""Fixtures that start something big, and the group of tests that shares it."""
_PLACES = {"ray": "ray", "container": "containers", "mixed": "containers"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share something big run in one process, one after the other, instead of starting it in each."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        params = item.callspec.params if hasattr(item, "callspec") else {}
        place = params.get("place")
        found = next((_HEAVY[name] for name in names if name in _HEAVY), _PLACES.get(place) if place else None)
        if found is not None:
            item.add_marker(pytest.mark.xdist_group(found))
