"""What the Ray backend can do."""

from __future__ import annotations

from skylift.ports.compute import Capabilities

CAPABILITIES = Capabilities(
    environments=True,
    gangs=True,
    outlives_engine=True,
    leases=True,
)
