"""What the batch backend can do, which depends on who provides its machines."""

from __future__ import annotations

import msgspec

from skylift.ports.compute import Capabilities

CAPABILITIES = Capabilities(
    environments=True,
    gangs=True,
    outlives_engine=True,
    warns=True,
    leases=True,
    releases=True,
)
"""On machines of their own, as far as is known before there is a provider."""
OF_BOXES = msgspec.structs.replace(CAPABILITIES, gangs=False, releases=False)
"""On boxes that joined: they may not reach each other."""
OF_THIS_PROCESS = msgspec.structs.replace(CAPABILITIES, outlives_engine=False, warns=False, leases=False)
"""On machines that are only simulated: what runs on them are processes of this one."""
