"""What the container backend can do."""

from skylift.ports.compute import Capabilities

CAPABILITIES = Capabilities(
    environments=True,
    images=True,
    gangs=True,
    outlives_engine=True,
    warns=True,
    leases=True,
    keeps=True,
    shell=True,
)
