"""How property tests draw their examples: at random where people work, the same ones every time where CI runs.

A random find belongs on a desk, where somebody can follow it up, not in the way of an unrelated change.
"""

from __future__ import annotations

import os

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
