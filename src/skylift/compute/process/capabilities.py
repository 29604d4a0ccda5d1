"""What worker processes of this machine can do."""

from __future__ import annotations

from skylift.ports.compute import Capabilities

CAPABILITIES = Capabilities(environments=True, gangs=True, leases=True, releases=True)
"""No place is kept and no prompt opened: the place of an attempt is this machine, and `skylift replay` is its prompt
(decision 0252)."""
