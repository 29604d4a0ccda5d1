"""What a plan is to keep, and where it may buy."""

from __future__ import annotations

import msgspec

from skylift.placement.candidates import Wanted
from skylift.placement.model import Limits, Objective, Site
from skylift.quoting.placing import SIMULATED


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan is to keep, and where it may buy."""

    limits: Limits
    objective: Objective = "cost"
    wanted: Wanted = Wanted()
    """All that is priced; the limits choose among it, so that what they cost can be told."""
    backends: tuple[str, ...] = (SIMULATED,)
    data_at: Site | None = None
    """Where the inputs of the first steps lie; None for machines of one's own."""
    uplink: float | None = None
    """Bits a second between one's own machines and everywhere else; None where nobody says."""
