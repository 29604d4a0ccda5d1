"""How property tests draw their examples: at random where people work, the same ones every time where CI runs.

A random find belongs on a desk, where somebody can follow it up, not in the way of an unrelated change. A fixed seed is
half of that: Hypothesis also draws from the constants of whichever modules of the project happen to be loaded, which
differ with the order of the tests and with each change. Where CI runs it takes none of them.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers
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

# How long one example takes says more about what else the machine does than about the code.
_PATIENT: Any = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("desk", **_PATIENT)
settings.register_profile("ci", derandomize=True, print_blob=True, **_PATIENT)
settings.load_profile("ci" if os.environ.get("CI") else "desk")
if os.environ.get("CI") and hasattr(providers, "is_local_module_file"):  # older ones draw from no constants
    providers.is_local_module_file = lambda path: False

_HEAVY_FIXTURES = {"ray_cluster", "lonely", "podman_variables"}
_HEAVY_PLACES = {"ray", "container", "mixed"}
_HEAVY_FILES = {"test_chaos.py", "test_faults.py", "test_definitions_served.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that start something big, or put all they can on a server, run in one process, one after the other: two of
    them at once would wait for each other's processors longer than any client waits."""
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        starts = _HEAVY_FIXTURES & set(getattr(item, "fixturenames", ()))
        if starts or params.get("place") in _HEAVY_PLACES or item.path.name in _HEAVY_FILES:
            item.add_marker(pytest.mark.xdist_group("heavy"))
